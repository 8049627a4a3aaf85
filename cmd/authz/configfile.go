package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"go.yaml.in/yaml/v3"
)

// fault is one thing wrong with the configuration.
type fault struct {
	Key     string `json:"key"`
	Line    int    `json:"line,omitempty"` // in the file; 0 where it came from elsewhere
	Message string `json:"message"`
}

// faults is everything wrong with the configuration at once. As an error it lists
// them a line each.
type faults []fault

func (f faults) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d fault(s) in the configuration:", len(f))
	for _, x := range f {
		b.WriteString("\n  " + cmp.Or(x.Key, "(file)"))
		if x.Line > 0 {
			fmt.Fprintf(&b, " (line %d)", x.Line)
		}
		b.WriteString(": " + x.Message)
	}
	return b.String()
}

// reader gathers the faults of one reading.
type reader struct{ faults faults }

func (r *reader) fault(key string, line int, format string, args ...any) {
	r.faults = append(r.faults, fault{key, line, fmt.Sprintf(format, args...)})
}

// readConfig builds the configuration: defaults, then the file, then the
// environment, then flags. The error, if any, is of type faults.
func readConfig(path string, environ []string, flags map[string]string) (*Config, error) {
	c, found := gatherConfig(path, environ, flags)
	if len(found) > 0 {
		return nil, found
	}
	return c, nil
}

// gatherConfig is readConfig for a command that needs a part of the configuration
// only: it returns the faults beside what could be read.
func gatherConfig(path string, environ []string, flags map[string]string) (*Config, faults) {
	c := new(Config)
	v := reflect.ValueOf(c).Elem()
	setDefaults(v)
	var r reader
	if path != "" {
		r.file(path, v)
	}
	r.environment(environ, v)
	for _, f := range leaves(v, "") {
		if text, given := flags[f.key]; given {
			if err := set(f.value, text); err != nil {
				r.fault("--"+f.key, 0, "%v", err)
			}
		}
	}
	r.faults = append(r.faults, c.validate()...)
	return c, r.faults
}

func (r *reader) file(path string, v reflect.Value) {
	f, err := os.Open(path)
	if err != nil {
		r.fault("", 0, "opening the configuration: %v", err)
		return
	}
	defer f.Close()
	decoder := yaml.NewDecoder(f)
	var doc yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return // an empty file is all defaults
	case err != nil:
		r.fault("", 0, "%s is not YAML: %v", path, err)
		return
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		r.fault("", 0, "%s holds more than one YAML document", path)
	}
	r.node(doc.Content[0], v, "")
}

// node stores a YAML node in v, which the key names.
func (r *reader) node(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Tag == "!!null" {
		return // a key without a value keeps its default
	}
	switch {
	case isText(v.Type()) || v.Kind() != reflect.Struct && v.Kind() != reflect.Slice:
		if n.Kind != yaml.ScalarNode {
			r.fault(key, n.Line, "takes one value, not a %s", kindName(n))
			return
		}
		if err := set(v, n.Value); err != nil {
			r.fault(key, n.Line, "%v", err)
		}
	case v.Kind() == reflect.Struct:
		r.mapping(n, v, key)
	default:
		if n.Kind != yaml.SequenceNode {
			r.fault(key, n.Line, "takes a list (- one element a line), not a %s", kindName(n))
			return
		}
		list := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
		for i, element := range n.Content {
			if list.Index(i).Kind() == reflect.Struct {
				setDefaults(list.Index(i))
			}
			r.node(element, list.Index(i), fmt.Sprintf("%s[%d]", key, i))
		}
		v.Set(list)
	}
}

func (r *reader) mapping(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.MappingNode {
		r.fault(key, n.Line, "takes keys and values, not a %s", kindName(n))
		return
	}
	prefix := ""
	if key != "" {
		prefix = key + "."
	}
	known := fields(v, prefix)
	names := make([]string, len(known))
	for i, f := range known {
		names[i] = f.name
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		if line, twice := seen[name.Value]; twice {
			r.fault(prefix+name.Value, name.Line, "is already given in line %d", line)
			continue
		}
		seen[name.Value] = name.Line
		at := slices.Index(names, name.Value)
		if at < 0 {
			r.fault(prefix+name.Value, name.Line, "is not a key; %s", suggest(name.Value, names))
			continue
		}
		r.node(value, known[at].value, known[at].key)
	}
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "mapping"
	case yaml.SequenceNode:
		return "list"
	}
	return "single value"
}

// environment reads AUTHZ_… variables. One that names no key is a fault: a typo in
// it would otherwise go unnoticed. AUTHZ_CONFIG names the file and is not a key.
func (r *reader) environment(environ []string, v reflect.Value) {
	byName := map[string]field{}
	var names []string
	for _, f := range leaves(v, "") {
		byName[environmentName(f.key)] = f
		names = append(names, environmentName(f.key))
	}
	for _, pair := range environ {
		name, text, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "AUTHZ_") || name == configVariable {
			continue
		}
		f, known := byName[name]
		if !known {
			// Kubernetes makes such variables for a Service named authz.
			if kubernetesVariable(name) {
				continue
			}
			r.fault(name, 0, "is not a setting; %s", suggest(name, names))
			continue
		}
		if err := set(f.value, text); err != nil {
			r.fault(name, 0, "%v", err)
		}
	}
}

// kubernetesVariable tells the variables that a kubelet adds for a Service called
// authz (AUTHZ_SERVICE_HOST, AUTHZ_PORT_9001_TCP …; "Accessing the Service" in the
// Kubernetes documentation) and Services whose names begin with authz-.
func kubernetesVariable(name string) bool {
	return strings.HasSuffix(name, "_SERVICE_HOST") || strings.Contains(name, "_SERVICE_PORT") ||
		strings.HasSuffix(name, "_PORT") || strings.Contains(name, "_TCP") || strings.Contains(name, "_UDP")
}

// suggest names the nearest of the names, or all of them where none is near.
func suggest(given string, names []string) string {
	best, distance := "", len(given)/2+1
	for _, name := range names {
		if d := levenshtein.ComputeDistance(given, name); d < distance {
			best, distance = name, d
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	if len(names) > 24 {
		return "see authz config reference"
	}
	return "known here: " + strings.Join(names, ", ")
}

package lintenvoy

import (
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// node is a place in the file. One that is not there can be asked like any other: it
// has its path and is empty.
type node struct {
	yaml   *yaml.Node // nil: not there
	path   string
	offset int // lines of the outer file before this document
	key    int // line of its key, in the document; 0: it has none
	parent int // line of the nearest node above that is there, in the outer file
}

func (n node) ok() bool { return n.yaml != nil && n.yaml.Tag != "!!null" }

// resolve follows documents and aliases.
func (n node) resolve() node {
	for n.yaml != nil {
		switch {
		case n.yaml.Kind == yaml.DocumentNode && len(n.yaml.Content) == 1:
			n.yaml = n.yaml.Content[0]
		case n.yaml.Kind == yaml.AliasNode:
			n.yaml = n.yaml.Alias
		default:
			return n
		}
	}
	return n
}

// line is where it begins, its key included.
func (n node) line() int {
	switch {
	case n.yaml == nil:
		return n.parent
	case n.key > 0:
		return n.key + n.offset
	}
	return n.yaml.Line + n.offset
}

// child makes the node below n.
func (n node) child(y *yaml.Node, step string) node {
	path := n.path + step
	if n.path == "" || strings.HasSuffix(n.path, "› ") {
		path = n.path + strings.TrimPrefix(step, ".")
	}
	return node{yaml: y, path: path, offset: n.offset, parent: n.line()}.resolve()
}

// at follows keys, separated by dots. Keys are in snake_case; the file may have them
// in lowerCamelCase, as JSON of protobuf does.
func (n node) at(path string) node {
	for key := range strings.SplitSeq(path, ".") {
		found := n.child(nil, "."+key)
		for k, v := range n.entries() {
			if snake(k) == key {
				found = v
				break
			}
		}
		n = found
	}
	return n
}

// entries are the members of a map.
func (n node) entries() iter.Seq2[string, node] {
	return func(yield func(string, node) bool) {
		if n.yaml == nil || n.yaml.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.yaml.Content); i += 2 {
			key := n.yaml.Content[i].Value
			c := n.child(n.yaml.Content[i+1], "."+key)
			c.key = n.yaml.Content[i].Line
			if !yield(key, c) {
				return
			}
		}
	}
}

// items are the members of a list; of something that is no list, the thing itself.
func (n node) items() []node {
	if n.yaml == nil {
		return nil
	}
	if n.yaml.Kind != yaml.SequenceNode {
		return []node{n}
	}
	out := make([]node, len(n.yaml.Content))
	for i, c := range n.yaml.Content {
		out[i] = n.child(c, "["+strconv.Itoa(i)+"]")
	}
	return out
}

// walk visits n and everything below it.
func (n node) walk(visit func(node)) {
	n = n.resolve()
	if n.yaml == nil {
		return
	}
	visit(n)
	switch n.yaml.Kind {
	case yaml.MappingNode:
		for _, c := range n.entries() {
			c.walk(visit)
		}
	case yaml.SequenceNode:
		for _, c := range n.items() {
			c.walk(visit)
		}
	}
}

// typeName is the last part of a message's @type. A connection manager is also known
// by its filters, where somebody shows only a part of the file.
func (n node) typeName() string {
	t := n.at("@type").text()
	if t != "" {
		return t[strings.LastIndexByte(t, '.')+1:]
	}
	if n.at("http_filters").ok() {
		return "HttpConnectionManager"
	}
	return ""
}

// text is a scalar as it is written.
func (n node) text() string {
	if n.yaml == nil || n.yaml.Kind != yaml.ScalarNode || n.yaml.Tag == "!!null" {
		return ""
	}
	return n.yaml.Value
}

func (n node) isTrue() bool { return n.text() == "true" }

// number is an integer; 0 where there is none, which is protobuf's default too.
func (n node) number() int64 {
	v, _ := strconv.ParseInt(n.text(), 10, 64)
	return v
}

// duration is a protobuf duration ("0.25s"), or not ok.
func (n node) duration() (d time.Duration, ok bool) {
	seconds, found := strings.CutSuffix(n.text(), "s")
	if !found {
		return 0, false
	}
	v, err := strconv.ParseFloat(seconds, 64)
	return time.Duration(v * float64(time.Second)), err == nil
}

// oneOf says whether an enum has one of the values, by name or by number.
func (n node) oneOf(values ...string) bool { return slices.Contains(values, n.text()) }

// snake makes failure_mode_allow of failureModeAllow.
func snake(key string) string {
	var b strings.Builder
	for _, c := range key {
		if c >= 'A' && c <= 'Z' {
			b.WriteByte('_')
			c += 'a' - 'A'
		}
		b.WriteRune(c)
	}
	return b.String()
}

package openapi

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// The route table's parameters are whole segments and have names of letters,
// digits and "_". A template that is part of a segment (/files/{name}.{ext})
// cannot be carried over.
var (
	templatePattern = regexp.MustCompile(`^\{([^{}]+)\}$`)
	paramName       = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	variablePattern = regexp.MustCompile(`\{([^{}]*)\}`)
)

// routePath is the operation's path in the route table's syntax, base path first.
func (t *translation) routePath(op operation, parameters []parameter) (string, error) {
	base, err := t.basePath(op)
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(op.path, "/") {
		return "", errors.New("the path does not begin with /")
	}
	segments, err := literals(base)
	if err != nil {
		return "", fmt.Errorf("base path: %w", err)
	}
	texts := strings.Split(op.path[1:], "/")
	for i, text := range texts {
		segment, err := t.segment(op, text, parameters)
		if err != nil {
			return "", err
		}
		if segment == "" && i < len(texts)-1 {
			return "", errors.New("an empty segment within the path")
		}
		if segment != "" && segment[0] == '{' && slices.ContainsFunc(segments, func(s string) bool { return templateName(s) == templateName(segment) }) {
			return "", fmt.Errorf("{%s} appears twice", templateName(segment))
		}
		segments = append(segments, segment)
	}
	return "/" + strings.Join(segments, "/"), nil
}

// templateName is the name of a parameter's segment, or "" for a literal.
func templateName(segment string) string {
	if !strings.HasPrefix(segment, "{") {
		return ""
	}
	name, _, _ := strings.Cut(strings.Trim(segment, "{}"), ":")
	return name
}

func (t *translation) segment(op operation, text string, parameters []parameter) (string, error) {
	match := templatePattern.FindStringSubmatch(text)
	if match == nil {
		list, err := literals(text)
		if err != nil || len(list) == 0 {
			return "", err
		}
		return list[0], nil
	}
	name := pathName(match[1])
	if !paramName.MatchString(name) {
		return "", fmt.Errorf("{%s}: not a parameter's name", match[1])
	}
	if name != match[1] {
		t.report.lose("parameter_renamed", Neither, op.place, "{%s} is {%s} in the route", match[1], name)
	}
	for _, p := range parameters {
		if p.in != "path" || p.name != match[1] {
			continue
		}
		if kind := t.segmentType(p); kind != "" {
			return "{" + name + ":" + kind + "}", nil
		}
	}
	return "{" + name + "}", nil
}

// pathName makes a name that the route table takes of one that it does not.
func pathName(name string) string {
	return strings.NewReplacer("-", "_", ".", "_").Replace(name)
}

// segmentType is the type of segment that stands for a path parameter's schema. An
// integer that may be negative is no "int" of the route table.
func (t *translation) segmentType(p parameter) string {
	if p.style != "simple" {
		return ""
	}
	schema, err := t.deref(p.schema)
	if err != nil {
		return ""
	}
	switch {
	case slices.Equal(types(schema), []string{"string"}) && schema.at("format").text() == "uuid":
		return "uuid"
	case slices.Equal(types(schema), []string{"integer"}):
		if low, ok := number(schema.at("minimum").value); ok && low < 0 {
			return ""
		}
		return "int"
	}
	return ""
}

// shape is what the route table tells routes apart by.
func shape(r Route) string {
	segments := strings.Split(r.Path, "/")
	for i, s := range segments {
		if name := templateName(s); name != "" {
			segments[i] = strings.Replace(s, name, "", 1)
		}
	}
	return r.Method + " " + strings.Join(segments, "/")
}

// literals splits literal text at "/" into decoded segments that the route table
// can hold.
func literals(text string) ([]string, error) {
	text = strings.Trim(text, "/")
	if text == "" {
		return nil, nil
	}
	var out []string
	for segment := range strings.SplitSeq(text, "/") {
		decoded, err := url.PathUnescape(segment)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%q: %w", segment, err)
		case strings.ContainsAny(segment, "{}"):
			return nil, fmt.Errorf("%q: a template that is part of a segment", segment)
		case strings.ContainsAny(segment, "?#"):
			return nil, fmt.Errorf("%q: the query and the fragment take no part in matching", segment)
		case strings.ContainsAny(decoded, "{}?#%/"), decoded == "", decoded == ".", decoded == "..":
			return nil, fmt.Errorf("%q: no literal of the route table", segment)
		}
		out = append(out, decoded)
	}
	return out, nil
}

// basePath is the path of the servers that hold for an operation. Where they
// differ the first one counts.
func (t *translation) basePath(op operation) (string, error) {
	if t.options.BasePath != nil {
		return *t.options.BasePath, nil
	}
	for _, servers := range op.servers {
		list := servers.items()
		if len(list) == 0 {
			continue
		}
		first, err := t.serverPath(list[0])
		if err != nil {
			return "", fmt.Errorf("server: %w", err)
		}
		for _, server := range list[1:] {
			other, err := t.serverPath(server)
			if err != nil {
				other = err.Error()
			}
			if strings.Trim(other, "/") != strings.Trim(first, "/") {
				t.report.lose("server", Narrower, server, "the routes are below %q, the first server's path; here it would be %q", first, other)
			}
		}
		return first, nil
	}
	return "", nil
}

// serverPath is the path of a server's URL, its variables at their defaults.
func (t *translation) serverPath(server place) (string, error) {
	text := server.at("url").text()
	host, path := "", text
	if before, after, found := strings.Cut(text, "://"); found {
		host, path, _ = strings.Cut(after, "/")
		host, path = before+"://"+host, "/"+path
	}
	for _, match := range variablePattern.FindAllStringSubmatch(path, -1) {
		variable := server.at("variables").at(match[1])
		value, ok := variable.at("default").value.(string)
		if !ok {
			return "", fmt.Errorf("the variable %s of %s has no default", match[0], host+path)
		}
		if len(variable.at("enum").texts()) != 1 {
			t.report.lose("server_variable", Narrower, variable, "the routes are below the variable's default, %q", value)
		}
		path = strings.ReplaceAll(path, match[0], value)
	}
	u, err := url.Parse(path)
	if err != nil {
		return "", err
	}
	return u.EscapedPath(), nil
}

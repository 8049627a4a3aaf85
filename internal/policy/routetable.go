package policy

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

var (
	// Methods are case-sensitive (RFC 9110, 9.1), and every registered one is
	// upper case; a lower-case one in a table is a slip.
	methodPattern = regexp.MustCompile(`^[A-Z][A-Z0-9_-]*$`)
	paramPattern  = regexp.MustCompile(`^\{([A-Za-z_][A-Za-z0-9_]*)(?::([a-z]+)|(\.\.\.))?\}$`)
)

// segment is one element of a row's path.
type segment struct {
	kind kind
	text string // the literal's text, or the parameter's name
}

// newRouteTable compiles a table from policy data: a map from route id to a row.
// Every fault is reported, each naming its row.
func newRouteTable(data any) (*RouteTable, error) {
	rows, ok := data.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the route table is %s, not an object", typeName(data))
	}
	table := &RouteTable{}
	var faults []error
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		if err := table.add(id, rows[id]); err != nil {
			faults = append(faults, fmt.Errorf("route %q: %w", id, err))
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return table, nil
}

func (t *RouteTable) add(id string, data any) error {
	fields, ok := data.(map[string]any)
	if !ok {
		return fmt.Errorf("is %s, not an object", typeName(data))
	}
	methods, errMethods := parseMethods(fields["methods"])
	segments, errPath := parsePattern(fields["path"])
	if id == "" {
		return errors.Join(errors.New("the id is empty"), errMethods, errPath)
	}
	if err := errors.Join(errMethods, errPath); err != nil {
		return err
	}
	t.rows++
	t.names = append(t.names, id)
	return t.root.insert(&row{id: id, names: paramNames(segments)}, methods, segments)
}

// ids lists the rows.
func (t *RouteTable) ids() []string {
	if t == nil {
		return nil
	}
	return t.names
}

func (n *node) insert(r *row, methods []string, segments []segment) error {
	for _, s := range segments {
		n = n.child(s)
	}
	if n.rows == nil {
		n.rows = map[string]*row{}
	}
	var faults []error
	for _, method := range methods {
		if other := n.rows[method]; other != nil {
			faults = append(faults, fmt.Errorf("%s has the same path as route %q", method, other.id))
			continue
		}
		n.rows[method] = r
	}
	return errors.Join(faults...)
}

func (n *node) child(s segment) *node {
	if s.kind != kindLiteral {
		if n.param[s.kind] == nil {
			n.param[s.kind] = &node{}
		}
		return n.param[s.kind]
	}
	if n.literal == nil {
		n.literal = map[string]*node{}
	}
	if n.literal[s.text] == nil {
		n.literal[s.text] = &node{}
	}
	return n.literal[s.text]
}

func parseMethods(data any) ([]string, error) {
	list, ok := data.([]any)
	if !ok || len(list) == 0 {
		return nil, errors.New("methods: a list of at least one method is needed")
	}
	methods := make([]string, 0, len(list))
	var faults []error
	for _, item := range list {
		method, ok := item.(string)
		switch {
		case !ok || !methodPattern.MatchString(method):
			faults = append(faults, fmt.Errorf("methods: %v is not an upper-case method name", item))
		case slices.Contains(methods, method):
			faults = append(faults, fmt.Errorf("methods: %s is listed twice", method))
		default:
			methods = append(methods, method)
		}
	}
	return methods, errors.Join(faults...)
}

func parsePattern(data any) ([]segment, error) {
	path, ok := data.(string)
	if !ok || !strings.HasPrefix(path, "/") {
		return nil, errors.New(`path: a text that starts with "/" is needed`)
	}
	texts := strings.Split(path[1:], "/")
	segments := make([]segment, 0, len(texts))
	var faults []error
	for i, text := range texts {
		s, err := parseSegment(text, i == len(texts)-1)
		if err == nil && s.kind != kindLiteral && slices.Contains(paramNames(segments), s.text) {
			err = fmt.Errorf("{%s} appears twice", s.text)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("path %q: %w", path, err))
			continue
		}
		segments = append(segments, s)
	}
	return segments, errors.Join(faults...)
}

func parseSegment(text string, last bool) (segment, error) {
	if match := paramPattern.FindStringSubmatch(text); match != nil {
		return parseParam(match[1], match[2], match[3] != "", last)
	}
	switch {
	case strings.ContainsAny(text, "{}"):
		return segment{}, fmt.Errorf("%q is neither a literal nor {name}, {name:type} or {name...}", text)
	case strings.ContainsAny(text, "?#"):
		return segment{}, fmt.Errorf("%q: the query and the fragment take no part in matching", text)
	case strings.Contains(text, "%"):
		return segment{}, fmt.Errorf("%q: write the segment decoded", text)
	case text == "" && !last:
		return segment{}, errors.New("an empty segment can only be the last")
	}
	return segment{kindLiteral, text}, nil
}

func parseParam(name, typeText string, rest, last bool) (segment, error) {
	switch {
	case rest && !last:
		return segment{}, fmt.Errorf("{%s...} can only be the last segment", name)
	case rest:
		return segment{kindRest, name}, nil
	case typeText == "":
		return segment{kindString, name}, nil
	}
	k, ok := kindNames[typeText]
	if !ok {
		return segment{}, fmt.Errorf("{%s:%s}: the type is none of uuid, int, slug", name, typeText)
	}
	return segment{k, name}, nil
}

func paramNames(segments []segment) []string {
	var names []string
	for _, s := range segments {
		if s.kind != kindLiteral {
			names = append(names, s.text)
		}
	}
	return names
}

package policy

import (
	"slices"
	"strings"
)

// The rules of the route table. The Rego library states the same ones; a
// differential test holds the two together.
//
// A row has an id, a list of methods and a path. The path starts with "/"; what
// follows is split at "/" into segments, each of one kind:
//
//	orders        literal: exactly this text, byte for byte
//	{id:uuid}     RFC 9562 text: 8-4-4-4-12 hexadecimal digits, any case
//	{n:int}       decimal digits, at most 18, no sign, no leading zero but "0" itself
//	{s:slug}      one or more of a-z, 0-9 and "-"
//	{name}        any text but the empty one
//	{rest...}     last only: one or more segments, none of them empty, joined by "/"
//
// A request is matched by its segments, already split and percent-decoded
// (contract: parsed_path), and by its method. The query takes no part. "*" and
// "{}" in a request are text like any other.
//
//  1. A row matches when it lists the method and every segment matches. A row
//     that lists GET also matches HEAD (RFC 9110, 9.3.2: HEAD is GET without
//     content).
//  2. The empty segment matches only an empty literal: "/a/" is not "/a", and
//     no parameter is ever empty.
//  3. Of several matching rows the most specific wins: compare segment by
//     segment from the left; at the first difference
//     literal > uuid > int > slug > string > rest. Only matching rows compete,
//     so a literal path for GET does not hide a parameter path for POST.
//  4. Two rows of one shape (same kinds, same literals) whose methods overlap
//     are a load error. GET and HEAD do not overlap; HEAD prefers its own row.

// kind is what a segment of a pattern accepts, the most specific first.
type kind uint8

const (
	kindLiteral kind = iota
	kindUUID
	kindInt
	kindSlug
	kindString
	kindRest
	kinds
)

var kindNames = map[string]kind{"uuid": kindUUID, "int": kindInt, "slug": kindSlug}

// RouteTable says which row a request matches. It is immutable; the nil table
// matches nothing.
type RouteTable struct {
	root  node
	rows  int
	names []string // the ids
}

// node is a place in the trie of patterns: everything that shares a beginning.
type node struct {
	literal map[string]*node
	param   [kinds]*node    // by kind; kindLiteral is unused
	rows    map[string]*row // by method; the rows whose pattern ends here
}

// row is one entry of the table.
type row struct {
	id    string
	names []string // parameter names, in the order of the pattern
}

// Len is the number of rows.
func (t *RouteTable) Len() int {
	if t == nil {
		return 0
	}
	return t.rows
}

// Match finds the row for a method and the decoded segments of a path.
func (t *RouteTable) Match(method string, segments []string) (id string, params map[string]string, ok bool) {
	if t == nil {
		return "", nil, false
	}
	var buffer [16]string
	found, values := t.root.find(method, segments, buffer[:0])
	if found == nil {
		return "", nil, false
	}
	params = make(map[string]string, len(values))
	for i, name := range found.names {
		params[name] = values[i]
	}
	return found.id, params, true
}

// AllowedMethods lists the methods for which some row matches the path, sorted;
// what a 405 or a CORS preflight would answer.
func (t *RouteTable) AllowedMethods(segments []string) []string {
	if t == nil {
		return nil
	}
	seen := map[string]bool{}
	t.root.visit(segments, func(n *node) {
		for method := range n.rows {
			seen[method] = true
			if method == "GET" {
				seen["HEAD"] = true
			}
		}
	})
	methods := make([]string, 0, len(seen))
	for method := range seen {
		methods = append(methods, method)
	}
	slices.Sort(methods)
	return methods
}

// find walks the trie in order of specificity, so that the first row met is the
// winner. Every node is visited at most once: the walk is bounded by the table.
func (n *node) find(method string, segments, values []string) (*row, []string) {
	if len(segments) == 0 {
		return n.row(method), values
	}
	segment, rest := segments[0], segments[1:]
	if next := n.literal[segment]; next != nil {
		if found, values := next.find(method, rest, values); found != nil {
			return found, values
		}
	}
	for k := kindUUID; k < kindRest; k++ {
		if next := n.param[k]; next != nil && k.accepts(segment) {
			if found, values := next.find(method, rest, append(values, segment)); found != nil {
				return found, values
			}
		}
	}
	if next := n.param[kindRest]; next != nil && acceptsRest(segments) {
		return next.row(method), append(values, strings.Join(segments, "/"))
	}
	return nil, nil
}

// visit calls f for every node whose pattern matches the segments.
func (n *node) visit(segments []string, f func(*node)) {
	if len(segments) == 0 {
		f(n)
		return
	}
	if next := n.literal[segments[0]]; next != nil {
		next.visit(segments[1:], f)
	}
	for k := kindUUID; k < kindRest; k++ {
		if next := n.param[k]; next != nil && k.accepts(segments[0]) {
			next.visit(segments[1:], f)
		}
	}
	if next := n.param[kindRest]; next != nil && acceptsRest(segments) {
		f(next)
	}
}

func (n *node) row(method string) *row {
	if found := n.rows[method]; found != nil || method != "HEAD" {
		return found
	}
	return n.rows["GET"]
}

func acceptsRest(segments []string) bool { return !slices.Contains(segments, "") }

func (k kind) accepts(s string) bool {
	switch k {
	case kindUUID:
		return isUUID(s)
	case kindInt:
		return isInt(s)
	case kindSlug:
		return isSlug(s)
	case kindString:
		return s != ""
	}
	return false
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch i {
		case 8, 13, 18, 23:
			if s[i] != '-' {
				return false
			}
		default:
			if !isDigit(s[i]) && (s[i]|0x20 < 'a' || s[i]|0x20 > 'f') {
				return false
			}
		}
	}
	return true
}

// maxDigits keeps every int below 2^63 and within what a float64-minded client
// could still have meant.
const maxDigits = 18

func isInt(s string) bool {
	if s == "" || len(s) > maxDigits || s[0] == '0' && len(s) > 1 {
		return false
	}
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return true
}

func isSlug(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) && s[i] != '-' && (s[i] < 'a' || s[i] > 'z') {
			return false
		}
	}
	return s != ""
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// rows is a route table in a test: id to "METHODS path".
type rows map[string]string

func (r rows) data() map[string]any {
	out := map[string]any{}
	for id, text := range r {
		methods, path, _ := strings.Cut(text, " ")
		var list []any
		for method := range strings.SplitSeq(methods, ",") {
			list = append(list, method)
		}
		out[id] = map[string]any{"methods": list, "path": path, "roles": []any{"anything else is the rules' business"}}
	}
	return out
}

func (r rows) table(t testing.TB) *RouteTable {
	t.Helper()
	table, err := newRouteTable(r.data())
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// split is parsed_path without the decoding.
func split(path string) []string { return strings.Split(strings.TrimLeft(path, "/"), "/") }

const aUUID = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"

// route.go, the kinds of segments: one pattern, one path.
func TestRouteSegments(t *testing.T) {
	for _, row := range []struct {
		pattern, path string
		want          string // parameters as a=1,b=2; "no" when it does not match
	}{
		{"/", "/", ""},
		{"/", "/a", "no"},
		{"/a", "/a", ""},
		{"/a", "/A", "no"},
		{"/a", "/a/", "no"},
		{"/a/", "/a/", ""},
		{"/a/", "/a", "no"},
		{"/a/", "/a//", "no"},
		{"/a", "/a/b", "no"},
		{"/a/b", "/a", "no"},
		{"/a b", "/a b", ""},
		{"/*", "/*", ""},
		{"/*", "/x", "no"},

		{"/{x}", "/a", "x=a"},
		{"/{x}", "/*", "x=*"},
		{"/{x}", "/{x}", "x={x}"},
		{"/{x}", "/{}", "x={}"},
		{"/{x}", "/a?b", "x=a?b"},
		{"/{x}", "/ ", "x= "},
		{"/{x}", "/", "no"},
		{"/{x}/", "/a", "no"},
		{"/{x}/", "/a/", "x=a"},
		{"/{x}/{y}", "/a/b", "x=a,y=b"},
		{"/{x}/{y}", "/a/", "no"},
		{"/{x}/{y}", "/a//b", "no"},

		{"/{x:uuid}", "/" + aUUID, "x=" + aUUID},
		{"/{x:uuid}", "/" + strings.ToUpper(aUUID), "x=" + strings.ToUpper(aUUID)},
		{"/{x:uuid}", "/00000000-0000-0000-0000-000000000000", "x=00000000-0000-0000-0000-000000000000"},
		{"/{x:uuid}", "/" + aUUID[1:], "no"},
		{"/{x:uuid}", "/" + aUUID + "0", "no"},
		{"/{x:uuid}", "/" + strings.ReplaceAll(aUUID, "-", ""), "no"},
		{"/{x:uuid}", "/{" + aUUID + "}", "no"},
		{"/{x:uuid}", "/urn:uuid:" + aUUID, "no"},
		{"/{x:uuid}", "/g" + aUUID[1:], "no"},
		{"/{x:uuid}", "/" + strings.Replace(aUUID, "-", "0", 1), "no"},
		{"/{x:uuid}", "/" + strings.Replace(aUUID, "b", "-", 1), "no"},

		{"/{x:int}", "/0", "x=0"},
		{"/{x:int}", "/7", "x=7"},
		{"/{x:int}", "/999999999999999999", "x=999999999999999999"},
		{"/{x:int}", "/1000000000000000000", "no"},
		{"/{x:int}", "/00", "no"},
		{"/{x:int}", "/07", "no"},
		{"/{x:int}", "/-1", "no"},
		{"/{x:int}", "/+1", "no"},
		{"/{x:int}", "/1.0", "no"},
		{"/{x:int}", "/1e3", "no"},
		{"/{x:int}", "/0x1", "no"},
		{"/{x:int}", "/ 1", "no"},
		{"/{x:int}", "/١", "no"}, // a digit, but not ASCII
		{"/{x:int}", "/", "no"},

		{"/{x:slug}", "/a-1", "x=a-1"},
		{"/{x:slug}", "/-", "x=-"},
		{"/{x:slug}", "/A", "no"},
		{"/{x:slug}", "/a_b", "no"},
		{"/{x:slug}", "/é", "no"},
		{"/{x:slug}", "/", "no"},

		{"/f/{p...}", "/f/a", "p=a"},
		{"/f/{p...}", "/f/a/b/c", "p=a/b/c"},
		{"/f/{p...}", "/f", "no"},
		{"/f/{p...}", "/f/", "no"},
		{"/f/{p...}", "/f/a/", "no"},
		{"/f/{p...}", "/f/a//b", "no"},
		{"/{p...}", "/a/b", "p=a/b"},
		{"/{p...}", "/", "no"},
	} {
		t.Run(row.pattern+" "+row.path, func(t *testing.T) {
			id, params, ok := rows{"r": "GET " + row.pattern}.table(t).Match("GET", split(row.path))
			got := "no"
			if ok {
				var list []string
				for _, name := range slices.Sorted(maps.Keys(params)) {
					list = append(list, name+"="+params[name])
				}
				got = strings.Join(list, ",")
			}
			if got != row.want || ok && id != "r" {
				t.Errorf("%s, want %s", got, row.want)
			}
		})
	}
}

// route.go, rules 1 to 4: which of several rows wins.
func TestRoutePrecedence(t *testing.T) {
	table := rows{
		"list":      "GET,POST /orders",
		"literal":   "GET /orders/new",
		"uuid":      "GET /orders/{x:uuid}",
		"int":       "GET /orders/{x:int}",
		"slug":      "GET /orders/{x:slug}",
		"string":    "GET,DELETE /orders/{x}",
		"rest":      "GET,DELETE,PUT /orders/{x...}",
		"items":     "GET /orders/{x:int}/items",
		"any.items": "GET /orders/{x}/items",
		"any.first": "GET /orders/{x}/first",
		"head":      "HEAD /orders/{x}/first",
		"left":      "GET /a/{x}/c",
		"right":     "GET /{x}/b/c",
	}.table(t)
	for _, row := range []struct{ request, want, why string }{
		{"GET /orders", "list", ""},
		{"POST /orders", "list", ""},
		{"PUT /orders", "", "method not listed"},
		{"get /orders", "", "methods are case-sensitive"},
		{"GET /orders/new", "literal", "literal > slug"},
		{"GET /orders/" + aUUID, "uuid", "uuid > slug"},
		{"GET /orders/12", "int", "int > slug"},
		{"GET /orders/012", "slug", "not an int"},
		{"GET /orders/new-one", "slug", "slug > string"},
		{"GET /orders/New", "string", "string > rest"},
		{"GET /orders/a/b", "rest", ""},
		{"DELETE /orders/new", "string", "only matching rows compete"},
		{"PUT /orders/12", "rest", "only matching rows compete"},
		{"GET /orders/12/items", "items", "int > string"},
		{"GET /orders/x/items", "any.items", ""},
		{"GET /orders/12/first", "any.first", "the more specific beginning leads nowhere"},
		{"GET /orders/12/other", "rest", "the more specific beginnings lead nowhere"},
		{"GET /a/b/c", "left", "the first difference decides, from the left"},
		{"HEAD /orders", "list", "HEAD by GET"},
		{"HEAD /orders/x/first", "head", "HEAD prefers its own row"},
		{"HEAD /orders/12", "int", "HEAD by GET"},
		{"GET /", "", ""},
		{"GET /orders/", "", "a trailing slash is another path"},
	} {
		t.Run(row.request, func(t *testing.T) {
			method, path, _ := strings.Cut(row.request, " ")
			id, _, ok := table.Match(method, split(path))
			if id != row.want || ok != (row.want != "") {
				t.Errorf("%q, want %q (%s)", id, row.want, row.why)
			}
		})
	}
}

// One shape with other parameter names for another method is not one row.
func TestRouteParamsBelongToTheRow(t *testing.T) {
	table := rows{"read": "GET /o/{id}", "write": "PUT /o/{order}"}.table(t)
	for method, want := range map[string]string{"GET": "map[id:7]", "PUT": "map[order:7]"} {
		if _, params, _ := table.Match(method, []string{"o", "7"}); fmt.Sprint(params) != want {
			t.Errorf("%s: %v, want %s", method, params, want)
		}
	}
}

func TestAllowedMethods(t *testing.T) {
	table := rows{"a": "GET,POST /o", "b": "PUT /{x}", "c": "DELETE /{x...}"}.table(t)
	for path, want := range map[string]string{
		"/o": "[DELETE GET HEAD POST PUT]", "/x": "[DELETE PUT]", "/x/y": "[DELETE]", "/": "[]",
	} {
		if got := fmt.Sprint(table.AllowedMethods(split(path))); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestNilRouteTable(t *testing.T) {
	var table *RouteTable
	if id, params, ok := table.Match("GET", []string{""}); id != "" || params != nil || ok || table.Len() != 0 || table.AllowedMethods(nil) != nil {
		t.Error("the nil table matches")
	}
}

// Bad entries are load errors, each naming its row.
func TestRefusedRoutes(t *testing.T) {
	row := func(methods, path any) map[string]any {
		return map[string]any{"r": map[string]any{"methods": methods, "path": path}}
	}
	get := []any{"GET"}
	for _, c := range []struct {
		name string
		data any
		want []string
	}{
		{"not an object", []any{}, []string{"the route table is a list, not an object"}},
		{"null", nil, []string{"the route table is null"}},
		{"a row that is a text", map[string]any{"r": "x"}, []string{`route "r": is a string, not an object`}},
		{"no id", map[string]any{"": map[string]any{"methods": get, "path": "/"}}, []string{`route "": the id is empty`}},
		{"no methods", map[string]any{"r": map[string]any{"path": "/"}}, []string{`route "r": methods: a list of at least one`}},
		{"empty methods", row([]any{}, "/"), []string{"a list of at least one"}},
		{"methods as text", row("GET", "/"), []string{"a list of at least one"}},
		{"lower case", row([]any{"get"}, "/"), []string{"methods: get is not an upper-case method name"}},
		{"any method", row([]any{"*"}, "/"), []string{"methods: * is not"}},
		{"a number", row([]any{1}, "/"), []string{"methods: 1 is not"}},
		{"twice", row([]any{"GET", "GET"}, "/"), []string{"methods: GET is listed twice"}},
		{"no path", row(get, nil), []string{`route "r": path: a text that starts with "/"`}},
		{"empty path", row(get, ""), []string{"path: a text"}},
		{"relative path", row(get, "a"), []string{"path: a text"}},
		{"empty segment", row(get, "//a"), []string{`path "//a": an empty segment can only be the last`}},
		{"unknown type", row(get, "/{x:bool}"), []string{"{x:bool}: the type is none of uuid, int, slug"}},
		{"no name", row(get, "/{}"), []string{`"{}" is neither a literal`}},
		{"bad name", row(get, "/{1x}"), []string{`"{1x}" is neither`}},
		{"half a parameter", row(get, "/{x"), []string{`"{x" is neither`}},
		{"a parameter within a text", row(get, "/a{x}"), []string{`"a{x}" is neither`}},
		{"name twice", row(get, "/{x}/{x}"), []string{"{x} appears twice"}},
		{"rest not last", row(get, "/{x...}/a"), []string{"{x...} can only be the last"}},
		{"typed rest", row(get, "/{x:int...}"), []string{"is neither"}},
		{"query", row(get, "/a?b=1"), []string{"the query and the fragment take no part"}},
		{"fragment", row(get, "/a#b"), []string{"the query and the fragment take no part"}},
		{"encoded", row(get, "/a%20b"), []string{"write the segment decoded"}},
		{"all at once", map[string]any{
			"a": map[string]any{"methods": []any{"get", "GET"}, "path": "x"}, "b": map[string]any{"path": "/{}/{y:z}"},
		}, []string{`route "a": methods: get`, "path: a text", `route "b": methods`, `"{}"`, "{y:z}"}},
		{"one shape", rows{"a": "GET,PUT /o/{x}", "b": "PUT /o/{y}"}.data(), []string{`route "b": PUT has the same path as route "a"`}},
		{"one literal shape", rows{"a": "GET /o", "b": "GET /o"}.data(), []string{`route "b": GET has the same path as route "a"`}},
		{"one rest shape", rows{"a": "GET /{x...}", "b": "GET /{y...}"}.data(), []string{`route "b": GET has the same path as route "a"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := newRouteTable(c.data)
			requireAll(t, errorText(err), c.want)
		})
	}
}

// Shapes that differ only in kind do not collide, nor do GET and HEAD.
func TestAcceptedRoutes(t *testing.T) {
	table := rows{
		"a": "GET /{x}", "b": "GET /{x:int}", "c": "GET /{x:slug}", "d": "GET /{x:uuid}",
		"e": "GET /{x...}", "f": "GET /x", "g": "POST /x", "h": "HEAD /x", "i": "M-SEARCH /",
	}.table(t)
	if table.Len() != 9 {
		t.Errorf("%d rows", table.Len())
	}
}

// FuzzRoute: whatever the table and the request, no panic; and a match of a
// one-row table rebuilds the path from its parameters.
func FuzzRoute(f *testing.F) {
	f.Add("/orders/{id:uuid}", "GET", "/orders/"+aUUID)
	f.Add("/f/{p...}", "HEAD", "/f/a//b")
	f.Add("/{x}/{y:int}/", "PUT", "/a/7/")
	f.Add("/*", "GET", "/{}")
	f.Add("//", "", "")
	f.Fuzz(func(t *testing.T, pattern, method, path string) {
		table, err := newRouteTable(map[string]any{
			"fuzzed": map[string]any{"methods": []any{"GET"}, "path": pattern},
			"other":  map[string]any{"methods": []any{"POST"}, "path": "/{a}/{b:int}/{c...}"},
		})
		if err != nil {
			return
		}
		segments := split(path)
		id, params, ok := table.Match(method, segments)
		if ok != (slices.Contains(table.AllowedMethods(segments), method)) {
			t.Fatalf("matched: %v, but methods %q", ok, table.AllowedMethods(segments))
		}
		if id != "fuzzed" {
			return
		}
		rebuilt := pattern[1:]
		for name, value := range params {
			for _, form := range []string{"{" + name + "}", "{" + name + ":uuid}", "{" + name + ":int}", "{" + name + ":slug}", "{" + name + "...}"} {
				if slices.Contains(strings.Split(pattern[1:], "/"), form) {
					rebuilt = replaceSegment(rebuilt, form, value)
				}
			}
		}
		if len(params) <= 1 && rebuilt != strings.Join(segments, "/") {
			t.Fatalf("%q and %q give %q", pattern, params, rebuilt)
		}
	})
}

func replaceSegment(path, form, value string) string {
	segments := strings.Split(path, "/")
	segments[slices.Index(segments, form)] = value
	return strings.Join(segments, "/")
}

package openapi

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// methods are the ones a path item has fields for, in the order in which they are
// told.
var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

// operation is one operation with what it inherits.
type operation struct {
	place           // the operation object
	item    place   // its path item
	path    string  // the template
	method  string  // upper case
	servers []place // candidates, the nearest first
}

func (o operation) name() string { return o.method + " " + o.path }

// operations translates every operation of the document. Two that the route table
// cannot tell apart are both left out: either could hide the other.
func (t *translation) operations() []Route {
	root := place{file: t.root, value: t.root.value}
	if count := len(root.at("webhooks").object()); count > 0 {
		t.report.lose("webhooks", Neither, root.at("webhooks"), "%d webhook(s): requests that the API sends are not for its own policy", count)
	}
	if dialect := root.at("jsonSchemaDialect").text(); dialect != "" && !slices.Contains(dialects, dialect) {
		t.report.lose("dialect", Wider, root.at("jsonSchemaDialect"), "schemas are read as JSON Schema 2020-12, not as %q", dialect)
	}
	var routes []Route
	for _, op := range t.found(root) {
		t.report.Operations.Found++
		if route, ok := t.route(op); ok {
			routes = append(routes, route)
		}
	}
	routes = t.apart(routes)
	t.report.Operations.Carried = len(routes)
	return routes
}

func (t *translation) found(root place) []operation {
	var out []operation
	paths := root.at("paths")
	for _, path := range slices.Sorted(maps.Keys(paths.object())) {
		if strings.HasPrefix(path, "x-") {
			continue
		}
		item, err := t.deref(paths.at(path))
		if err != nil {
			t.report.lose("reference", Narrower, paths.at(path), "%v", err)
			continue
		}
		for _, method := range methods {
			if !item.has(method) {
				continue
			}
			op := item.at(method)
			out = append(out, operation{
				place: op, item: item, path: path, method: strings.ToUpper(method),
				servers: []place{op.at("servers"), item.at("servers"), root.at("servers")},
			})
		}
	}
	return out
}

// deref follows the reference that an object is, if it is one, to its end.
func (t *translation) deref(p place) (place, error) {
	for range maxDepth {
		ref, ok := p.object()["$ref"].(string)
		if !ok {
			return p, nil
		}
		next, err := t.follow(p.file, ref)
		if err != nil {
			return place{}, err
		}
		p = next
	}
	return place{}, fmt.Errorf("%s: references in a circle", p)
}

func (t *translation) route(op operation) (Route, bool) {
	route := Route{Method: op.method, Source: op.String(), Title: op.at("summary").text()}
	parameters := t.parameters(op)
	path, err := t.routePath(op, parameters)
	if err != nil {
		t.report.lose("path", Narrower, op.place, "%s: the operation is left out: %v", op.name(), err)
		return Route{}, false
	}
	route.Path = path
	route.ID = t.routeID(op)
	t.access(op, &route)
	t.schemas(parameters, &route)
	route.Body = t.body(op)
	return route, true
}

// apart gives routes with one id different ones and leaves out routes that match
// the same requests.
func (t *translation) apart(routes []Route) []Route {
	shapes, ids := map[string][]string{}, map[string]bool{}
	for _, r := range routes {
		shapes[shape(r)] = append(shapes[shape(r)], r.Source)
	}
	var out []Route
	for _, r := range routes {
		if same := shapes[shape(r)]; len(same) > 1 {
			others := slices.DeleteFunc(slices.Clone(same), func(s string) bool { return s == r.Source })
			t.report.Losses = append(t.report.Losses, Loss{"same_requests", Narrower, r.Source, fmt.Sprintf(
				"%s %s: left out: the route table cannot tell it from %s", r.Method, r.Path, strings.Join(others, ", "))})
			continue
		}
		wanted := r.ID
		for n := 2; ids[r.ID]; n++ {
			r.ID = fmt.Sprintf("%s-%d", wanted, n)
		}
		if r.ID != wanted {
			t.report.Losses = append(t.report.Losses, Loss{"id_taken", Neither, r.Source, fmt.Sprintf(
				"the id %s is another operation's; this one is %s. Give it an operationId of its own", wanted, r.ID)})
		}
		ids[r.ID] = true
		out = append(out, r)
	}
	return out
}

// routeID is the operationId as far as it can be a name in data, or else made of
// the path and what the method does there: GET /orders/{id} is orders.read.
func (t *translation) routeID(op operation) string {
	if given := op.at("operationId").text(); given != "" {
		id := strings.Trim(plain(given, "._-/"), "-")
		if id != given {
			t.report.lose("id_changed", Neither, op.at("operationId"), "the route's id is %q", id)
		}
		if id != "" {
			return id
		}
	}
	var words []string
	item := false
	for segment := range strings.SplitSeq(strings.Trim(op.path, "/"), "/") {
		item = strings.Contains(segment, "{")
		if word := strings.Trim(plain(segment, "_-"), "-"); !item && word != "" {
			words = append(words, word)
		}
	}
	if len(words) == 0 {
		words = []string{"root"}
	}
	verb := map[string]string{"POST": "create", "PUT": "replace", "PATCH": "change"}[op.method]
	switch {
	case op.method == "GET" && item:
		verb = "read"
	case op.method == "GET":
		verb = "list"
	case op.method == "POST" && item:
		verb = "act"
	case verb == "":
		verb = strings.ToLower(op.method)
	}
	return strings.Join(append(words, verb), ".")
}

// plain keeps letters, digits and some more of ASCII; runs of others become "-".
func plain(s, more string) string {
	var out strings.Builder
	for _, r := range s {
		switch {
		case r < 0x80 && (isAlnum(byte(r)) || strings.ContainsRune(more, r)):
			out.WriteRune(r)
		case !strings.HasSuffix(out.String(), "-"):
			out.WriteByte('-')
		}
	}
	return out.String()
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

package matrix

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"sort"

	"authz/internal/check"
	"authz/internal/policy"
)

// API is what the data of one policy says of routes and roles.
type API struct {
	engine *policy.Engine
	routes []route // by id
	roles  []string
}

// route is what the matrix reads of a row of the route table. Roles, scopes and
// owner are the policy library's; a policy of one's own need not have them.
type route struct {
	id      string
	Methods []string `json:"methods"`
	Path    string   `json:"path"`
	Roles   []string `json:"roles"`
	Scopes  []string `json:"scopes"`
	Owner   struct {
		Param  string   `json:"param"`
		Claim  string   `json:"claim"`
		Bypass []string `json:"bypass"`
	} `json:"owner"`
	// What a request of the route must look like, as JSON Schemas.
	params, query, headers, body map[string]any
}

// Describe reads the route table in force and the role hierarchy beside it.
func Describe(ctx context.Context, e *policy.Engine, routes string) (*API, error) {
	table, err := e.Data(ctx, routes)
	if err != nil {
		return nil, err
	}
	rows, ok := table.(map[string]any)
	if !ok || len(rows) == 0 {
		return nil, fmt.Errorf("no routes at %s: the matrix needs a route table in the data (policy.routes says where)", routes)
	}
	schemas, err := e.Data(ctx, path.Join(path.Dir(routes), "schemas"))
	if err != nil {
		return nil, err
	}
	named, _ := schemas.(map[string]any)
	api := &API{engine: e}
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		r := route{id: id}
		if err := r.read(rows[id]); err != nil {
			return nil, fmt.Errorf("route %q: %w", id, err)
		}
		r.schemas(rows[id], named)
		api.routes = append(api.routes, r)
	}
	hierarchy, err := e.Data(ctx, path.Join(path.Dir(routes), "roles"))
	if err != nil {
		return nil, err
	}
	holders, _ := hierarchy.(map[string]any)
	for holder, included := range holders {
		api.roles = append(api.roles, holder)
		list, _ := included.([]any)
		for _, role := range list {
			if name, ok := role.(string); ok {
				api.roles = append(api.roles, name)
			}
		}
	}
	return api, nil
}

// read takes the fields that have the library's types; any other is not its own.
func (r *route) read(row any) error {
	fields, _ := row.(map[string]any)
	for name, into := range map[string]any{"methods": &r.Methods, "path": &r.Path, "roles": &r.Roles, "scopes": &r.Scopes, "owner": &r.Owner} {
		text, err := json.Marshal(fields[name])
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, into); err != nil && (name == "methods" || name == "path") {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// schemas finds the schemas of the row, written in place or by name.
func (r *route) schemas(row any, named map[string]any) {
	fields, _ := row.(map[string]any)
	for name, into := range map[string]*map[string]any{"params": &r.params, "query": &r.query, "headers": &r.headers, "body": &r.body} {
		schema := fields[name]
		if text, ok := schema.(string); ok {
			schema = named[text]
		}
		*into, _ = schema.(map[string]any)
	}
}

var parameter = regexp.MustCompile(`\{([A-Za-z0-9_]+)(:([a-z]+)|\.\.\.)?\}`)

// kinds are the types of the path's parameters: uuid, int, slug, string or rest.
func (r *route) kinds() map[string]string {
	kinds := map[string]string{}
	for _, match := range parameter.FindAllStringSubmatch(r.Path, -1) {
		switch {
		case match[2] == "...":
			kinds[match[1]] = "rest"
		case match[3] != "":
			kinds[match[1]] = match[3]
		default:
			kinds[match[1]] = "string"
		}
	}
	return kinds
}

// Operation is one row: a route's method, on a thing of the caller's own or of
// somebody else's where the route has an owner.
type Operation struct {
	Route  string `json:"route"`
	Method string `json:"method"`
	Path   string `json:"path"`            // as the route table writes it
	Whose  string `json:"whose,omitempty"` // "own", "other's", or nothing

	route *route
	seed  int // which of the sample values reach the route
}

// String names the operation: "GET /orders/{id:uuid} (own)".
func (o Operation) String() string {
	if o.Whose == "" {
		return o.Method + " " + o.Path
	}
	return o.Method + " " + o.Path + " (" + o.Whose + ")"
}

// Operations lists every method of every route, by path. An operation that
// several APIs have is there once.
func Operations(apis ...*API) ([]Operation, error) {
	var all []Operation
	seen := map[string]bool{}
	for _, api := range apis {
		for j := range api.routes {
			r := &api.routes[j]
			for _, o := range r.operations() {
				if seen[o.String()] {
					continue
				}
				seen[o.String()] = true
				if !o.reach(api.engine) {
					return nil, fmt.Errorf("route %q: %s %s: every sample path is matched by another route first", r.id, o.Method, o.Path)
				}
				all = append(all, o)
			}
		}
	}
	sort.SliceStable(all, func(i, j int) bool {
		a, b := &all[i], &all[j]
		if a.Path != b.Path {
			return a.Path < b.Path
		}
		if a.Method != b.Method {
			return methodRank(a.Method) < methodRank(b.Method)
		}
		return b.Whose < a.Whose // own first
	})
	return all, nil
}

func methodRank(method string) int {
	order := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
	if i := slices.Index(order, method); i >= 0 {
		return i
	}
	return len(order)
}

func (r *route) operations() []Operation {
	whose := []string{""}
	if _, ok := r.kinds()[r.Owner.Param]; ok {
		whose = []string{"own", "other's"}
	}
	var all []Operation
	for _, method := range r.Methods {
		for _, w := range whose {
			all = append(all, Operation{Route: r.id, Method: method, Path: r.Path, Whose: w, route: r})
		}
	}
	return all
}

// reach looks for sample values that no literal of another route takes away.
func (o *Operation) reach(e *policy.Engine) bool {
	for o.seed = 1; o.seed < 10; o.seed++ {
		segments, fault := check.ParsePath(o.path(&Caller{}))
		if fault != nil {
			return true // told in its cells
		}
		if id, ok := e.Match(o.Method, segments); ok && id == o.Route {
			return true
		}
	}
	return false
}

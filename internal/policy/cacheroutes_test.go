package policy

import (
	"reflect"
	"testing"

	"authz/policies"
)

// What keeps decisions of a route from being given again is said by name.
func TestCachedRoutes(t *testing.T) {
	files := tree{
		"authz/config/routes/data.yaml": `
open: {methods: [GET], path: /}
orders.read: {methods: [GET], path: "/orders/{id:uuid}", roles: [clerk]}
orders.update: {methods: [PUT, PATCH], path: "/orders/{id:uuid}", roles: [clerk]}
notes: {methods: [POST], path: "/notes/{n:int}"}
traced: {methods: [GET], path: "/traced/{s:slug}/{name}/{rest...}"}
late: {methods: [GET], path: /late}
`,
		"a.rego": `package authz

decision := {"allowed": allowed, "status": input.token.status}

default allowed := false

allowed if input.route.id == "open"

allowed if {
	input.route.id in {"orders.read", "orders.update"}
	"clerk" in input.token.roles
	owned
}

owned if input.route.id == "orders.read"

owned if input.route.params.id == input.token.subject

allowed if {
	input.route.id == "notes"
	input.parsed_body.text != ""
}

allowed if {
	input.route.id == "traced"
	input.attributes.request.http.headers["x-request-id"]
}

allowed if {
	input.route.id == "late"
	time.now_ns() > 1
}
`,
	}
	want := []RouteCaching{
		{"late", "calls time.now_ns"},
		{"notes", "reads parsed_body.text"},
		{"open", ""},
		{"orders.read", ""},
		{"orders.update", "reads route.params.id"},
		{"traced", "reads attributes.request.http.headers.x-request-id"},
	}
	engine := loadedEngine(t, files, Config{CacheBytes: 1 << 20})
	got, err := engine.CachedRoutes(t.Context())
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	off := loadedEngine(t, files, Config{})
	if got, err := off.CachedRoutes(t.Context()); got != nil || err != nil {
		t.Errorf("nothing is remembered: %+v, %v", got, err)
	}
}

// The library's own rules leave a plain table cacheable.
func TestCachedRoutesOfTheLibrary(t *testing.T) {
	engine := loadedEngine(t, tree{"data.yaml": `authz:
  config:
    routes:
      read: { methods: [GET], path: "/orders/{id:uuid}", roles: [viewer] }
      own: { methods: [GET], path: "/users/{name}", owner: { param: name, claim: sub } }
      open: { methods: [GET], path: /status, public: true }
`}, Config{CacheBytes: 1 << 20, Library: policies.Library})
	got, err := engine.CachedRoutes(t.Context())
	want := []RouteCaching{{"open", ""}, {"own", "reads route.params"}, {"read", ""}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
}

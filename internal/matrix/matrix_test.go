package matrix

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"authz/internal/policy"
)

// team is a policy of few words that knows what the library knows of a route.
const team = `package authz

row := data.authz.config.routes[input.route.id]

decision := {"allowed": count(deny) == 0, "http_status": status, "reason": deny}

deny contains "token_invalid" if input.token.status == "invalid"

deny contains "token_absent" if { not row.public; input.token.status == "absent" }

deny contains "role_missing" if { row.roles; not has_role }

deny contains "scope_missing" if { some scope in row.scopes; not scope in input.token.scopes }

deny contains "not_owner" if { row.owner; not owns }

deny contains "body" if { row.body; not is_string(input.parsed_body.name) }

has_role if { some role in input.token.roles; role in row.roles }

owns if input.token.claims[row.owner.claim] == input.route.params[row.owner.param]

owns if { some role in input.token.roles; role in row.owner.bypass }

status := 401 if input.token.status != "valid"

else := 403
`

const routes = `authz: {config: {roles: {boss: [clerk]}, schemas: {Order: {type: object, required: [name]}}, routes: {
  health: {methods: [GET], path: /health, public: true},
  orders: {methods: [POST, GET], path: /orders, roles: [clerk], scopes: [orders]},
  read: {methods: [GET], path: "/orders/{id:uuid}", owner: {param: id, claim: sub, bypass: [boss]}},
  create: {methods: [PUT], path: "/orders", body: Order},
  literal: {methods: [GET], path: "/users/sample_1"},
  user: {methods: [GET], path: "/users/{name}"}}}}
`

func load(t *testing.T, rego, data string) (*policy.Engine, *API) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"a.rego": rego, "data.yaml": data} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e, err := policy.New(policy.Config{Path: dir, Timeout: 30 * time.Second}, slog.New(slog.DiscardHandler))
	if err == nil {
		err = e.Load(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	api, err := Describe(t.Context(), e, policy.DefaultRoutes)
	if err != nil {
		t.Fatal(err)
	}
	return e, api
}

func evaluate(t *testing.T, rego, data string, callers []Caller) *Matrix {
	t.Helper()
	e, api := load(t, rego, data)
	if callers == nil {
		callers = Callers(api)
	}
	operations, err := Operations(api)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Evaluate(t.Context(), e, callers, operations)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func written(t *testing.T, write func(w *bytes.Buffer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func table(t *testing.T, m *Matrix) string {
	return written(t, func(w *bytes.Buffer) error { return m.WriteTable(w) })
}

func compare(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got\n%s\nwant\n%s", what, got, want)
	}
}

// Every cell is what the policy says, of callers derived from the table.
func TestTable(t *testing.T) {
	compare(t, "table", table(t, evaluate(t, team, routes, nil)), `
OPERATION                        ANONYMOUS  SIGNED IN  SCOPE ORDERS  BOSS   CLERK  INVALID TOKEN
GET /health                      allow      allow      allow         allow  allow  401 a
GET /orders                      401 b      403 c      403 d         403 d  allow  401 e
POST /orders                     401 b      403 c      403 d         403 d  allow  401 e
PUT /orders                      401 f      allow      allow         allow  allow  401 a
GET /orders/{id:uuid} (own)      401 g      allow      allow         allow  allow  401 h
GET /orders/{id:uuid} (other's)  401 g      403 i      403 i         allow  403 i  401 h
GET /users/sample_1              401 f      allow      allow         allow  allow  401 a
GET /users/{name}                401 f      allow      allow         allow  allow  401 a

a  token_invalid
b  role_missing, token_absent
c  role_missing, scope_missing
d  role_missing
e  role_missing, token_invalid
f  token_absent
g  not_owner, token_absent
h  not_owner, token_invalid
i  not_owner
`[1:])
}

// Callers of one's own, and the other forms that people and machines read.
func TestForms(t *testing.T) {
	callers, err := ReadCallers([]byte("ann: {roles: [clerk], scopes: [orders]}\nvisitor: {}\n"))
	if err != nil {
		t.Fatal(err)
	}
	data := "authz: {config: {routes: {orders: {methods: [GET], path: \"/orders/{id:int}\", roles: [clerk]}}}}"
	m := evaluate(t, team, data, callers)
	compare(t, "markdown", written(t, func(w *bytes.Buffer) error { return m.WriteMarkdown(w) }), `
| operation | ann | visitor |
|---|---|---|
| `[1:]+"`GET /orders/{id:int}`"+` | **allow** | 401 role_missing, token_absent |
`)
	compare(t, "csv", written(t, func(w *bytes.Buffer) error { return m.WriteCSV(w) }), `
route,method,path,whose,caller,allowed,status,reasons
orders,GET,/orders/{id:int},,ann,true,,
orders,GET,/orders/{id:int},,visitor,false,401,role_missing token_absent
`[1:])
	saved := written(t, func(w *bytes.Buffer) error { return m.WriteJSON(w) })
	compare(t, "json", saved, `
{
  "callers": [
    {"name":"ann","status":"valid","via":"header","issuer":"https://id.example","subject":"ann","roles":["clerk"],"scopes":["orders"]},
    {"name":"visitor","status":"absent"}
  ],
  "operations": [
    {"route":"orders","method":"GET","path":"/orders/{id:int}","cells":{
      "ann":{"allowed":true},
      "visitor":{"allowed":false,"status":401,"reasons":["role_missing","token_absent"]}
    }}
  ]
}
`[1:])
	again, err := ReadJSON([]byte(saved))
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "json, read and written", written(t, func(w *bytes.Buffer) error { return again.WriteJSON(w) }), saved)
	if changes := Diff(again, m); len(changes) != 0 {
		t.Errorf("a matrix differs from itself: %v", changes)
	}
}

// A difference says what is open now that was closed, and the reverse.
func TestDiff(t *testing.T) {
	before := "authz: {config: {routes: {a: {methods: [GET], path: /a, roles: [x]}, b: {methods: [GET], path: /b}, c: {methods: [GET], path: /c, roles: [x]}}}}"
	after := "authz: {config: {routes: {a: {methods: [GET], path: /a}, b: {methods: [GET], path: /b, roles: [x]}, d: {methods: [GET], path: /d, public: true}, c: {methods: [GET], path: /c, roles: [x], scopes: [s]}}}}"
	callers, err := ReadCallers([]byte("ann: {}\nbob: {subject: bob}"))
	if err != nil {
		t.Fatal(err)
	}
	changes := Diff(evaluate(t, team, before, callers), evaluate(t, team, after, callers[1:]))
	compare(t, "difference", written(t, func(w *bytes.Buffer) error { return WriteChanges(w, changes) }), `
CHANGE   OPERATION  CALLER  WAS                             IS
opened   GET /a     bob     403 role_missing                allow
closed   GET /b     bob     allow                           403 role_missing
changed  GET /c     bob     403 role_missing                403 role_missing, scope_missing
new      GET /d     bob     -                               allow
gone     GET /a     ann     401 role_missing, token_absent  -
gone     GET /b     ann     401 token_absent                -
gone     GET /c     ann     401 role_missing, token_absent  -

1 opened, 1 closed, 1 changed, 1 new, 3 gone
`[1:])
	compare(t, "no difference", written(t, func(w *bytes.Buffer) error { return WriteChanges(w, nil) }),
		"no change: everybody may do what they could before\n")
}

// Where the policy can't decide, the cell has the client's 500, and people the why.
func TestUndecided(t *testing.T) {
	data := "authz: {config: {routes: {a: {methods: [GET], path: /a}}}}"
	callers := []Caller{{Name: "ann", Status: "absent"}}
	for _, c := range []struct{ rego, cell, why string }{
		{`decision := true if input.token.status == "valid"`, "500 policy_undefined", "undefined"},
		{`decision := {"allowed": "yes"}`, "500 policy_malformed", "allowed"},
		{"decision := true\n\ndecision := false if input.token.status == \"absent\"", "500 policy_error", "conflict"},
	} {
		m := evaluate(t, "package authz\n\n"+c.rego+"\n", data, callers)
		if got := m.Cells[0][0].String(); got != c.cell {
			t.Errorf("%s: got %s, want %s", c.rego, got, c.cell)
		}
		if got := table(t, m); !strings.Contains(got, "GET /a as ann: ") || !strings.Contains(got, c.why) {
			t.Errorf("%s: the table does not say why:\n%s", c.rego, got)
		}
	}
}

// Two versions are asked the same questions, whichever of them knows the route.
func TestTwoVersions(t *testing.T) {
	_, oneAPI := load(t, team, "authz: {config: {routes: {a: {methods: [GET], path: /a, roles: [x]}}}}")
	_, twoAPI := load(t, team, "authz: {config: {routes: {a: {methods: [GET], path: /a, roles: [y]}, b: {methods: [GET], path: /b, scopes: [s]}}}}")
	operations, err := Operations(oneAPI, twoAPI)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range operations {
		got = append(got, o.String())
	}
	for _, c := range Callers(oneAPI, twoAPI) {
		got = append(got, c.Name)
	}
	want := []string{"GET /a", "GET /b", "anonymous", "signed in", "scope s", "x", "y", "invalid token"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDescribeRefuses(t *testing.T) {
	e, _ := load(t, team, routes)
	if _, err := Describe(t.Context(), e, "authz/nowhere"); err == nil || !strings.Contains(err.Error(), "no routes at authz/nowhere") {
		t.Errorf("got %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	_, err := Evaluate(ctx, e, []Caller{{Name: "ann"}}, []Operation{{Method: "GET", Path: "/a", route: &route{}}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a matrix that was called off: got %v", err)
	}
}

// The table can be read in its order, and a saved one is held to its form.
func TestReadJSONRefuses(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "not a saved matrix"},
		{"another document", `{"changes": []}`, "unknown field"},
		{"no cells", `{"callers": [], "operations": []}`, "no callers or no operations"},
		{"a cell is missing", `{"callers": [{"name": "ann"}], "operations": [{"route": "a", "method": "GET", "path": "/a", "cells": {}}]}`,
			`GET /a: no cell for the caller "ann"`},
	} {
		if _, err := ReadJSON([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// A request carries what the route's schemas ask for, and reads as a front door
// would read it.
func TestRequest(t *testing.T) {
	r := &route{id: "a", Path: "/a/{id}", body: schema(t, `{"type":"object","required":["n"],"properties":{"n":{"type":"integer"}}}`),
		query:   schema(t, `{"type":"object","required":["q","list"],"properties":{"list":{"type":"array","minItems":2,"items":{"type":"boolean"}}}}`),
		headers: schema(t, `{"type":"object","required":["X-Tenant","accept"]}`)}
	r.Owner.Param, r.Owner.Claim = "id", "sub"
	o := Operation{Route: "a", Method: "POST", Path: r.Path, Whose: "own", route: r, seed: 1}
	if got := o.path(&Caller{Status: "valid", Subject: "a/b"}); got != "/a/mine_1" {
		t.Errorf("a subject that is no segment: got %s", got)
	}
	got := o.request(&Caller{Status: "valid", Subject: ".."})
	if got.Fault == nil || got.Fault.Code != "path_dot_segment" {
		t.Errorf("a subject that no path can hold: got %v", got.Fault)
	}
	got = o.request(&Caller{Status: "valid", Subject: "a b"})
	if got.Fault != nil {
		t.Fatal(got.Fault)
	}
	tenant, _ := got.HTTP.Headers.Lookup("x-tenant")
	accept, _ := got.HTTP.Headers.Lookup("accept")
	if got.HTTP.Path != "/a/a%20b?list=true&list=true&q=sample" || tenant != "sample" || accept != "application/json" ||
		!reflect.DeepEqual(got.Path, []string{"a", "a b"}) ||
		!reflect.DeepEqual(got.Query, map[string][]string{"q": {"sample"}, "list": {"true", "true"}}) ||
		!got.Body.Parsed || !reflect.DeepEqual(got.Body.Value, map[string]any{"n": json.Number("1")}) {
		t.Errorf("got %+v", got)
	}
}

// Path parameters are what their schemas ask for, unless another route is in the way.
func TestPathFromSchema(t *testing.T) {
	for _, c := range []struct{ path, property, want string }{
		{"/a/{id}", `{"type":"string","enum":["red"]}`, "/a/red"},
		{"/a/{id:int}", `{"type":"integer","minimum":5000}`, "/a/5000"},
		{"/a/{id:uuid}", `{"type":"string","format":"uuid"}`, "/a/ffffffff-0000-4000-8000-000000000001"},
		{"/a/{id:slug}", `{"type":"string","examples":["No slug"]}`, "/a/sample-1"},
		{"/a/{id}", `null`, "/a/sample_1"},
	} {
		r := &route{id: "a", Path: c.path, params: schema(t, `{"properties":{"id":`+c.property+`}}`)}
		for seed, want := range map[int]string{1: c.want, 2: ""} {
			o := Operation{Path: c.path, route: r, seed: seed}
			if got := o.path(&Caller{}); got != want && (seed == 1 || !strings.Contains(got, "2")) {
				t.Errorf("%s with %s, seed %d: got %s, want %s", c.path, c.property, seed, got, want)
			}
		}
	}
}

func TestLetters(t *testing.T) {
	for i, want := range map[int]string{0: "a", 25: "z", 26: "aa", 27: "ab", 52: "ba"} {
		if got := letter(i); got != want {
			t.Errorf("%d: got %s, want %s", i, got, want)
		}
	}
}

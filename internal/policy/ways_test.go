package policy

import (
	"reflect"
	"testing"

	"authz/internal/check"
	"authz/policies"
)

const wayData = `
authz:
  config:
    roles: {admin: [clerk]}
    routes:
      health: {methods: [GET], path: /health, public: true}
      orders.list: {methods: [GET], path: /orders, roles: [clerk]}
      orders.make: {methods: [POST], path: /orders, roles: [clerk], scopes: ["orders:read", "orders:write"]}
      profile.read: {methods: [GET], path: "/users/{id}", owner: {param: id, claim: account.id}}
      profile.page: {methods: [POST], path: "/users/{id}", owner: {param: id, claim: sub, bypass: [admin]}}
      mine: {methods: [GET], path: /mine, authenticated: true}
`

// Each row is a refused request, and every way that is told, in order.
func TestWays(t *testing.T) {
	valid := func(roles ...string) *check.Token {
		return &check.Token{Status: check.TokenValid, Via: "header", Issuer: "i", Subject: "alice", Roles: roles, Claims: map[string]any{"sub": "alice"}}
	}
	byCookie := valid()
	byCookie.Via = "cookie"
	header := func(name, value string) func(*check.Request) {
		return func(r *check.Request) {
			r.HTTP.Headers = append(r.HTTP.Headers, check.Header{Name: name, Value: value})
		}
	}
	for _, row := range []struct {
		name         string
		method, path string
		token        *check.Token
		change       func(*check.Request)
		want         []string
	}{
		{"a role, and one that includes it", "GET", "orders", valid("reader"), nil, []string{
			"a caller with the role clerk", "a caller with the role admin"}},
		{"nobody yet", "GET", "orders", anonymous(), nil, []string{
			"a caller with a valid token and the role clerk", "a caller with a valid token and the role admin"}},
		{"an expired token", "GET", "mine", &check.Token{Status: check.TokenExpired, Via: "header"}, nil, []string{
			"a caller with a valid token"}},
		{"a role and all scopes", "POST", "orders", valid(), nil, []string{
			"a caller with the role clerk and the scopes orders:read, orders:write",
			"a caller with the role admin and the scopes orders:read, orders:write"}},
		{"three changes, one of them the token", "POST", "orders", anonymous(), nil, []string{
			"a caller with a valid token and the role clerk and the scopes orders:read, orders:write",
			"a caller with a valid token and the role admin and the scopes orders:read, orders:write"}},
		{"the owner's claim", "GET", "users/7", valid(), nil, []string{"a caller with the claim account.id = 7"}},
		{"the owner himself, or who may stand in", "POST", "users/7", valid(), nil, []string{
			"a caller with the role admin", "a caller with the claim sub = 7", "a caller with the subject 7"}},
		{"over http", "GET", "mine", valid(), func(r *check.Request) { r.Client.Scheme = "http" }, []string{"the request over https"}},
		{"another method", "PUT", "health", anonymous(), nil, []string{"the request with the method GET"}},
		{"a foreign page", "POST", "users/alice", byCookie, func(r *check.Request) {
			header("cookie", "a=b")(r)
			header("sec-fetch-site", "cross-site")(r)
		}, []string{"the request with the header sec-fetch-site: same-origin"}},
		{"not refused", "GET", "mine", valid(), nil, nil},
		{"no such route", "GET", "nowhere", valid(), nil, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			e := loadedEngine(t, tree{"data.yaml": wayData}, Config{Library: policies.Library})
			r := get()
			r.HTTP.Method, r.HTTP.Path = row.method, "/"+row.path
			r.Path, _ = check.ParsePath(r.HTTP.Path)
			if row.change != nil {
				row.change(r)
			}
			before := *r
			ways, err := e.Ways(t.Context(), r, row.token)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range ways {
				got = append(got, w.String())
			}
			if !reflect.DeepEqual(got, row.want) {
				t.Errorf("got  %q\nwant %q", got, row.want)
			}
			if !reflect.DeepEqual(before, *r) {
				t.Error("the search changed the request")
			}
		})
	}
}

// What rules compare with is tried as well, without a route table.
func TestWaysFromRules(t *testing.T) {
	e := loadedEngine(t, tree{"p.rego": `package authz
default decision := false
decision if {
	"auditor" in input.token.roles
	input.token.claims.tenant == "7"
}
decision if input.attributes.request.http.headers["x-break-glass"] == "yes"
`}, Config{})
	ways, err := e.Ways(t.Context(), get(), validToken())
	if err != nil {
		t.Fatal(err)
	}
	want := []Way{{[]Change{{Kind: "header", Name: "x-break-glass", Value: "yes"}}}}
	if !reflect.DeepEqual(ways, want) {
		t.Errorf("got %v, want %v", ways, want)
	}
}

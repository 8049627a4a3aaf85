package policy

import (
	"fmt"
	"testing"

	"authz/internal/check"
)

// shop is a policy of ordinary size: twelve routes, four roles, identity headers
// for the app, security headers for the client.
func shop() tree {
	routes := ""
	for i, name := range []string{"orders", "invoices", "users", "carts"} {
		routes += fmt.Sprintf(`
%[1]s.list: {methods: [GET], path: "/%[1]s", roles: [reader, writer, admin]}
%[1]s.read: {methods: [GET], path: "/%[1]s/{id:uuid}", roles: [reader, writer, admin, role%[2]d]}
%[1]s.write: {methods: [PUT, PATCH, DELETE], path: "/%[1]s/{id:uuid}", roles: [writer, admin]}
`, name, i)
	}
	return tree{
		"authz/config/routes/data.yaml": routes,
		"authz/authz.rego": `package authz

decision := {
	"allowed": count(deny) == 0,
	"reason": deny,
	"headers": headers,
	"response_headers_to_add": data.authz.response.headers,
}

deny contains "no_token" if input.token.status != "valid"

deny contains "no_route" if not input.route.id

deny contains "role_missing" if not _has_role

_has_role if {
	some role in data.authz.config.routes[input.route.id].roles
	role in input.token.roles
}

headers["x-user-id"] := input.token.subject

headers["x-user-roles"] := concat(",", input.token.roles)

headers["x-route"] := input.route.id
`,
		"authz/response/headers/data.yaml": `
strict-transport-security: max-age=31536000
x-content-type-options: nosniff
x-frame-options: SAMEORIGIN
referrer-policy: no-referrer
cross-origin-opener-policy: same-origin
cross-origin-resource-policy: same-origin
origin-agent-cluster: ?1
x-dns-prefetch-control: "off"
`,
	}
}

// shopRequest reads one order; about what a browser behind Envoy sends.
func shopRequest() *check.Request {
	r := fullRequest()
	r.HTTP.HeaderMap, r.HTTP.RawBody, r.HTTP.Body, r.Body = nil, nil, "", check.Body{}
	r.FilterMetadata, r.RouteMetadata = nil, nil
	r.HTTP.Path, r.Path = "/orders/"+aUUID, []string{"orders", aUUID}
	for i := range 16 {
		r.HTTP.Headers = append(r.HTTP.Headers, check.Header{Name: fmt.Sprintf("x-header-%d", i), Value: "some value of ordinary length"})
	}
	return r
}

func shopToken() *check.Token {
	token := validToken()
	token.Roles = []string{"staff", "writer"}
	return token
}

// The benchmark below measures decisions, not failures.
func TestShop(t *testing.T) {
	engine := loadedEngine(t, shop(), Config{})
	got, err := engine.Eval(t.Context(), shopRequest(), shopToken())
	if err != nil || !got.Allowed || got.Route != "orders.read" || len(got.Headers) != 3 || len(got.ResponseHeaders) != 8 {
		t.Errorf("%+v, %v", got, err)
	}
}

func BenchmarkEval(b *testing.B) {
	engine := loadedEngine(b, shop(), Config{})
	r, token := shopRequest(), shopToken()
	b.ReportAllocs()
	for b.Loop() {
		if result, err := engine.Eval(b.Context(), r, token); err != nil || !result.Allowed {
			b.Fatalf("%+v, %v", result, err)
		}
	}
}

func BenchmarkInput(b *testing.B) {
	table := loadedEngine(b, shop(), Config{}).current.Load().routes
	r, token := shopRequest(), shopToken()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := newInput(r, token, table); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	table := loadedEngine(b, shop(), Config{}).current.Load().routes
	segments := []string{"orders", aUUID}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, ok := table.Match("GET", segments); !ok {
			b.Fatal("no match")
		}
	}
}

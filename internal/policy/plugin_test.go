package policy

import (
	"encoding/json"
	"reflect"
	"testing"

	"authz/internal/check"
)

// contract: both documents are supersets of what opa-envoy-plugin reads and
// returns, so that a policy written for it runs unchanged when its path is
// configured. Ten policies in the shapes its users write; each row names the
// line of the contract it shows.
func TestPluginPolicies(t *testing.T) {
	text := func(s string) *string { return &s }
	for _, row := range []struct {
		name, shows string
		path, rego  string
		request     func(*check.Request)
		want        Result
	}{
		{"bare boolean", "Result: or a bare boolean",
			"envoy/authz/allow", `package envoy.authz

default allow := false

allow if {
	input.attributes.request.http.method == "GET"
	input.parsed_path == ["orders"]
}
`, nil, Result{Allowed: true}},

		{"object with headers", "Result: headers, name to string or list of strings",
			"envoy/authz/response", `package envoy.authz

import input.attributes.request.http as http_request

default allow := false

allow if http_request.method == "GET"

response["allowed"] := allow

response["headers"] := {"x-ext-auth-allow": "yes", "x-roles": ["a", "b"]}
`, nil, Result{Allowed: true, Headers: []check.Header{
				{Name: "x-ext-auth-allow", Value: "yes"}, {Name: "x-roles", Value: "a"}, {Name: "x-roles", Value: "b"},
			}}},

		{"list of objects as headers", "Result: headers, or a list of such objects",
			"envoy/authz/allow", `package envoy.authz

allow := {"allowed": false, "headers": [{"set-cookie": "a=1"}, {"set-cookie": "b=2"}]}
`, nil, Result{Headers: []check.Header{{Name: "set-cookie", Value: "a=1"}, {Name: "set-cookie", Value: "b=2"}}}},

		{"response_headers_to_add", "Result: response_headers_to_add, headers to the client on an allow",
			"envoy/authz/result", `package envoy.authz

result := {"allowed": true, "response_headers_to_add": {"x-served-for": input.attributes.destination.principal}}
`, func(r *check.Request) { r.Destination.Principal = "spiffe://shop.test/orders" },
			Result{Allowed: true, ResponseHeaders: []check.Header{{Name: "x-served-for", Value: "spiffe://shop.test/orders"}}}},

		{"body and http_status", "Result: body, http_status on a denial",
			"istio/authz/allow", `package istio.authz

default allow := {
	"allowed": false,
	"headers": {"content-type": "text/plain"},
	"body": "Unauthorized Request",
	"http_status": 401,
}

allow := true if input.attributes.request.http.headers.authorization
`, nil, Result{Status: 401, Body: text("Unauthorized Request"), Headers: []check.Header{{Name: "content-type", Value: "text/plain"}}}},

		{"query parameters", "Result: query_parameters_to_set, query_parameters_to_remove; Input: parsed_query",
			"envoy/authz/allow", `package envoy.authz

allow := {
	"allowed": input.parsed_query.debug[0] == "1",
	"query_parameters_to_set": {"tenant": "t1", "page": ["1", "2"]},
	"query_parameters_to_remove": ["debug"],
}
`, func(r *check.Request) { r.Query = map[string][]string{"debug": {"1", "0"}} },
			Result{Allowed: true, RemoveQuery: []string{"debug"}, SetQuery: []check.Header{
				{Name: "page", Value: "1"}, {Name: "page", Value: "2"}, {Name: "tenant", Value: "t1"},
			}}},

		{"dynamic metadata", "Result: dynamic_metadata passed to Envoy; Input: metadataContext",
			"envoy/authz/allow", `package envoy.authz

allow := {"allowed": true, "dynamic_metadata": {"sub": payload.sub, "n": count(payload.groups)}}

payload := input.attributes.metadataContext.filterMetadata["envoy.filters.http.jwt_authn"].verified
`, func(r *check.Request) {
				r.FilterMetadata = map[string]any{"envoy.filters.http.jwt_authn": map[string]any{
					"verified": map[string]any{"sub": "alice", "groups": []any{"a", "b"}},
				}}
			}, Result{Allowed: true, Metadata: map[string]any{"sub": "alice", "n": 2.0}}},

		{"parsed body", "Input: parsed_body, truncated_body",
			"envoy/authz/allow", `package envoy.authz

default allow := false

allow if {
	not input.truncated_body
	input.parsed_body.lines[_].quantity > 1
	input.parsed_body.to == ["home"]
}
`, func(r *check.Request) {
				r.Body = check.Body{Parsed: true, Value: map[string]any{
					"lines": []any{map[string]any{"quantity": json.Number("3")}}, "to": []any{"home"},
				}}
			}, Result{Allowed: true}},

		{"an entry point within a rule's value", "when its path is configured",
			"istio/authz/allow/response", `package istio.authz

allow := {"response": {"allowed": input.version.ext_authz == "v3", "headers": {"x": "y"}}}
`, nil, Result{Allowed: true, Headers: []check.Header{{Name: "x", Value: "y"}}}},

		{"request_headers_to_remove", "Result: request_headers_to_remove, a list; Input: source_principal",
			"envoy/authz/allow", `package envoy.authz

allow := {"allowed": true, "request_headers_to_remove": remove} if {
	input.source_principal == "spiffe://shop.test/web"
	remove := [name | some name, _ in input.attributes.request.http.headers; startswith(name, "x-internal-")]
}
`, func(r *check.Request) {
				r.Source.Principal = "spiffe://shop.test/web"
				r.HTTP.Headers = check.Headers{{Name: "accept", Value: "*/*"}, {Name: "x-internal-b", Value: "1"}, {Name: "x-internal-a", Value: "1"}}
			}, Result{Allowed: true, RemoveHeaders: []string{"x-internal-a", "x-internal-b"}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			engine := loadedEngine(t, tree{"policy.rego": row.rego}, Config{Decision: row.path})
			if warnings := engine.Status().Warnings; len(warnings) > 0 {
				t.Errorf("warnings %q", warnings)
			}
			r := get()
			if row.request != nil {
				row.request(r)
			}
			got := *eval(t, engine, r)
			row.want.Revision = engine.Status().Revision
			if !reflect.DeepEqual(got, row.want) {
				t.Errorf("%s\ngot  %+v\nwant %+v", row.shows, got, row.want)
			}
		})
	}
}

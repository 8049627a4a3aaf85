package policy

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"authz/internal/check"

	"github.com/open-policy-agent/opa/v1/ast"
)

// fullRequest has every field populated that a door can populate.
func fullRequest() *check.Request {
	return &check.Request{
		ID: "req-1",
		Source: check.Peer{
			Address: "192.0.2.7", Port: 4711, Principal: "spiffe://shop.test/web",
			Certificate: "-----BEGIN%20CERTIFICATE-----", Service: "web", Labels: map[string]string{"app": "web"},
		},
		Destination: check.Peer{
			Address: "192.0.2.8", Port: 8080, Principal: "spiffe://shop.test/orders",
			Certificate: "x", Service: "orders", Labels: map[string]string{"app": "orders"},
		},
		Time: time.Unix(1700000000, 250).UTC(),
		HTTP: check.HTTP{
			ID: "4242", Method: "GET", Path: "/orders/7?page=2&page=3", Host: "shop.test", Scheme: "https",
			Protocol: "HTTP/2", Query: "q", Fragment: "f", Size: 12, Body: `{"a":1}`, RawBody: []byte{0, 0xff},
			Headers:   check.Headers{{Name: "accept", Value: "*/*"}, {Name: "x-tenant", Value: "t1"}},
			HeaderMap: []check.RawHeader{{Key: "accept", Value: "*/*", RawValue: []byte("*/*")}},
		},
		ContextExtensions: map[string]string{"tenant": "t1"},
		FilterMetadata:    map[string]any{"envoy.filters.http.jwt_authn": map[string]any{"n": 1.5, "b": true, "l": []any{nil, "x"}}},
		RouteMetadata:     map[string]any{"shop": map[string]any{"tier": "gold"}},
		TLS:               &check.TLSSession{SNI: "shop.test"},
		Path:              []string{"orders", "7"},
		Query:             map[string][]string{"page": {"2", "3"}},
		Body:              check.Body{Parsed: true, Value: map[string]any{"a": json.Number("1")}},
		Client:            check.Client{IP: "192.0.2.7", IPBlock: "192.0.2.7", Scheme: "https"},
	}
}

func validToken() *check.Token {
	return &check.Token{
		Status: check.TokenValid, Via: "header", Issuer: "https://id.test", Subject: "alice",
		Scopes: []string{"read"}, Roles: []string{"admin", "staff"},
		Claims: map[string]any{"sub": "alice", "exp": json.Number("1700000900"), "nested": map[string]any{"x": []any{true}}},
		Header: map[string]any{"alg": "RS256", "kid": "k1"},
	}
}

func ordersTable(t testing.TB) *RouteTable {
	t.Helper()
	table, err := newRouteTable(map[string]any{
		"orders.read": map[string]any{"methods": []any{"GET"}, "path": "/orders/{id:int}"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// inputJSON is the input as `opa eval -i` would take it.
func inputJSON(t *testing.T, r *check.Request, token *check.Token, routes *RouteTable) map[string]any {
	t.Helper()
	input, _, err := newInput(r, token, routes)
	if err != nil {
		t.Fatal(err)
	}
	return asJSON(t, input).(map[string]any)
}

func asJSON(t *testing.T, v ast.Value) any {
	t.Helper()
	plain, err := ast.JSON(v)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func parseJSON(t *testing.T, text string) any {
	t.Helper()
	v, err := ast.ParseTerm(text)
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return asJSON(t, v.Value)
}

func requireJSON(t *testing.T, got any, want string) {
	t.Helper()
	if parsed := parseJSON(t, want); !reflect.DeepEqual(got, parsed) {
		text, _ := json.MarshalIndent(got, "", "  ")
		t.Errorf("got %s\nwant %s", text, want)
	}
}

// contract, Input: every key of a fully populated request, as a whole.
func TestInputWhole(t *testing.T) {
	requireJSON(t, inputJSON(t, fullRequest(), validToken(), ordersTable(t)), `{
	"attributes": {
		"source": {
			"address": {"socketAddress": {"address": "192.0.2.7", "portValue": 4711}},
			"principal": "spiffe://shop.test/web", "certificate": "-----BEGIN%20CERTIFICATE-----",
			"service": "web", "labels": {"app": "web"}
		},
		"destination": {
			"address": {"socketAddress": {"address": "192.0.2.8", "portValue": 8080}},
			"principal": "spiffe://shop.test/orders", "certificate": "x",
			"service": "orders", "labels": {"app": "orders"}
		},
		"request": {
			"time": {"seconds": 1700000000, "nanos": 250},
			"http": {
				"id": "4242", "method": "GET", "path": "/orders/7?page=2&page=3", "host": "shop.test",
				"scheme": "https", "protocol": "HTTP/2", "query": "q", "fragment": "f", "size": 12,
				"body": "{\"a\":1}", "rawBody": "AP8=",
				"headers": {"accept": "*/*", "x-tenant": "t1"},
				"headerMap": {"headers": [{"key": "accept", "value": "*/*", "rawValue": "Ki8q"}]}
			}
		},
		"contextExtensions": {"tenant": "t1"},
		"metadataContext": {"filterMetadata": {"envoy.filters.http.jwt_authn": {"n": 1.5, "b": true, "l": [null, "x"]}}},
		"routeMetadataContext": {"filterMetadata": {"shop": {"tier": "gold"}}},
		"tlsSession": {"sni": "shop.test"}
	},
	"version": {"ext_authz": "v3", "encoding": "protojson"},
	"parsed_path": ["orders", "7"],
	"parsed_query": {"page": ["2", "3"]},
	"parsed_body": {"a": 1},
	"truncated_body": false,
	"source_principal": "spiffe://shop.test/web",
	"token": {
		"status": "valid", "via": "header", "issuer": "https://id.test", "subject": "alice",
		"scopes": ["read"], "roles": ["admin", "staff"],
		"claims": {"sub": "alice", "exp": 1700000900, "nested": {"x": [true]}},
		"header": {"alg": "RS256", "kid": "k1"}
	},
	"route": {"id": "orders.read", "params": {"id": "7"}},
	"client": {"ip": "192.0.2.7", "ip_block": "192.0.2.7", "scheme": "https"}
}`)
}

// contract, Input: only populated fields; source_principal only where Envoy sent
// one; route absent when there is no table.
func TestInputOfTheZeroRequest(t *testing.T) {
	requireJSON(t, inputJSON(t, &check.Request{}, anonymous(), nil), `{
		"attributes": {},
		"version": {"ext_authz": "v3", "encoding": "protojson"},
		"parsed_path": [], "parsed_query": {}, "parsed_body": null, "truncated_body": false,
		"token": {"status": "absent"}, "client": {}
	}`)
}

// contract, Input: parsed_path, parsed_query, parsed_body, truncated_body,
// token, route, line by line.
func TestInputKeys(t *testing.T) {
	body := func(b check.Body) func(*check.Request) {
		return func(r *check.Request) { r.Body = b }
	}
	path := func(p ...string) func(*check.Request) { return func(r *check.Request) { r.Path = p } }
	for _, row := range []struct {
		name    string
		request func(*check.Request)
		token   *check.Token
		want    string // an object whose keys are compared; "absent" for no key
	}{
		{"/ gives one empty segment", path(""), nil, `{"parsed_path": [""]}`},
		{"/a/ keeps its end", path("a", ""), nil, `{"parsed_path": ["a", ""]}`},
		{"/a//b keeps its middle", path("a", "", "b"), nil, `{"parsed_path": ["a", "", "b"]}`},
		{"a query with empty values", func(r *check.Request) { r.Query = map[string][]string{"a": {""}, "b": {}} }, nil,
			`{"parsed_query": {"a": [""], "b": []}}`},

		{"a JSON object", body(check.Body{Parsed: true, Value: map[string]any{"a": []any{json.Number("1.50"), nil, "x"}}}), nil,
			`{"parsed_body": {"a": [1.50, null, "x"]}, "truncated_body": false}`},
		{"a JSON list", body(check.Body{Parsed: true, Value: []any{true}}), nil, `{"parsed_body": [true], "truncated_body": false}`},
		{"a JSON text", body(check.Body{Parsed: true, Value: "x"}), nil, `{"parsed_body": "x", "truncated_body": false}`},
		{"a JSON number beyond float64", body(check.Body{Parsed: true, Value: json.Number("12345678901234567890")}), nil,
			`{"parsed_body": 12345678901234567890, "truncated_body": false}`},
		{"a JSON false", body(check.Body{Parsed: true, Value: false}), nil, `{"parsed_body": false, "truncated_body": false}`},
		{"a JSON null", body(check.Body{Parsed: true}), nil, `{"parsed_body": null, "truncated_body": false}`},
		{"a form", body(check.Body{Parsed: true, Value: map[string]any{"a": []any{"1", "2"}}}), nil,
			`{"parsed_body": {"a": ["1", "2"]}, "truncated_body": false}`},
		{"no body", body(check.Body{}), nil, `{"parsed_body": null, "truncated_body": false}`},
		{"a truncated body", body(check.Body{Truncated: true}), nil, `{"parsed_body": null, "truncated_body": true}`},
		{"a truncated body that says it was parsed", body(check.Body{Truncated: true, Parsed: true, Value: "x"}), nil,
			`{"parsed_body": null, "truncated_body": true}`},
		{"skip-request-body-parse", body(check.Body{Skipped: true}), nil, `{"parsed_body": "absent", "truncated_body": "absent"}`},
		{"a value that was not parsed", body(check.Body{Value: "x"}), nil, `{"parsed_body": null, "truncated_body": false}`},

		{"no source principal", func(r *check.Request) { r.Source.Principal = "" }, nil, `{"source_principal": "absent"}`},

		{"no token", nil, anonymous(), `{"token": {"status": "absent"}}`},
		{"a bad signature", nil, &check.Token{Status: check.TokenInvalid, Error: "signature", Via: "cookie"},
			`{"token": {"status": "invalid", "error": "signature", "via": "cookie"}}`},
		{"an expired token shows no claims", nil,
			&check.Token{Status: check.TokenExpired, Error: "expired", Via: "header", Subject: "alice", Roles: []string{"admin"}, Claims: map[string]any{"sub": "alice"}},
			`{"token": {"status": "expired", "error": "expired", "via": "header"}}`},
		{"no keys", nil, &check.Token{Status: check.TokenUnavailable, Error: "keys_unavailable", Via: "header"},
			`{"token": {"status": "unavailable", "error": "keys_unavailable", "via": "header"}}`},
		{"a valid token with nothing in it", nil, &check.Token{Status: check.TokenValid, Via: "header"},
			`{"token": {"status": "valid", "via": "header", "issuer": "", "subject": "", "scopes": [], "roles": [], "claims": {}, "header": {}}}`},
		{"the zero token grants nothing", nil, &check.Token{Subject: "alice"}, `{"token": {"status": "invalid", "error": "malformed"}}`},
		{"nobody looked for a token", nil, nil, `{"token": {"status": "invalid", "error": "malformed"}}`},

		{"a route", nil, nil, `{"route": {"id": "orders.read", "params": {"id": "7"}}}`},
		{"no route for the path", path("orders", "x"), nil, `{"route": null}`},
		{"no route for the method", func(r *check.Request) { r.HTTP.Method = "PUT" }, nil, `{"route": null}`},
		{"the query takes no part", func(r *check.Request) { r.HTTP.Path = "/orders/x?/orders/7" }, nil,
			`{"route": {"id": "orders.read", "params": {"id": "7"}}}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := fullRequest()
			if row.request != nil {
				row.request(r)
			}
			input := inputJSON(t, r, row.token, ordersTable(t))
			got := map[string]any{}
			for key := range parseJSON(t, row.want).(map[string]any) {
				if value, ok := input[key]; ok {
					got[key] = value
				} else {
					got[key] = "absent"
				}
			}
			requireJSON(t, got, row.want)
		})
	}
}

// What JSON cannot hold is refused, not turned into something else.
func TestInputRefusesNaN(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		r := get()
		r.FilterMetadata = map[string]any{"x": []any{map[string]any{"y": bad}}}
		if _, _, err := newInput(r, anonymous(), nil); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
}

// A door sends each name once; should one not, the input agrees with Lookup.
func TestRepeatedHeader(t *testing.T) {
	r := get()
	r.HTTP.Headers = check.Headers{{Name: "a", Value: "first"}, {Name: "a", Value: "second"}}
	input := inputJSON(t, r, anonymous(), nil)
	http := input["attributes"].(map[string]any)["request"].(map[string]any)["http"].(map[string]any)
	requireJSON(t, http["headers"], `{"a": "first"}`)
}

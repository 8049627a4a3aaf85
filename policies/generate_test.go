package policies_test

import (
	"flag"
	"maps"
	"math/rand/v2"
	"slices"
)

// 10,000 inputs take a minute: under a stock OPA everything is worked out anew.
var inputs = flag.Int("total.inputs", 1000, "inputs of the test that the decision is total")

// total is data in which every row of the library has something to say.
const total = `
https: {host: api.example.com}
cors: {origins: ["https://app.example.com", "https://*.example.org"], credentials: true}
csrf: {origins: ["https://api.example.com"]}
roles: {admin: [clerk]}
quotas: {skip: {roles: [robot], addresses: [10.0.0.0/8]}}
routes:
  open: {methods: [GET, POST], path: /open, public: true}
  orders: {methods: [GET, POST], path: /orders, roles: [clerk], body: {type: object, required: [item], properties: {item: {type: string}}}, xss: {fields: {body.item: flag}}}
  notes: {methods: [GET, POST], path: /notes, public: true, limits: {body_required: false}, body: {properties: {item: {$ref: "#/definitions/item"}}, definitions: {item: {anyOf: [{format: email}, {type: object, properties: {}}]}}}}
  own: {methods: [GET], path: "/users/{id}", owner: {param: id, claim: sub, bypass: [admin]}, scopes: [read], query: {type: object, properties: {page: {type: integer}}}}
`

// randomInput is a request that is mostly sound, with pieces missing, of other
// types, or strange.
func randomInput(r *rand.Rand) any {
	if r.IntN(200) == 0 {
		return strange(r)
	}
	http := spoiled(r, map[string]any{
		"method": pick(r, "GET", "GET", "GET", "GET", "GET", "POST", "POST", "POST", "OPTIONS", "DELETE", ""),
		"path":   pick(r, "/orders", "/open?x=1", "//evil.example", "", "\r\n"),
		"host":   pick(r, "api.example.com", "API.example.com:443", ""),
		"size":   pick(r, 0, 0, -1, 10, 10, 10, 1_000_000),
		"headers": spoiled(r, map[string]any{
			"origin":                        pick(r, "https://app.example.com", "https://x.example.org", "https://evil.example", "null"),
			"sec-fetch-site":                pick(r, "same-origin", "same-origin", "same-origin", "cross-site", "none"),
			"access-control-request-method": pick(r, "GET", "POST", "DELETE"),
			"content-type":                  pick(r, "application/json", "application/x-www-form-urlencoded", "text/plain", ";"),
			"content-length":                pick(r, "10", "10", "10", "10", "x", "99999999"),
			"cookie":                        "session=1",
			"x-request-id":                  pick(r, "1", "a b"),
		}),
	})
	return spoiled(r, map[string]any{
		"attributes":     map[string]any{"request": map[string]any{"http": http}},
		"parsed_path":    pick(r, []any{"orders"}, []any{"orders"}, []any{"notes"}, []any{"notes"}, []any{"open"}, []any{"open"}, []any{"open"}, []any{"users", "alice"}, []any{"users", "bob"}, []any{"nothing"}, []any{""}, []any{}),
		"parsed_query":   pick(r, map[string]any{}, map[string]any{"page": []any{"1"}}, map[string]any{"page": []any{"x", "<script>"}}, map[string]any{"a": []any{}}),
		"parsed_body":    pick(r, nil, map[string]any{"item": "pen"}, map[string]any{"item": "<script>"}, map[string]any{"item": []any{"pen"}}, "text", 1, []any{map[string]any{}}),
		"truncated_body": pick(r, false, false, false, true),
		"token": spoiled(r, map[string]any{
			"status":  pick(r, "valid", "valid", "valid", "absent", "invalid", "expired", "unavailable", "other"),
			"via":     pick(r, "header", "cookie"),
			"issuer":  "https://issuer.example.com",
			"subject": pick(r, "alice", "bob"),
			"roles":   pick(r, []any{"clerk"}, []any{"clerk"}, []any{"admin"}, []any{"admin"}, []any{"robot"}, []any{}),
			"scopes":  pick(r, []any{"read"}, []any{}),
			"claims":  pick(r, map[string]any{"sub": "alice"}, map[string]any{"sub": nil}, map[string]any{"sub": []any{"alice"}}),
		}),
		"client": spoiled(r, map[string]any{
			"ip":     pick(r, "192.0.2.1", "10.1.2.3", "2001:db8::1", "x"),
			"scheme": pick(r, "https", "https", "https", "https", "http", "HTTPS"),
		}),
	})
}

// spoiled leaves out three keys in a hundred and makes one something else.
func spoiled(r *rand.Rand, object map[string]any) map[string]any {
	out := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(object)) { // in order, so that a seed always draws the same
		switch n := r.IntN(100); {
		case n < 3:
		case n == 3:
			out[name] = strange(r)
		default:
			out[name] = object[name]
		}
	}
	return out
}

func strange(r *rand.Rand) any {
	return pick(r, nil, true, false, 0, -1.5, "", "x", []any{}, []any{1, "a"}, map[string]any{}, map[string]any{"": nil})
}

func pick(r *rand.Rand, values ...any) any { return values[r.IntN(len(values))] }

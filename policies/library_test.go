package policies_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"authz/internal/check"
	"authz/internal/policy"
	"authz/policies"
)

// team is the data of a small API, as a team would have it beside the library.
const team = `
roles: {admin: [clerk], clerk: [customer]}
routes:
  health: {methods: [GET], path: /health, public: true, quotas: false}
  login: {methods: [POST], path: /login, public: true, quotas: {login: {limit: 5, window: 15m}}}
  orders.list: {methods: [GET], path: /orders, roles: [clerk]}
  orders.read: {methods: [GET], path: "/orders/{id:uuid}", roles: [customer]}
  orders.change: {methods: [PUT], path: "/orders/{id:uuid}", roles: [clerk]}
  users.list: {methods: [GET], path: /users, roles: [admin]}
  users.read: {methods: [GET], path: "/users/{id:uuid}", roles: [admin]}
  comments.list: {methods: [GET], path: "/orders/{id:uuid}/comments", roles: [customer]}
  comments.read: {methods: [GET], path: "/orders/{id:uuid}/comments/{n:int}", roles: [customer]}
  reports.list: {methods: [GET], path: /reports, roles: [clerk]}
  reports.read: {methods: [GET], path: "/reports/{name:slug}", roles: [clerk]}
  files: {methods: [GET], path: "/files/{rest...}", roles: [clerk]}
`

func engine(tb testing.TB, data string) *policy.Engine {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "team")
	if err := os.MkdirAll(filepath.Join(dir, "authz", "config"), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "authz", "config", "data.yaml"), []byte(data), 0o600); err != nil {
		tb.Fatal(err)
	}
	e, err := policy.New(policy.Config{Paths: []string{dir}, Library: policies.Library}, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	if err := e.Load(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return e
}

func request(method, path string, segments ...string) *check.Request {
	return &check.Request{
		HTTP: check.HTTP{
			Method: method, Path: path, Host: "api.example.com", Scheme: "https", Protocol: "HTTP/2", Size: -1,
			Headers: check.Headers{
				{Name: ":authority", Value: "api.example.com"}, {Name: ":method", Value: method}, {Name: ":path", Value: path},
				{Name: "accept", Value: "application/json"}, {Name: "accept-encoding", Value: "gzip, br"},
				{Name: "accept-language", Value: "en"}, {Name: "user-agent", Value: "test/1.0"},
				{Name: "x-forwarded-for", Value: "192.0.2.1"}, {Name: "x-forwarded-proto", Value: "https"},
				{Name: "x-request-id", Value: "6f1f7a6e-9c3f-4b53-8a2f-77d1a3c0f9b4"},
			},
		},
		Path: segments, Query: map[string][]string{},
		Client: check.Client{IP: "192.0.2.1", IPBlock: "192.0.2.1", Scheme: "https"},
	}
}

var clerk = &check.Token{
	Status: check.TokenValid, Via: "header", Issuer: "https://issuer.example.com", Subject: "alice",
	Scopes: []string{"orders:read"}, Roles: []string{"clerk"},
	Claims:  map[string]any{"sub": "alice", "iss": "https://issuer.example.com", "roles": []any{"clerk"}},
	Header:  map[string]any{"alg": "ES256", "typ": "JWT"},
	Expires: time.Unix(4e9, 0),
}

func BenchmarkRoles(b *testing.B) {
	e := engine(b, team)
	r := request("GET", "/orders", "orders")
	for b.Loop() {
		result, err := e.Eval(b.Context(), r, clerk)
		if err != nil || !result.Allowed {
			b.Fatal(err, result)
		}
	}
}

package policies_test

import (
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"authz/internal/check"
	"authz/internal/policy"
	"authz/policies"

	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	yaml "go.yaml.in/yaml/v3"
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
  orders.add:
    methods: [POST]
    path: /orders
    roles: [clerk]
    body:
      type: object
      required: [name, email, password]
      properties: {name: {type: string, minLength: 3}, email: {type: string, format: email}, password: {type: string, minLength: 6}}
`

func engine(tb testing.TB, data string) *policy.Engine {
	tb.Helper()
	e := load(tb, data)
	if err := e.Load(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return e
}

// load makes an engine that has loaded nothing yet.
func load(tb testing.TB, data string) *policy.Engine {
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

func TestLibraryInTheEngine(t *testing.T) {
	e := engine(t, team)
	anonymous := &check.Token{Status: check.TokenAbsent}
	for _, c := range []struct {
		name    string
		request *check.Request
		token   *check.Token
		want    policy.Result
	}{
		{"a clerk lists", request("GET", "/orders", "orders"), clerk, policy.Result{Allowed: true, Status: 200, Route: "orders.list"}},
		{"nobody lists", request("GET", "/orders", "orders"), anonymous, policy.Result{Status: 401, Route: "orders.list", Reasons: []string{"token_absent"}}},
		{"a clerk is no admin", request("GET", "/users", "users"), clerk, policy.Result{Status: 403, Route: "users.list", Reasons: []string{"role_missing"}}},
		{"a role of the hierarchy", request("GET", "/orders/1/comments/1", "orders", "0b0e7b9a-6a5d-4b0e-9d5c-0f6c1b2a3d4e", "comments", "1"), clerk, policy.Result{Allowed: true, Status: 200, Route: "comments.read"}},
		{"a sequential id", request("GET", "/orders/1", "orders", "1"), clerk, policy.Result{Status: 404, Reasons: []string{"route_unknown"}}},
		{"another method", request("DELETE", "/orders", "orders"), clerk, policy.Result{Status: 405, Reasons: []string{"method_unknown"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := e.Eval(t.Context(), c.request, c.token)
			if err != nil {
				t.Fatal(err)
			}
			slim := policy.Result{Allowed: got.Allowed, Status: got.Status, Route: got.Route, Reasons: got.Reasons}
			if len(slim.Reasons) == 0 {
				slim.Reasons = nil
			}
			if !reflect.DeepEqual(slim, c.want) {
				t.Errorf("got  %+v\nwant %+v", slim, c.want)
			}
			if len(got.Unknown) > 0 || got.Body != nil {
				t.Errorf("unknown keys %q, body %v", got.Unknown, got.Body)
			}
		})
	}
}

// A login counts against its own quota as well, keyed by the caller's address.
func TestQuotasInTheEngine(t *testing.T) {
	got, err := engine(t, team).Eval(t.Context(), request("POST", "/login", "login"), &check.Token{Status: check.TokenAbsent})
	if err != nil {
		t.Fatal(err)
	}
	key := []string{"address", "192.0.2.1"}
	want := []policy.Quota{
		{Name: "address", Key: key, Limit: 100, Burst: 100, Cost: 1, Window: 15 * time.Minute, Charge: policy.ChargeRequest},
		{Name: "login.login", Key: key, Limit: 5, Burst: 5, Cost: 1, Window: 15 * time.Minute, Charge: policy.ChargeRequest},
	}
	if !reflect.DeepEqual(got.Quotas, want) {
		t.Errorf("got  %+v\nwant %+v", got.Quotas, want)
	}
}

func TestFaultyDataIsNotLoaded(t *testing.T) {
	for _, c := range []struct{ name, data, want string }{
		{"everybody with credentials", "cors: {origins: [\"*\"], credentials: true}", "cors: an origin of * cannot go with credentials"},
		{"a key that nothing reads", "quota: {}", "Additional property quota is not allowed"},
		{"a schema that is none", "schemas: {a: {type: nonsense}}", "schemas.a: is not a JSON Schema"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := load(t, c.data).Load(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// The decision is total: whatever the input, it has every key and is never
// undefined. It is the same whether the prepared data is worked out for the
// request, as a stock OPA does, or before it, as the sidecar does.
func TestTheDecisionIsTotal(t *testing.T) {
	stock, folded := queries(t)
	keys := []string{
		"allowed", "body", "dynamic_metadata", "headers", "http_status", "query_parameters_to_remove", "query_parameters_to_set",
		"quotas", "reason", "request_headers_to_remove", "response", "response_headers_to_add",
	}
	count := *inputs
	if testing.Short() {
		count = 200
	}
	random := rand.New(rand.NewPCG(3, 4))
	statuses := map[string]int{}
	for range count {
		input := randomInput(random)
		decision := decide(t, stock, input)
		if got := slices.Sorted(maps.Keys(decision)); !slices.Equal(got, keys) {
			t.Fatalf("%v: keys %q", input, got)
		}
		if other := decide(t, folded, input); !reflect.DeepEqual(decision, other) {
			t.Fatalf("%v:\nstock  %v\nfolded %v", input, decision, other)
		}
		statuses[fmt.Sprint(decision["http_status"])]++
	}
	t.Log(statuses)
	if len(statuses) < 8 || statuses["200"] < count/100 {
		t.Errorf("%v: the inputs are too alike to mean anything", statuses)
	}
}

// queries are the decision over the library as it is, and over the library with
// the values of its prepared package in place of the rules.
func queries(t *testing.T) (stock, folded rego.PreparedEvalQuery) {
	t.Helper()
	var config map[string]any
	if err := yaml.Unmarshal([]byte(total), &config); err != nil {
		t.Fatal(err)
	}
	prepare := func(text string, data map[string]any, leaveOut string) rego.PreparedEvalQuery {
		options := []func(*rego.Rego){
			rego.Query(text),
			rego.Store(inmem.NewFromObject(map[string]any{"authz": data})),
		}
		err := fs.WalkDir(policies.Library, "authz", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || path == leaveOut {
				return err
			}
			module, err := policies.Library.ReadFile(path)
			options = append(options, rego.Module(path, string(module)))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		query, err := rego.New(options...).PrepareForEval(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return query
	}
	data := map[string]any{"config": config}
	stock = prepare("value := data.authz.decision", data, "")
	data["prepared"] = decide(t, prepare("value := data.authz.prepared", data, ""), nil)
	return stock, prepare("value := data.authz.decision", data, "authz/prepared/prepared.rego")
}

func decide(t *testing.T, query rego.PreparedEvalQuery, input any) map[string]any {
	t.Helper()
	results, err := query.Eval(t.Context(), rego.EvalInput(input))
	if err != nil || len(results) != 1 {
		t.Fatalf("%v: %v, %d results", input, err, len(results))
	}
	return results[0].Bindings["value"].(map[string]any)
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

func BenchmarkBody(b *testing.B) {
	e := engine(b, team)
	r := request("POST", "/orders", "orders")
	r.HTTP.Headers = append(r.HTTP.Headers, check.Header{Name: "content-type", Value: "application/json"})
	r.Body = check.Body{Parsed: true, Value: map[string]any{"name": "Ann", "email": "ann@example.com", "password": "secret"}}
	for b.Loop() {
		result, err := e.Eval(b.Context(), r, clerk)
		if err != nil || !result.Allowed {
			b.Fatal(err, result)
		}
	}
}

// Whoever copies the library beside the built-in one is told what to do.
func TestLibraryTwice(t *testing.T) {
	engine, err := policy.New(policy.Config{Paths: []string{"authz"}, Library: policies.Library, Decision: "authz/decision", Routes: "authz/config/routes"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "a copy of the policy library") {
		t.Errorf("got %v", err)
	}
}

package policies_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"authz/internal/policy"
)

func BenchmarkSmall(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "team")
	os.MkdirAll(filepath.Join(dir, "authz", "config"), 0o755)
	os.WriteFile(filepath.Join(dir, "authz", "config", "data.yaml"), []byte(team), 0o600)
	os.WriteFile(filepath.Join(dir, "x.rego"), []byte(`package x
default decision := {"allowed": false}
decision := {"allowed": true} if {
	input.token.status == "valid"
	some role in input.token.roles
	role in data.authz.config.routes[input.route.id].roles
}
`), 0o600)
	e, err := policy.New(policy.Config{Paths: []string{dir}, Decision: "x/decision"}, slog.New(slog.DiscardHandler))
	if err != nil { b.Fatal(err) }
	if err := e.Load(b.Context()); err != nil { b.Fatal(err) }
	r := request("GET", "/orders", "orders")
	for b.Loop() {
		result, err := e.Eval(b.Context(), r, clerk)
		if err != nil || !result.Allowed { b.Fatal(err, result) }
	}
}

package policy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"authz/internal/check"
	"authz/policies"
)

// A case that was asked about becomes a test that a stock opa passes, and that it
// fails once the policy says otherwise.
func TestRegoTestPassesUnderOPA(t *testing.T) {
	if testing.Short() {
		t.Skip("builds opa")
	}
	dir := t.TempDir()
	opa := filepath.Join(dir, "opa")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", opa, "github.com/open-policy-agent/opa").CombinedOutput(); err != nil {
		t.Fatalf("building opa: %v\n%s", err, out)
	}
	clerk := &check.Token{Status: check.TokenValid, Subject: "alice", Roles: []string{"clerk"}, Claims: map[string]any{"sub": "alice"}}
	const team = "../../demo/policies"
	for _, row := range []struct {
		name, want string
		cfg        Config
		files      tree
		token      *check.Token
		spoil      string // a rule that makes the decision another one
	}{
		{"allowed by the library", "decision.allowed == true", Config{Path: team, Library: policies.Library}, nil, clerk,
			"package app\n\ndeny contains \"closed\""},
		{"refused by the library", `decision.reason == {"token_absent"}`, Config{Path: team, Library: policies.Library}, nil, anonymous(), ""},
		{"a boolean", "decision == false", Config{}, tree{"p.rego": "package authz\n\ndefault decision := false\n"}, clerk,
			"package authz\n\ndecision if input.token.subject == \"alice\"\n"},
		{"undefined", "not data.authz.decision with input", Config{}, tree{"p.rego": "package authz\n\ndecision if input.token.subject == \"bob\"\n"}, clerk,
			"package authz\n\ndecision if input.token.subject == \"alice\"\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			e := loadedEngine(t, row.files, row.cfg)
			text, err := e.RegoTest(t.Context(), "GET /orders, "+row.name, "GET /orders", get(), row.token)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(text, row.want) {
				t.Errorf("without %q:\n%s", row.want, text)
			}
			file := filepath.Join(t.TempDir(), "why_test.rego")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			paths := []string{e.settings.Paths[0]}
			if row.cfg.Library != nil {
				paths = append(paths, "../../policies")
			}
			if out, err := run(opa, append([]string{"test", file}, paths...)); err != nil || !strings.Contains(out, "PASS: 1/1") {
				t.Errorf("%v\n%s\n%s", err, out, text)
			}
			if out, err := run(opa, []string{"fmt", "--fail", "-l", file}); err != nil {
				t.Errorf("opa fmt: %v\n%s\n%s", err, out, text)
			}
			if row.spoil == "" { // a team cannot take the library's refusal back
				return
			}
			spoiled := filepath.Join(t.TempDir(), "spoil.rego")
			if err := os.WriteFile(spoiled, []byte(row.spoil), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := run(opa, append([]string{"test", file, spoiled}, paths...)); err == nil {
				t.Errorf("passes although the policy says otherwise:\n%s", out)
			}
		})
	}
}

func run(program string, args []string) (string, error) {
	out, err := exec.Command(program, args...).CombinedOutput()
	return string(out), err
}

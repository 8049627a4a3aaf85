package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"authz/internal/testbed"
)

// Whatever goes wrong inside a policy is an explicit refusal, although Envoy would let
// the request through if it got an error instead.
func TestPolicyFailures(t *testing.T) {
	for _, name := range []string{"undefined", "wrong-type", "text", "wrong-value", "conflict", "loop", "allocate"} {
		t.Run(name, func(t *testing.T) {
			envoys(t, func(t *testing.T, e *testbed.Envoy) {
				world.app.Forget()
				begin := time.Now()
				got := send(t, e, request{target: "/" + name})
				wantRefused(t, got, 500)
				if len(world.app.Seen()) != 0 {
					t.Error("the app was reached")
				}
				if d := time.Since(begin); d > 5*time.Second {
					t.Errorf("took %s", d)
				}
			})
		})
	}
	// The sidecar is as well as before.
	if got := send(t, world.hardened, request{target: "/public"}); got.Status != 200 {
		t.Errorf("afterwards: got %d", got.Status)
	}
}

// The detail of a failure is in the decision log, and only there.
func TestDetailIsInTheLogOnly(t *testing.T) {
	got := send(t, world.hardened, request{target: "/conflict?password=hunter2"})
	wantRefused(t, got, 500)
	var body refusal
	if err := json.Unmarshal([]byte(got.Body), &body); err != nil {
		t.Fatal(err)
	}
	line := decisionLine(t, world.sidecar, body.RequestID)
	for _, want := range []string{`"outcome":"failed"`, `"policy_error"`, `conflict`, `"http_path":"/conflict"`, `"query_names":"password"`} {
		if !strings.Contains(line, want) {
			t.Errorf("the record lacks %s: %s", want, line)
		}
	}
	if strings.Contains(line, "hunter2") {
		t.Errorf("the record has the query's value: %s", line)
	}
	if strings.Contains(got.Body, "conflict") {
		t.Errorf("the client got the detail: %s", got.Body)
	}
}

// Each decision is one record that names the caller, without the token.
func TestDecisionRecord(t *testing.T) {
	token := world.main.Token(map[string]any{"sub": "recorded"})
	got := send(t, world.hardened, request{target: "/whoami", headers: []string{bearer(token)}})
	id := wantApp(t, got).Headers.Get("X-Request-Id")
	line := decisionLine(t, world.sidecar, id)
	for _, want := range []string{`"outcome":"allowed"`, `"subject":"recorded"`, `"route":"whoami"`, `"requested_by":"127.0.0.1"`, `"path":"e2e/decision"`, `"token_status":"valid"`} {
		if !strings.Contains(line, want) {
			t.Errorf("the record lacks %s: %s", want, line)
		}
	}
	for _, part := range strings.Split(token, ".") {
		if strings.Contains(line, part) {
			t.Errorf("the record has a part of the token: %s", line)
		}
	}
	if strings.Count(world.sidecar.Log().String(), id) != 1 {
		t.Error("one decision, more than one record")
	}
}

// decisionLine waits for the record of a request.
func decisionLine(t *testing.T, s *testbed.Sidecar, requestID string) string {
	t.Helper()
	line, err := s.Log().Wait(t.Context(), func(line string) bool {
		return strings.Contains(line, `"msg":"decision"`) && strings.Contains(line, requestID)
	})
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// A configuration, keys or policies that are not right: the process does not start,
// and says what to do.
func TestDoesNotStart(t *testing.T) {
	policy := func(rego string) string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "p.rego"), []byte(rego), 0o600); err != nil {
			t.Fatal(err)
		}
		return config(dir)
	}
	for _, c := range []struct {
		name, config string
		env          []string
		words        []string
	}{
		{"unknown keys, all of them", config("e2e/testdata/policy") + "quota: {}\nops: {addrezz: x}\n", nil, []string{"did you mean quotas?", "did you mean address?"}},
		{"a secret written into the file", strings.Replace(config("e2e/testdata/policy"), "env:E2E_SECRET", "hunter2", 1), nil, []string{"env:NAME or file:/path"}},
		{"a secret that is not set", config("e2e/testdata/policy"), []string{"E2E_SECRET="}, []string{"E2E_SECRET is not set"}},
		{"a secret that is too short", config("e2e/testdata/policy"), []string{"E2E_SECRET=short"}, []string{"32"}},
		{"http.send", policy("package e2e\ndecision := http.send({\"method\": \"get\", \"url\": \"http://127.0.0.1\"}).status_code == 200"), nil, []string{"http.send", "p.rego:2"}},
		{"opa.runtime", policy("package e2e\ndecision := opa.runtime().env.HOME == \"x\""), nil, []string{"opa.runtime", "p.rego:2"}},
		{"a typo in the input", policy("package e2e\ndecision if input.tokn.status == \"valid\""), nil, []string{"tokn", "p.rego:2"}},
		{"no entry point", policy("package other\nx := 1"), nil, []string{"e2e/decision"}},
		{"not Rego", policy("package e2e\ndecision := {"), nil, []string{"p.rego:2"}},
		{"no policy folder", config("/does/not/exist"), nil, []string{"policy.paths[0]"}},
		{"a schema that reads a file", policy("package e2e\ndecision := json.match_schema(input, {\"$ref\": \"file:///etc/passwd\"})[0]"), nil, []string{"$ref"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := append([]string{"E2E_SECRET=" + hmacSecret}, c.env...)
			s, err := testbed.StartSidecar(t.Context(), testbed.SidecarOptions{Config: c.config, Env: env, Unready: true})
			if err == nil {
				_ = s.Stop()
				t.Fatal("it started")
			}
			for _, word := range c.words {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("the error does not say %q: %v", word, err)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("the error repeats a secret")
			}
		})
	}
}

// A broken new policy leaves the old one in force, says so and counts it; the next
// good one takes over.
func TestBrokenPolicy(t *testing.T) {
	dir := policyCopy(t)
	sidecar, envoy := own(t, config(dir))
	rego := filepath.Join(dir, "policy.rego")
	good, err := os.ReadFile(rego)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(rego, append(good, "\nbroken := {"...), 0o600); err != nil {
		t.Fatal(err)
	}
	await(t, "the refusal of the broken policy to be counted", func() bool {
		n, err := sidecar.Metric(t.Context(), "authz_policy_reload_failures_total")
		return err == nil && n >= 1
	})
	if got := send(t, envoy, request{target: "/public"}); got.Status != 200 {
		t.Errorf("under the old policy: got %d", got.Status)
	}
	page, err := sidecar.Get(t.Context(), "/readyz")
	if err != nil || !strings.Contains(page, "the newest version was refused") {
		t.Errorf("/readyz: %v %s", err, page)
	}
	if err := os.WriteFile(rego, append(good, "\ndecision := {\"allowed\": false, \"http_status\": 410} if input.attributes.request.http.path == \"/gone\"\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	await(t, "the good policy to be in force", func() bool {
		n, err := sidecar.Metric(t.Context(), "authz_policy_reloads_total")
		return err == nil && n >= 1
	})
	page, err = sidecar.Get(t.Context(), "/readyz")
	if err != nil || strings.Contains(page, "refused") {
		t.Errorf("/readyz: %v %s", err, page)
	}
}

// await tries until something has become true; the test fails after 20 s.
func await(t *testing.T, what string, try func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !try() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited 20 s for %s", what)
		}
	}
}

package manifests

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"authz/internal/testbed"
)

// What the CI of a policy repository publishes is what a sidecar fetches, verifies and enforces; what
// somebody else signed is not.
func TestPublishedBundleIsEnforced(t *testing.T) {
	policies, dir := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"app.rego":      "package app\n\n# METADATA\n# description: nobody but clerks after hours\ndeny contains \"closed\" if {\n\tinput.attributes.request.http.headers[\"x-after-hours\"]\n\tnot \"clerk\" in input.token.roles\n}\n",
		"app_test.rego": "package app_test\n\ntest_closed if {\n\tdata.app.deny == {\"closed\"} with input as {\"attributes\": {\"request\": {\"http\": {\"headers\": {\"x-after-hours\": \"yes\"}}}}, \"token\": {\"roles\": []}}\n}\n",
		"data.yaml":     string(read(t, "k8s/base/policies/data.yaml")),
	} {
		if err := os.WriteFile(filepath.Join(policies, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer server.Close()
	ours, stranger := filepath.Join(t.TempDir(), "key.pem"), filepath.Join(t.TempDir(), "key.pem")
	public := writeKey(t, ours)
	writeKey(t, stranger)
	publish(t, policies, filepath.Join(dir, "shop.tar.gz"), stranger, "forged")

	config, err := json.Marshal(map[string]any{
		"services": map[string]any{"ci": map[string]any{"url": server.URL}},
		"keys":     map[string]any{"ci": map[string]any{"algorithm": "ES256", "key": public}},
		"bundles": map[string]any{"shop": map[string]any{"service": "ci", "resource": "shop.tar.gz",
			"polling": map[string]any{"min_delay_seconds": 1, "max_delay_seconds": 1}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	opa := filepath.Join(t.TempDir(), "opa.yaml")
	if err := os.WriteFile(opa, config, 0o600); err != nil {
		t.Fatal(err)
	}
	sidecar, err := testbed.StartSidecar(t.Context(), testbed.SidecarOptions{Unready: true, Config: fmt.Sprintf(
		"policy: { bundles: { config: %q, dir: %q } }\nshutdown: { linger: 0s }\n", opa, t.TempDir())})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := sidecar.Stop(); err != nil {
			t.Error(err)
		}
	}()
	refused := func(line string) bool { return strings.Contains(line, "the policy bundle can't be fetched") }
	if _, err := sidecar.Log().Wait(t.Context(), refused); err != nil {
		t.Fatal(err)
	}
	if _, err := sidecar.Get(t.Context(), "/readyz"); err == nil {
		t.Fatal("ready with a bundle that a stranger signed")
	}
	publish(t, policies, filepath.Join(dir, "shop.tar.gz"), ours, "commit-1")
	inForce := func(line string) bool {
		return strings.Contains(line, "policy in force") && strings.Contains(line, "commit-1")
	}
	if _, err := sidecar.Log().Wait(t.Context(), inForce); err != nil {
		t.Fatalf("%v\n%s", err, sidecar.Log().Tail(20))
	}
	if page, err := sidecar.Get(t.Context(), "/readyz"); err != nil || !strings.Contains(page, "commit-1") {
		t.Errorf("%v: %s", err, page)
	}
}

// writeKey makes a signing key and returns its public half.
func writeKey(t *testing.T, path string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}), 0o600); err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
}

// publish runs the script of the example, with the opa that this repository pins.
func publish(t *testing.T, policies, bundle, key, revision string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "k8s/examples/policy-ci/publish", policies, bundle+".new")
	cmd.Dir = in(t)
	cmd.Env = append(os.Environ(), "OPA=go tool opa", "SIGNING_KEY="+key, "REVISION="+revision)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.Rename(bundle+".new", bundle); err != nil {
		t.Fatal(err)
	}
}

package policy

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
)

// bundleServer gives out one bundle, and 304 to who has it.
type bundleServer struct {
	*httptest.Server
	mu   sync.Mutex
	now  []byte // nil: out of order
	asks int
}

func serveBundle(t *testing.T) *bundleServer {
	s := &bundleServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asks++
		tag := fmt.Sprintf("%q", digestOf([]source{{tar: s.now}}))
		switch {
		case s.now == nil || r.URL.Path != "/shop.tar.gz" || r.Header.Get("Authorization") != "Bearer letmein":
			w.WriteHeader(http.StatusInternalServerError)
		case r.Header.Get("If-None-Match") == tag:
			w.WriteHeader(http.StatusNotModified)
		default:
			w.Header().Set("ETag", tag)
			_, _ = w.Write(s.now)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *bundleServer) give(content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = content
}

func (s *bundleServer) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asks
}

// signer has a key pair as OPA's configuration and its signer want it.
func signer(t *testing.T) (private, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	open, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return encode("EC PRIVATE KEY", secret), encode("PUBLIC KEY", open)
}

// packed is a bundle whose policy gives the revision as its reason, signed if there is a key.
// It holds a test as well: a signature is of all files, loaded are the others.
func packed(t *testing.T, revision, private string) []byte {
	t.Helper()
	b := bundle.Bundle{Manifest: bundle.Manifest{Revision: revision}, Data: map[string]any{}}
	b.Manifest.Init()
	modules := tree{
		"/authz/authz.rego":      fmt.Sprintf("package authz\n\ndecision := {\"allowed\": true, \"reason\": %q}\n", revision),
		"/authz/authz_test.rego": "package authz_test\n\ntest_x if not_to_be_found\n\nnot_to_be_found := true\n",
	}
	for path, text := range modules {
		b.Modules = append(b.Modules, bundle.ModuleFile{URL: path, Path: path, Raw: []byte(text), Parsed: ast.MustParseModule(text)})
	}
	if private != "" {
		if err := b.GenerateSignature(bundle.NewSigningConfig(private, "ES256", ""), "default", true); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := bundle.NewWriter(&out).UseModulePath(true).DisableFormat(true).Write(b); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// remoteEngine makes an engine that fetches from the server, and looks every second.
func remoteEngine(t *testing.T, s *bundleServer, dir, public string) *Engine {
	t.Helper()
	config := map[string]any{
		"services": map[string]any{"ci": map[string]any{"url": s.URL, "credentials": map[string]any{"bearer": map[string]any{"token": "letmein"}}}},
		"bundles": map[string]any{"shop": map[string]any{"service": "ci", "resource": "shop.tar.gz",
			"polling": map[string]any{"min_delay_seconds": 1, "max_delay_seconds": 1}}},
	}
	if public != "" {
		config["keys"] = map[string]any{"ci": map[string]any{"algorithm": "ES256", "key": public}}
	}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	tree{"opa.yaml": string(text)}.write(t, dir)
	engine, err := New(Config{Bundles: Bundles{Config: filepath.Join(dir, "opa.yaml"), Dir: filepath.Join(dir, "kept")}}, newLog())
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

// A bundle is fetched, replaced while requests are decided, kept while its server is out of order, and
// there again after a restart without the server.
func TestFetch(t *testing.T) {
	server, dir := serveBundle(t), t.TempDir()
	engine := remoteEngine(t, server, dir, "")
	if err := engine.Load(t.Context()); !errors.Is(err, ErrNotFetched) {
		t.Errorf("before the first fetch: %v", err)
	}
	start(t, engine.Fetch)
	start(t, engine.Watch)
	await(t, "a fetch that fails", func() bool { return engine.Status().FetchFailures > 0 })
	if s := engine.Status(); s.Loaded || s.Failures > 0 || !strings.Contains(s.Unfetched["shop"], "Internal Server Error") {
		t.Errorf("status %+v", s)
	}
	server.give(packed(t, "r1", ""))
	await(t, "r1", func() bool { return engine.Status().Revision == "r1" })
	if got := eval(t, engine, get()).Reasons; len(got) != 1 || got[0] != "r1" {
		t.Errorf("reasons %q", got)
	}
	await(t, "the failure to be over", func() bool { return len(engine.Status().Unfetched) == 0 })
	asked := server.asked()
	await(t, "an answer that nothing has changed", func() bool { return server.asked() > asked })
	server.give(packed(t, "r2", ""))
	await(t, "r2", func() bool { return engine.Status().Revision == "r2" })
	server.give([]byte("rubbish"))
	await(t, "rubbish to be refused", func() bool { return engine.Status().Unfetched["shop"] != "" })
	if s := engine.Status(); s.Revision != "r2" {
		t.Errorf("in force: %s", s.Revision)
	}

	server.give(nil)
	again := remoteEngine(t, server, dir, "")
	if err := again.Load(t.Context()); err != nil || again.Status().Revision != "r2" {
		t.Errorf("after a restart: %v, %+v", err, again.Status())
	}
}

// Where there is a key, only what it signed is loaded: when it is fetched, and when it is found in
// the directory.
func TestFetchSigned(t *testing.T) {
	server, dir := serveBundle(t), t.TempDir()
	private, public := signer(t)
	stranger, _ := signer(t)
	engine := remoteEngine(t, server, dir, public)
	start(t, engine.Fetch)
	start(t, engine.Watch)
	for name, content := range map[string][]byte{"no signature": packed(t, "bad", ""), "a stranger's": packed(t, "bad", stranger)} {
		failures := engine.Status().FetchFailures
		server.give(content)
		await(t, name+" to be refused", func() bool { return engine.Status().FetchFailures > failures+1 })
	}
	if s := engine.Status(); s.Loaded || s.Unfetched["shop"] == "" {
		t.Errorf("status %+v", s)
	}
	server.give(packed(t, "good", private))
	await(t, "the signed bundle", func() bool { return engine.Status().Revision == "good" })

	kept := filepath.Join(dir, "kept", "shop.tar.gz")
	if err := os.WriteFile(kept, packed(t, "forged", stranger), 0o600); err != nil {
		t.Fatal(err)
	}
	again := remoteEngine(t, server, dir, public)
	if err := again.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "bundle shop") {
		t.Errorf("a forged file was loaded: %v, %s", err, again.Status().Revision)
	}
}

func TestRefusedBundleConfig(t *testing.T) {
	for _, c := range []struct{ name, config, want string }{
		{"no such file", "", "no such file"},
		{"nothing in it", "services: {}\n", "names no bundles"},
		{"an unknown service", "services: {a: {url: 'http://127.0.0.1:1'}}\nbundles: {x: {service: b}}\n", `service name "b"`},
		{"plain http without keys", "services: {a: {url: 'http://ci.example.com'}}\nbundles: {x: {service: a}}\n", "plain http"},
		{"a file", "services: {a: {url: 'http://127.0.0.1:1'}}\nbundles: {x: {resource: 'file:///x'}}\n", "policy paths"},
		{"an unknown key", "services: {a: {url: 'http://127.0.0.1:1'}}\nbundles: {x: {service: a, signing: {keyid: k}}}\n", "k"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if c.config != "" {
				tree{"opa.yaml": c.config}.write(t, dir)
			}
			_, err := New(Config{Bundles: Bundles{Config: filepath.Join(dir, "opa.yaml"), Dir: dir}}, newLog())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

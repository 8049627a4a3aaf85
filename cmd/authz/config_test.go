package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// minimal is the least that a configuration needs.
const minimal = "listen: {socket: /tmp/authz.sock}\npolicy: {paths: [.]}\n"

func read(t *testing.T, text string, environ []string, flags map[string]string) (*Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "authz.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return readConfig(path, environ, flags)
}

// Every fault is told at once, each naming its key and the way out.
func TestFaultsAreToldAtOnce(t *testing.T) {
	_, err := read(t, `
listen:
  sockt: /tmp/a.sock
  check_timeout: 5
  address: 0.0.0.0:9000
ops: 9901
policy:
  timeout: 10s
  bundles: {dir: /tmp}
issuers:
  - issuer: https://id.example.com/
    secret: hunter2-hunter2-hunter2-hunter2-hunter2
  - provider: google
    audiences: {}
  - provider: google
    audiences: [a]
    jwks_url: https://x.example/jwks
log: {level: loud}
log: {level: info}
tokn: {}
`, []string{"AUTHZ_LISTEN_SOKET=/x", "AUTHZ_SERVICE_HOST=10.0.0.1", "AUTHZ_PORT=tcp://10.0.0.1:80", "AUTHZ_CONFIG=x", "HOME=/root"},
		map[string]string{"quotas.max_keys": "many"})
	var got faults
	if !errors.As(err, &got) {
		t.Fatalf("got %v, want faults", err)
	}
	want := []struct{ key, words string }{
		{"listen.sockt", "did you mean socket?"},
		{"listen.check_timeout", "write 250ms, 5s or 1h"},
		{"ops", "takes keys and values"},
		{"issuers[0].secret", "env:NAME or file:/path"},
		{"issuers[1].audiences", "takes a list"},
		{"log", "already given in line 18"},
		{"tokn", "did you mean token?"},
		{"AUTHZ_LISTEN_SOKET", "did you mean AUTHZ_LISTEN_SOCKET?"},
		{"--quotas.max_keys", "not a whole number"},
		{"listen.address", "is not loopback and has no TLS"},
		{"policy.paths", "is missing"},
		{"policy.bundles", "needs both"},
		{"policy.timeout", "longer than listen.check_timeout"},
		{"issuers[0].audiences", "made for another service"},
		{"issuers[1].audiences", "made for another service"},
		{"issuers[2].name", "taken by issuers[1]"},
		{"issuers[2].jwks_url", "does not go with provider"},
		{"log.level", ""},
	}
	for _, w := range want[:len(want)-1] {
		found := false
		for _, f := range got {
			found = found || f.Key == w.key && strings.Contains(f.Message, w.words)
		}
		if !found {
			t.Errorf("no fault for %s with %q", w.key, w.words)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("the fault repeats a secret that was written into the file")
	}
	if t.Failed() {
		t.Log(err)
	}
}

// The shared quota store's keys go together or not at all.
func TestRedisFaults(t *testing.T) {
	for key, text := range map[string]string{
		"quotas.redis.mode":              "{addresses: [a:1], mode: ring}",
		"quotas.redis.fallback":          "{addresses: [a:1], fallback: hope}",
		"quotas.redis.addresses[0]":      "{addresses: [localhost]}",
		"quotas.redis.addresses":         "{addresses: [a:1, b:1]}",
		"quotas.redis.master":            "{addresses: [a:1], mode: sentinel}",
		"quotas.redis.db":                "{addresses: [a:1], mode: cluster, db: 3}",
		"quotas.redis.timeout":           "{addresses: [a:1], timeout: 5s}",
		"quotas.redis.lease":             "{addresses: [a:1], lease: 1h}",
		"quotas.redis.replicas":          "{addresses: [a:1], replicas: 0}",
		"quotas.redis.pool_size":         "{addresses: [a:1], pool_size: -1}",
		"quotas.redis.tls":               "{addresses: [a:1], tls: {enabled: true, cert_file: x}}",
		"quotas.redis.tls.enabled":       "{addresses: [a:1], tls: {ca_file: x}}",
		"quotas.redis.sentinel_password": "{addresses: [a:1], sentinel_password: 'env:X'}",
		"quotas.redis.password":          "{addresses: [a:1], password: hunter2}",
		"quotas.redis.username":          "{addresses: [a:1], username: u}",
		"quotas.redis.prefix":            "{addresses: [a:1], prefix: '{a}'}",
	} {
		wantRedisFault(t, key, text)
	}
	for _, address := range []string{":6379", "a:", "a:0", "a:65536", "a:redis", "a:1:2", "redis://u:hunter2@a:6379", "u:hunter2@a:6379"} {
		wantRedisFault(t, "quotas.redis.addresses[0]", "{addresses: ['"+address+"']}")
	}
}

// wantRedisFault wants one fault, which repeats no password.
func wantRedisFault(t *testing.T, key, text string) {
	t.Helper()
	_, err := read(t, minimal+"quotas: {redis: "+text+"}\n", nil, nil)
	var got faults
	if !errors.As(err, &got) || len(got) != 1 || got[0].Key != key || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%s: got %v", text, err)
	}
}

// A flag overrides the environment, which overrides the file, which overrides the default.
func TestPrecedence(t *testing.T) {
	file := minimal + "policy: {paths: [.], timeout: 20ms, poll: 5s}\n"
	file = strings.Replace(file, "policy: {paths: [.]}\n", "", 1)
	c, err := read(t, file, []string{"AUTHZ_POLICY_TIMEOUT=30ms", "AUTHZ_APP_IDENTITY_HEADERS=x-a, x-b"}, map[string]string{"policy.timeout": "40ms"})
	if err != nil {
		t.Fatal(err)
	}
	if got := time.Duration(c.Policy.Timeout); got != 40*time.Millisecond {
		t.Errorf("flag: got %s, want 40ms", got)
	}
	if got := time.Duration(c.Policy.Poll); got != 5*time.Second {
		t.Errorf("file: got %s, want 5s", got)
	}
	if got, want := c.App.IdentityHeaders, []string{"x-a", "x-b"}; !reflect.DeepEqual(got, want) {
		t.Errorf("environment: got %v, want %v", got, want)
	}
	if got := c.Listen.MaxMessageSize; got != 4<<20 {
		t.Errorf("default: got %d, want 4 MiB", got)
	}
}

func TestFileThatIsNotConfiguration(t *testing.T) {
	for name, text := range map[string]string{
		"broken YAML":   "listen: [",
		"a list":        "- listen",
		"two documents": minimal + "---\n" + minimal,
		"a scalar":      "hello",
	} {
		t.Run(name, func(t *testing.T) {
			if c, err := read(t, text, nil, nil); err == nil {
				t.Errorf("accepted as %+v", c)
			}
		})
	}
	if _, err := readConfig("/does/not/exist.yaml", nil, nil); err == nil {
		t.Error("a missing file is accepted")
	}
}

func TestSecretsAreOnlyReferred(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte("from the file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(name string) string { return map[string]string{"A_SECRET": "from the environment"}[name] }
	for text, want := range map[string]string{"env:A_SECRET": "from the environment", "file:" + path: "from the file"} {
		var s Secret
		if err := s.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Read(env); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", text, got, err, want)
		}
		if got := s.String(); got != text {
			t.Errorf("prints as %q, want its reference %q", got, text)
		}
	}
	for _, text := range []string{"env:NOT_SET", "file:/does/not/exist"} {
		var s Secret
		if err := s.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Read(env); err == nil {
			t.Errorf("%s: read %q, want an error", text, got)
		}
	}
}

// The reference page is what the code says.
func TestReferencePage(t *testing.T) {
	var want bytes.Buffer
	writeReference(&want)
	got, err := os.ReadFile("../../docs/configuration.md")
	if err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("docs/configuration.md is not the output of `authz config reference`: run make docs (%v)", err)
	}
}

// The example is a configuration, but for the folder that it names.
func TestExample(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.Mkdir("policies", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := read(t, exampleConfig, nil, nil); err != nil {
		t.Error(err)
	}
}

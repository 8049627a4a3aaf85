package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"authz/internal/inject"
)

// The whole webhook, with a certificate from files: it answers a review, counts it,
// and ends in order.
func TestWebhook(t *testing.T) {
	dir := t.TempDir()
	pool := writeCertificate(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	printed, log := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- serveWebhook(ctx, webhookConfig{
			listen: "127.0.0.1:0", ops: "127.0.0.1:0", namespace: "authz-system", check: time.Minute,
			certFile: filepath.Join(dir, "tls.crt"), keyFile: filepath.Join(dir, "tls.key"), log: Log{Level: "info", Format: "json"},
		}, inject.Options{Image: "authz:1", EnvoyImage: "envoy:1"}, log)
	}()
	lines := bufio.NewScanner(printed)
	var up struct{ Address, Ops string }
	for up.Ops == "" && lines.Scan() {
		if err := json.Unmarshal(lines.Bytes(), &up); err != nil {
			t.Fatal(err)
		}
	}
	go func() { _, _ = io.Copy(io.Discard, printed) }()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "authz-injector.authz-system.svc"}}}
	review := `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u","resource":{"version":"v1","resource":"pods"},
		"namespace":"shop","operation":"CREATE","object":{"metadata":{"name":"web","labels":{"authz.dev/inject":"true"}},
		"spec":{"containers":[{"name":"app","ports":[{"containerPort":8080}]}]}}}}`
	answer, err := client.Post("https://"+up.Address+"/inject", "application/json", strings.NewReader(review))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(answer.Body)
	answer.Body.Close()
	if !bytes.Contains(body, []byte(`"patchType":"JSONPatch"`)) {
		t.Errorf("%s", body)
	}
	for path, want := range map[string]string{
		"/livez": "ok", "/readyz": "ok",
		"/metrics": `authz_webhook_reviews_total{outcome="injected"} 1`,
	} {
		answer, err := http.Get("http://" + up.Ops + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if !strings.Contains(string(body), want) {
			t.Errorf("%s: %s", path, body)
		}
		if path == "/metrics" && !regexp.MustCompile(`authz_webhook_certificate_expiry_timestamp_seconds [1-9]`).Match(body) {
			t.Errorf("no expiry: %s", body)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// What keeps it from starting is told with the way out.
func TestWebhookCannotStart(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"webhook"}, "say it with --namespace"},
		{[]string{"webhook", "--namespace", "x"}, "give --cert-file and --key-file"},
		{[]string{"webhook", "--namespace", "x", "--cert-file", "none"}, "key-file"},
		{[]string{"webhook", "--namespace", "x", "--cert-file", "none", "--key-file", "none"}, "reading the certificate"},
		{[]string{"webhook", "--namespace", "x", "--set", "memory-limit=much"}, "write a quantity"},
	} {
		var stderr bytes.Buffer
		if code := run(c.args, io.Discard, &stderr); code != exitCannot || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%v: %d %s", c.args, code, stderr.String())
		}
	}
}

// writeCertificate writes tls.crt and tls.key, and returns whom to trust.
func writeCertificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"authz-injector.authz-system.svc"}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	for name, block := range map[string]*pem.Block{"tls.crt": {Type: "CERTIFICATE", Bytes: der}, "tls.key": {Type: "PRIVATE KEY", Bytes: keyDER}} {
		text := pem.EncodeToMemory(block)
		pool.AppendCertsFromPEM(text)
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return pool
}

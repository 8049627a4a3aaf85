package manifests

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"authz/internal/testbed"
)

var metricName = regexp.MustCompile(`\b(?:authz|go|process)_[a-z0-9_]+`)

// Whatever an alert, its unit tests or a panel asks for is in the real /metrics of a running sidecar. A name that is
// spelled wrong is silence: an alert that never fires.
func TestMetricsAreReal(t *testing.T) {
	real := names(sidecarMetrics(t))
	maps.Copy(real, names(injectorMetrics(t)))
	seen := 0
	check := func(where, expr string) {
		for _, name := range metricName.FindAllString(expr, -1) {
			seen++
			if !real[name] {
				t.Errorf("%s asks for %s, which neither sidecar nor injector has", where, name)
			}
		}
	}
	for _, group := range alerts(t).Groups {
		for _, rule := range group.Rules {
			check("alert "+rule.Alert, rule.Expr)
		}
	}
	check("alerts_test.yaml", string(read(t, "k8s/monitoring/alerts_test.yaml")))
	for _, p := range dashboard(t) {
		for _, target := range p.Targets {
			if !metricName.MatchString(target.Expr) {
				t.Errorf("panel %q: no metric in %s", p.Title, target.Expr)
			}
			check(fmt.Sprintf("panel %q", p.Title), target.Expr)
		}
	}
	if seen < 50 {
		t.Errorf("only %d metrics were found in all rules and panels", seen)
	}
}

// sidecarMetrics starts a sidecar with an issuer and a quota, lets it decide, and scrapes it.
func sidecarMetrics(t *testing.T) string {
	t.Helper()
	issuer := testbed.NewIssuer("ES256")
	defer issuer.Close()
	sidecar, err := testbed.StartSidecar(t.Context(), testbed.SidecarOptions{Config: fmt.Sprintf(`
policy: { paths: [%q], library: false, routes: none }
issuers: [{ issuer: %q, audiences: [%q] }]
quotas: { redis: { addresses: ["127.0.0.1:1"] } } # nobody is there: the fallback answers
shutdown: { linger: 0s }
`, in(t, "test/manifests/testdata/policy"), issuer.URL, issuer.Audience)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := sidecar.Stop(); err != nil {
			t.Error(err)
		}
	}()
	conn, err := grpc.NewClient("unix://"+sidecar.Socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 2 { // the second is over the quota
		_, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
			Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
				Method: "GET", Path: "/", Host: "shop.example.com", Headers: map[string]string{"authorization": "Bearer " + issuer.Token(nil)},
			}},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	page, err := sidecar.Get(t.Context(), "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// names are those of the samples on a page.
func names(page string) map[string]bool {
	found := map[string]bool{}
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, "#") {
			found[line[:strings.IndexAny(line, "{ ")]] = true
		}
	}
	return found
}

// injectorMetrics starts a webhook with a certificate of a test server, and scrapes it.
func injectorMetrics(t *testing.T) string {
	t.Helper()
	binary, err := testbed.SidecarBinary()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pair, dir := server.TLS.Certificates[0], t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"crt": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, "key": {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(binary, "webhook", "--namespace=authz-system", "--listen=127.0.0.1:0", "--ops-address=127.0.0.1:0",
		"--cert-file="+filepath.Join(dir, "crt"), "--key-file="+filepath.Join(dir, "key"))
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	var line struct{ Msg, Ops string }
	for decoder := json.NewDecoder(log); line.Msg != "webhook is up"; {
		if err := decoder.Decode(&line); err != nil {
			t.Fatal(err)
		}
	}
	answer, err := http.Get("http://" + line.Ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

package manifests

import (
	"fmt"
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
	real := scrape(t)
	seen := 0
	check := func(where, expr string) {
		for _, name := range metricName.FindAllString(expr, -1) {
			seen++
			if !real[name] {
				t.Errorf("%s asks for %s, which no sidecar has", where, name)
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

// scrape starts a sidecar with an issuer and a quota, lets it decide, and returns the names of its samples.
func scrape(t *testing.T) map[string]bool {
	t.Helper()
	issuer := testbed.NewIssuer("ES256")
	defer issuer.Close()
	sidecar, err := testbed.StartSidecar(t.Context(), testbed.SidecarOptions{Config: fmt.Sprintf(`
policy: { paths: [%q], library: false, routes: none }
issuers: [{ issuer: %q, audiences: [%q] }]
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
	names := map[string]bool{}
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, "#") {
			names[line[:strings.IndexAny(line, "{ ")]] = true
		}
	}
	return names
}

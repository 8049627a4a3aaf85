package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"authz/internal/testbed"
)

// Two replicas and one Redis: what one lets pass counts at the other. While the Redis
// is away each counts alone with its share, nobody gets a 5xx, and when it is back it
// is asked again.
func TestSharedQuota(t *testing.T) {
	server, err := testbed.StartRedis(t.Context(), "--requirepass", "a secret of the store")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	t.Setenv("E2E_REDIS", "a secret of the store")
	shared := config("e2e/testdata/policy") + fmt.Sprintf("quotas: {redis: {addresses: [%q], password: env:E2E_REDIS, timeout: 1s, replicas: 2}}\n", server.Addr)
	sidecar, one := own(t, shared)
	_, two := own(t, shared)
	ask := func(envoy *testbed.Envoy) answer { return send(t, envoy, request{target: "/few"}) }
	for i, envoy := range []*testbed.Envoy{one, two, one} {
		got := ask(envoy)
		if want := fmt.Sprintf(`"few";r=%d;`, 2-i); got.Status != 200 || !strings.HasPrefix(got.Header.Get("RateLimit"), want) {
			t.Fatalf("request %d: got %d, RateLimit %s, want %s", i+1, got.Status, got.Header.Get("RateLimit"), want)
		}
	}
	wantLimited(t, ask(two))
	wantLimited(t, ask(one))

	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	// For a fraction of a second the store's last word holds. Then each replica has its
	// share of three, divided by two and rounded up.
	limit, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	passed := 0
	for after := 0; after < 10 && limit.Err() == nil; {
		switch got := ask(one); got.Status {
		case 200:
			passed++
		case 429:
			if passed > 0 {
				after++
			}
		default:
			t.Fatalf("without the store: got %d", got.Status)
		}
	}
	if passed != 2 {
		t.Errorf("without the store %d passed, want 2", passed)
	}
	if ready, err := sidecar.Get(t.Context(), "/readyz"); err != nil || !strings.Contains(ready, "the fallback is local") {
		t.Errorf("readyz: %s (%v)", ready, err)
	}
	if !strings.Contains(sidecar.Log().String(), `"quota_fallback_local"`) {
		t.Error("no record says that the fallback answered")
	}

	if err := server.Restart(t.Context()); err != nil { // it has forgotten everything
		t.Fatal(err)
	}
	for ask(one).Status != 200 {
		if limit.Err() != nil {
			t.Fatal("the store is not asked again")
		}
	}
	if up, err := sidecar.Metric(t.Context(), "authz_quota_store_up"); err != nil || up != 1 {
		t.Errorf("authz_quota_store_up %v (%v)", up, err)
	}
}

// Where configured, no store means no answer: an explicit 503.
func TestSharedQuotaDeny(t *testing.T) {
	_, envoy := own(t, config("e2e/testdata/policy")+"quotas: {redis: {addresses: ['127.0.0.1:1'], fallback: deny}}\n")
	wantRefused(t, send(t, envoy, request{target: "/few"}), 503)
}

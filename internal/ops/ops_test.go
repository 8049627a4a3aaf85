package ops

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// world is a Sources whose answers a test sets.
type world struct {
	draining bool
	policy   PolicyStatus
	issuers  []IssuerStatus
	quotas   *SharedStore
}

func (w *world) sources() Sources {
	return Sources{
		Build:    Build{"1.2.3", "go1.26", "v1.22.2"},
		Draining: func() bool { return w.draining },
		Policy:   func() PolicyStatus { return w.policy },
		Issuers:  func() []IssuerStatus { return w.issuers },
		Tokens:   func() TokenCache { return TokenCache{Entries: 3, Bytes: 4096, Hits: 10, Misses: 4} },
		Decisions: func() DecisionCache {
			return DecisionCache{Entries: 6, Bytes: 512, Hits: 8, Misses: 9, Evictions: 7, RoutesOff: 3}
		},
		Quotas: func() QuotaStore { return QuotaStore{Keys: 7, Evictions: 2, Shared: w.quotas} },
		Audit:  func() AuditLog { return AuditLog{Written: 20, Dropped: 1, Errors: 1} },
		Door:   func() FrontDoor { return FrontDoor{InFlight: 2, Connections: 1, Panics: 1, Overloads: 5} },
	}
}

func get(t *testing.T, method, url string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// Readiness says what is missing, and what works only on old news.
func TestReadiness(t *testing.T) {
	good := PolicyStatus{Loaded: true, Revision: "r1"}
	for _, c := range []struct {
		name     string
		world    world
		status   int
		missing  []string
		degraded []string
	}{
		{"all there", world{policy: good, issuers: []IssuerStatus{{Name: "a", Ready: true}}}, 200, nil, nil},
		{"no issuer configured", world{policy: good}, 200, nil, nil},
		{"no policy", world{}, 503, []string{"policy"}, nil},
		{"one of two issuers without keys", world{policy: good, issuers: []IssuerStatus{{Name: "a", Ready: true}, {Name: "b", LastError: "timeout"}}},
			503, []string{"keys of issuer b"}, nil},
		{"old keys, old policy", world{policy: PolicyStatus{Loaded: true, LastError: "line 3"}, issuers: []IssuerStatus{{Name: "a", Ready: true, LastError: "500"}}},
			200, nil, []string{"policy: the newest version was refused; an older one is in force", "keys of issuer a: the last fetch failed; older keys are in use"}},
		{"the shared quota store away", world{policy: good, quotas: &SharedStore{Breaker: "open", Fallback: "local"}},
			200, nil, []string{"quotas: the shared store does not answer; the fallback is local"}},
		{"draining", world{draining: true, policy: good}, 503, []string{"shutting down"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(Handler(c.world.sources(), NewMetrics()))
			defer server.Close()
			status, body := get(t, "GET", server.URL+"/readyz")
			var got readiness
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatal(err)
			}
			if status != c.status || !reflect.DeepEqual(got.Missing, c.missing) || !reflect.DeepEqual(got.Degraded, c.degraded) {
				t.Errorf("got %d missing %v degraded %v, want %d %v %v", status, got.Missing, got.Degraded, c.status, c.missing, c.degraded)
			}
		})
	}
}

// Nothing but the three pages, nothing but reading.
func TestNothingElse(t *testing.T) {
	server := httptest.NewServer(Handler((&world{}).sources(), NewMetrics()))
	defer server.Close()
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/livez", 200}, {"HEAD", "/livez", 200}, {"POST", "/livez", 405}, {"DELETE", "/metrics", 405}, {"PUT", "/readyz", 405},
		{"GET", "/", 404}, {"GET", "/debug/pprof/", 404}, {"GET", "/v1/data", 404}, {"POST", "/quitquitquit", 404},
	} {
		if got, _ := get(t, c.method, server.URL+c.path); got != c.want {
			t.Errorf("%s %s: got %d, want %d", c.method, c.path, got, c.want)
		}
	}
}

// What the pages say is what was observed and asked.
func TestMetrics(t *testing.T) {
	w := &world{
		policy:  PolicyStatus{Loaded: true, Revision: "r1", LoadedAt: time.Unix(1000, 0), Reloads: 3, Failures: 1, Fetches: 4, FetchFailures: 2, Unfetched: []string{"shop"}},
		issuers: []IssuerStatus{{Name: "a", Ready: true, Keys: 2, Age: 90 * time.Second, Fetches: 5, Failures: 1}, {Name: "b"}},
	}
	w.quotas = &SharedStore{Breaker: "closed", Fallback: "deny", Orders: 11, Failures: 12, Poisoned: 13, Fallbacks: 14, Leased: 15, Returned: 16}
	m := NewMetrics()
	for range 3 {
		m.Observe(Observation{Outcome: "allowed", Route: "orders.read", Token: 20 * time.Microsecond, Policy: 60 * time.Microsecond, Total: 90 * time.Microsecond})
	}
	m.Observe(Observation{Outcome: "limited", Reasons: []string{"quota_login", "second"}, Total: time.Millisecond})
	m.Observe(Observation{Outcome: "denied", Reasons: []string{"not a code: <script>"}, Total: time.Microsecond})
	for _, outcome := range []QuotaOutcome{QuotaAllowed, QuotaAllowed, QuotaLimited, QuotaShadowAllowed, QuotaShadowLimited, QuotaShadowLost} {
		m.Quota("login", outcome)
	}
	server := httptest.NewServer(Handler(w.sources(), m))
	defer server.Close()
	_, body := get(t, "GET", server.URL+"/metrics")
	lines := map[string]bool{}
	for line := range strings.Lines(body) {
		lines[strings.TrimSpace(line)] = true
	}
	for _, want := range []string{
		`authz_decisions_total{outcome="allowed",reason="none",route="orders.read"} 3`,
		`authz_quota_store_up 1`, `authz_quota_store_orders_total 11`, `authz_quota_store_failures_total 12`, `authz_quota_store_poisoned_total 13`,
		`authz_quota_store_fallbacks_total 14`, `authz_quota_store_leased_total 15`, `authz_quota_store_returned_total 16`,
		`authz_decisions_total{outcome="limited",reason="quota_login",route="none"} 1`,
		`authz_decisions_total{outcome="denied",reason="other",route="none"} 1`,
		`authz_quota_requests_total{outcome="allowed",quota="login"} 2`,
		`authz_quota_requests_total{outcome="limited",quota="login"} 1`,
		`authz_quota_requests_total{outcome="shadow_allowed",quota="login"} 1`,
		`authz_quota_requests_total{outcome="shadow_limited",quota="login"} 1`,
		`authz_quota_requests_total{outcome="shadow_lost",quota="login"} 1`,
		`authz_check_duration_seconds_bucket{stage="policy",le="5e-05"} 0`,
		`authz_check_duration_seconds_bucket{stage="policy",le="0.0001"} 3`,
		`authz_check_duration_seconds_count{stage="total"} 5`,
		`authz_build_info{go="go1.26",opa="v1.22.2",version="1.2.3"} 1`,
		`authz_policy_info{revision="r1"} 1`,
		`authz_policy_loaded_timestamp_seconds 1000`,
		`authz_policy_reloads_total 3`,
		`authz_policy_reload_failures_total 1`,
		`authz_policy_refused 0`,
		`authz_bundle_fetches_total 4`,
		`authz_bundle_fetch_failures_total 2`,
		`authz_bundles_stale 1`,
		`authz_decision_cache_entries 6`,
		`authz_decision_cache_bytes 512`,
		`authz_decision_cache_hits_total 8`,
		`authz_decision_cache_misses_total 9`,
		`authz_decision_cache_evictions_total 7`,
		`authz_decision_cache_routes_off 3`,
		`authz_jwks_keys{issuer="a"} 2`,
		`authz_jwks_age_seconds{issuer="a"} 90`,
		`authz_jwks_ready{issuer="a"} 1`,
		`authz_jwks_ready{issuer="b"} 0`,
		`authz_jwks_fetches_total{issuer="a"} 5`,
		`authz_jwks_fetch_failures_total{issuer="a"} 1`,
		`authz_token_cache_entries 3`,
		`authz_token_cache_bytes 4096`,
		`authz_token_cache_hits_total 10`,
		`authz_token_cache_misses_total 4`,
		`authz_quota_keys 7`,
		`authz_quota_evictions_total 2`,
		`authz_audit_records_total 20`,
		`authz_audit_dropped_total 1`,
		`authz_audit_write_errors_total 1`,
		`authz_checks_in_flight 2`,
		`authz_connections 1`,
		`authz_panics_total 1`,
		`authz_overloads_total 5`,
	} {
		if !lines[want] {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	problems, err := testutil.GatherAndLint(m.registry(w.sources()))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "authz_") {
			t.Errorf("promlint: %s: %s", p.Metric, p.Text)
		}
	}
}

// Labels that a policy (or, through it, a peer) chooses are bounded.
func TestLabelsAreBounded(t *testing.T) {
	m := NewMetrics()
	for i := range 10 * maxLabels {
		code := fmt.Sprintf("code_%d", i)
		m.Observe(Observation{Outcome: "denied", Reasons: []string{code}, Route: code, Total: 1})
		m.Quota(code, QuotaAllowed)
		m.Quota(code, QuotaLimited)
	}
	// 200 codes and "other".
	if got := testutil.CollectAndCount(m.decisions); got != maxLabels+1 {
		t.Errorf("decisions: got %d series, want %d", got, maxLabels+1)
	}
	if got := testutil.CollectAndCount(m.quotas); got != 2*(maxLabels+1) {
		t.Errorf("quotas: got %d series, want %d of each outcome", got, maxLabels+1)
	}
}

// So are their combinations, and nothing is lost by it.
func TestSeriesAreBounded(t *testing.T) {
	m := NewMetrics()
	const each = 100
	for _, outcome := range []string{"denied", "limited"} {
		for reason := range each {
			for route := range each {
				m.Observe(Observation{Outcome: outcome, Reasons: []string{fmt.Sprintf("r%d", reason)}, Route: fmt.Sprintf("p%d", route), Total: 1})
			}
		}
	}
	if got := testutil.CollectAndCount(m.decisions); got > maxSeries+2*each {
		t.Errorf("%d series, want at most %d and one for each outcome and reason", got, maxSeries)
	}
	sum := 0.0
	for _, c := range m.counters {
		sum += testutil.ToFloat64(c)
	}
	if sum != 2*each*each {
		t.Errorf("%v decisions counted, want %d", sum, 2*each*each)
	}
}

func TestServeEnds(t *testing.T) {
	server, err := Listen("127.0.0.1:0", (&world{}).sources(), NewMetrics(), slog.New(slog.NewTextHandler(new(bytes.Buffer), nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx) }()
	if status, _ := get(t, "GET", "http://"+server.Addr().String()+"/livez"); status != 200 {
		t.Errorf("got %d, want 200", status)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := Listen("256.0.0.1:1", (&world{}).sources(), NewMetrics(), slog.Default()); err == nil {
		t.Error("an impossible address is accepted")
	}
}

func BenchmarkObserve(b *testing.B) {
	m := NewMetrics()
	o := Observation{Outcome: "allowed", Route: "orders.read", Token: 1000, Policy: 1000, Quota: 1000, Total: 3000}
	b.ReportAllocs()
	for b.Loop() {
		m.Observe(o)
		m.Quota("login", QuotaAllowed)
	}
}

package authz

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"authz/internal/audit"
	"authz/internal/check"
	"authz/internal/policy"
	"authz/internal/ratelimit"
)

// Each route of this policy is one way a decision can go.
const rego = `package t

decision := {"allowed": true, "headers": {"x-user-id": input.token.subject}, "response_headers_to_add": {"x-r": "1"}} if input.route.id == "allow"

decision := {"allowed": false, "http_status": 403, "reason": "role_missing", "body": "no", "headers": {"x-d": "1"}} if input.route.id == "deny"

decision := {"allowed": false, "http_status": 404, "reason": "unknown"} if input.route.id == "missing"

decision := {"allowed": "maybe"} if input.route.id == "malformed"

decision := {"allowed": true, "headers": {"x": clash}} if input.route.id == "clash"

clash := "1"

clash := "2" if input.route.id == "clash"

decision := {"allowed": true, "response_headers_to_add": {"x-r": "1"}, "quotas": [
	{"name": "wide", "key": ["k"], "limit": 100, "window": "1h"},
	{"name": "narrow", "key": [{"ref": "client.ip_block"}], "limit": 2, "window": "1h"},
]} if input.route.id == "quota"

decision := {"allowed": input.parsed_query.ok == ["1"], "http_status": 401, "headers": {"x-d": "1"}, "quotas": [
	{"name": "failures", "key": ["k"], "limit": 2, "window": "1h", "charge": "denied"},
	{"name": "upstream", "key": ["k"], "limit": 2, "window": "1h", "charge": "failed"},
]} if input.route.id == "login"

decision := {"allowed": object.get(input.parsed_query, "ok", ["1"]) == ["1"], "quotas": [
	{"name": "trial", "key": ["k"], "limit": 2, "window": "1h", "shadow": true},
	{"name": "refused", "key": ["k"], "limit": 1, "window": "1h", "charge": "denied", "shadow": true},
]} if input.route.id == "trial"
`

const routes = `{"authz": {"config": {"routes": {
	"allow": {"methods": ["GET"], "path": "/allow"}, "deny": {"methods": ["GET"], "path": "/deny"},
	"missing": {"methods": ["GET"], "path": "/missing"}, "malformed": {"methods": ["GET"], "path": "/malformed"},
	"clash": {"methods": ["GET"], "path": "/clash"}, "quota": {"methods": ["GET"], "path": "/quota"},
	"login": {"methods": ["GET"], "path": "/login"},
	"trial": {"methods": ["GET"], "path": "/trial"}}}}}`

// fixed says the same of every caller, or panics.
type fixed struct {
	token *check.Token
	panic any
}

func (f *fixed) Verify(context.Context, check.Headers, time.Time) *check.Token {
	if f.panic != nil {
		panic(f.panic)
	}
	return f.token
}

func (f *fixed) Known(h check.Headers, now time.Time) (*check.Token, bool) {
	return f.Verify(context.Background(), h, now), true
}

// room is an Authorizer with what surrounds it.
type room struct {
	*Authorizer
	tokens   *fixed
	now      time.Time
	records  bytes.Buffer
	observed []Observation
	log      *audit.Log
}

func newRoom(t *testing.T, load bool) *room {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"p.rego": rego, "data.json": routes} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	quiet := slog.New(slog.DiscardHandler)
	engine, err := policy.New(policy.Config{Path: dir, Decision: "t/decision", Timeout: 5 * time.Second, CacheBytes: 1 << 20}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if load {
		if err := engine.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r := &room{tokens: &fixed{token: &check.Token{Status: check.TokenValid, Subject: "alice", Issuer: "i"}}, now: time.Unix(1_700_000_000, 0)}
	r.log = audit.New(&r.records, 64)
	r.Authorizer = New(Parts{
		Tokens: r.tokens, Policy: engine, Quotas: ratelimit.NewMemory(ratelimit.MemoryConfig{}), Audit: r.log,
		Observe: func(o Observation) { r.observed = append(r.observed, o) }, Log: quiet,
		Now: func() time.Time { return r.now }, PolicyPath: "t/decision",
	})
	return r
}

func (r *room) ask(path string) Decision {
	request := &check.Request{ID: "req-1", Client: check.Client{IP: "203.0.113.7", IPBlock: "203.0.113.7", Scheme: "https"}}
	request.HTTP.Method, request.HTTP.Path = "GET", path
	path, query, _ := strings.Cut(path, "?")
	request.Path, _ = check.ParsePath(path)
	request.Query, _ = check.ParseQuery(query)
	return r.Decide(context.Background(), request)
}

// wantRecords ends the log and compares what it holds of each record.
func (r *room) wantRecords(t *testing.T, want []map[string]any) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if err := r.log.Run(ctx); err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	for line := range strings.Lines(r.records.String()) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		got = append(got, record)
	}
	if len(got) != len(want) {
		t.Fatalf("%d records for %d decisions", len(got), len(want))
	}
	for i := range want {
		for key, value := range want[i] {
			if !reflect.DeepEqual(got[i][key], value) {
				t.Errorf("record %d: %s is %v, want %v", i, key, got[i][key], value)
			}
		}
	}
}

// comparable strips what differs from run to run.
func (d Decision) comparable() Decision {
	d.ID, d.Kept = "", nil
	return d
}

func TestOutcomes(t *testing.T) {
	no := "no"
	for _, c := range []struct {
		name, path string
		change     func(*room)
		want       Decision
	}{
		{"allowed", "/allow", nil, Decision{Outcome: Allowed, RequestID: "req-1", Spent: -1,
			Headers: []check.Header{{Name: "x-user-id", Value: "alice"}}, ResponseHeaders: []check.Header{{Name: "x-r", Value: "1"}}}},
		{"denied", "/deny", nil, Decision{Outcome: Denied, RequestID: "req-1", Spent: -1, Status: 403, Body: &no,
			Headers: []check.Header{{Name: "x-d", Value: "1"}}, Reasons: []string{"role_missing"}}},
		{"undefined", "/nothing", nil, Decision{Outcome: Failed, RequestID: "req-1", Spent: -1, Reasons: []string{"policy_undefined"}}},
		{"wrong type", "/malformed", nil, Decision{Outcome: Failed, RequestID: "req-1", Spent: -1, Reasons: []string{"policy_malformed"}}},
		{"conflict", "/clash", nil, Decision{Outcome: Failed, RequestID: "req-1", Spent: -1, Reasons: []string{"policy_error"}}},
		{"panic", "/allow", func(r *room) { r.tokens.panic = "boom" }, Decision{Outcome: Failed, RequestID: "req-1", Spent: -1, Reasons: []string{"panic"}}},
		{"keys away, and the policy needs them", "/deny", unavailable, Decision{Outcome: Unavailable, RequestID: "req-1", Spent: -1, Reasons: []string{"role_missing", "keys_unavailable"}}},
		{"keys away, and the refusal has nothing to do with it", "/missing", unavailable,
			Decision{Outcome: Denied, RequestID: "req-1", Spent: -1, Status: 404, Reasons: []string{"unknown"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRoom(t, true)
			if c.change != nil {
				c.change(r)
			}
			got := r.ask(c.path)
			if got.ID == "" {
				t.Error("the decision has no id")
			}
			if !reflect.DeepEqual(got.comparable(), c.want) {
				t.Errorf("got  %+v\nwant %+v", got.comparable(), c.want)
			}
			r.wantRecords(t, []map[string]any{{"decision_id": got.ID, "request_id": "req-1", "outcome": c.want.Outcome.String(), "path": "t/decision"}})
			if len(r.observed) != 1 || r.observed[0].Outcome != c.want.Outcome {
				t.Errorf("metrics saw %+v", r.observed)
			}
		})
	}
}

func unavailable(r *room) {
	r.tokens.token = &check.Token{Status: check.TokenUnavailable, Error: "keys_unavailable", Via: "header"}
}

func TestNoPolicyYet(t *testing.T) {
	r := newRoom(t, false)
	if got := r.ask("/allow"); got.Outcome != Unavailable {
		t.Errorf("got %s, want unavailable", got.Outcome)
	}
}

// A malformed request asks nobody: not even whose token it carries.
func TestMalformed(t *testing.T) {
	r := newRoom(t, true)
	r.tokens.panic = "asked for the token of a malformed request"
	got := r.Decide(context.Background(), &check.Request{Fault: &check.Fault{Code: "path_dot_segment", Detail: ".."}})
	want := Decision{Outcome: Malformed, RequestID: got.ID, Spent: -1, Reasons: []string{"path_dot_segment"}}
	if !reflect.DeepEqual(got.comparable(), want) {
		t.Errorf("got %+v, want %+v", got.comparable(), want)
	}
	r.wantRecords(t, []map[string]any{{"outcome": "malformed", "error": ".."}})
}

// All quotas are taken together; the 429 says what the policy had for the client.
func TestQuotas(t *testing.T) {
	r := newRoom(t, true)
	for i := range 2 {
		got := r.ask("/quota")
		if got.Outcome != Allowed || got.Quotas[0].Remaining != int64(99-i) || got.Quotas[1].Remaining != int64(1-i) {
			t.Fatalf("request %d: %+v", i+1, got)
		}
	}
	for range 3 { // refused ones consume nothing of the wide quota either
		got := r.ask("/quota")
		want := Decision{Outcome: Limited, RequestID: "req-1", Spent: 1, ResponseHeaders: []check.Header{{Name: "x-r", Value: "1"}},
			Reasons: []string{"quota_narrow"}, Quotas: []QuotaState{
				{Name: "wide", Limit: 100, Window: time.Hour, Remaining: 98, Reset: 72 * time.Second},
				{Name: "narrow", Limit: 2, Window: time.Hour, Reset: time.Hour, RetryAfter: 30 * time.Minute},
			}}
		if !reflect.DeepEqual(got.comparable(), want) {
			t.Fatalf("got  %+v\nwant %+v", got.comparable(), want)
		}
	}
	r.now = r.now.Add(30 * time.Minute)
	if got := r.ask("/quota"); got.Outcome != Allowed {
		t.Errorf("after half an hour: %+v", got)
	}
}

// Refusals use up a quota of refusals; successes and the app's failures don't, and a
// spent one closes the door for all.
func TestChargeDenied(t *testing.T) {
	r := newRoom(t, true)
	for range 5 {
		if got := r.ask("/login?ok=1"); got.Outcome != Allowed {
			t.Fatalf("success: %+v", got)
		}
	}
	for i := range 2 {
		if got := r.ask("/login?ok=0"); got.Outcome != Denied || got.Quotas[0].Remaining != int64(1-i) {
			t.Fatalf("failure %d: %+v", i+1, got)
		}
	}
	for _, path := range []string{"/login?ok=0", "/login?ok=1"} {
		got := r.ask(path)
		if got.Outcome != Limited || got.Quotas[got.Spent].Name != "failures" || got.Status != 0 || got.Body != nil {
			t.Errorf("%s: %+v", path, got)
		}
	}
	// What the policy had for the client of a refusal goes with the 429.
	if got := r.ask("/login?ok=0"); !reflect.DeepEqual(got.ResponseHeaders, []check.Header{{Name: "x-d", Value: "1"}}) {
		t.Errorf("headers of the 429: %v", got.ResponseHeaders)
	}
}

// A credential that can't be looked at is no way round a quota of refusals: whoever
// guesses another secret would add one to each guess.
func TestChargeDeniedWithoutKeys(t *testing.T) {
	r := newRoom(t, true)
	unavailable(r)
	for range 2 {
		if got := r.ask("/login?ok=0"); got.Outcome != Unavailable || !reflect.DeepEqual(got.Reasons, []string{"keys_unavailable"}) {
			t.Fatalf("refused for want of keys: %+v", got)
		}
	}
	for _, path := range []string{"/login?ok=0", "/login?ok=1"} {
		if got := r.ask(path); got.Outcome != Limited {
			t.Errorf("%s: %+v", path, got)
		}
	}
}

// Even where the quotas can't be asked, the client's page may read the answer
// (contract: response_headers_to_add, on a 5xx that follows an allow).
func TestQuotaError(t *testing.T) {
	r := newRoom(t, true)
	result := &policy.Result{Allowed: true, ResponseHeaders: []check.Header{{Name: "x-r", Value: "1"}}, Quotas: []policy.Quota{{Name: "no limit"}}}
	var got Decision
	got.take(result)
	got.settle(t.Context(), r.begin(&check.Request{}), result)
	want := Decision{Outcome: Failed, Spent: -1, Reasons: []string{"quota_error"}, ResponseHeaders: result.ResponseHeaders}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// dated remembers the time that quotas are asked with.
type dated struct {
	Quotas
	at []time.Time
}

func (d *dated) Take(ctx context.Context, now time.Time, asks []ratelimit.Ask) (ratelimit.Verdict, error) {
	d.at = append(d.at, now)
	return d.Quotas.Take(ctx, now, asks)
}

// Quotas are counted as of when they are asked: after a slow policy what is older than
// a lease allows is not used.
func TestQuotasCountNow(t *testing.T) {
	r := newRoom(t, true)
	store := &dated{Quotas: r.quotas}
	r.quotas = store
	c := r.begin(&check.Request{})
	r.now = r.now.Add(time.Second) // the policy's
	quota := policy.Quota{Name: "api", Key: []string{"k"}, Limit: 1, Burst: 1, Cost: 1, Window: time.Hour}
	trial := quota
	trial.Name, trial.Shadow = "trial", true
	result := &policy.Result{Allowed: true, Quotas: []policy.Quota{quota, trial}}
	var d Decision
	d.take(result)
	d.settle(t.Context(), c, result)
	if !reflect.DeepEqual(store.at, []time.Time{r.now, r.now}) {
		t.Errorf("asked as of %v, want twice %v", store.at, r.now)
	}
}

// away is a shared store that does not answer, with a fallback.
type away struct{ verdict ratelimit.Verdict }

func (a away) Take(context.Context, time.Time, []ratelimit.Ask) (ratelimit.Verdict, error) {
	if a.verdict.Fallback == ratelimit.FallbackDeny {
		return a.verdict, fmt.Errorf("%w: refused", ratelimit.ErrStore)
	}
	return a.verdict, nil
}

// What becomes of a request while the shared store is away is said in its reasons, after
// what decided.
func TestSharedStoreAway(t *testing.T) {
	quota := policy.Quota{Name: "api", Key: []string{"k"}, Limit: 1, Burst: 1, Cost: 1, Window: time.Hour}
	result := &policy.Result{Allowed: true, Reasons: []string{"role"}, Quotas: []policy.Quota{quota}}
	for _, c := range []struct {
		verdict ratelimit.Verdict
		outcome Outcome
		reasons []string
		quotas  int
	}{
		{ratelimit.Verdict{Allowed: true, Refused: -1, Fallback: ratelimit.FallbackAllow}, Allowed, []string{"role", "quota_fallback_allow"}, 0},
		{ratelimit.Verdict{Allowed: true, Refused: -1, States: make([]ratelimit.State, 1), Fallback: ratelimit.FallbackLocal}, Allowed, []string{"role", "quota_fallback_local"}, 1},
		{ratelimit.Verdict{States: make([]ratelimit.State, 1), Fallback: ratelimit.FallbackLocal}, Limited, []string{"role", "quota_api", "quota_fallback_local"}, 1},
		{ratelimit.Verdict{Refused: -1, Fallback: ratelimit.FallbackDeny}, Unavailable, []string{"quota_unavailable"}, 0},
	} {
		r := newRoom(t, true)
		r.quotas = away{c.verdict}
		var got Decision
		got.take(result)
		got.settle(t.Context(), r.begin(&check.Request{}), result)
		if got.Outcome != c.outcome || !reflect.DeepEqual(got.Reasons, c.reasons) || len(got.Quotas) != c.quotas {
			t.Errorf("%+v: got %+v", c.verdict, got)
		}
	}
}

// What the door itself refuses is recorded like every decision.
func TestFail(t *testing.T) {
	r := newRoom(t, true)
	got := r.Fail(nil, Failed, "panic", "index out of range")
	if got.Outcome != Failed || got.ID == "" || got.RequestID != got.ID {
		t.Errorf("got %+v", got)
	}
	r.wantRecords(t, []map[string]any{{"outcome": "failed", "error": "index out of range", "reasons": []any{"panic"}}})
}

// The zero value refuses.
func TestZeroDecision(t *testing.T) {
	if (Decision{}).Outcome != Failed || Outcome(200).String() != "failed" {
		t.Error("the zero decision is not a refusal")
	}
}

func TestIDs(t *testing.T) {
	seen := map[string]bool{}
	for range 10_000 {
		id := newID(make([]byte, 36))
		if len(id) != 36 || id[14] != '4' || !strings.ContainsRune("89ab", rune(id[19])) || seen[id] {
			t.Fatalf("not a fresh UUID of version 4: %s", id)
		}
		seen[id] = true
	}
}

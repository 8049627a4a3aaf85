package authz

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"authz/internal/check"
	"authz/internal/policy"
	"authz/internal/ratelimit"
)

func shadowed(name string, limit int64, charge policy.Charge) policy.Quota {
	return policy.Quota{Name: name, Key: []string{"k"}, Limit: limit, Burst: limit, Cost: 1, Window: time.Hour, Charge: charge, Shadow: true}
}

// settled is what becomes of a policy's result, and what the log has as its reasons.
func (r *room) settled(result *policy.Result) (Decision, []string) {
	c := r.begin(&check.Request{})
	var d Decision
	d.take(result)
	d.settle(context.Background(), c, result)
	return d, d.recorded()
}

// Beside a quota of four, one of two is on trial: the third and the fourth request pass
// as if it were not there and are reported, the fifth is refused by the other one and
// charged to neither.
func TestShadow(t *testing.T) {
	r := newRoom(t, true)
	trial := shadowed("trial", 2, policy.ChargeRequest)
	wide := shadowed("wide", 4, policy.ChargeRequest)
	wide.Shadow = false
	result := &policy.Result{Allowed: true, Reasons: []string{"flagged"}, Quotas: []policy.Quota{trial, wide}}
	for i, want := range []struct {
		outcome  Outcome
		left     int64
		shadows  []ShadowState
		recorded []string
	}{
		{Allowed, 3, []ShadowState{{Name: "trial", Passed: true}}, []string{"flagged"}},
		{Allowed, 2, []ShadowState{{Name: "trial", Passed: true}}, []string{"flagged"}},
		{Allowed, 1, []ShadowState{{Name: "trial"}}, []string{"flagged", "shadow_quota_trial"}},
		{Allowed, 0, []ShadowState{{Name: "trial"}}, []string{"flagged", "shadow_quota_trial"}},
		{Limited, 0, nil, []string{"flagged", "quota_wide"}},
	} {
		got, recorded := r.settled(result)
		if got.Outcome != want.outcome || !reflect.DeepEqual(got.Shadows, want.shadows) || !reflect.DeepEqual(recorded, want.recorded) {
			t.Errorf("request %d: %+v, recorded as %v; want %+v", i+1, got, recorded, want)
		}
		if len(got.Quotas) != 1 || got.Quotas[0].Name != "wide" || got.Quotas[0].Remaining != want.left {
			t.Errorf("request %d: the client is told of %+v, want wide with %d left", i+1, got.Quotas, want.left)
		}
	}
	// Half an hour pays one unit of the trial back: refused requests owed nothing.
	r.now = r.now.Add(30 * time.Minute)
	if got, _ := r.settled(result); !reflect.DeepEqual(got.Shadows, []ShadowState{{Name: "trial", Passed: true}}) {
		t.Errorf("after half an hour: %+v", got.Shadows)
	}
}

// Shadows are counted one by one: a spent one does not keep the next from counting.
func TestShadowsAreApart(t *testing.T) {
	r := newRoom(t, true)
	result := &policy.Result{Allowed: true, Quotas: []policy.Quota{shadowed("one", 1, policy.ChargeRequest), shadowed("two", 2, policy.ChargeRequest)}}
	for i, want := range [][]string{{}, {"shadow_quota_one"}, {"shadow_quota_one", "shadow_quota_two"}} {
		got, recorded := r.settled(result)
		if got.Outcome != Allowed || got.Quotas != nil || len(recorded) != len(want) || len(want) > 0 && !reflect.DeepEqual(recorded, want) {
			t.Errorf("request %d: %+v, recorded as %v, want %v", i+1, got, recorded, want)
		}
	}
}

// What counts is as for an enforced one: refusals here, and successes are free.
func TestShadowOfRefusals(t *testing.T) {
	r := newRoom(t, true)
	quotas := []policy.Quota{shadowed("failures", 1, policy.ChargeDenied), shadowed("all", 9, policy.ChargeRequest)}
	ask := func(allowed bool) (Decision, []string) {
		result := &policy.Result{Allowed: allowed, Quotas: quotas}
		if !allowed {
			result.Status, result.Reasons = 401, []string{"wrong_password"}
		}
		return r.settled(result)
	}
	for range 3 {
		if _, recorded := ask(true); len(recorded) != 0 {
			t.Fatalf("a success: %v", recorded)
		}
	}
	ask(false)
	for i := range 2 { // it stays a 401, whose reason leads
		got, recorded := ask(false)
		if got.Outcome != Denied || got.Status != 401 || !reflect.DeepEqual(recorded, []string{"wrong_password", "shadow_quota_failures"}) {
			t.Errorf("failure %d: %+v, recorded as %v", i+2, got, recorded)
		}
	}
	if got, recorded := ask(true); got.Outcome != Allowed || !reflect.DeepEqual(recorded, []string{"shadow_quota_failures"}) {
		t.Errorf("a success after them: %+v, recorded as %v", got, recorded)
	}
}

// broken can't count what has one of its names.
type broken struct {
	Quotas
	names map[string]bool
	asked int
}

func (b *broken) Take(ctx context.Context, now time.Time, asks []ratelimit.Ask) (ratelimit.Verdict, error) {
	b.asked++
	for i := range asks {
		if b.names[asks[i].Name] {
			return ratelimit.Verdict{Refused: -1}, errors.New("the store is away")
		}
	}
	return b.Quotas.Take(ctx, now, asks)
}

// A quota in shadow that can't be counted is told in the record and nowhere else, and
// a store that is away is waited for once.
func TestShadowStoreAway(t *testing.T) {
	r := newRoom(t, true)
	store := &broken{Quotas: r.quotas, names: map[string]bool{"trial": true}}
	r.quotas = store
	wide := shadowed("wide", 9, policy.ChargeRequest)
	wide.Shadow = false
	result := &policy.Result{Allowed: true, Quotas: []policy.Quota{shadowed("trial", 1, policy.ChargeRequest), shadowed("more", 1, policy.ChargeRequest), wide}}
	c := r.begin(&check.Request{})
	var d Decision
	d.take(result)
	d.settle(t.Context(), c, result)
	if d.Outcome != Allowed || len(d.Quotas) != 1 || !reflect.DeepEqual(d.Shadows, []ShadowState{{Name: "trial", Lost: true}, {Name: "more", Lost: true}}) || len(d.recorded()) != 0 {
		t.Errorf("got %+v, recorded as %v", d, d.recorded())
	}
	if want := `shadow quota "trial" was not counted: the store is away`; c.record.Error != want {
		t.Errorf("recorded %q, want %q", c.record.Error, want)
	}
	if store.asked != 2 {
		t.Errorf("the store was asked %d times, want once for wide and once for trial", store.asked)
	}
}

// falling answers as a shared store that is away does: its fallback counts apart.
type falling struct {
	Quotas
	asked int
}

func (f *falling) Take(ctx context.Context, now time.Time, asks []ratelimit.Ask) (ratelimit.Verdict, error) {
	f.asked++
	v, err := f.Quotas.Take(ctx, now, asks)
	v.Fallback = ratelimit.FallbackLocal
	return v, err
}

// A fallback's count is no trial: it is of this replica alone, with limits divided.
func TestShadowByFallback(t *testing.T) {
	wide := shadowed("wide", 9, policy.ChargeRequest)
	wide.Shadow = false
	for _, c := range []struct {
		name   string
		quotas []policy.Quota
	}{
		{"alone", []policy.Quota{shadowed("trial", 1, policy.ChargeRequest), shadowed("more", 1, policy.ChargeRequest)}},
		{"beside one that is enforced", []policy.Quota{wide, shadowed("trial", 1, policy.ChargeRequest), shadowed("more", 1, policy.ChargeRequest)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRoom(t, true)
			store := &falling{Quotas: r.quotas}
			r.quotas = store
			for i := range 3 {
				got, recorded := r.settled(&policy.Result{Allowed: true, Quotas: c.quotas})
				if got.Outcome != Allowed || !reflect.DeepEqual(got.Shadows, []ShadowState{{Name: "trial", Lost: true}, {Name: "more", Lost: true}}) ||
					strings.Contains(strings.Join(recorded, " "), "shadow_quota_") {
					t.Errorf("request %d: %+v, recorded as %v", i+1, got, recorded)
				}
			}
			if store.asked != 3 {
				t.Errorf("the store was asked %d times in 3 requests", store.asked)
			}
		})
	}
}

// What is recorded is also what metrics see, and the leading reason stays the policy's.
func TestShadowIsObserved(t *testing.T) {
	r := newRoom(t, true)
	for range 3 {
		if got := r.ask("/trial"); got.Outcome != Allowed {
			t.Fatalf("got %+v", got)
		}
	}
	last := r.observed[2]
	if len(last.Reasons) != 0 || last.Spent != "" || !reflect.DeepEqual(last.Shadows, []ShadowState{{Name: "trial"}, {Name: "refused", Passed: true}}) {
		t.Errorf("metrics saw %+v", last)
	}
	r.wantRecords(t, []map[string]any{{"reasons": nil}, {"reasons": nil}, {"reasons": []any{"shadow_quota_trial"}, "allowed": true, "quota": nil}})
}

// Nor is it lost where the refusal becomes a 503 for want of keys.
func TestShadowWithoutKeys(t *testing.T) {
	r := newRoom(t, true)
	unavailable(r)
	r.ask("/trial?ok=0")
	got := r.ask("/trial?ok=0")
	if got.Outcome != Unavailable || !reflect.DeepEqual(got.recorded(), []string{"keys_unavailable", "shadow_quota_refused"}) {
		t.Errorf("got %+v, recorded as %v", got, got.recorded())
	}
}

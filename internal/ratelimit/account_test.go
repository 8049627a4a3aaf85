package ratelimit

import (
	"context"
	"errors"
	"testing"
	"time"
)

// What people are told of a key is what the next request would meet.
func TestLook(t *testing.T) {
	r := redisStore(t)
	s := newShared(r, SharedConfig{Budget: patient, Fallback: FallbackDeny})
	l := limit("login", 5, 15*time.Minute)
	l.Key = []string{"address", "192.0.2.7"}
	if _, found, err := r.Look(t.Context(), l.Name, l.Key); found || err != nil {
		t.Fatalf("before the first request: found %v, %v", found, err)
	}
	for range 2 {
		take(t, s, time.Now(), Ask{Limit: l})
	}
	got, found, err := r.Look(t.Context(), l.Name, l.Key)
	if err != nil || !found {
		t.Fatalf("found %v, %v", found, err)
	}
	if got.Limit.Limit != 5 || got.Limit.Burst != 5 || got.Limit.Window != 15*time.Minute || got.Used != 2 || got.Remaining != 3 {
		t.Errorf("got %+v, want 2 used and 3 left of 5", got)
	}
	if full := got.Full.Sub(got.At); full > 6*time.Minute || full < 5*time.Minute {
		t.Errorf("full again in %s, want what two of five owe", full)
	}
	if away := time.Since(got.At); away.Abs() > time.Minute {
		t.Errorf("the store's clock is %s away", away)
	}
	if v := take(t, s, time.Now(), Ask{Limit: l, Peek: true}); v.States[0].Remaining != 3 {
		t.Errorf("looking has cost something: %d left", v.States[0].Remaining)
	}
	for _, other := range []struct {
		name string
		key  []string
	}{{"logout", l.Key}, {"login", []string{"192.0.2.7", "address"}}, {"login", []string{"address192.0.2.7"}}} {
		if _, found, err := r.Look(t.Context(), other.name, other.key); found || err != nil {
			t.Errorf("%v: found %v, %v", other, found, err)
		}
	}
}

// A key that is removed has its whole allowance, and no other has changed.
func TestForget(t *testing.T) {
	r := redisStore(t)
	s := newShared(r, SharedConfig{Budget: patient, Fallback: FallbackDeny})
	alice, bob := limit("login", 1, time.Hour), limit("login", 1, time.Hour)
	alice.Key, bob.Key = []string{"alice"}, []string{"bob"}
	for _, l := range []Limit{alice, bob} {
		take(t, s, time.Now(), Ask{Limit: l})
	}
	if v := take(t, s, time.Now(), Ask{Limit: alice}); v.Allowed {
		t.Fatal("the quota is not spent")
	}
	for i, want := range []bool{true, false} {
		if found, err := r.Forget(t.Context(), "login", alice.Key); found != want || err != nil {
			t.Errorf("removal %d: found %v, %v; want %v", i+1, found, err, want)
		}
	}
	if v := take(t, s, time.Now(), Ask{Limit: alice}); !v.Allowed {
		t.Error("it is still spent")
	}
	if v := take(t, s, time.Now(), Ask{Limit: bob}); v.Allowed {
		t.Error("another key was freed")
	}
}

// A foreign value is told as one, and removing it is the way out.
func TestLookAtForeignValues(t *testing.T) {
	r := redisStore(t)
	l := limit("poisoned", 2, time.Minute)
	name := r.name(&l)
	for _, poison := range []string{"", "x", "1800000000.000000000 2 1m0s", "-1.000000000 2 1m0s 2", "1800000000.1000000000 2 1m0s 2",
		"99999999999.000000000 2 1m0s 2", "1800000000.000000000 0 1m0s 2", "1800000000.000000000 2 soon 2", "1800000000.000000000 2 1m0s two", "a.b 2 1m0s 2"} {
		r.client.Set(t.Context(), name, poison, 0)
		if _, found, err := r.Look(t.Context(), l.Name, l.Key); found || !errors.Is(err, ErrForeign) {
			t.Errorf("%q: found %v, %v", poison, found, err)
		}
	}
	r.client.Del(t.Context(), name)
	r.client.LPush(t.Context(), name, "a")
	if _, _, err := r.Look(t.Context(), l.Name, l.Key); !errors.Is(err, ErrForeign) {
		t.Errorf("a list: %v", err)
	}
	if found, err := r.Forget(t.Context(), l.Name, l.Key); !found || err != nil {
		t.Errorf("removing it: found %v, %v", found, err)
	}
	r.client.Set(t.Context(), name, "1000000000.000000000 2 1m0s 2", 0)
	if _, found, err := r.Look(t.Context(), l.Name, l.Key); found || err != nil {
		t.Errorf("a debt that is paid: found %v, %v", found, err)
	}
}

func TestLookWithoutStore(t *testing.T) {
	r := connect(t, RedisConfig{Addresses: []string{"127.0.0.1:1"}})
	ctx, stop := context.WithTimeout(t.Context(), patient)
	defer stop()
	if _, _, err := r.Look(ctx, "a", []string{"k"}); err == nil {
		t.Error("it was read")
	}
	if _, err := r.Forget(ctx, "a", []string{"k"}); err == nil {
		t.Error("it was removed")
	}
}

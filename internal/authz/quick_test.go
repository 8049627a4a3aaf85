package authz

import (
	"context"
	"reflect"
	"testing"
	"time"

	"authz/internal/check"
	"authz/internal/ratelimit"
)

// quick asks Quick as ask asks Decide.
func (r *room) quick(path string) (Decision, bool) {
	request := &check.Request{ID: "req-1", Client: check.Client{IP: "203.0.113.7", IPBlock: "203.0.113.7", Scheme: "https"}}
	request.HTTP.Method, request.HTTP.Path = "GET", path
	request.Path, _ = check.ParsePath(path)
	d, ok := r.Quick(request, new(Space))
	if !ok {
		return Decision{}, false
	}
	return *d, true
}

// Quick knows nothing before Decide has decided, and then the same.
func TestQuick(t *testing.T) {
	for _, path := range []string{"/allow", "/deny", "/missing"} {
		t.Run(path, func(t *testing.T) {
			r := newRoom(t, true)
			if _, ok := r.quick(path); ok || len(r.observed) != 0 {
				t.Fatal("an answer that nobody has given")
			}
			want := r.ask(path)
			got, ok := r.quick(path)
			for tries := 0; !ok && tries < 20; tries++ {
				r.ask(path)
				got, ok = r.quick(path)
			}
			if !ok || !reflect.DeepEqual(got.comparable(), want.comparable()) {
				t.Fatalf("got %+v, %v\nwant %+v", got, ok, want)
			}
			if last := r.observed[len(r.observed)-1]; got.ID == "" || last.Outcome != want.Outcome {
				t.Errorf("id %q, metrics saw %+v", got.ID, last)
			}
		})
	}
}

// Quotas are charged by both, and a spent one is as spent.
func TestQuickCharges(t *testing.T) {
	r := newRoom(t, true)
	passed, quickly := 0, 0
	for range 12 {
		d, ok := r.quick("/quota")
		if ok {
			quickly++
		} else {
			d = r.ask("/quota")
		}
		if d.Outcome == Allowed {
			passed++
		}
	}
	if passed != 2 || quickly == 0 {
		t.Errorf("%d of 12 requests passed, %d decided at once; want 2 and some", passed, quickly)
	}
}

// atHand is a shared store that can sometimes answer without being asked.
type atHand struct {
	*ratelimit.Memory
	hand  bool
	taken int // by a call that waits
}

func (s *atHand) Take(ctx context.Context, now time.Time, asks []ratelimit.Ask) (ratelimit.Verdict, error) {
	s.taken++
	return s.Memory.Take(ctx, now, asks)
}

func (s *atHand) Quick(now time.Time, asks []ratelimit.Ask) (ratelimit.Verdict, bool) {
	if !s.hand {
		return ratelimit.Verdict{}, false
	}
	v, err := s.Memory.Take(context.Background(), now, asks)
	return v, err == nil
}

// What the shared store leases is charged once, by whoever decides.
func TestQuickShared(t *testing.T) {
	r := newRoom(t, true)
	store := &atHand{Memory: ratelimit.NewMemory(ratelimit.MemoryConfig{})}
	r.quotas = store
	passed, quickly := 0, 0
	for i := range 12 {
		store.hand = i%2 == 0
		d, ok := r.quick("/quota")
		if ok {
			quickly++
			if !store.hand {
				t.Fatal("decided without having asked")
			}
		} else {
			d = r.ask("/quota")
		}
		if d.Outcome == Allowed {
			passed++
		}
	}
	if passed != 2 || quickly == 0 || quickly+store.taken != 12 {
		t.Errorf("%d of 12 requests passed, %d decided at once, %d asked; want 2, some, and the rest", passed, quickly, store.taken)
	}
}

// What must not be decided at once.
func TestQuickLeavesToDecide(t *testing.T) {
	r := newRoom(t, true)
	for range 10 {
		r.ask("/allow")
	}
	if _, ok := r.quick("/allow"); !ok {
		t.Fatal("nothing is remembered")
	}
	if _, ok := r.Quick(&check.Request{Fault: &check.Fault{Code: "x"}}, new(Space)); ok {
		t.Error("a malformed request")
	}
	unavailable(r)
	if _, ok := r.quick("/allow"); ok {
		t.Error("a token that can't be looked at")
	}
}

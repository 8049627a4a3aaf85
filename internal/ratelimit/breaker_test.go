package ratelimit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// stand is a store whose orders do what a test says.
type stand struct {
	mu sync.Mutex
	*model
	cluster bool
	before  func(ctx context.Context, o *order) error
}

func (s *stand) apart() bool { return s.cluster }

func (s *stand) run(ctx context.Context, at time.Time, o *order) (receipt, error) {
	if s.before != nil {
		if err := s.before(ctx, o); err != nil {
			return receipt{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.model.run(ctx, at, o)
}

// late answers when nobody waits any more.
func late(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// Checks that wait for another one's block and then have no time left have not found
// out anything about the store: one slow order is one failure.
func TestOneSlowOrderIsOneFailure(t *testing.T) {
	var orders atomic.Int64
	store := &stand{model: newModel()}
	s := newShared(store, SharedConfig{Budget: 200 * time.Millisecond, Lease: time.Minute})
	l := limit("a", 1_000_000, time.Hour)
	for range 3 {
		take(t, s, time.Now(), Ask{Limit: l})
	}
	// The fourth wants a block, and everybody who comes while it is under way waits for it.
	asked := make(chan struct{})
	store.before = func(ctx context.Context, o *order) error {
		if orders.Add(1) == 1 {
			close(asked)
		}
		return late(ctx)
	}
	s.leases = newLeases(time.Minute) // no block left
	for range 3 {
		p, err := s.prepare([]Ask{{Limit: l}})
		must(t, err)
		s.leases.answer(time.Now(), &p[0])
	}
	var all sync.WaitGroup
	all.Go(func() { take(t, s, time.Now(), Ask{Limit: l}) })
	<-asked
	for range 100 {
		all.Go(func() {
			if v := take(t, s, time.Now(), Ask{Limit: l}); v.Fallback != FallbackLocal {
				t.Errorf("got %+v", v)
			}
		})
	}
	all.Wait()
	if got := s.Stats(); got.Failures != 1 || got.Breaker != "closed" {
		t.Errorf("one slow order: %+v", got)
	}
}

// Checks whose caller leaves them hardly any time say nothing about the store either.
func TestHurriedCallersDontOpenTheBreaker(t *testing.T) {
	store := &stand{model: newModel(), before: func(ctx context.Context, _ *order) error { return late(ctx) }}
	s := newShared(store, SharedConfig{Budget: time.Second})
	for range 30 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if v, err := s.Take(ctx, time.Now(), []Ask{{Limit: limit("a", 10, time.Hour)}}); err != nil || v.Fallback != FallbackLocal {
			t.Errorf("got %+v, %v", v, err)
		}
		cancel()
	}
	if got := s.Stats(); got.Breaker != "closed" {
		t.Errorf("the breaker is %s", got.Breaker)
	}
}

// A store that is away is found out by a replica with little to do as well.
func TestRareFailuresOpenTheBreaker(t *testing.T) {
	if testing.Short() {
		t.Skip("seconds of outage")
	}
	store := &stand{model: newModel(), before: func(context.Context, *order) error { return errors.New("connection refused") }}
	s := newShared(store, SharedConfig{Budget: patient})
	for range 6 {
		take(t, s, time.Now(), Ask{Limit: limit("a", 10, time.Hour)})
		time.Sleep(400 * time.Millisecond) // fewer than five failures in a second are what is tested
	}
	if got := s.Stats(); got.Breaker == "closed" {
		t.Errorf("after six failures in a row: %+v", got)
	}
}

// A pause of some milliseconds costs those who come in it the fallback, not everybody
// who comes in the half second after it.
func TestHiccup(t *testing.T) {
	store := &stand{model: newModel(), before: func(context.Context, *order) error { return errors.New("too slow") }}
	s := newShared(store, SharedConfig{Budget: patient, Fallback: FallbackDeny})
	l := limit("a", 1000, time.Hour)
	begun := time.Now()
	for range 20 {
		if _, err := s.Take(t.Context(), time.Now(), []Ask{{Limit: l}}); !errors.Is(err, ErrStore) {
			t.Fatal(err)
		}
	}
	if time.Since(begun) >= hiccup {
		t.Skip("twenty checks took longer than a hiccup")
	}
	store.before = nil
	take(t, s, time.Now(), Ask{Limit: l})
}

// When the breaker opens the log says why, and what it says is once said.
func TestLogOfTheStore(t *testing.T) {
	var text bytes.Buffer
	store := &stand{model: newModel(), before: func(_ context.Context, o *order) error { return fmt.Errorf("%w: %s", errPoisoned, o.keys[0].name) }}
	s := newShared(store, SharedConfig{Budget: patient, Log: slog.New(slog.NewTextHandler(&text, nil))})
	l := limit("login", 10, time.Hour)
	for range 1000 {
		take(t, s, time.Now(), Ask{Limit: l})
	}
	if n := strings.Count(text.String(), "\n"); n != 1 || !strings.Contains(text.String(), store.name(&l)) {
		t.Errorf("a thousand checks of one poisoned key write %d lines: %.300s", n, text.String())
	}
	text.Reset()
	store.before = func(context.Context, *order) error { return errors.New("WRONGPASS invalid username-password pair") }
	begun := time.Now()
	for s.Stats().Breaker == "closed" && time.Since(begun) < patient {
		take(t, s, time.Now(), Ask{Limit: l})
	}
	if !strings.Contains(text.String(), "WRONGPASS") {
		t.Errorf("the log does not say why the breaker is open: %s", text.String())
	}
}

// In a Cluster, what was charged for a call that another server's key refuses is given
// back, and the check waits for that no longer than its budget.
func TestGivingBackStaysInTheBudget(t *testing.T) {
	wide, narrow := limit("wide", 100, time.Hour), limit("narrow", 1, time.Hour)
	narrow.Key = []string{"another"}
	store := &stand{model: newModel(), cluster: true}
	store.before = func(ctx context.Context, o *order) error {
		if len(o.asks) == 0 {
			return late(ctx) // the server with the wide one has just gone
		}
		return nil
	}
	s := newShared(store, SharedConfig{Budget: 300 * time.Millisecond})
	take(t, s, time.Now(), Ask{Limit: narrow})
	begun := time.Now()
	if v := take(t, s, time.Now(), Ask{Limit: wide}, Ask{Limit: narrow}); v.Allowed {
		t.Errorf("got %+v", v)
	}
	if took := time.Since(begun); took > 5*s.config.Budget {
		t.Errorf("the check took %s with a budget of %s", took, s.config.Budget)
	}
}

// Ending takes a second at most, however many units are held and however slow the
// store is.
func TestCloseEnds(t *testing.T) {
	store := &stand{model: newModel()}
	s := newShared(store, SharedConfig{Budget: 100 * time.Millisecond, Lease: time.Hour})
	for i := range 5000 {
		l := limit("a", 1_000_000, 100*time.Hour)
		l.Key = []string{fmt.Sprint(i)}
		for range 4 {
			take(t, s, time.Now(), Ask{Limit: l})
		}
	}
	store.before = func(ctx context.Context, _ *order) error {
		select {
		case <-time.After(900 * time.Millisecond): // slow, and in time for giving back
		case <-ctx.Done():
		}
		return ctx.Err()
	}
	begun := time.Now()
	s.Close()
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("ending took %s", took)
	}
}

// A lease that has to make room gives back what it holds.
func TestEvictedLeasesGiveBack(t *testing.T) {
	store := &stand{model: newModel()}
	s := newShared(store, SharedConfig{Budget: patient, Lease: time.Hour})
	l := limit("a", 1_000_000, 1000*time.Hour)
	for range 20 {
		take(t, s, time.Now(), Ask{Limit: l})
	}
	other := l
	for i := range 2 * leaseShards * leaseKeys {
		other.Key = []string{fmt.Sprint("other", i)}
		take(t, s, time.Now(), Ask{Limit: other})
	}
	s.Close()
	left := take(t, newShared(store, SharedConfig{Budget: patient}), time.Now(), Ask{Limit: l, Peek: true}).States[0].Remaining
	if left < 1_000_000-20 {
		t.Errorf("%d left: the lease took %d along", left, 1_000_000-20-left)
	}
}

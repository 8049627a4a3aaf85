package ratelimit

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

var fleetTime = flag.Duration("fleet.time", 3*time.Second, "how long the ten replicas are under load")

// event is one check as its caller saw it.
type event struct {
	key         int
	begun, done time.Duration
	passed      bool
}

// Ten replicas, one Redis, 10,000 keys with skewed load. From the whole log: no key
// passes more than its bound in any interval, what can be used is used, and hot keys
// hardly cost round trips.
func TestTenReplicas(t *testing.T) {
	if testing.Short() {
		t.Skip("seconds of load")
	}
	l := Limit{Name: "api", Limit: 200, Burst: 200, Cost: 1, Window: 2 * time.Second}
	exact, _ := tenReplicas(t, l, 0)
	leases, stats := tenReplicas(t, l, 200*time.Millisecond)
	t.Logf("without leases: %s", exact)
	t.Logf("with leases:    %s", leases)
	t.Logf("%+v", stats)
	t.Logf("round trips a check of a hot key: %.0f times fewer", exact.hotTrips/leases.hotTrips)
	// How many times fewer depends on how fast the machine asks; what a hot key costs the
	// store a second does not: its units one by one at worst, and each replica's tries.
	if most := 2*100.0 + 10*6/0.2; leases.hotRate > most {
		t.Errorf("%.0f round trips a second for a hot key, at most %.0f", leases.hotRate, most)
	}
}

type tally struct {
	checks          int
	trips, hotTrips float64 // a check
	hotRate         float64 // round trips a second for one hot key
	usable          float64
	fullest         float64
}

func (a tally) String() string {
	return fmt.Sprintf("%d checks, %.3f round trips a check, %.4f a check of a hot key, %.2f %% of the allowance used where it was wanted, fullest key at %.2f of its bound",
		a.checks, a.trips, a.hotTrips, 100*a.usable, a.fullest)
}

// counted is a store that knows which orders were for hot keys alone.
type counted struct {
	*Redis
	mu  sync.Mutex
	hot map[string]bool
	n   int
}

func (c *counted) run(ctx context.Context, at time.Time, o *order) (receipt, error) {
	c.mu.Lock()
	for _, k := range o.keys {
		if c.hot[k.name] {
			c.n++
			break
		}
	}
	c.mu.Unlock()
	return c.Redis.run(ctx, at, o)
}

func tenReplicas(t *testing.T, l Limit, lease time.Duration) (tally, SharedStats) {
	const replicas, keys, hot = 10, 10_000, 5
	first := redisStore(t)
	store := &counted{Redis: first, hot: map[string]bool{}}
	limits := make([]Limit, keys)
	for i := range limits {
		limits[i] = l
		limits[i].Key = []string{fmt.Sprint("user", i)}
		if i < hot {
			store.hot[first.name(&limits[i])] = true
		}
	}
	var all sync.WaitGroup
	logs := make([][]event, replicas)
	stores := make([]*Shared, replicas)
	begun := time.Now()
	for i := range replicas {
		s := newShared(store, SharedConfig{Budget: patient, Fallback: FallbackDeny, Lease: lease})
		if lease > 0 {
			s.sweeper.Go(s.sweep)
		}
		stores[i] = s
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 3))
			popular := rand.NewZipf(random, 1.2, 1, keys-1)
			for time.Since(begun) < *fleetTime {
				e := event{key: int(popular.Uint64())}
				now := time.Now()
				e.begun = now.Sub(begun)
				v, err := s.Take(context.Background(), now, []Ask{{Limit: limits[e.key]}})
				if err != nil {
					t.Error(err)
					return
				}
				e.done, e.passed = time.Since(begun), v.Allowed
				logs[i] = append(logs[i], e)
			}
		})
	}
	all.Wait()
	var stats SharedStats
	for _, s := range stores {
		s.Close()
		st := s.Stats()
		stats.RoundTrips, stats.Local, stats.Refused, stats.Returned = stats.RoundTrips+st.RoundTrips, stats.Local+st.Local, stats.Refused+st.Refused, stats.Returned+st.Returned
	}
	log := slices.Concat(logs...)
	return audit(t, log, l, lease, stats, store), stats
}

// audit looks at the log of a key as a leaky bucket that drains at the limit's rate:
// its highest level is the largest excess of any interval.
func audit(t *testing.T, log []event, l Limit, lease time.Duration, stats SharedStats, store *counted) tally {
	slices.SortFunc(log, func(a, b event) int { return cmp.Compare(a.done, b.done) })
	var slowest time.Duration
	for _, e := range log {
		slowest = max(slowest, e.done-e.begun)
	}
	r, err := l.rate()
	if err != nil {
		t.Fatal(err)
	}
	perSecond := float64(l.Limit) / l.Window.Seconds()
	// A check is charged between its begin and its end, or up to one lease before.
	most := float64(l.Burst) + perSecond*(lease+slowest).Seconds() + 1
	type book struct {
		level, fullest          float64
		at                      time.Duration
		passed, ideal, attempts int64
		tat                     int64
	}
	books := map[int]*book{}
	a := tally{checks: len(log)}
	hotChecks := 0
	for _, e := range log {
		b := books[e.key]
		if b == nil {
			b = &book{}
			books[e.key] = b
		}
		b.attempts++
		if e.key < len(store.hot) {
			hotChecks++
		}
		if next, ok := r.take(b.tat, int64(e.done), 1); ok {
			b.tat = next
			b.ideal++
		}
		if e.passed {
			b.level = max(b.level-(e.done-b.at).Seconds()*perSecond, 0) + 1
			b.at = e.done
			b.fullest = max(b.fullest, b.level)
			b.passed++
		}
	}
	var passed, ideal int64
	limited := 0
	for key, b := range books {
		a.fullest = max(a.fullest, b.fullest/most)
		if b.fullest > most {
			t.Errorf("key %d: %.1f at once, at most %.1f", key, b.fullest, most)
		}
		if b.ideal < b.attempts {
			limited++
		}
		passed, ideal = passed+b.passed, ideal+b.ideal
	}
	a.usable = float64(passed) / float64(ideal)
	a.trips = float64(stats.RoundTrips) / float64(len(log))
	a.hotTrips = float64(store.n) / float64(hotChecks)
	a.hotRate = float64(store.n) / float64(len(store.hot)) / fleetTime.Seconds()
	if a.usable < 0.97 {
		t.Errorf("lease %s: %.1f %% of the allowance is usable", lease, 100*a.usable)
	}
	if limited == 0 {
		t.Log("no key met its limit: the machine was too busy for this test to mean much")
	}
	return a
}

package ratelimit

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// store is what every store of this package is held to.
type store interface {
	Take(ctx context.Context, now time.Time, asks []Ask) (Verdict, error)
}

// suite runs every promise of the package against a fresh store each.
func suite(t *testing.T, fresh func() store) {
	for name, test := range map[string]func(*testing.T, store){
		"burst, then the rate":                burstThenRate,
		"no interval passes more than bound":  boundHolds,
		"all or none":                         allOrNone,
		"the same key twice in one call":      sameKeyTwice,
		"peeking is free":                     peek,
		"keys never meet":                     keysNeverMeet,
		"the clock goes back":                 clockBack,
		"a cost above the burst never passes": costAboveBurst,
		"extremes":                            extremes,
		"the longest wait is told":            longestWait,
		"debts outlive a change of the limit": changedLimit,
		"what is no limit":                    noLimit,
		"many at once":                        manyAtOnce,
	} {
		t.Run(name, func(t *testing.T) { test(t, fresh()) })
	}
}

var start = time.Unix(1_800_000_000, 0)

func limit(name string, n int64, window time.Duration) Limit {
	return Limit{Name: name, Key: []string{"k"}, Limit: n, Burst: n, Cost: 1, Window: window}
}

func take(t *testing.T, s store, now time.Time, asks ...Ask) Verdict {
	t.Helper()
	v, err := s.Take(context.Background(), now, asks)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func burstThenRate(t *testing.T, s store) {
	l := limit("a", 3, 3*time.Second)
	for i := range 3 {
		want := Verdict{Allowed: true, Refused: -1, States: []State{{Allowed: true, Remaining: int64(2 - i), Reset: time.Duration(i+1) * time.Second}}}
		if got := take(t, s, start, Ask{Limit: l}); !reflect.DeepEqual(got, want) {
			t.Fatalf("request %d: got %+v, want %+v", i+1, got, want)
		}
	}
	want := Verdict{Refused: 0, States: []State{{Reset: 3 * time.Second, RetryAfter: time.Second}}}
	if got := take(t, s, start, Ask{Limit: l}); !reflect.DeepEqual(got, want) {
		t.Fatalf("the fourth: got %+v, want %+v", got, want)
	}
	if v := take(t, s, start.Add(time.Second-1), Ask{Limit: l}); v.Allowed {
		t.Error("a nanosecond too early passes")
	}
	if v := take(t, s, start.Add(time.Second), Ask{Limit: l}); !v.Allowed {
		t.Error("after RetryAfter it does not pass")
	}
}

// boundHolds sends random traffic, a part of it late and among other keys, and looks
// at every interval of the log.
func boundHolds(t *testing.T, s store) {
	rounds := 200
	if _, memory := s.(*Memory); !memory {
		rounds = 40 // each check is a round trip
	}
	random := rand.New(rand.NewPCG(1, 2))
	for round := range rounds {
		l := Limit{
			Name: fmt.Sprint("bound", round%10), Key: []string{fmt.Sprint(round)},
			Limit: 1 + random.Int64N(50), Burst: 1 + random.Int64N(20), Window: time.Duration(1 + random.Int64N(int64(time.Minute))),
		}
		if round%3 == 0 {
			l.Window = time.Duration(1 + random.Int64N(100)) // where rounding shows
		}
		var log passages
		now := start.Add(time.Duration(round) * time.Hour)
		for i := range 300 {
			if random.IntN(3) > 0 {
				now = now.Add(time.Duration(random.Int64N(int64(l.Window)/l.Limit + 1)))
			}
			at := now
			if random.IntN(5) == 0 {
				at = at.Add(-time.Duration(random.Int64N(int64(20 * time.Second))))
			}
			other := l
			other.Cost, other.Key = 1, []string{"other", fmt.Sprint(random.IntN(1000))}
			take(t, s, now, Ask{Limit: other})
			l.Cost = 1 + random.Int64N(3)
			if take(t, s, at, Ask{Limit: l}).Allowed {
				log = append(log, passage{at.UnixNano(), l.Cost})
			}
			if i == 0 && l.Cost <= l.Burst && len(log) == 0 && round == 0 {
				t.Error("the very first request of all is refused")
			}
		}
		log.check(t, l)
	}
}

type passage struct{ at, cost int64 }

type passages []passage

// check holds burst + limit·t/window against the log, between any two times in it.
func (log passages) check(t *testing.T, l Limit) {
	t.Helper()
	slices.SortFunc(log, func(a, b passage) int { return cmp.Compare(a.at, b.at) })
	for i := range log {
		sum := int64(0)
		for _, p := range log[i:] {
			sum += p.cost
			if length := p.at - log[i].at; (sum-l.Burst)*int64(l.Window) > l.Limit*length {
				t.Fatalf("%d units in %s with %+v", sum, time.Duration(length), l)
			}
		}
	}
}

func allOrNone(t *testing.T, s store) {
	wide, narrow := limit("wide", 100, time.Hour), limit("narrow", 1, time.Hour)
	take(t, s, start, Ask{Limit: wide}, Ask{Limit: narrow})
	for range 5 {
		v := take(t, s, start, Ask{Limit: wide}, Ask{Limit: narrow})
		want := Verdict{Refused: 1, States: []State{
			{Allowed: true, Remaining: 99, Reset: 36 * time.Second},
			{Reset: time.Hour, RetryAfter: time.Hour},
		}}
		if !reflect.DeepEqual(v, want) {
			t.Fatalf("got %+v, want %+v: a refused call consumed", v, want)
		}
	}
	if v := take(t, s, start, Ask{Limit: wide}); v.States[0].Remaining != 98 {
		t.Errorf("got %+v, want 98 left", v.States[0])
	}
}

func sameKeyTwice(t *testing.T, s store) {
	l := limit("a", 3, time.Hour)
	if v := take(t, s, start, Ask{Limit: l}, Ask{Limit: l}); !v.Allowed || v.States[1].Remaining != 1 {
		t.Fatalf("two of three: %+v", v)
	}
	want := Verdict{Refused: 1, States: []State{
		{Allowed: true, Remaining: 1, Reset: 40 * time.Minute},
		{Remaining: 1, Reset: 40 * time.Minute, RetryAfter: 20 * time.Minute},
	}}
	if v := take(t, s, start, Ask{Limit: l}, Ask{Limit: l}); !reflect.DeepEqual(v, want) {
		t.Fatalf("two of one: got %+v, want %+v", v, want)
	}
	if v := take(t, s, start, Ask{Limit: l}); !v.Allowed || v.States[0].Remaining != 0 {
		t.Errorf("the last one: %+v", v)
	}
}

func peek(t *testing.T, s store) {
	l := limit("a", 1, time.Hour)
	for range 3 {
		if v := take(t, s, start, Ask{Limit: l, Peek: true}); !v.Allowed || v.States[0].Remaining != 1 {
			t.Fatalf("peeking consumed: %+v", v)
		}
	}
	take(t, s, start, Ask{Limit: l})
	if v := take(t, s, start, Ask{Limit: l, Peek: true}); v.Allowed {
		t.Error("a spent limit looks free")
	}
}

func keysNeverMeet(t *testing.T, s store) {
	for _, k := range []struct {
		name string
		key  []string
	}{
		{"n", []string{"a", "b_c"}}, {"n", []string{"a_b", "c"}}, {"n", []string{"a", "b", "c"}}, {"n", []string{"ab_c"}},
		{"n", []string{"abc"}}, {"n", []string{"abc", ""}}, {"n", []string{"", "abc"}}, {"n", nil}, {"n", []string{""}},
		{"na", []string{"bc"}}, {"n\x00a", []string{"bc"}}, {"", []string{"n", "a", "bc"}}, {"n", []string{"a\x00", "bc"}}, {"n", []string{"a", "\x00bc"}},
	} {
		l := limit(k.name, 1, time.Hour)
		l.Key = k.key
		if v := take(t, s, start, Ask{Limit: l}); !v.Allowed {
			t.Errorf("%q %q met another key", k.name, k.key)
		}
	}
}

func clockBack(t *testing.T, s store) {
	l := limit("a", 2, time.Hour)
	take(t, s, start, Ask{Limit: l})
	take(t, s, start, Ask{Limit: l})
	for _, back := range []time.Duration{time.Second, 24 * time.Hour, 24 * 365 * time.Hour} {
		if v := take(t, s, start.Add(-back), Ask{Limit: l}); v.Allowed {
			t.Errorf("%s back: a spent limit passes", back)
		}
	}
	if v := take(t, s, start.Add(time.Hour), Ask{Limit: l}); !v.Allowed {
		t.Error("later it does not pass")
	}
}

func costAboveBurst(t *testing.T, s store) {
	l := limit("a", 3, time.Second)
	l.Cost = 4
	for _, at := range []time.Time{start, start.Add(1000 * time.Hour)} {
		want := Verdict{Refused: 0, States: []State{{RetryAfter: Never}}}
		if got := take(t, s, at, Ask{Limit: l}); !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	l.Cost = 3
	if v := take(t, s, start, Ask{Limit: l}); !v.Allowed {
		t.Error("refused asks consumed")
	}
}

func extremes(t *testing.T, s store) {
	const huge = 1_000_000_000
	for _, l := range []Limit{
		{Name: "fast", Limit: huge, Burst: huge, Cost: huge, Window: time.Second},
		{Name: "rounded", Limit: huge, Burst: 1, Cost: 1, Window: time.Millisecond},
		{Name: "slow", Limit: 1, Burst: 1, Cost: 1, Window: 31 * 24 * time.Hour},
		{Name: "deep", Limit: 1, Burst: 800, Cost: 800, Window: 31 * 24 * time.Hour},
		{Name: "cut to a lifetime", Limit: 1, Burst: math.MaxInt64, Cost: 860, Window: 31 * 24 * time.Hour},
		{Name: "century", Limit: 1, Burst: 1, Cost: 1, Window: 50 * 365 * 24 * time.Hour},
	} {
		if v := take(t, s, start, Ask{Limit: l}); !v.Allowed {
			t.Errorf("%s: the first is refused: %+v", l.Name, v)
		}
		if v := take(t, s, start, Ask{Limit: l}); v.Allowed {
			t.Errorf("%s: the second passes", l.Name)
		}
	}
}

func longestWait(t *testing.T, s store) {
	a, b, c := limit("a", 1, time.Minute), limit("b", 1, time.Hour), limit("c", 1, time.Second)
	asks := []Ask{{Limit: a}, {Limit: b}, {Limit: c}}
	take(t, s, start, asks...)
	if v := take(t, s, start, asks...); v.Allowed || v.Refused != 1 {
		t.Errorf("got %+v, want the second", v)
	}
}

// A policy that changes a limit's numbers forgives nothing by that.
func changedLimit(t *testing.T, s store) {
	l := limit("a", 2, time.Hour)
	take(t, s, start, Ask{Limit: l})
	take(t, s, start, Ask{Limit: l})
	faster := limit("a", 60, time.Hour)
	if v := take(t, s, start, Ask{Limit: faster}); v.Allowed || v.States[0].RetryAfter != time.Minute {
		t.Errorf("got %+v", v)
	}
}

func noLimit(t *testing.T, s store) {
	good := limit("good", 1, time.Hour)
	for _, l := range []Limit{
		{Name: "a", Burst: 1, Cost: 1, Window: 1}, {Name: "a", Limit: 1, Cost: 1, Window: 1}, {Name: "a", Limit: 1, Burst: 1, Window: 1},
		{Name: "a", Limit: 1, Burst: 1, Cost: 1}, {Name: "a", Limit: -1, Burst: 1, Cost: 1, Window: 1}, {Name: "a", Limit: 1, Burst: 1, Cost: -1, Window: 1},
		{},
	} {
		if v, err := s.Take(context.Background(), start, []Ask{{Limit: good}, {Limit: l}}); err == nil || v.Allowed {
			t.Errorf("%+v: got %+v, %v", l, v, err)
		}
	}
	if v := take(t, s, start, Ask{Limit: good}); !v.Allowed {
		t.Error("a call that made no sense consumed")
	}
	want := Verdict{Allowed: true, Refused: -1}
	if got := take(t, s, start); !reflect.DeepEqual(got, want) {
		t.Errorf("no asks: got %+v, want %+v", got, want)
	}
}

func manyAtOnce(t *testing.T, s store) {
	a, b := limit("a", 500, time.Hour), limit("b", 700, time.Hour)
	var passed atomic.Int64
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 200 {
				asks := []Ask{{Limit: a}, {Limit: b}}
				if i%2 == 0 {
					slices.Reverse(asks)
				}
				if v, err := s.Take(context.Background(), start, asks); err == nil && v.Allowed {
					passed.Add(1)
				}
			}
		})
	}
	all.Wait()
	if got := passed.Load(); got != 500 {
		t.Errorf("%d passed, want 500", got)
	}
	if v := take(t, s, start, Ask{Limit: b}); v.States[0].Remaining != 199 {
		t.Errorf("b has %d left, want 199", v.States[0].Remaining)
	}
}

package ratelimit

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"
)

// The arithmetic agrees with that of unbounded integers, at the edges of its range
// above all.
func TestNothingOverflows(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	edge := func(most int64) int64 {
		switch random.IntN(4) {
		case 0:
			return random.Int64N(3)
		case 1:
			return most - random.Int64N(3)
		case 2:
			return random.Int64N(most)
		}
		return int64(1) << random.IntN(62) % (most + 1)
	}
	passed := 0
	for range 200_000 {
		l := Limit{Limit: 1 + edge(math.MaxInt64-1), Burst: 1 + edge(math.MaxInt64-1), Cost: 1 + edge(math.MaxInt64-1), Window: time.Duration(1 + edge(math.MaxInt64-1))}
		r, err := l.rate()
		if err != nil {
			t.Fatalf("%+v: %v", l, err)
		}
		if burst := new(big.Int).Mul(big.NewInt(r.interval), big.NewInt(l.Burst)); big.NewInt(r.tolerance).Cmp(burst) > 0 || r.tolerance < 0 || r.tolerance > maxOwed {
			t.Fatalf("%+v: tolerance %d", l, r.tolerance)
		}
		now := edge(maxTime)
		tat := edge(maxTime + maxOwed)
		next := new(big.Int).Mul(big.NewInt(l.Cost), big.NewInt(r.interval))
		next.Add(next, big.NewInt(max(tat, now)))
		want := new(big.Int).Sub(next, big.NewInt(now)).Cmp(big.NewInt(r.tolerance)) <= 0
		got, passes := r.take(tat, now, l.Cost)
		if passes != want || passes && next.Cmp(big.NewInt(got)) != 0 || !passes && got != tat {
			t.Fatalf("%+v at %d with %d: got %d, %v; want %d, %v", l, now, tat, got, passes, next, want)
		}
		s := r.state(tat, now, l.Cost, passes)
		if s.Remaining < 0 || s.Reset < 0 || s.RetryAfter < 0 || !passes && s.RetryAfter == 0 {
			t.Fatalf("%+v at %d with %d: %+v", l, now, tat, s)
		}
		if passes {
			passed++
		}
	}
	if passed < 1000 {
		t.Errorf("only %d passed: the test does not test", passed)
	}
}

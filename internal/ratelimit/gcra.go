package ratelimit

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// rate is a limit as the generic cell rate algorithm counts it (ITU-T I.371; "leaky
// bucket as a meter"), in nanoseconds.
//
// The state of a key is one number, its theoretical arrival time (TAT): when the
// key's debt will be paid off. A request of cost c at time now passes if
//
//	max(TAT, now) + c·interval − now ≤ tolerance
//
// and then moves TAT there. So each unit of cost owes one interval, and at most
// tolerance may be owed at once. Within any t nanoseconds at most
// (tolerance + t) / interval units pass, which with tolerance = burst·interval and
// interval ≥ window/limit is at most burst + limit·t/window.
type rate struct {
	interval  int64 // what a unit of cost owes: window/limit, rounded up
	tolerance int64 // what may be owed at once: burst·interval
}

// maxOwed keeps every sum below the range of int64: a wall clock in nanoseconds is
// below 2^62 until the year 2116.
const maxOwed = math.MaxInt64 / 4

var errLimit = errors.New("not a limit")

func (l *Limit) rate() (rate, error) {
	if l.Limit < 1 || l.Window < 1 || l.Burst < 1 || l.Cost < 1 {
		return rate{}, fmt.Errorf("%w: %q: limit %d, window %s, burst %d and cost %d must be positive", errLimit, l.Name, l.Limit, l.Window, l.Burst, l.Cost)
	}
	interval := (int64(l.Window)-1)/l.Limit + 1
	if l.Burst > maxOwed/interval {
		return rate{}, fmt.Errorf("%w: %q: a burst of %d is paid off in more than a lifetime", errLimit, l.Name, l.Burst)
	}
	return rate{interval, l.Burst * interval}, nil
}

// take returns the TAT after a request of that cost, and whether the request passes.
// A request that does not pass owes nothing: the caller keeps the old TAT. A clock
// that went back makes the debt look larger, never smaller.
func (r rate) take(tat, now, cost int64) (next int64, passes bool) {
	if cost > r.tolerance/r.interval {
		return tat, false // and would overflow
	}
	next = max(tat, now) + cost*r.interval
	return next, next-now <= r.tolerance
}

// state describes a key with that TAT to whoever asks at cost.
func (r rate) state(tat, now, cost int64, allowed bool) State {
	owed := max(tat-now, 0)
	s := State{Allowed: allowed, Reset: time.Duration(owed)}
	if free := r.tolerance - owed; free > 0 {
		s.Remaining = free / r.interval / cost
	}
	if !allowed {
		s.RetryAfter = time.Duration(math.MaxInt64) // a cost above the burst never passes
		if cost <= r.tolerance/r.interval {
			s.RetryAfter = time.Duration(owed + cost*r.interval - r.tolerance)
		}
	}
	return s
}

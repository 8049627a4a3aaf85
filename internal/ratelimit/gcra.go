package ratelimit

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// rate is a limit as the generic cell rate algorithm counts it (ITU-T I.371, the
// virtual scheduling form), in nanoseconds.
//
// The state of a key is one number, its theoretical arrival time (TAT): when what
// the key owes will be paid off. A request of cost c at time now passes if
//
//	max(TAT, now) + c·interval − now ≤ tolerance
//
// and then moves TAT there. So each unit owes one interval, and at most tolerance
// may be owed at once.
//
// The bound. Take the requests that passed with a time in [a, b]. The first leaves
// TAT at a + c·interval or later, each further one moves it on by c·interval or more,
// and the last one left it at b + tolerance or earlier. So
//
//	Σc ≤ (b − a + tolerance) / interval ≤ burst + limit·(b − a)/window
//
// because tolerance ≤ burst·interval and interval ≥ window/limit. Nothing here needs
// the times to come in order, only that TAT never goes back: a clock that goes back
// makes debts look larger and grants nothing. A store that starts a key from a TAT
// which is too late grants less; one that starts it too early would break the bound.
type rate struct {
	interval  int64 // what a unit of cost owes: window/limit, rounded up
	tolerance int64 // what may be owed at once: burst·interval, at most maxOwed
}

// Every time is within [0, maxTime] and every debt within maxOwed (73 years), so no
// sum below leaves the range of int64: a TAT is at most maxTime + maxOwed, and one
// more debt is added to it.
const (
	maxTime = math.MaxInt64 / 2
	maxOwed = math.MaxInt64 / 4
)

var errLimit = errors.New("not a limit")

func (l *Limit) rate() (rate, error) {
	if l.Limit < 1 || l.Window < 1 || l.Burst < 1 || l.Cost < 1 {
		return rate{}, fmt.Errorf("%w: %q: limit %d, window %s, burst %d and cost %d must be positive", errLimit, l.Name, l.Limit, l.Window, l.Burst, l.Cost)
	}
	r := rate{interval: (int64(l.Window)-1)/l.Limit + 1, tolerance: maxOwed}
	if l.Burst <= maxOwed/r.interval {
		r.tolerance = l.Burst * r.interval
	}
	return r, nil
}

// take returns the TAT after a request of that cost, and whether the request passes.
// One that does not pass owes nothing: TAT stays.
func (r rate) take(tat, now, cost int64) (next int64, passes bool) {
	if cost > r.tolerance/r.interval {
		return tat, false // more than the burst; and the product might overflow
	}
	if next = max(tat, now) + cost*r.interval; next-now > r.tolerance {
		return tat, false
	}
	return next, true
}

// state describes a key with that TAT to one who asks at that cost.
func (r rate) state(tat, now, cost int64, allowed bool) State {
	owed := max(tat, now) - now
	s := State{Allowed: allowed, Reset: time.Duration(owed)}
	if free := r.tolerance - owed; free > 0 {
		s.Remaining = free / r.interval / cost
	}
	if !allowed {
		s.RetryAfter = Never
		if cost <= r.tolerance/r.interval {
			s.RetryAfter = time.Duration(max(owed+cost*r.interval-r.tolerance, 0))
		}
	}
	return s
}

package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/errgroup"
)

// errHurried is an order that nobody had time to wait for. It says nothing about the
// store.
var errHurried = errors.New("no time was left for the quota store")

// send gives the store an order, if the breaker lets it.
func (s *Shared) send(ctx context.Context, at time.Time, o *order) (receipt, error) {
	if err := ctx.Err(); err != nil {
		return receipt{}, fmt.Errorf("%w: %w", errHurried, err)
	}
	end, bounded := ctx.Deadline()
	hurried := bounded && time.Until(end) < s.config.Budget/2
	t, err := s.breaker.Execute(func() (receipt, error) {
		s.counts.trips.Add(1)
		t, err := s.store.run(ctx, at, o)
		switch {
		case err == nil, errors.Is(err, errPoisoned):
			s.health.passed()
		case errors.Is(context.Cause(ctx), context.Canceled), hurried && !time.Now().Before(end):
			err = fmt.Errorf("%w: %w", errHurried, err)
		default:
			s.health.failed(time.Now(), err)
		}
		return t, err
	})
	switch {
	case err == nil:
	case errors.Is(err, errPoisoned):
		s.counts.poisoned.Add(1)
		if s.health.tell(time.Now()) {
			s.log.Warn("quota store: "+err.Error(), "until", "it expires, within its limit's window", "fallback", string(s.config.Fallback))
		}
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests), errors.Is(err, errHurried):
	default:
		s.counts.failures.Add(1)
		s.log.Debug("quota store", "error", err.Error())
	}
	return t, err
}

// fallback answers in the store's place.
func (s *Shared) fallback(ctx context.Context, now time.Time, asks []Ask, cause error) (Verdict, error) {
	s.counts.fallbacks.Add(1)
	switch s.config.Fallback {
	case FallbackAllow:
		return Verdict{Allowed: true, Refused: -1, Fallback: FallbackAllow}, nil
	case FallbackDeny:
		return Verdict{Refused: -1, Fallback: FallbackDeny}, fmt.Errorf("%w: %w", ErrStore, cause)
	}
	shares := make([]Ask, len(asks))
	for i := range asks {
		shares[i] = asks[i]
		l := &shares[i].Limit
		n := int64(s.config.Replicas)
		l.Limit, l.Burst = (l.Limit-1)/n+1, max((l.Burst-1)/n+1, min(l.Cost, l.Burst))
	}
	v, err := s.local.Take(ctx, now, shares)
	v.Fallback = FallbackLocal
	return v, err
}

// refill asks for the next block of a key without anyone waiting for it.
func (s *Shared) refill(p part) {
	asked := s.now()
	select {
	case s.refills <- struct{}{}:
	default: // many are under way; the next request of the key will see to it
		s.leases.learn(asked, asked, &p, false, 0, 0, 0)
		return
	}
	p.Ask = &Ask{Limit: cloneLimit(&p.Limit)}
	s.async(func() {
		defer func() { <-s.refills }()
		ctx, cancel := context.WithTimeout(context.Background(), s.config.Budget)
		defer cancel()
		name := s.store.name(&p.Limit)
		a := p.order(0, false)
		a.owes = 0
		o := order{keys: []orderKey{{name: name, back: s.leases.begin(&p, name), keep: time.Duration(p.rate.tolerance)}}, asks: []orderAsk{a}}
		t, err := s.send(ctx, asked, &o)
		if err != nil {
			s.leases.learn(asked, s.now(), &p, false, 0, 0, 0)
			return
		}
		s.leases.learn(asked, s.now(), &p, true, max(t.had[0], t.now), t.now, t.ahead[0])
	})
}

// sweep gives back what leases have not used, a few times an age.
func (s *Shared) sweep() {
	tick := time.NewTicker(max(s.config.Lease/2, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case now := <-tick.C:
			s.giveBack(context.Background(), s.leases.returns(now, false))
		}
	}
}

const (
	// atOnce is how many keys are given back in one order.
	atOnce = 64
	// lanes is how many orders that is at a time in a Cluster, where each holds one key.
	lanes = 16
	// farewell is the longest that a process that ends gives back.
	farewell = time.Second
)

// giveBack returns debts that nobody has used. It is tried once: an order that may have
// been carried out must not be carried out again. What gets lost stays charged.
func (s *Shared) giveBack(ctx context.Context, keys []orderKey) {
	if len(keys) == 0 {
		return
	}
	n, at := atOnce, 1
	if s.store.apart() {
		n, at = 1, lanes
	}
	var all errgroup.Group
	all.SetLimit(at)
	for some := range slices.Chunk(keys, n) {
		all.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, 10*s.config.Budget)
			defer cancel()
			if _, err := s.send(ctx, s.now(), &order{keys: some}); err == nil {
				s.counts.returned.Add(uint64(len(some)))
			}
			return nil
		})
	}
	_ = all.Wait()
}

// undo gives back what a call was charged that does not pass after all. The call waits
// for it no longer than its budget.
func (s *Shared) undo(ctx context.Context, keys []orderKey) {
	if len(keys) == 0 {
		return
	}
	done := make(chan struct{})
	s.async(func() {
		defer close(done)
		s.giveBack(context.Background(), keys)
	})
	select {
	case <-done:
	case <-ctx.Done():
	}
}

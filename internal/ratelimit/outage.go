package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sony/gobreaker/v2"
)

// send gives the store an order, if the breaker lets it.
func (s *Shared) send(ctx context.Context, at time.Time, o *order) (receipt, error) {
	t, err := s.breaker.Execute(func() (receipt, error) {
		s.counts.trips.Add(1)
		t, err := s.store.run(ctx, at, o)
		if err != nil && errors.Is(context.Cause(ctx), context.Canceled) {
			return t, context.Canceled // who asked has gone
		}
		return t, err
	})
	switch {
	case err == nil:
	case errors.Is(err, errPoisoned):
		s.counts.poisoned.Add(1)
		s.log.Warn("quota store: " + err.Error())
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests), errors.Is(err, context.Canceled):
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
			s.giveBack(s.leases.returns(now, false))
		}
	}
}

// atOnce is how many keys are given back in one order.
const atOnce = 64

// giveBack returns debts that nobody has used. It is tried once: an order that may have
// been carried out must not be carried out again. What gets lost stays charged.
func (s *Shared) giveBack(keys []orderKey) {
	for len(keys) > 0 {
		n := min(len(keys), atOnce)
		if s.store.apart() {
			n = 1
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*s.config.Budget)
		if _, err := s.send(ctx, s.now(), &order{keys: keys[:n]}); err == nil {
			s.counts.returned.Add(uint64(n))
		}
		cancel()
		keys = keys[n:]
	}
}

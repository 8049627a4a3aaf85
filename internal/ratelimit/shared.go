package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// Fallback says who answers while the shared store can't.
type Fallback string

const (
	// FallbackLocal counts in this process, with the limits divided by the number of
	// replicas.
	FallbackLocal Fallback = "local"
	// FallbackDeny refuses: Take returns ErrStore.
	FallbackDeny Fallback = "deny"
	// FallbackAllow lets everything through, uncounted.
	FallbackAllow Fallback = "allow"
)

// ErrStore says that the shared store did not answer in time.
var ErrStore = errors.New("the shared quota store did not answer")

// SharedConfig says how a store that replicas share is asked.
type SharedConfig struct {
	// Budget is the longest that a call waits for the store. Default 10ms.
	Budget time.Duration
	// Lease is the longest that units taken ahead may be used; at most a tenth of a
	// limit's window. 0: every call asks the store.
	Lease time.Duration
	// Fallback is who answers when the store can't. Default FallbackLocal.
	Fallback Fallback
	// Replicas is what the limits are divided by when this process counts alone.
	Replicas int
	// MaxKeys bounds the counts of this process (MemoryConfig).
	MaxKeys int
	Log     *slog.Logger
}

// shelf is the store behind a Shared: Redis, or a model of it in tests.
type shelf interface {
	name(l *Limit) string
	apart() bool
	run(ctx context.Context, at time.Time, o *order) (receipt, error)
}

// Shared counts in a store that replicas share. It answers hot keys from leases,
// waits for the store no longer than its budget, leaves a store alone that fails
// again and again (and tries it twice a second), and has a fallback for that time.
type Shared struct {
	store    shelf
	leases   *leases
	breaker  *gobreaker.CircuitBreaker[receipt]
	health   health
	local    *Memory
	config   SharedConfig
	log      *slog.Logger
	counts   sharedCounts
	now      func() time.Time
	async    func(func())
	refills  chan struct{} // how many blocks may be under way without anyone waiting
	stop     chan struct{}
	stopping sync.Once
	sweeper  sync.WaitGroup
}

type sharedCounts struct {
	trips, local, refused, failures, poisoned, fallbacks, returned atomic.Uint64
}

// SharedStats describes a Shared. The counts are since the start.
type SharedStats struct {
	Breaker    string // closed, half-open or open
	RoundTrips uint64 // orders to the store
	Local      uint64 // calls that needed none, and passed
	Refused    uint64 // calls that needed none, and were refused
	Failures   uint64 // orders that failed or were late
	Poisoned   uint64 // orders that met a key with a foreign value
	Fallbacks  uint64 // calls that the fallback answered
	Returned   uint64 // keys of which unused units were given back
}

// NewShared puts leases, budget, breaker and fallback before a store.
func NewShared(store *Redis, c SharedConfig) *Shared {
	s := newShared(store, c)
	if c.Lease > 0 {
		s.sweeper.Go(s.sweep)
	}
	return s
}

func newShared(store shelf, c SharedConfig) *Shared {
	if c.Budget <= 0 {
		c.Budget = 10 * time.Millisecond
	}
	if c.Fallback == "" {
		c.Fallback = FallbackLocal
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Replicas = max(c.Replicas, 1)
	s := &Shared{
		store: store, leases: newLeases(max(c.Lease, 0)), local: NewMemory(MemoryConfig{MaxKeys: c.MaxKeys}), config: c, log: c.Log,
		now: time.Now, async: func(f func()) { go f() }, refills: make(chan struct{}, 64), stop: make(chan struct{}),
	}
	s.breaker = gobreaker.NewCircuitBreaker[receipt](gobreaker.Settings{
		Name: "quota store", MaxRequests: 1, Interval: time.Second, Timeout: 500 * time.Millisecond,
		ReadyToTrip:  func(c gobreaker.Counts) bool { return s.health.hopeless(c) },
		IsSuccessful: func(err error) bool { return err == nil || errors.Is(err, errPoisoned) },
		IsExcluded:   func(err error) bool { return errors.Is(err, errHurried) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			list := []any{"breaker", to.String(), "was", from.String(), "fallback", string(c.Fallback)}
			if to == gobreaker.StateOpen {
				list = append(list, "error", s.health.why())
			}
			s.log.Warn("quota store", list...)
		},
	})
	return s
}

// Stats are the counts so far.
func (s *Shared) Stats() SharedStats {
	c := &s.counts
	return SharedStats{
		Breaker: s.breaker.State().String(), RoundTrips: c.trips.Load(), Local: c.local.Load(), Refused: c.refused.Load(), Failures: c.failures.Load(),
		Poisoned: c.poisoned.Load(), Fallbacks: c.fallbacks.Load(), Returned: c.returned.Load(),
	}
}

// Local are the counts of this process, used by FallbackLocal.
func (s *Shared) Local() Stats { return s.local.Stats() }

// Close gives back what is leased and not used, for a second at most.
func (s *Shared) Close() {
	s.stopping.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), farewell)
		defer cancel()
		close(s.stop)
		s.sweeper.Wait()
		s.giveBack(ctx, s.leases.returns(s.now(), true))
	})
}

// prepare works out the rate and the lease of each ask.
func (s *Shared) prepare(asks []Ask) ([]part, error) {
	parts := make([]part, len(asks))
	for i := range asks {
		r, err := asks[i].rate()
		if err != nil {
			return nil, err
		}
		parts[i] = part{Ask: &asks[i], rate: r, id: s.leases.seeds.digest(&asks[i].Limit)}
	}
	return parts, nil
}

// Quick is Take where nothing has to be asked.
func (s *Shared) Quick(now time.Time, asks []Ask) (Verdict, bool) {
	parts, err := s.prepare(asks)
	if err != nil {
		return Verdict{}, false
	}
	v, done, _ := s.here(now, parts)
	if !done {
		s.restore(now, parts)
		return Verdict{}, false
	}
	return v, true
}

// Take answers the asks and, if all pass, charges those that don't peek. The error is
// for asks that make no sense, or ErrStore if the store does not answer and the
// fallback is to deny.
func (s *Shared) Take(ctx context.Context, now time.Time, asks []Ask) (Verdict, error) {
	parts, err := s.prepare(asks)
	if err != nil {
		return Verdict{Refused: -1}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Budget)
	defer cancel()
	begun := s.now()
	v, done, wait := s.here(now, parts)
	if wait != nil { // another request asks for a block of the same key
		s.restore(now, parts)
		select {
		case <-wait:
		case <-ctx.Done():
		}
		now = now.Add(s.now().Sub(begun))
		v, done, _ = s.here(now, parts)
	}
	if done {
		return v, nil
	}
	return s.ask(ctx, now, parts, asks)
}

// here answers all parts from leases, or says that it can't.
func (s *Shared) here(now time.Time, parts []part) (v Verdict, done bool, wait chan struct{}) {
	v = Verdict{Allowed: true, Refused: -1}
	missing := false
	for i := range parts {
		p := &parts[i]
		s.leases.answer(now, p)
		switch {
		case p.source == refusing && (v.Allowed || p.state.RetryAfter > parts[v.Refused].state.RetryAfter):
			v.Allowed, v.Refused = false, i
		case p.source == nobody:
			missing = true
			if p.wait != nil {
				wait = p.wait
			}
		}
		if p.refill {
			s.refill(*p)
		}
	}
	if v.Allowed && missing {
		return v, false, wait
	}
	if !v.Allowed {
		s.restore(now, parts)
		s.counts.refused.Add(1)
	} else {
		s.counts.local.Add(1)
	}
	if len(parts) > 0 {
		v.States = make([]State, len(parts))
	}
	for i := range parts {
		p := &parts[i]
		if p.source == nobody { // of a refused call: nothing is known, and nothing asked
			p.state = State{Allowed: true, Remaining: p.Burst / p.Cost}
		}
		v.States[i] = p.state
	}
	return v, true, nil
}

// restore gives back what the parts have taken from leases.
func (s *Shared) restore(now time.Time, parts []part) {
	for i := range parts {
		if p := &parts[i]; p.source == leased {
			s.leases.restore(now, p)
		}
	}
}

// group is the parts that are asked in one order.
type group struct {
	tag   string
	parts []int
}

// groups are the parts that nobody has answered, by what one order can hold.
func (s *Shared) groups(parts []part) []group {
	var list []group
	for i := range parts {
		if parts[i].source != nobody {
			continue
		}
		t := ""
		if s.store.apart() {
			t = tag(parts[i].Key)
		}
		at := slices.IndexFunc(list, func(g group) bool { return g.tag == t })
		if at < 0 {
			at = len(list)
			list = append(list, group{tag: t})
		}
		list[at].parts = append(list[at].parts, i)
	}
	return list
}

// ask asks the store for the parts that nobody has answered.
func (s *Shared) ask(ctx context.Context, now time.Time, parts []part, asks []Ask) (Verdict, error) {
	begun := s.now()
	v := Verdict{Allowed: true, Refused: -1, States: make([]State, len(parts))}
	var charged []orderKey // in a Cluster, by the groups so far
	groups := s.groups(parts)
	for _, g := range groups {
		some, keys, err := s.askGroup(ctx, now, parts, g, !v.Allowed)
		if err != nil {
			s.undo(ctx, charged)
			s.restore(now, parts)
			return s.fallback(ctx, now, asks, err)
		}
		for i, at := range g.parts {
			v.States[at] = some.States[i]
		}
		if !some.Allowed {
			if at := g.parts[some.Refused]; v.Allowed || v.States[at].RetryAfter > v.States[v.Refused].RetryAfter {
				v.Allowed, v.Refused = false, at
			}
			s.undo(ctx, charged)
			charged = nil
		} else if v.Allowed && len(groups) > 1 {
			charged = append(charged, keys...)
		}
	}
	if !v.Allowed {
		s.restore(now.Add(s.now().Sub(begun)), parts)
	}
	for i := range parts {
		if parts[i].source != nobody {
			v.States[i] = parts[i].state
		}
	}
	return v, nil
}

// askGroup makes one order of some parts and learns from its receipt. With look,
// nothing is charged. It returns what was charged, as what would give it back.
func (s *Shared) askGroup(ctx context.Context, now time.Time, parts []part, g group, look bool) (Verdict, []orderKey, error) {
	o, all, asks := order{}, make([]held, len(g.parts)), make([]Ask, len(g.parts))
	for i, at := range g.parts {
		p := &parts[at]
		if look {
			p.want = 0
		}
		name := s.store.name(&p.Limit)
		all[i] = held{rate: p.rate, same: -1}
		asks[i] = *p.Ask
		asks[i].Peek = p.Peek || look
		key := slices.IndexFunc(o.keys, func(k orderKey) bool { return k.name == name })
		if key < 0 {
			key = len(o.keys)
			o.keys = append(o.keys, orderKey{name: name, back: s.leases.begin(p, name)})
		} else {
			p.want = 0
			for j := range i {
				if o.asks[j].key == key {
					all[i].same = j
				}
			}
		}
		k := &o.keys[key]
		k.keep = max(k.keep, time.Duration(p.rate.tolerance))
		o.asks = append(o.asks, p.order(key, asks[i].Peek))
	}
	begun := s.now()
	t, err := s.send(ctx, now, &o)
	after := now.Add(s.now().Sub(begun))
	if err != nil {
		for _, at := range g.parts {
			s.leases.learn(now, after, &parts[at], false, 0, 0, 0)
		}
		return Verdict{}, nil, err
	}
	for i := range all {
		all[i].now, all[i].had = t.now, t.had[o.asks[i].key]
	}
	v := settle(all, asks)
	if v.Allowed != t.passed {
		// Cannot be: the arithmetic is the same. What was charged stays charged.
		err = fmt.Errorf("the script says %v, the arithmetic %v", t.passed, v.Allowed)
	}
	var keys []orderKey
	for i, at := range g.parts {
		p := &parts[at]
		last := !slices.ContainsFunc(o.asks[i+1:], func(a orderAsk) bool { return a.key == o.asks[i].key })
		tat := all[i].tat
		if !v.Allowed {
			tat = all[i].had
		}
		s.leases.learn(now, after, p, err == nil && last, tat, t.now, t.ahead[i])
		if !v.States[i].Allowed {
			s.leases.refuse(after, p, v.States[i].RetryAfter)
		} else if v.Allowed && !asks[i].Peek {
			k := o.keys[o.asks[i].key]
			k.back = debt{p.Cost * p.rate.interval, t.now}
			keys = append(keys, k)
		}
	}
	return v, keys, err
}

// order is a part in the store's terms.
func (p *part) order(key int, peek bool) orderAsk {
	a := orderAsk{key: key, tolerance: -1, interval: p.rate.interval, peek: peek, want: p.want, about: about(&p.Limit)}
	if p.Cost <= p.rate.tolerance/p.rate.interval {
		a.owes, a.tolerance = p.Cost*p.rate.interval, p.rate.tolerance
	}
	return a
}

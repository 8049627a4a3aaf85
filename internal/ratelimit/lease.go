package ratelimit

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// A lease is units of a key that were charged in the shared store and are not used yet:
// requests are answered from it without asking. It is used up within its age, counted
// from before it was asked for, or given back. So what passes in an interval was
// charged in it or at most one age before, and instead of the bound of gcra.go
//
//	burst + limit·(t + age)/window
//
// holds over all replicas together (docs/design/shared-quotas.md).
type lease struct {
	name   string // of the key in the store
	rate   rate
	age    time.Duration
	blocks [2]block // the older one first
	back   debt     // to be given back with the next order

	// What the store said last: the key's TAT, all blocks charged, and its time then.
	tat, at int64
	seen    time.Time

	// No request of that cost or more passes until then.
	until time.Time
	cost  int64

	// For the size of the next block.
	used  int64
	since time.Time
	last  int64
	quiet time.Time // ask for no block before

	pending chan struct{} // closed when the block that is under way is there
}

type block struct {
	units, size int64
	taken       time.Time // here, before it was asked for
	charged     int64     // on the store's clock
}

func (b *block) live(now time.Time, age time.Duration) bool {
	return b.units > 0 && now.Sub(b.taken) < age
}

const (
	leaseShards = 32
	leaseKeys   = 2048 // a shard
	// hot is how many units in an age make a key worth a lease.
	hot = 3
	// largest is the most units that are asked for ahead.
	largest = 1 << 20
)

// leases are the leases of a replica, the least recently used dropped first. What a
// dropped one still had is given back.
type leases struct {
	seeds  seeds
	age    time.Duration // the longest; 0: no leases
	shards [leaseShards]leaseShard
}

type leaseShard struct {
	mu    sync.Mutex
	table *simplelru.LRU[digest, *lease]
	held  map[*lease]struct{} // those with units or with something to give back
	gone  []orderKey          // of those that had to make room, and held something
}

func newLeases(age time.Duration) *leases {
	t := &leases{seeds: newSeeds(), age: age}
	for i := range t.shards {
		s := &t.shards[i]
		s.held = map[*lease]struct{}{}
		table, err := simplelru.NewLRU(leaseKeys, func(_ digest, e *lease) { s.drop(e) })
		if err != nil {
			panic(err) // a size that is not positive
		}
		s.table = table
	}
	return t
}

// drop sees to it that what a lease holds that makes room for others is given back. If
// they are too many to note, it stays charged.
func (s *leaseShard) drop(e *lease) {
	if _, ok := s.held[e]; !ok {
		return
	}
	delete(s.held, e)
	e.end()
	if e.back.owed > 0 && len(s.gone) < leaseKeys {
		s.gone = append(s.gone, orderKey{name: e.name, back: e.back, keep: time.Duration(e.rate.tolerance)})
	}
}

func (t *leases) shard(d digest) *leaseShard { return &t.shards[d[0]%leaseShards] }

// source says who has answered an ask.
type source int

const (
	nobody   source = iota // the store has to be asked
	leased                 // units of a lease pay for it
	seen                   // what the store said lately answers a peek
	refusing               // what the store said lately refuses
)

// part is one ask on its way to a verdict.
type part struct {
	*Ask
	rate   rate
	id     digest
	source source
	state  State
	paid   time.Time     // leased: the block
	want   int64         // nobody: units to ask for ahead
	wait   chan struct{} // nobody: someone asks already
	refill bool          // leased: it is time to ask for the next block
	owns   chan struct{} // closed when the store has answered
}

// answer tries to answer an ask from what is here.
func (t *leases) answer(now time.Time, p *part) {
	s := t.shard(p.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	p.source, p.want, p.wait, p.refill, p.owns = nobody, 0, nil, false, nil
	e, ok := s.table.Get(p.id)
	if !ok {
		e = &lease{since: now}
		s.table.Add(p.id, e)
	}
	if e.rate != p.rate {
		// The policy has changed the limit: its units were worth something else.
		*e = lease{name: e.name, rate: p.rate, back: e.back, since: now, pending: e.pending}
	}
	e.age = min(t.age, p.Window/10)
	switch {
	case now.Before(e.until) && p.Cost >= e.cost:
		p.source = refusing
		p.state = e.state(now, p.Cost, false)
		return
	case p.Peek:
		if e.at != 0 && now.Sub(e.seen) < e.age {
			if tat, at := e.estimate(now); passes(e.rate, tat, at, p.Cost) {
				p.source = seen
				p.state = e.state(now, p.Cost, true)
			}
		}
		return
	}
	if now.Sub(e.since) > e.age {
		e.used, e.since, e.last = 0, now, 0
	}
	e.used = min(e.used+p.Cost, 1<<30)
	for i := range e.blocks {
		if b := &e.blocks[i]; b.live(now, e.age) && b.units >= p.Cost {
			b.units -= p.Cost
			p.source, p.paid = leased, b.taken
			p.state = e.state(now, p.Cost, true)
			if e.pending == nil && !now.Before(e.quiet) && b.units*2 <= b.size && (i == 1 || !e.blocks[1].live(now, e.age)) {
				if p.want = e.wanted(now); p.want > 0 {
					p.refill, p.owns = true, make(chan struct{})
					e.pending = p.owns
				}
			}
			return
		}
	}
	if e.pending != nil {
		p.wait = e.pending
	} else {
		p.want = e.wanted(now)
	}
}

func passes(r rate, tat, at, cost int64) bool {
	_, ok := r.take(tat, at, cost)
	return ok
}

// estimate is the key's TAT without the units that nobody has used, and the store's
// time: as of the last answer, less what passed here since.
func (e *lease) estimate(now time.Time) (tat, at int64) {
	tat = e.tat
	for i := range e.blocks {
		tat -= e.blocks[i].units * e.rate.interval
	}
	return max(tat, 0), e.at + int64(max(now.Sub(e.seen), 0))
}

func (e *lease) state(now time.Time, cost int64, allowed bool) State {
	tat, at := e.estimate(now)
	s := e.rate.state(tat, at, cost, allowed)
	if !allowed && s.RetryAfter == 0 {
		s.RetryAfter = max(e.until.Sub(now), 1)
	}
	return s
}

// wanted is the size of the next block: what is used in half an age at the recent rate,
// and at most a little more than twice the last one.
func (e *lease) wanted(now time.Time) int64 {
	if e.used < hot || e.age <= 0 {
		return 0
	}
	elapsed := max(now.Sub(e.since), time.Millisecond)
	n := int64(float64(e.used) * float64(e.age/2) / float64(elapsed))
	return min(n, 2*e.last+2, largest)
}

// begin marks that the store is asked for a block of this key, and takes along what
// is to be given back.
func (t *leases) begin(p *part, name string) debt {
	s := t.shard(p.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.table.Get(p.id)
	if !ok {
		p.want = 0
		return debt{}
	}
	e.name = name
	if p.want > 0 && !p.refill {
		if e.pending != nil {
			p.want = 0
		} else {
			p.owns = make(chan struct{})
			e.pending = p.owns
		}
	}
	back := e.back
	e.back = debt{}
	return back
}

// learn takes in what the store has answered to a part; ok is false if it did not.
func (t *leases) learn(asked, now time.Time, p *part, ok bool, tat, at, ahead int64) {
	s := t.shard(p.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, there := s.table.Peek(p.id)
	if p.owns != nil {
		close(p.owns)
		if there && e.pending == p.owns {
			e.pending = nil
		}
		p.owns = nil
	}
	if !there || !ok || e.rate != p.rate {
		return
	}
	e.tat, e.at, e.seen = tat+ahead*e.rate.interval, at, now
	if p.want == 0 {
		return
	}
	if ahead == 0 {
		e.quiet = now.Add(e.age / 4)
		return
	}
	e.expire(now)
	if e.blocks[0].units == 0 {
		e.blocks[0], e.blocks[1] = e.blocks[1], block{}
	}
	switch b := &e.blocks[1]; {
	case e.blocks[0].units == 0:
		e.blocks[0] = block{ahead, ahead, asked, at}
	case b.units == 0:
		*b = block{ahead, ahead, asked, at}
	default: // the age of the older one counts
		b.units, b.size = b.units+ahead, b.size+ahead
	}
	e.used, e.since, e.last = 0, asked, ahead
	s.held[e] = struct{}{}
}

// expire moves what is too old to what is given back.
func (e *lease) expire(now time.Time) {
	for i := range e.blocks {
		if b := &e.blocks[i]; b.units > 0 && !b.live(now, e.age) {
			e.back = e.back.and(debt{b.units * e.rate.interval, b.charged})
			*b = block{}
		}
	}
}

// end is expire for all units.
func (e *lease) end() {
	for i := range e.blocks {
		b := &e.blocks[i]
		e.back = e.back.and(debt{b.units * e.rate.interval, b.charged})
		*b = block{}
	}
}

// refuse notes that no request of that cost passes for a while. It can be longer than
// the store's word, so that a key that is always at its limit does not cost a round
// trip for each unit that comes free; but no longer than half of what the key can save
// up, so that nothing is lost by it.
func (t *leases) refuse(now time.Time, p *part, wait time.Duration) {
	s := t.shard(p.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.table.Peek(p.id); ok && e.age > 0 {
		e.until, e.cost = now.Add(min(max(wait, min(e.age, time.Duration(e.rate.tolerance))/2), e.age)), p.Cost
	}
}

// restore gives units back to the block that paid.
func (t *leases) restore(now time.Time, p *part) {
	s := t.shard(p.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.table.Peek(p.id)
	if !ok || e.rate != p.rate {
		return
	}
	for i := range e.blocks {
		if b := &e.blocks[i]; b.size > 0 && b.taken.Equal(p.paid) {
			b.units += p.Cost
			s.held[e] = struct{}{}
			break
		}
	}
	p.state = e.state(now, p.Cost, true)
}

// returns are what leases have to give back, by name. With all, every lease ends.
func (t *leases) returns(now time.Time, all bool) []orderKey {
	var list []orderKey
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		list = append(list, s.gone...)
		s.gone = s.gone[:0]
		for e := range s.held {
			if all {
				e.end()
			}
			e.expire(now)
			if e.back.owed > 0 {
				list = append(list, orderKey{name: e.name, back: e.back, keep: time.Duration(e.rate.tolerance)})
				e.back = debt{}
			}
			if e.blocks[0].units == 0 && e.blocks[1].units == 0 {
				delete(s.held, e)
			}
		}
		s.mu.Unlock()
	}
	return list
}

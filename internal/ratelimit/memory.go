package ratelimit

import (
	"context"
	"hash/maphash"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// MemoryConfig bounds the in-process store.
type MemoryConfig struct {
	// MaxKeys is how many keys are kept at once. Default 1,000,000; about 60 bytes each.
	MaxKeys int
}

// Memory is the in-process store. Its memory is bounded, and the bound of a limit
// holds all the same:
//
//   - A key whose debt is paid off equals one that is not there, and may be dropped.
//   - When all keys still owe, the one of a sample that owes least is dropped, and
//     what it owed goes into a sketch: two rows of slots, each of which keeps the
//     largest TAT that fell into it. A key that is not in the table starts from the
//     smaller of its two slots, which is never less than what it owed.
//
// So a flood of new keys can't free the key that is being limited: it owes most and
// is dropped last, and if it is, the sketch remembers. What the flood costs others is
// that a key may start with the debt of another one, the least that was sampled: a
// flood of many times MaxKeys within one window gets strangers refused early, never
// late.
type Memory struct {
	seeds  [2]maphash.Seed
	shards []shard
	mask   uint64

	evictions, refusals atomic.Uint64
}

// digest stands for a limit's name and key. Its 128 bits come from two seeds that
// nobody outside this process knows, so that nobody can make two keys collide.
type digest [2]uint64

type shard struct {
	mu     sync.Mutex // guards all below
	tats   map[digest]int64
	max    int
	sketch [2][]int64
	_      [64]byte
}

const (
	defaultMaxKeys = 1_000_000
	sampled        = 8
	minSlots       = 1024 // of a sketch's row; else as many as its shard has keys
)

// NewMemory makes an empty store. It starts nothing: paid-off keys are dropped by
// the requests that need their place.
func NewMemory(cfg MemoryConfig) *Memory {
	if cfg.MaxKeys <= 0 {
		cfg.MaxKeys = defaultMaxKeys
	}
	n := 1
	for n < 8*runtime.GOMAXPROCS(0) && cfg.MaxKeys/(2*n) >= 64 {
		n *= 2
	}
	m := &Memory{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, shards: make([]shard, n), mask: uint64(n - 1)}
	for i := range m.shards {
		s := &m.shards[i]
		s.tats = map[digest]int64{}
		s.max = max(cfg.MaxKeys/n, 1)
	}
	return m
}

// Stats describes the store.
type Stats struct {
	Keys                int
	Evictions, Refusals uint64
}

// Stats counts the keys.
func (m *Memory) Stats() Stats {
	st := Stats{Evictions: m.evictions.Load(), Refusals: m.refusals.Load()}
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		st.Keys += len(s.tats)
		s.mu.Unlock()
	}
	return st
}

// key encodes name and elements so that no two lists meet: each part with its length
// before it.
func (m *Memory) key(l *Limit) digest {
	var d digest
	for i := range d {
		var h maphash.Hash
		h.SetSeed(m.seeds[i])
		writePart(&h, l.Name)
		for _, part := range l.Key {
			writePart(&h, part)
		}
		d[i] = h.Sum64()
	}
	return d
}

func writePart(h *maphash.Hash, part string) {
	n := uint64(len(part))
	for range 8 {
		_ = h.WriteByte(byte(n))
		n >>= 8
	}
	_, _ = h.WriteString(part)
}

// held is one ask while its shard is locked.
type held struct {
	key  digest
	rate rate
	tat  int64
	same int // the earlier ask of the same key, or -1
}

// Take answers the asks at that time and, if all pass, charges those that don't peek.
// The error is for asks that make no sense; nothing is charged then.
func (m *Memory) Take(_ context.Context, at time.Time, asks []Ask) (Verdict, error) {
	now := at.UnixNano()
	var space [8]held
	all := space[:0]
	for i := range asks {
		r, err := asks[i].rate()
		if err != nil {
			return Verdict{Refused: -1}, err
		}
		h := held{key: m.key(&asks[i].Limit), rate: r, same: -1}
		for j := range all {
			if all[j].key == h.key {
				h.same = j
			}
		}
		all = append(all, h)
	}
	unlock := m.lock(all)
	defer unlock()

	v := Verdict{Allowed: true, States: make([]State, len(asks)), Refused: -1}
	for i := range all {
		h := &all[i]
		before := int64(0)
		if h.same >= 0 {
			before = all[h.same].tat
		} else {
			before = m.shard(h.key).load(h.key, now, h.rate.tolerance)
		}
		next, passes := h.rate.take(before, now, asks[i].Cost)
		h.tat = before
		if passes && !asks[i].Peek {
			h.tat = next
		}
		if !passes && (v.Refused < 0 || h.rate.state(before, now, asks[i].Cost, false).RetryAfter > v.States[v.Refused].RetryAfter) {
			v.Refused = i
		}
		v.Allowed = v.Allowed && passes
		v.States[i] = h.rate.state(h.tat, now, asks[i].Cost, passes)
	}
	if !v.Allowed {
		m.refusals.Add(1)
		m.describe(&v, all, asks, now)
		return v, nil
	}
	for i := range all {
		if !asks[i].Peek {
			m.store(&all[i], now)
		}
	}
	return v, nil
}

// describe tells the state of asks of which one was refused: nothing was charged.
func (m *Memory) describe(v *Verdict, all []held, asks []Ask, now int64) {
	for i := range all {
		h := &all[i]
		tat := m.shard(h.key).load(h.key, now, h.rate.tolerance)
		v.States[i] = h.rate.state(tat, now, asks[i].Cost, v.States[i].Allowed)
	}
}

func (m *Memory) shard(d digest) *shard { return &m.shards[d[0]&m.mask] }

// lock locks the shards of all keys, always in the same order.
func (m *Memory) lock(all []held) (unlock func()) {
	var space [8]uint64
	order := space[:0]
	for i := range all {
		order = append(order, all[i].key[0]&m.mask)
	}
	slices.Sort(order)
	order = slices.Compact(order)
	for _, i := range order {
		m.shards[i].mu.Lock()
	}
	return func() {
		for _, i := range order {
			m.shards[i].mu.Unlock()
		}
	}
}

// load is the TAT of a key, known or folded into the sketch. What is found in the
// sketch may be another key's, so it never counts for more than a full debt here.
func (s *shard) load(d digest, now, tolerance int64) int64 {
	if tat, found := s.tats[d]; found {
		return tat
	}
	if s.sketch[0] == nil {
		return 0
	}
	folded := min(s.sketch[0][s.slot(d[0])], s.sketch[1][s.slot(d[1])])
	return min(folded, now+tolerance)
}

func (s *shard) slot(half uint64) uint64 { return (half >> 32) % uint64(len(s.sketch[0])) }

func (m *Memory) store(h *held, now int64) {
	s := m.shard(h.key)
	if _, found := s.tats[h.key]; !found && len(s.tats) >= s.max {
		s.makeRoom(now, &m.evictions)
	}
	s.tats[h.key] = h.tat
}

// makeRoom drops at least one key: those of a sample that owe nothing, else the one
// that owes least.
func (s *shard) makeRoom(now int64, evictions *atomic.Uint64) {
	least, seen, freed := digest{}, 0, 0
	leastTAT := int64(0)
	for d, tat := range s.tats { // begins at a random key
		if tat <= now {
			delete(s.tats, d)
			freed++
		} else if seen == 0 || tat < leastTAT {
			least, leastTAT = d, tat
		}
		if seen++; seen >= sampled {
			break
		}
	}
	if freed > 0 {
		return
	}
	if s.sketch[0] == nil {
		slots := max(s.max, minSlots)
		s.sketch = [2][]int64{make([]int64, slots), make([]int64, slots)}
	}
	for row, half := range least {
		at := &s.sketch[row][s.slot(half)]
		*at = max(*at, leastTAT)
	}
	delete(s.tats, least)
	evictions.Add(1)
}

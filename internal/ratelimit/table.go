package ratelimit

import (
	"math/bits"
	"sync"
	"time"
)

// shard is a part of the keys: a hash table of TATs (open addressing, linear
// probing, no tombstones) and the sketches of what was dropped from it.
//
//   - An entry whose TAT is past equals one that is not there. Each new key moves the
//     hand on by a few slots and drops the past ones it finds, so no request ever
//     waits for a sweep of everything.
//   - Requests can come late: their time was taken before they waited for something.
//     So an entry is dropped only when its TAT is `grace` past, and `floor` keeps the
//     latest TAT ever dropped so: absent keys start there, which no request sees that
//     is less than `grace` late.
//   - When the shard is full of entries that still owe, the one of the next few under
//     the hand that owes least goes into the sketch. Where entries lie depends on
//     seeds nobody knows, so this is a random sample.
type shard struct {
	mu      sync.Mutex // guards all below
	entries []entry
	count   int
	hand    int
	max     int   // entries at most
	latest  int64 // the latest time seen
	floor   int64
	folded  [families]sketch

	evictions, refusals uint64
	_                   [64]byte // a cache line apart from the next shard's lock
}

// entry is a key and its TAT; TAT 0 marks a free slot.
type entry struct {
	key digest
	tat int64
}

const (
	grace     = int64(10 * time.Second)
	sweptSlot = 4 // slots looked at for each new key
	sampled   = 8 // entries looked at when there is no room
	minSlots  = 512
)

// slots is how many slots a full table has: 4/5 of them are taken.
func (s *shard) slots() int { return max(s.max+s.max/4+1, 8) }

func (s *shard) home(d digest) int {
	i, _ := bits.Mul64(d[0], uint64(len(s.entries)))
	return int(i)
}

// find is the slot of the key, or the free one where the search ended.
func (s *shard) find(d digest) int {
	i := s.home(d)
	for s.entries[i].tat != 0 && s.entries[i].key != d {
		if i++; i == len(s.entries) {
			i = 0
		}
	}
	return i
}

// load is the TAT that a key starts from: its own, or one that is not earlier.
func (s *shard) load(d digest) int64 {
	if s.count > 0 {
		if e := &s.entries[s.find(d)]; e.tat != 0 {
			return e.tat
		}
	}
	return max(s.floor, s.folded[d.family()].owed(d))
}

// store keeps the TAT of a key, in the table or in the sketch.
func (s *shard) store(d digest, tat int64) {
	if s.count > 0 {
		if e := &s.entries[s.find(d)]; e.tat != 0 {
			e.tat = tat
			return
		}
	}
	s.sweep(sweptSlot)
	if s.count >= s.max && !s.makeRoom(tat) {
		s.fold(d, tat)
		return
	}
	if full := s.slots(); len(s.entries) < full && s.count >= len(s.entries)/5*4 {
		s.resize(full)
	}
	s.entries[s.find(d)] = entry{d, tat}
	s.count++
}

// past tells whether an entry may be dropped without a trace.
func (s *shard) past(e *entry) bool { return e.tat <= s.latest-grace }

// sweep moves the hand over that many slots and drops what is past.
func (s *shard) sweep(slots int) {
	for range min(slots, len(s.entries)) {
		if e := &s.entries[s.hand]; e.tat != 0 && s.past(e) {
			s.floor = max(s.floor, e.tat)
			s.remove(s.hand)
			continue // the next entry may have moved here
		}
		s.advance()
	}
}

func (s *shard) advance() {
	if s.hand++; s.hand == len(s.entries) {
		s.hand = 0
	}
}

// makeRoom makes a place for a key with that TAT by dropping an entry, unless none of
// those it looks at owes less than the newcomer.
func (s *shard) makeRoom(tat int64) bool {
	least := -1
	for seen, steps := 0, 0; seen < sampled && steps < len(s.entries); steps++ {
		if e := &s.entries[s.hand]; e.tat != 0 {
			seen++
			if least < 0 || e.tat < s.entries[least].tat {
				least = s.hand
			}
		}
		s.advance()
	}
	if least < 0 || s.entries[least].tat >= tat {
		return false
	}
	s.fold(s.entries[least].key, s.entries[least].tat)
	s.remove(least)
	return true
}

// fold drops a key into the sketch. It counts as an eviction if the key still owes.
func (s *shard) fold(d digest, tat int64) {
	s.folded[d.family()].fold(d, tat, max(s.max/2, minSlots))
	if tat > s.latest {
		s.evictions++
	}
}

// remove frees a slot and closes the gap, so that every search still finds its key
// before a free slot (Knuth, TAOCP 6.4, algorithm R).
func (s *shard) remove(gap int) {
	s.count--
	for i := gap; ; {
		if i++; i == len(s.entries) {
			i = 0
		}
		e := &s.entries[i]
		if e.tat == 0 {
			break
		}
		home := s.home(e.key)
		if gap <= i && gap < home && home <= i || gap > i && (gap < home || home <= i) {
			continue // it lies between its home and the gap's successor already
		}
		s.entries[gap] = *e
		gap = i
	}
	s.entries[gap] = entry{}
}

// resize makes the table larger, at most full slots, and drops what is past. A shard
// is small enough for this to take microseconds.
func (s *shard) resize(full int) {
	old := s.entries
	s.entries = make([]entry, min(max(2*len(old), 8), full))
	s.count, s.hand = 0, 0
	for i := range old {
		switch e := &old[i]; {
		case e.tat == 0:
		case s.past(e):
			s.floor = max(s.floor, e.tat)
		default:
			s.entries[s.find(e.key)] = *e
			s.count++
		}
	}
}

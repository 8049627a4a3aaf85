package ratelimit

import (
	"context"
	"encoding/binary"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// MemoryConfig bounds the in-process store.
type MemoryConfig struct {
	// MaxKeys is how many keys are kept at once, in all. Default 1,000,000; 30 to 50
	// bytes each, and 8 more for each limit (up to eight) whose keys had to be dropped.
	MaxKeys int
}

// Memory is the in-process store. Its memory is bounded, and the bound of a limit
// holds all the same:
//
//   - A key that owes nothing equals one that is not there, and is dropped.
//   - When all keys still owe, the one of a sample that owes least is dropped, and
//     what it owed goes into a sketch from which keys start that are not there. A
//     sketch can only say too much, so a limit can only be stricter for it.
//
// A flood of new keys can't free the key that is being limited: it owes most and is
// dropped last, and if it is, the sketch remembers. What the flood costs others is
// that a new key may start with the debt of another one: a flood of many times
// MaxKeys within one window gets strangers refused early, never late. Each limit's
// keys are folded into a sketch of their own (the first seven names; all others share
// one), so a flood of one limit's keys is felt by that limit's newcomers only.
//
// Time is counted from the first call, by the monotonic clock where the caller's
// times carry one (time.Now's do): setting the machine's clock changes nothing.
type Memory struct {
	seeds  seeds
	shards []shard
	mask   uint64

	first sync.Once
	epoch time.Time // set by first

	naming sync.Mutex // guards changes of names
	names  atomic.Pointer[[]string]
}

const (
	defaultMaxKeys = 1_000_000
	shardKeys      = 4096 // at most, so that growing one is short
	maxShards      = 4096

	families = 8 // sketches of a shard; the last one is for all names that came late
)

// digest stands for a limit's name and key: 125 bits by two seeds that nobody outside
// this process knows, so that nobody can make two keys meet, and 3 bits that say
// which sketch is theirs.
type digest [2]uint64

func (d digest) family() int { return int(d[1] % families) }

// NewMemory makes an empty store. It starts nothing: what is past is dropped by the
// requests that come after.
func NewMemory(cfg MemoryConfig) *Memory {
	if cfg.MaxKeys <= 0 {
		cfg.MaxKeys = defaultMaxKeys
	}
	n := 1
	for n < maxShards && cfg.MaxKeys > n*shardKeys {
		n *= 2
	}
	m := &Memory{seeds: newSeeds(), shards: make([]shard, n), mask: uint64(n - 1)}
	for i := range m.shards {
		m.shards[i].max = max(cfg.MaxKeys/n, 1)
	}
	m.names.Store(new([]string))
	return m
}

// Stats describes the store.
type Stats struct {
	Keys      int    // in the table; a few of them may owe nothing any more
	Evictions uint64 // keys that still owed and were folded together
	Refusals  uint64 // calls that were refused
}

// Stats adds up the shards, one after the other.
func (m *Memory) Stats() Stats {
	var st Stats
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		st.Keys += s.count
		st.Evictions += s.evictions
		st.Refusals += s.refusals
		s.mu.Unlock()
	}
	return st
}

// seeds make digests that nobody outside this process can foresee.
type seeds [2]maphash.Seed

func newSeeds() seeds { return seeds{maphash.MakeSeed(), maphash.MakeSeed()} }

// digest encodes name and elements so that no two lists meet (each part has its
// length before it) and hashes that.
func (s *seeds) digest(l *Limit) digest {
	var space [256]byte
	text := appendPart(space[:0], l.Name)
	for _, part := range l.Key {
		text = appendPart(text, part)
	}
	return digest{maphash.Bytes(s[0], text), maphash.Bytes(s[1], text)}
}

func (m *Memory) digest(l *Limit) digest {
	d := m.seeds.digest(l)
	d[1] = d[1]&^(families-1) | m.family(l.Name)
	return d
}

func appendPart(text []byte, part string) []byte {
	return append(binary.AppendUvarint(text, uint64(len(part))), part...)
}

// family is the sketch of a limit's keys. It never changes for a name.
func (m *Memory) family(name string) uint64 {
	if i := slices.Index(*m.names.Load(), name); i >= 0 {
		return uint64(i)
	}
	if len(*m.names.Load()) == families {
		return families - 1
	}
	m.naming.Lock()
	defer m.naming.Unlock()
	names := *m.names.Load()
	if i := slices.Index(names, name); i >= 0 {
		return uint64(i)
	}
	if len(names) == families {
		return families - 1
	}
	names = append(slices.Clone(names), strings.Clone(name))
	m.names.Store(&names)
	return uint64(len(names) - 1)
}

// time is at in nanoseconds since a day before the first call: the requests that
// were under way with the first one may be a little older than it.
func (m *Memory) time(at time.Time) int64 {
	m.first.Do(func() { m.epoch = at.Add(-24 * time.Hour) })
	return min(max(int64(at.Sub(m.epoch)), 0), maxTime)
}

// usual is how many asks a call takes without an allocation for them.
const usual = 8

// Take answers the asks at that time and, if all pass, charges those that don't peek.
// The error is for asks that make no sense; nothing is charged then. It waits for
// nothing but locks held for microseconds, so it does not need its context.
func (m *Memory) Take(_ context.Context, at time.Time, asks []Ask) (Verdict, error) {
	var space [usual]held
	all := space[:0]
	for i := range asks {
		r, err := asks[i].rate()
		if err != nil {
			return Verdict{Refused: -1}, err
		}
		h := held{key: m.digest(&asks[i].Limit), rate: r, same: -1}
		for j := range all {
			if all[j].key == h.key {
				h.same = j
			}
		}
		all = append(all, h)
	}
	if len(all) == 0 {
		return Verdict{Allowed: true, Refused: -1}, nil
	}
	var order [usual]int
	locked := m.lock(all, order[:0])
	defer m.unlock(locked)
	now := m.time(at)
	for i := range all {
		s := m.shard(all[i].key)
		s.latest = max(s.latest, now)
		all[i].now = now
		if all[i].same < 0 {
			all[i].had = s.load(all[i].key)
		}
	}
	v := settle(all, asks)
	if !v.Allowed {
		m.shard(all[v.Refused].key).refusals++
		return v, nil
	}
	for i := range all {
		if !asks[i].Peek {
			m.shard(all[i].key).store(all[i].key, all[i].tat)
		}
	}
	return v, nil
}

func (m *Memory) index(d digest) int { return int(d[0] & m.mask) }

func (m *Memory) shard(d digest) *shard { return &m.shards[m.index(d)] }

// lock locks the shards of all keys, always in the same order, so that no two calls
// wait for each other.
func (m *Memory) lock(all []held, order []int) []int {
	for i := range all {
		order = append(order, m.index(all[i].key))
	}
	slices.Sort(order)
	order = slices.Compact(order)
	for _, i := range order {
		m.shards[i].mu.Lock()
	}
	return order
}

func (m *Memory) unlock(order []int) {
	for _, i := range order {
		m.shards[i].mu.Unlock()
	}
}

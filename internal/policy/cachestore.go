package policy

import (
	"bytes"
	"sync"
	"sync/atomic"
)

// Bounds of what is remembered.
const (
	maxKey      = 16 << 10 // a longer key is not kept
	cacheShards = 16       // parts with a lock of their own
	// entryCost is what an entry takes beside its key and its decision: the entry, its
	// place in the map and in the queue, slices' spare room.
	entryCost = 320
)

// store keeps decisions by key, bounded in bytes. What was not asked for lately
// goes first (second chance). Nothing in it changes once it is in.
type store struct {
	shards [cacheShards]shard
	limit  int64 // of each shard
	counts *cacheCounts
}

// cacheCounts live as long as the engine, whatever policy is in force.
type cacheCounts struct {
	hits, misses, evictions atomic.Uint64
	recalled                atomic.Uint64 // values of rules
}

type shard struct {
	mu          sync.Mutex
	entries     map[uint64]*entry
	first, last *entry
	bytes       int64
	_           [64]byte // a line of its own: shards are used by different cores
}

type entry struct {
	key    []byte
	hash   uint64
	result *Result
	rule   *ruleValue // in place of a decision
	quotas []quotaRef
	size   int64
	asked  bool
	next   *entry
}

func newStore(limit int64, counts *cacheCounts) *store {
	s := &store{limit: limit / cacheShards, counts: counts}
	for i := range s.shards {
		s.shards[i].entries = map[uint64]*entry{}
	}
	return s
}

func (s *store) get(hash uint64, key []byte) *entry {
	c := &s.shards[hash>>60]
	c.mu.Lock()
	e := c.entries[hash]
	if e == nil || !bytes.Equal(e.key, key) {
		c.mu.Unlock()
		return nil
	}
	e.asked = true
	c.mu.Unlock()
	return e
}

// put keeps an entry, unless it alone would fill a good part of the room.
func (s *store) put(e *entry) {
	e.size = int64(len(e.key)) + entryCost
	if e.rule != nil {
		e.size += e.rule.size
	} else {
		e.size += 2 * resultSize(e.result) // for the decision, and for what is made of it (Result.Kept)
	}
	for _, q := range e.quotas {
		e.size += int64(len(q.path)) + 96
	}
	if e.size > s.limit/4 {
		return
	}
	c := &s.shards[e.hash>>60]
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.entries[e.hash]; old != nil {
		// The queue still holds it, and its bytes until it is met there.
		if bytes.Equal(old.key, e.key) {
			return
		}
	}
	// Room first: where all others were asked for since they were last looked at, the new one would be the first to go.
	c.bytes += e.size
	for c.bytes > s.limit {
		c.evict(s.counts)
	}
	c.entries[e.hash] = e
	c.append(e)
}

func (c *shard) append(e *entry) {
	if c.last == nil {
		c.first = e
	} else {
		c.last.next = e
	}
	c.last = e
}

func (c *shard) evict(counts *cacheCounts) {
	e := c.first
	if c.first = e.next; c.first == nil {
		c.last = nil
	}
	e.next = nil
	kept := c.entries[e.hash] == e
	if kept && e.asked {
		e.asked = false
		c.append(e)
		return
	}
	if kept {
		delete(c.entries, e.hash)
	}
	c.bytes -= e.size
	counts.evictions.Add(1)
}

func (s *store) size() (entries int, bytes int64) {
	for i := range s.shards {
		c := &s.shards[i]
		c.mu.Lock()
		entries += len(c.entries)
		bytes += c.bytes
		c.mu.Unlock()
	}
	return entries, bytes
}

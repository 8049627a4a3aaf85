package token

import (
	"crypto/sha256"
	"math"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// fingerprint is the hash of a whole token, signature included: an edited payload
// under a good signature is another token.
type fingerprint [sha256.Size]byte

// cache remembers genuine tokens, the least recently used leaving first, within a
// bound in bytes. Which issuer's configuration a token is judged by follows from
// its text alone, so the fingerprint is the key; the issuer and the generation of
// its keys are kept with the entry, which is worth nothing once either is another.
//
// A nil cache remembers nothing.
type cache struct {
	shards       []shard
	hits, misses atomic.Uint64
}

// shard is a part of the cache with a lock of its own.
type shard struct {
	mu    sync.Mutex // guards what follows
	lru   *simplelru.LRU[fingerprint, *held]
	bytes int64
	limit int64
	added uint64 // tokens so far
}

// held is a token in the cache.
type held struct {
	*genuine
	moved uint64 // what added was when it was last moved to the front
}

// shardBytes is the least a shard should hold: many times the largest token.
const shardBytes, maxShards = 2 << 20, 16

func newCache(bytes int64) *cache {
	n := min(max(bytes/shardBytes, 1), maxShards)
	c := &cache{shards: make([]shard, n)}
	for i := range c.shards {
		s := &c.shards[i]
		s.limit = bytes / n
		// The bound is in bytes; a number of entries is no bound here. The only error
		// is for a number that is not positive.
		s.lru, _ = simplelru.NewLRU(math.MaxInt, func(_ fingerprint, h *held) { s.bytes -= h.size })
	}
	return c
}

func (c *cache) shard(f fingerprint) *shard { return &c.shards[int(f[0])%len(c.shards)] }

// find returns the token if its issuer's keys are still those that verified it.
func (c *cache) find(f fingerprint) *genuine {
	if c == nil {
		return nil
	}
	s := c.shard(f)
	s.mu.Lock()
	defer s.mu.Unlock()
	h, ok := s.lru.Peek(f)
	if !ok {
		return nil
	}
	if !h.current() {
		s.lru.Remove(f)
		return nil
	}
	// One that was in front when hardly any of those here had come yet is far from leaving. Moving it again would touch
	// the memory of its neighbours for each request.
	if s.added-h.moved > uint64(s.lru.Len()/8) {
		s.lru.Get(f)
		h.moved = s.added
	}
	return h.genuine
}

// missed counts a token that has to be verified.
func (c *cache) missed() {
	if c != nil {
		c.misses.Add(1)
	}
}

func (c *cache) add(f fingerprint, g *genuine) {
	if c == nil {
		return
	}
	s := c.shard(f)
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.size > s.limit {
		return
	}
	s.lru.Remove(f) // so that its bytes are counted once
	s.added++
	s.lru.Add(f, &held{g, s.added})
	for s.bytes += g.size; s.bytes > s.limit; {
		s.lru.RemoveOldest()
	}
}

func (c *cache) stats() (entries int, bytes int64, hits, misses uint64) {
	if c == nil {
		return 0, 0, 0, 0
	}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		entries += s.lru.Len()
		bytes += s.bytes
		s.mu.Unlock()
	}
	return entries, bytes, c.hits.Load(), c.misses.Load()
}

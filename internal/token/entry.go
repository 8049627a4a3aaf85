package token

import (
	"crypto/sha256"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"authz/internal/check"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// entry is a token whose signature and claims are good. Whether it may be used is a
// matter of the time of the request, so that is asked each time (at).
type entry struct {
	issuer     *issuer
	generation uint64
	span       span
	size       int64

	// What is answered, by the time.
	valid, expired, early, future *check.Token
}

func newEntry(is *issuer, t *parsed, s span, generation uint64, c credential) *entry {
	invalid := func(code string) *check.Token {
		return &check.Token{Status: check.TokenInvalid, Error: code, Via: c.via}
	}
	e := &entry{
		issuer: is, generation: generation, span: s,
		expired: &check.Token{Status: check.TokenExpired, Error: ErrorExpired, Via: c.via},
		early:   invalid(ErrorNotBefore),
		future:  invalid(ErrorIssuedAt),
		valid: &check.Token{
			Status: check.TokenValid, Via: c.via, Issuer: is.Issuer.Issuer, Subject: t.text("sub"),
			Scopes: t.scopes(is.ScopesClaim), Roles: words(t.claim(is.RolesClaim), false),
			Claims: t.claims, Header: t.header, Expires: s.expires,
		},
	}
	// The strings of claims are parts of the decoded text; maps and headers of values
	// cost several times the text.
	e.size = 1024 + 8*int64(len(c.raw))
	return e
}

// at is the answer at that time.
func (e *entry) at(now time.Time) *check.Token {
	leeway := e.issuer.Leeway
	switch {
	case !now.Before(e.span.expires.Add(leeway)):
		return e.expired
	case now.Add(leeway).Before(e.span.notBefore):
		return e.early
	case now.Add(leeway).Before(e.span.issued):
		return e.future
	}
	return e.valid
}

// claim finds a claim by its name, or by a dotted path of names.
func (t *parsed) claim(path string) any {
	if value, found := t.claims[path]; found {
		return value
	}
	var value any = t.claims
	for name := range strings.SplitSeq(path, ".") {
		o, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = o[name]
	}
	return value
}

func (t *parsed) scopes(claim string) []string {
	value := t.claim(claim)
	if value == nil && claim == "scope" {
		value = t.claims["scp"] // Entra and Okta
	}
	return words(value, true)
}

// words are the strings of a list; a single string is one, or several with spaces
// between where that is the custom (RFC 8693, 4.2). Nil for anything else.
func words(value any, spaced bool) []string {
	switch v := value.(type) {
	case string:
		if spaced {
			return strings.Fields(v)
		}
		return []string{v}
	case []any:
		list := make([]string, 0, len(v))
		for _, x := range v {
			if s, ok := x.(string); ok {
				list = append(list, s)
			}
		}
		return list
	}
	return nil
}

// digest stands for a whole token and the place where it was found.
type digest [sha256.Size]byte

func digestOf(c credential) digest {
	d := sha256.Sum256([]byte(c.raw))
	d[0] ^= c.via[0] // "header" and "cookie" differ there, and in what is answered
	return d
}

// cache keeps entries, least recently used ones leaving first, within a bound of bytes.
type cache struct {
	hits, misses atomic.Uint64

	mu    sync.Mutex // guards all below
	lru   *simplelru.LRU[digest, *entry]
	bytes int64
	max   int64
}

func newCache(max int64) *cache {
	c := &cache{max: max}
	// The number is bounded by the bytes: no entry is smaller than this.
	c.lru, _ = simplelru.NewLRU(int(max/1024)+1, func(_ digest, e *entry) { c.bytes -= e.size })
	return c
}

func (c *cache) get(d digest) *entry {
	c.mu.Lock()
	e, _ := c.lru.Get(d)
	c.mu.Unlock()
	if e == nil {
		c.misses.Add(1)
	} else {
		c.hits.Add(1)
	}
	return e
}

func (c *cache) add(d digest, e *entry) {
	if e.size > c.max {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Remove(d) // Add would replace it without giving its bytes back
	c.lru.Add(d, e)
	c.bytes += e.size
	for c.bytes > c.max {
		c.lru.RemoveOldest()
	}
}

func (c *cache) stats() (entries int, bytes int64, hits, misses uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lru.Len(), c.bytes, c.hits.Load(), c.misses.Load()
}

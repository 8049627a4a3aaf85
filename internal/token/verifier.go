package token

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sync/errgroup"

	"authz/internal/check"
	"authz/internal/jwks"
)

// Verifier says who is asking. Its fields are set once, by New; its methods may be
// called from any goroutine.
type Verifier struct {
	cookie   string
	maxBytes int
	issuers  []*issuer
	byName   map[string][]*issuer // by iss, in the order of the configuration
	cache    *cache
	// slots bound the verifications under way. A forged token costs as much
	// arithmetic as a good one: a flood of them must wait in line, not take every
	// thread from requests whose tokens are known.
	slots chan struct{}
}

// New checks the configuration and reports every fault. It starts nothing: Run
// fetches the keys.
func New(cfg Config, log *slog.Logger) (*Verifier, error) {
	v := &Verifier{
		cookie:   cfg.Cookie,
		maxBytes: cfg.MaxBytes,
		byName:   map[string][]*issuer{},
		slots:    make(chan struct{}, 4*runtime.GOMAXPROCS(0)),
	}
	var faults []error
	if v.maxBytes == 0 {
		v.maxBytes = DefaultMaxBytes
	}
	if v.maxBytes < 0 {
		faults = append(faults, errors.New("max_bytes: must not be negative"))
	}
	if !cookieName(v.cookie) {
		faults = append(faults, fmt.Errorf("cookie: %q can't be a cookie's name", v.cookie))
	}
	switch {
	case cfg.CacheBytes == 0:
		v.cache = newCache(DefaultCacheBytes)
	case cfg.CacheBytes > 0:
		v.cache = newCache(cfg.CacheBytes)
	}
	for i := range cfg.Issuers {
		is, err := newIssuer(cfg.Issuers[i], log)
		if err != nil {
			faults = append(faults, fmt.Errorf("issuers[%d]: %w", i, err))
			continue
		}
		for _, other := range v.byName[is.iss] {
			if audience, ok := is.overlap(other); ok {
				faults = append(faults, fmt.Errorf("issuers[%d]: %s has the same iss and accepts %s too", i, other.name, audience))
			}
		}
		v.issuers = append(v.issuers, is)
		v.byName[is.iss] = append(v.byName[is.iss], is)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return v, nil
}

// Run keeps the keys of every issuer fresh until ctx ends, which is no error.
func (v *Verifier) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, is := range v.issuers {
		if is.keys != nil {
			group.Go(func() error { return is.keys.Run(ctx) })
		}
	}
	group.Go(func() error { <-ctx.Done(); return nil })
	return group.Wait()
}

// Issuers reports how each issuer's key set is doing. Issuers with a secret have
// none.
func (v *Verifier) Issuers() []jwks.Status {
	var out []jwks.Status
	for _, is := range v.issuers {
		if is.keys != nil {
			out = append(out, is.keys.Status())
		}
	}
	return out
}

// CacheStats reports what the cache of verified tokens holds and how often it knew
// the answer.
func (v *Verifier) CacheStats() (entries int, bytes int64, hits, misses uint64) {
	return v.cache.stats()
}

// Verify judges the credential in a request's headers at a time. The answer is
// never nil and is shared: read only.
func (v *Verifier) Verify(ctx context.Context, h check.Headers, now time.Time) *check.Token {
	c := v.credential(h)
	switch {
	case c.fault != "":
		return refused(c.fault, c.via)
	case c.text == "":
		return absent
	}
	print := sha256.Sum256(bytesOf(c.text))
	if g := v.cache.find(print); g != nil {
		v.cache.hits.Add(1)
		return g.judge(now, c.via)
	}
	if code := malformed(c); code != "" {
		return refused(code, c.via)
	}
	v.cache.missed()
	g, code := v.verify(ctx, c.text, print)
	if code != "" {
		return refused(code, c.via)
	}
	return g.judge(now, c.via)
}

// Known is Verify for who can't wait: it says no where finding out takes more than a
// look, and Verify has to be asked.
func (v *Verifier) Known(h check.Headers, now time.Time) (*check.Token, bool) {
	c := v.credential(h)
	switch {
	case c.fault != "":
		return refused(c.fault, c.via), true
	case c.text == "":
		return absent, true
	}
	g := v.cache.find(sha256.Sum256(bytesOf(c.text)))
	if g == nil {
		if code := malformed(c); code != "" {
			return refused(code, c.via), true
		}
		return nil, false
	}
	v.cache.hits.Add(1)
	return g.judge(now, c.via), true
}

// verify finds out whether a token is genuine and remembers it when it is. What is
// not genuine is never remembered: it would push out what is.
func (v *Verifier) verify(ctx context.Context, text string, print fingerprint) (*genuine, string) {
	t, code := parse(text)
	if code != "" {
		return nil, code
	}
	is, code := v.issuerOf(t)
	if code != "" {
		return nil, code
	}
	key, generation, code := is.key(ctx, t)
	if code != "" {
		return nil, code
	}

	select {
	case v.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ErrBusy
	}
	defer func() { <-v.slots }()
	if g := v.cache.find(print); g != nil { // somebody was quicker
		return g, ""
	}
	if !algorithms[t.alg](key, []byte(t.signed), t.signature) {
		return nil, ErrSignature
	}
	g, code := is.genuine(t, generation)
	if code == "" {
		v.cache.add(print, g)
	}
	return g, code
}

// issuerOf finds whose token it says it is: the first issuer of that exact name
// that serves its audience.
func (v *Verifier) issuerOf(t *jwt) (*issuer, string) {
	iss, _ := t.claims["iss"].(string)
	candidates := v.byName[iss]
	if len(candidates) == 0 {
		return nil, ErrIssuer
	}
	audience, ok := t.audience()
	if !ok {
		return nil, ErrMalformed
	}
	for _, is := range candidates {
		if !is.serves(audience) {
			continue
		}
		if !slices.Contains(is.algorithms, t.alg) {
			return nil, ErrAlgorithm
		}
		return is, ""
	}
	return nil, ErrAudience
}

// key finds the key that must have signed the token.
func (is *issuer) key(ctx context.Context, t *jwt) (key any, generation uint64, code string) {
	if is.keys == nil {
		return secret(is.secret), secretGeneration, ""
	}
	k, err := is.keys.Key(ctx, t.kid, t.alg)
	switch {
	case err == nil && k.RSA != nil:
		return k.RSA, k.Generation, ""
	case err == nil:
		return k.Public, k.Generation, ""
	case errors.Is(err, jwks.ErrAlgorithm):
		return nil, 0, ErrAlgorithm
	case errors.Is(err, jwks.ErrAmbiguous):
		return nil, 0, ErrAmbiguousID
	case errors.Is(err, jwks.ErrUnknown):
		return nil, 0, ErrUnknownKey
	}
	return nil, 0, ErrNoKeys
}

// bytesOf is s without a copy, for a reader that neither writes nor keeps it.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) } //nolint:gosec // read only, and for one call

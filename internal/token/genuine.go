package token

import (
	"encoding/json"
	"math/bits"
	"time"

	"authz/internal/check"
)

// genuine is a token whose signature, issuer and audience are right. It is not
// valid by that alone: judge says whether it is at a time. It never changes.
type genuine struct {
	issuer *issuer
	// generation is that of the key set which verified it.
	generation uint64
	// from, issued and until bound its life, leeway included.
	from, issued, until time.Time
	// byHeader and byCookie are the answer while it is valid, for each way it can come.
	byHeader, byCookie check.Token
	size               int64
}

// secretGeneration stands for the generation of a secret, which never changes.
const secretGeneration = ^uint64(0)

// genuine makes the answer of a token whose signature is right.
func (is *issuer) genuine(t *jwt, generation uint64) (*genuine, string) {
	subject, ok := t.claims["sub"].(string)
	if _, has := t.claims["sub"]; has && !ok {
		return nil, ErrMalformed
	}
	if is.needsSubject && subject == "" {
		return nil, ErrSubject
	}
	expires := t.times.expires
	if is.maxAge > 0 {
		if t.times.issuedAt.IsZero() {
			return nil, ErrIssuedAt
		}
		if end := t.times.issuedAt.Add(is.maxAge); end.Before(expires) {
			expires = end
		}
	}
	g := &genuine{
		issuer: is, generation: generation,
		from:   t.times.notBefore.Add(-is.leeway),
		issued: t.times.issuedAt.Add(-is.leeway),
		until:  expires.Add(is.leeway),
		byHeader: check.Token{
			Status:  check.TokenValid,
			Via:     viaHeader,
			Issuer:  is.iss,
			Subject: subject,
			Scopes:  is.readScopes(t.claims),
			Roles:   is.readRoles(t.claims),
			Claims:  t.claims,
			Header:  t.header,
			Expires: expires,
		},
	}
	g.byCookie = g.byHeader
	g.byCookie.Via = viaCookie
	g.size = g.weigh(t.retained)
	return g, ""
}

// judge says what the token is worth at a time. Expired is only what would be valid
// otherwise.
func (g *genuine) judge(now time.Time, via string) *check.Token {
	switch {
	case now.Before(g.from):
		return refused(ErrNotBefore, via)
	case now.Before(g.issued):
		return refused(ErrIssuedAt, via)
	case !now.Before(g.until): // RFC 7519, section 4.1.4: on or after
		return refused(ErrExpired, via)
	case via == viaCookie:
		return &g.byCookie
	}
	return &g.byHeader
}

// current reports whether the keys are still those that verified the token, and
// may still be used.
func (g *genuine) current() bool {
	if g.issuer.keys == nil {
		return true
	}
	return g.generation == g.issuer.keys.Generation()
}

// Sizes on a 64-bit machine, as the allocator rounds them; TestCacheBytes compares
// their sum with what the runtime says.
const (
	sizeGenuine = 704 + 16 // genuine itself, and held
	sizeEntry   = 128      // an entry of the list
	sizeSlot    = 80       // its share of the table
	sizeBox     = 16       // a string in an interface
	sizeSlice   = 24
	sizeMap     = 48
	sizeGroup   = 264 // eight names and values
)

// weigh is the memory that remembering the token takes.
func (g *genuine) weigh(retained int) int64 {
	size := sizeGenuine + sizeEntry + sizeSlot + retained
	size += sizeBox * (cap(g.byHeader.Roles) + cap(g.byHeader.Scopes))
	return int64(size + weigh(g.byHeader.Claims) + weigh(g.byHeader.Header))
}

func weigh(value any) int {
	switch value := value.(type) {
	case string, json.Number:
		return sizeBox
	case []any:
		size := sizeSlice + sizeBox*cap(value)
		for _, item := range value {
			size += weigh(item)
		}
		return size
	case map[string]any:
		size := sizeMap + sizeGroup
		if n := len(value); n > 8 { // tables grow by doubling, at seven eighths full
			size = sizeMap + sizeGroup*(1<<bits.Len(uint((n*8/7-1)/8)))
		}
		for _, item := range value {
			size += weigh(item)
		}
		return size
	}
	return 0
}

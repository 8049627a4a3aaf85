// Package ratelimit answers one question: may this request still pass under these
// limits? If so it charges them, all together or none.
//
// The guarantee: in any interval of length t at most burst + limit·t/window units of
// a key pass, whatever the store drops or folds together to stay within its memory.
// The arithmetic (gcra.go) is pure and the same for every store; a store keeps one
// number a key. A key is the limit's name and the elements of its key, and nothing
// else: when a policy changes a limit's numbers, what its keys owe stays owed, and
// two limits that shall be counted apart need two names.
//
// It knows nothing of HTTP, of policies or of who is asking; time is an argument.
package ratelimit

import (
	"math"
	"slices"
	"strings"
	"time"
)

// Limit is a limit and the key that it is kept for. Name is a part of the key.
// Limit, Burst, Cost and Window must be positive.
type Limit struct {
	Name               string
	Key                []string
	Limit, Burst, Cost int64
	Window             time.Duration
}

// Ask is one question. With Peek it is answered and not charged.
type Ask struct {
	Limit
	Peek bool
}

// State is what is left of a limit after it was asked.
type State struct {
	Allowed    bool
	Remaining  int64         // how many requests of this cost would pass now
	Reset      time.Duration // until the whole allowance is back
	RetryAfter time.Duration // until this request would pass; 0 where it passed
}

// Never is the RetryAfter of a cost above the burst: it passes at no time.
const Never = time.Duration(math.MaxInt64)

// Verdict answers several asks at once. The zero value refuses.
type Verdict struct {
	Allowed bool
	States  []State // one an ask, in order
	Refused int     // the ask that refuses longest, or -1
	// Fallback says that the shared store could not answer, and who did instead. States
	// is then empty if nobody counted.
	Fallback Fallback
}

func cloneLimit(l *Limit) Limit {
	c := *l
	c.Name, c.Key = strings.Clone(l.Name), slices.Clone(l.Key)
	for i := range c.Key {
		c.Key[i] = strings.Clone(c.Key[i])
	}
	return c
}

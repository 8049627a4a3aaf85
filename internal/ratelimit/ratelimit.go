// Package ratelimit answers one question: may these requests still pass under these
// limits? If so it charges them, all together or none.
//
// The arithmetic (gcra.go) is pure and the same for every store. A store keeps one
// number a key. The guarantee, whatever the store forgets or folds together: in any
// interval of length t at most burst + limit·t/window units of a key pass.
//
// It knows nothing of HTTP, of policies or of who is asking; time is an argument.
package ratelimit

import (
	"time"
)

// Limit is a limit and the key that it is kept for. Name is a part of the key.
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

// Verdict answers several asks at once.
type Verdict struct {
	Allowed bool
	States  []State // one an ask, in order
	Refused int     // the ask that refuses longest, or -1
}

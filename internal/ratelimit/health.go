package ratelimit

import (
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
)

const (
	// hiccup is how long a store may fail before it is left alone: a pause of some
	// milliseconds costs those who come in it the fallback, and nobody else.
	hiccup = 100 * time.Millisecond
	// row is how many failures in a row then are enough, however rare they come.
	row = 5
	// many failures in one second are enough if they are half of all.
	many = 20
	// silence is the least time between two lines about poisoned keys.
	silence = time.Minute
)

// health is what is known of a store beside the breaker's counts, which begin anew each
// second: a replica with little to do would never find out.
type health struct {
	mu     sync.Mutex
	row    int       // failures since the last success
	first  time.Time // of the row
	second time.Time // when the first failure of this second was
	cause  error     // the last failure
	told   time.Time
}

func (h *health) passed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.row = 0
}

func (h *health) failed(now time.Time, cause error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.row == 0 {
		h.first = now
	}
	h.row++
	if now.Sub(h.second) > time.Second {
		h.second = now
	}
	h.cause = cause
}

// hopeless says that the store is to be left alone for a while.
func (h *health) hopeless(c gobreaker.Counts) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	return h.row >= row && now.Sub(h.first) >= hiccup ||
		c.TotalFailures >= many && c.TotalFailures*2 >= c.Requests && now.Sub(h.second) >= hiccup
}

// why is the last failure in words.
func (h *health) why() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cause == nil {
		return ""
	}
	return h.cause.Error()
}

// tell says that it is time for another line about poisoned keys.
func (h *health) tell(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.told.IsZero() && now.Sub(h.told) < silence {
		return false
	}
	h.told = now
	return true
}

package authz

import (
	"sync/atomic"
	"time"

	"authz/internal/check"
)

// Outcome is what becomes of a request. The zero value refuses with a 500.
type Outcome uint8

// The outcomes of the contract; extauthz turns each into an HTTP answer.
const (
	Failed      Outcome = iota // the decision could not be made: 500
	Allowed                    // to the app
	Denied                     // the policy refuses: its status, default 403
	Limited                    // a quota is spent: 429
	Malformed                  // the request itself is ambiguous: 400
	Unavailable                // no policy or no keys yet: 503
)

var outcomeNames = [...]string{"failed", "allowed", "denied", "limited", "malformed", "unavailable"}

// String is the name used in logs and metrics.
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return outcomeNames[Failed]
}

// Decision is the answer to one request, before it is put on the wire.
// The zero value refuses.
type Decision struct {
	Outcome Outcome
	// ID names this decision in the log, the metadata and problem bodies.
	ID string
	// RequestID is the request's own id, or ID where it has none.
	RequestID string

	// Headers go to the app when Allowed, else to the client.
	Headers []check.Header
	// ResponseHeaders go to the client, on every outcome that followed an allow.
	ResponseHeaders []check.Header
	RemoveHeaders   []string
	SetQuery        []check.Header
	RemoveQuery     []string
	// Status and Body are the policy's, for Denied; 0 and nil mean the defaults.
	Status   int
	Body     *string
	Metadata map[string]any

	// Quotas is what is left of each quota that was asked, in the policy's order.
	Quotas []QuotaState
	// Spent is the index in Quotas of the one that refused, or -1.
	Spent int

	// Kept is where a door may keep what it made of this decision for the next request
	// that gets the same: all above but what names or counts the request. nil where the
	// decision is not remembered.
	Kept *atomic.Value

	// Reasons are stable codes for log and metrics, never for the client.
	Reasons []string

	// Shadows is what the quotas said that are not enforced, in the policy's order. It
	// changes nothing of the answer.
	Shadows []ShadowState
}

// QuotaState is a quota after it was asked.
type QuotaState struct {
	Name      string
	Limit     int64
	Window    time.Duration
	Remaining int64         // how many requests of this cost would pass now
	Reset     time.Duration // until the whole allowance is back
	// RetryAfter is the time until this request would pass: 0 when it passed, the
	// largest duration when it never will (a cost above the burst).
	RetryAfter time.Duration
}

// ShadowState is a quota that is counted and not enforced, after it was asked.
type ShadowState struct {
	Name   string
	Passed bool // the request would have passed
	Lost   bool // it could not be counted where it belongs; Passed is false then
}

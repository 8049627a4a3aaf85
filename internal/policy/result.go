package policy

import (
	"errors"
	"sync/atomic"
	"time"

	"authz/internal/check"
)

// Result is a decision document, decoded strictly (contract: Result).
// The zero value refuses.
type Result struct {
	Allowed bool
	// Headers go to the app on an allow, to the client on a denial. A list of
	// values is several entries of one name, in order.
	Headers         []check.Header
	ResponseHeaders []check.Header // to the client, on an allow
	RemoveHeaders   []string       // request headers the app must not see
	SetQuery        []check.Header // query parameters; a repeated name is a list
	RemoveQuery     []string
	// Status and Body apply on a denial. Status is 0 and Body nil where the
	// policy leaves them to the defaults.
	Status int
	Body   *string
	// Metadata is passed to Envoy: plain JSON-like values with float64 numbers.
	Metadata map[string]any
	// Reasons are stable codes for log and metrics, never sent to the client.
	Reasons []string
	Quotas  []Quota
	// Response says what the response side must do; nil where nothing.
	Response *ResponseRules

	// Unknown lists keys of the document that mean nothing here.
	Unknown []string
	// Route is the id of the matched row of the route table, or "".
	Route string
	// Revision names the policy that decided.
	Revision string
	// Kept is where who gets a remembered Result may keep what was made of it, of about
	// its size; nil in a Result that is not remembered.
	Kept *atomic.Value
}

// ResponseRules is the result's `response` object.
type ResponseRules struct {
	MaskErrors bool
	Sanitize   any
}

// Charge says what consumes a quota.
type Charge string

// The values of a quota's charge.
const (
	ChargeRequest Charge = "request" // each allowed request
	ChargeDenied  Charge = "denied"  // each refused request
	ChargeFailed  Charge = "failed"  // each one the app answered with 4xx or 5xx
)

// Quota is one element of the result's `quotas`, with references resolved.
type Quota struct {
	Name               string
	Key                []string
	Limit, Burst, Cost int64
	Window             time.Duration
	Charge             Charge
	// Shadow: counted and reported, not enforced.
	Shadow bool
}

// What keeps an evaluation from giving a Result. None of these is a denial.
var (
	// ErrNotLoaded: no usable policy yet.
	ErrNotLoaded = errors.New("no policy loaded")
	// ErrUndefined: the entry point gave no value for this input.
	ErrUndefined = errors.New("decision is undefined")
	// ErrMalformed: the decision document has a wrong type or a bad value.
	ErrMalformed = errors.New("decision is malformed")
	// ErrDeadline: the evaluation was cut off.
	ErrDeadline = errors.New("policy evaluation exceeded its deadline")
	// ErrBusy: too many evaluations are under way.
	ErrBusy = errors.New("too many policy evaluations under way")
	// ErrEvaluation: conflict or built-in error inside the policy.
	ErrEvaluation = errors.New("policy evaluation failed")
)

package ops

import "time"

// Sources are the questions the side door asks of the other rooms. All are set;
// each may be called from any goroutine.
type Sources struct {
	Build     Build
	Draining  func() bool
	Policy    func() PolicyStatus
	Issuers   func() []IssuerStatus
	Tokens    func() TokenCache
	Decisions func() DecisionCache
	Quotas    func() QuotaStore
	Audit     func() AuditLog
	Door      func() FrontDoor
}

// Build names the binary.
type Build struct{ Version, Go, OPA string }

// PolicyStatus is the state of the policies.
type PolicyStatus struct {
	Loaded    bool      `json:"loaded"`
	Revision  string    `json:"revision,omitempty"`
	LoadedAt  time.Time `json:"loaded_at,omitzero"`
	Reloads   uint64    `json:"reloads"`
	Failures  uint64    `json:"failures"`
	LastError string    `json:"last_error,omitempty"`
	// Fetches of policy bundles, and the bundles whose last fetch failed.
	Fetches       uint64   `json:"-"`
	FetchFailures uint64   `json:"-"`
	Unfetched     []string `json:"unfetched,omitempty"`
}

// IssuerStatus is the state of one issuer's keys.
type IssuerStatus struct {
	Name      string        `json:"name"`
	Ready     bool          `json:"ready"`
	Keys      int           `json:"keys"`
	Age       time.Duration `json:"-"`
	Fetches   uint64        `json:"fetches"`
	Failures  uint64        `json:"failures"`
	LastError string        `json:"last_error,omitempty"`
}

// TokenCache is the cache of verified tokens.
type TokenCache struct {
	Entries      int
	Bytes        int64
	Hits, Misses uint64
}

// DecisionCache is the cache of decisions; all zero while it is off.
type DecisionCache struct {
	Entries                 int
	Bytes                   int64
	Hits, Misses, Evictions uint64
	// RoutesOff is how many routes are left alone because their decisions hardly repeat.
	RoutesOff int
}

// QuotaStore is the in-process quota store, and the shared one if there is one.
type QuotaStore struct {
	Keys      int
	Evictions uint64
	Shared    *SharedStore
}

// SharedStore is the quota store that replicas share.
type SharedStore struct {
	Breaker  string `json:"breaker"` // closed, half-open or open
	Fallback string `json:"fallback"`

	Orders    uint64 `json:"-"` // round trips
	Failures  uint64 `json:"-"` // of them, those that failed or were late
	Poisoned  uint64 `json:"-"` // those that met a foreign value
	Fallbacks uint64 `json:"-"` // checks that the fallback answered
	Leased    uint64 `json:"-"` // checks that needed no round trip
	Returned  uint64 `json:"-"` // keys of which unused units were given back
}

// AuditLog is the decision log.
type AuditLog struct{ Written, Dropped, Errors uint64 }

// FrontDoor is the gRPC server.
type FrontDoor struct {
	InFlight, Connections int64
	Panics, Overloads     uint64
}

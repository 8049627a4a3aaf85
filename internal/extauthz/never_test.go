package extauthz

import (
	"math"
	"testing"
	"time"

	"authz/internal/authz"
)

// A request that will never pass is not told to come back.
func TestNeverRetry(t *testing.T) {
	for wait, want := range map[time.Duration]bool{math.MaxInt64: false, 90 * time.Second: true} {
		d := authz.Decision{Outcome: authz.Limited, Spent: 0, Quotas: []authz.QuotaState{{Name: "a", Limit: 1, Window: time.Hour, RetryAfter: wait}}}
		if got := has(new(writer).quotaHeaders(nil, &d), "retry-after"); got != want {
			t.Errorf("wait %s: retry-after is there: %v", wait, got)
		}
	}
}

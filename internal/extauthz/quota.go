package extauthz

import (
	"math"
	"strconv"
	"time"

	"authz/internal/authz"
	"authz/internal/check"
)

// quotaHeaders are what the client is told of its quotas beside list
// (draft-ietf-httpapi-ratelimit-headers): all of them in RateLimit-Policy, the
// tightest in RateLimit, and on a refusal when to come back. A name that the policy
// itself sets is the policy's.
//
// Where asked for, the tightest is told in the older X-RateLimit headers too. Nobody
// ever wrote down what their Reset is: GitHub's is a time of day, that of Envoy's own
// rate limit filter a number of seconds, and so is this one. Seconds need no two clocks
// to agree, and who takes them for a time of day finds one that is past and comes back
// too early; who takes a time of day for seconds waits for decades.
func (w *writer) quotaHeaders(list []check.Header, d *authz.Decision) []check.Header {
	out := make([]check.Header, 0, 6)
	put := func(name, value string) {
		if !has(list, name) {
			out = append(out, check.Header{Name: name, Value: value})
		}
	}
	if len(d.Quotas) > 0 {
		put(ratePolicyHeader, ratePolicy(d.Quotas))
		least := &d.Quotas[tightest(d)]
		put(rateHeader, string(appendRate(nil, least)))
		if w.legacyQuotas {
			put("x-ratelimit-limit", strconv.FormatInt(max(0, least.Limit), 10))
			put("x-ratelimit-remaining", strconv.FormatInt(max(0, least.Remaining), 10))
			put("x-ratelimit-reset", strconv.FormatInt(seconds(least.Reset), 10))
		}
	}
	switch {
	case d.Outcome != authz.Limited:
	case !spent(d):
		put("retry-after", "1")
	case d.Quotas[d.Spent].RetryAfter < never: // coming back would not help
		put("retry-after", strconv.FormatInt(max(1, seconds(d.Quotas[d.Spent].RetryAfter)), 10))
	}
	return out
}

const ratePolicyHeader, rateHeader = "ratelimit-policy", "ratelimit"

// never is how long a request waits whose cost is above the quota's burst
// (ratelimit.Never).
const never = time.Duration(math.MaxInt64)

func ratePolicy(quotas []authz.QuotaState) string {
	var b []byte
	for i := range quotas {
		q := &quotas[i]
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(appendStructured(b, q.Name), ";q="...)
		b = append(strconv.AppendInt(b, max(0, q.Limit), 10), ";w="...)
		b = strconv.AppendInt(b, max(1, seconds(q.Window)), 10)
	}
	return string(b)
}

// appendRate appends what is left of a quota.
func appendRate(b []byte, q *authz.QuotaState) []byte {
	b = append(appendStructured(b, q.Name), ";r="...)
	b = strconv.AppendInt(b, max(0, q.Remaining), 10)
	return strconv.AppendInt(append(b, ";t="...), seconds(q.Reset), 10)
}

func spent(d *authz.Decision) bool { return d.Spent >= 0 && d.Spent < len(d.Quotas) }

// tightest is the quota that refused, else the one with the smallest share left,
// and of those the one that takes longest to come back.
func tightest(d *authz.Decision) int {
	if d.Outcome == authz.Limited && spent(d) {
		return d.Spent
	}
	share := func(q *authz.QuotaState) float64 {
		return float64(max(0, q.Remaining)) / float64(max(1, q.Limit))
	}
	least := 0
	for i := 1; i < len(d.Quotas); i++ {
		a, b := &d.Quotas[i], &d.Quotas[least]
		if share(a) < share(b) || share(a) == share(b) && a.Reset > b.Reset {
			least = i
		}
	}
	return least
}

// seconds rounds up: a client that waits a little too short is refused again.
func seconds(d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	return int64((d-1)/time.Second) + 1
}

// appendStructured appends s as a quoted string of RFC 9651, which holds printable
// ASCII only.
func appendStructured(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c < 0x20 || c > 0x7e:
			b = append(b, '_')
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

package extauthz

import (
	"slices"
	"strings"
	"testing"
	"time"

	"authz/internal/authz"
)

// The older headers say of the tightest quota what RateLimit says of it, on an allow
// and on a 429, and nothing unless they are asked for.
func TestLegacyQuotaHeaders(t *testing.T) {
	api := authz.QuotaState{Name: "api", Limit: 100, Window: time.Second, Remaining: 90, Reset: 1}
	login := authz.QuotaState{Name: "login", Limit: 5, Window: 15 * time.Minute, Remaining: 3, Reset: 119500 * time.Millisecond}
	spent := authz.QuotaState{Name: "login", Limit: 5, Window: 15 * time.Minute, Reset: 900 * time.Second, RetryAfter: 180 * time.Second}
	odd := authz.QuotaState{Name: "odd", Limit: 5, Remaining: -1, Reset: -1}
	for name, c := range map[string]struct {
		d    authz.Decision
		list []h
		want []string // of the older ones, as limit, remaining, reset
	}{
		"allowed":                   {authz.Decision{Outcome: authz.Allowed, Quotas: []authz.QuotaState{api, login}, Spent: -1}, nil, []string{"5", "3", "120"}},
		"limited":                   {authz.Decision{Outcome: authz.Limited, Quotas: []authz.QuotaState{api, spent}, Spent: 1}, nil, []string{"5", "0", "900"}},
		"never less than nothing":   {authz.Decision{Outcome: authz.Allowed, Quotas: []authz.QuotaState{odd}, Spent: -1}, nil, []string{"5", "0", "0"}},
		"the policy's own":          {authz.Decision{Outcome: authz.Allowed, Quotas: []authz.QuotaState{login}, Spent: -1}, []h{{Name: "X-RateLimit-Reset", Value: "tomorrow"}}, []string{"5", "3", "tomorrow"}},
		"no quota":                  {authz.Decision{Outcome: authz.Allowed, Spent: -1}, nil, []string{"", "", ""}},
		"limited by who knows what": {authz.Decision{Outcome: authz.Limited, Spent: -1}, nil, []string{"", "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			got := make([]string, 3)
			plain := append(slices.Clone(c.list), new(writer).quotaHeaders(c.list, &c.d)...)
			for _, header := range append(slices.Clone(c.list), (&writer{legacyQuotas: true}).quotaHeaders(c.list, &c.d)...) {
				if i := slices.Index([]string{"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}, strings.ToLower(header.Name)); i >= 0 {
					got[i] = header.Value
				} else if !slices.Contains(plain, header) {
					t.Errorf("%v is not there without the older ones", header)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("limit, remaining and reset are %q, want %q", got, c.want)
			}
			for _, header := range plain {
				if strings.HasPrefix(header.Name, "x-ratelimit") {
					t.Errorf("%v was not asked for", header)
				}
			}
		})
	}
}

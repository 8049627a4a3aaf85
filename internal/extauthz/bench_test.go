package extauthz

import (
	"context"
	"strings"
	"testing"

	"authz/internal/authz"
	"authz/internal/check"
)

// BenchmarkAnswer is a check from bytes to bytes without the decision: 15 headers,
// three headers for the app and eight for the client in the answer.
func BenchmarkAnswer(b *testing.B) {
	headers := map[string]string{"authorization": "Bearer " + strings.Repeat("e", 700), "x-request-id": "5132ebe8-38c4-4646-9b9e-372a4d9f665d"}
	for _, name := range []string{"accept", "accept-encoding", "accept-language", "cookie", "user-agent", "x-forwarded-for", "x-forwarded-proto", "sec-fetch-site", "sec-fetch-mode"} {
		headers[name] = "a value of some thirty characters"
	}
	message := encoded(httpCheck("GET", "/orders/3f1e0f2c-6d1c-4b52-9c43-0a4e2f5f3b11?page=2", headers))
	d := authz.Decision{Outcome: authz.Allowed, ID: "5132ebe8-38c4-4646-9b9e-372a4d9f665d", Spent: -1}
	for _, name := range []string{"x-user-id", "x-user-roles", "x-tenant"} {
		d.Headers = append(d.Headers, check.Header{Name: name, Value: "value"})
	}
	for _, name := range []string{"strict-transport-security", "x-frame-options", "x-content-type-options", "referrer-policy", "content-security-policy", "cross-origin-opener-policy", "vary", "access-control-allow-origin"} {
		d.ResponseHeaders = append(d.ResponseHeaders, check.Header{Name: name, Value: "a value of some thirty characters"})
	}
	s, err := NewServer(Config{Fail: (&records{}).fail, IdentityHeaders: []string{"x-user-id", "x-user-roles"}},
		func(context.Context, *check.Request) authz.Decision { return d }, silent)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.answer(context.Background(), message, address{})
	}
}

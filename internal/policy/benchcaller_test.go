package policy

import (
	"fmt"
	"strings"
	"testing"

	"authz/internal/check"
	"authz/policies"
)

// newCallers is the library with twelve routes, each guarded by a role, one by
// ownership; its decision tells the app who calls.
func newCallers(tb testing.TB, cacheBytes int64) *Engine {
	tb.Helper()
	var routes strings.Builder
	for i := range 12 {
		guard, name := fmt.Sprintf("roles: [%s]", []string{"viewer", "clerk", "editor", "admin"}[i%4]), "id:uuid"
		if i == 11 {
			guard, name = "owner: { param: name, claim: sub }", "name"
		}
		fmt.Fprintf(&routes, "      r%d: { methods: [GET], path: \"/r%d/{%s}\", %s }\n", i, i, name, guard)
	}
	return loadedEngine(tb, tree{"data.yaml": fmt.Sprintf(`authz:
  config:
    https: { enabled: false }
    cors: { origins: ["https://shop.example.com"] }
    quotas:
      limits:
        address: { by: address, limit: 1000000000, window: 1h, routes: [limited] }
        user: { by: user, limit: 1000000000, window: 1h, routes: [limited] }
    routes:
      limited: { methods: [GET], path: /limited, authenticated: true }
%s`, routes.String())}, Config{Library: policies.Library, CacheBytes: cacheBytes})
}

// newCaller makes a request one by somebody never seen before.
func newCaller(r *check.Request, i int) *check.Token {
	token, subject, id := validToken(), fmt.Sprintf("user-%08d", i), aUUID
	if i%12 == 11 {
		id = subject
	}
	r.Path = []string{fmt.Sprintf("r%d", i%12), id}
	r.HTTP.Path, r.Query = "/"+r.Path[0]+"/"+id, nil
	token.Subject, token.Roles = subject, []string{"viewer", "clerk", "editor", "admin"}
	token.Claims = map[string]any{"sub": subject, "jti": subject, "scope": "a b"}
	return token
}

// BenchmarkNewCaller: no decision is remembered, but rules of it are.
func BenchmarkNewCaller(b *testing.B) {
	for _, bytes := range []int64{0, 64 << 20} {
		b.Run(fmt.Sprint(bytes>>20, "MiB"), func(b *testing.B) {
			engine, r, i := newCallers(b, bytes), shopRequest(), 0
			b.ReportAllocs()
			for b.Loop() {
				caller := i
				if i++; i%13 == 0 { // a route where nothing is ever found is left alone
					caller = i / 13 % 12
				}
				if result, err := engine.Eval(b.Context(), r, newCaller(r, caller)); err != nil || !result.Allowed {
					b.Fatalf("%+v, %v", result, err)
				}
			}
		})
	}
}

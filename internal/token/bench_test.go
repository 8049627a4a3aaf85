package token

import (
	"strings"
	"testing"

	"authz/internal/check"
)

// usual is a token of about 700 bytes, among the headers of a usual request.
func usual(id, alg string) check.Headers {
	text := sign(members{"alg": alg, "kid": id}, claims(members{
		"scope": "orders:read orders:write", "email": "alice@example.com", "jti": "4dd9d70b-0e66-4c88",
		"realm_access": members{"roles": []string{"user", "ops"}},
	}), private()[id])
	h := check.Headers{}
	for name := range strings.SplitSeq("accept accept-encoding accept-language user-agent x-request-id x-forwarded-proto", " ") {
		h = append(h, check.Header{Name: name, Value: "something"})
	}
	return append(h, check.Header{Name: "authorization", Value: "Bearer " + text})
}

func benchmark(b *testing.B, h check.Headers, cacheBytes int64, want check.TokenStatus) {
	is := issuerAt(startKeys(b, "r1", "p256", "ed"))
	is.RolesClaim = "realm_access.roles"
	v := start(b, Config{Issuers: []Issuer{is}, CacheBytes: cacheBytes, Cookie: "session"})
	if k := v.Verify(b.Context(), h, theTime); k.Status != want {
		b.Fatalf("%s %s", k.Status, k.Error)
	}
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if k := v.Verify(ctx, h, theTime); k.Status != want {
			b.Fatal(k.Status)
		}
	}
}

func BenchmarkVerifyCached(b *testing.B) { benchmark(b, usual("r1", "RS256"), 0, check.TokenValid) }
func BenchmarkVerifyRS256(b *testing.B)  { benchmark(b, usual("r1", "RS256"), -1, check.TokenValid) }
func BenchmarkVerifyES256(b *testing.B)  { benchmark(b, usual("p256", "ES256"), -1, check.TokenValid) }
func BenchmarkVerifyEdDSA(b *testing.B)  { benchmark(b, usual("ed", "EdDSA"), -1, check.TokenValid) }

func BenchmarkVerifyForged(b *testing.B) {
	h := usual("r1", "RS256")
	last := &h[len(h)-1]
	last.Value = last.Value[:len(last.Value)-8] + "AAAAAAAA"
	benchmark(b, h, 0, check.TokenInvalid)
}

func BenchmarkVerifyAbsent(b *testing.B) {
	h := usual("r1", "RS256")
	benchmark(b, h[:len(h)-1], 0, check.TokenAbsent)
}

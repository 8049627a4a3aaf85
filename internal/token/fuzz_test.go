package token

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"authz/internal/check"
	"authz/internal/jwks"
)

// Whatever is sent: no panic, no failure, and valid is only what we signed, letter
// by letter.
func FuzzVerify(f *testing.F) {
	file := filepath.Join(f.TempDir(), "keys.json")
	if err := os.WriteFile(file, published("r1", "p256", "ed"), 0o600); err != nil {
		f.Fatal(err)
	}
	v := start(f, Config{
		Cookie: "session",
		Issuers: []Issuer{
			{Issuer: theIssuer, Audiences: []string{theAudience}, Keys: jwks.Config{File: file}},
			{Issuer: "internal", Audiences: []string{theAudience}, Secret: theSecret},
		},
	})
	ours := []string{
		good(),
		sign(members{"alg": "ES256", "kid": "p256"}, claims(nil), private()["p256"]),
		sign(members{"alg": "EdDSA", "kid": "ed"}, claims(nil), private()["ed"]),
		sign(members{"alg": "HS256"}, claims(members{"iss": "internal"}), theSecret),
	}
	for _, text := range ours {
		parts := strings.Split(text, ".")
		f.Add("Bearer "+text, "")
		f.Add("", "session="+text)
		f.Add("Bearer "+text, "a=b; session="+text)
		f.Add("Bearer "+text+",Bearer "+text, "")
		f.Add("Bearer "+respell(text), "")
		f.Add("Bearer "+b64([]byte(`{"alg":"none"}`))+"."+parts[1]+".", "")
		f.Add("Bearer "+parts[0]+"."+b64([]byte(`{"exp":1e300,"exp":2}`))+"."+parts[2], "")
	}
	f.Add("bearer ..", "session=")
	f.Add("Basic YTpi", "session=x; session=y")
	f.Fuzz(func(t *testing.T, authorization, cookie string) {
		h := check.Headers{{Name: "authorization", Value: authorization}, {Name: "cookie", Value: cookie}}
		k := v.Verify(t.Context(), h, theTime)
		switch k.Status {
		case check.TokenAbsent:
			if k.Error != "" || k.Via != "" {
				t.Errorf("absent, yet %+v", k)
			}
		case check.TokenValid:
			sent := strings.Trim(authorization, " \t")
			if k.Via == viaCookie {
				sent = cookie
			}
			if !slices.ContainsFunc(ours, func(text string) bool { return strings.Contains(sent, text) }) {
				t.Errorf("nobody signed %q", sent)
			}
		case check.TokenInvalid, check.TokenExpired, check.TokenUnavailable:
			if k.Error == "" || k.Via == "" || short(k) != string(k.Status)+" "+k.Error {
				t.Errorf("refused, yet %+v", k)
			}
		default:
			t.Errorf("status %q", k.Status)
		}
	})
}

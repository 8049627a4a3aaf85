package token

import (
	"strings"
	"testing"

	"authz/internal/check"
)

func TestWhereTheTokenIs(t *testing.T) {
	is := Issuer{Issuer: theIssuer, Audiences: []string{theAudience}, Secret: theSecret}
	v := start(t, Config{Issuers: []Issuer{is}, Cookie: "session"})
	make := func(sub string) string {
		return sign(members{"alg": "HS256"}, claims(members{"sub": sub}), theSecret)
	}
	a, b := make("alice"), make("bob")
	auth := func(value string) check.Header { return check.Header{Name: "authorization", Value: value} }
	cookie := func(value string) check.Header { return check.Header{Name: "cookie", Value: value} }
	tests := []struct {
		name    string
		headers check.Headers
		want    string // subject and way, or status, code and way
	}{
		{"nothing", nil, "absent"},
		{"header", check.Headers{auth("Bearer " + a)}, "alice header"},
		{"scheme in another case", check.Headers{auth("bEARER " + a)}, "alice header"},
		{"more spaces", check.Headers{auth("  Bearer   " + a + " ")}, "alice header"},
		{"empty header", check.Headers{auth("")}, "absent"},
		{"scheme alone", check.Headers{auth("Bearer")}, "invalid malformed header"},
		{"scheme and a space", check.Headers{auth("Bearer ")}, "invalid malformed header"},
		{"two words", check.Headers{auth("Bearer " + a + " " + b)}, "invalid malformed header"},
		{"quoted", check.Headers{auth(`Bearer "` + a + `"`)}, "invalid malformed header"},
		{"only padding", check.Headers{auth("Bearer ===")}, "invalid malformed header"},
		{"control byte", check.Headers{auth("Bearer " + a + "\x00")}, "invalid malformed header"},
		{"line break", check.Headers{auth("Bearer " + a[:9] + "\n" + a[9:])}, "invalid malformed header"},
		{"too large", check.Headers{auth("Bearer " + strings.Repeat("a", 8193))}, "invalid too_large header"},
		{"no scheme", check.Headers{auth(a)}, "absent"},
		{"tab after the scheme", check.Headers{auth("Bearer\t" + a)}, "absent"},
		{"Basic", check.Headers{auth("Basic YTpi")}, "absent"},
		{"Digest with commas", check.Headers{auth(`Digest username="a", realm="b"`)}, "absent"},
		{"DPoP", check.Headers{auth("DPoP " + a)}, "absent"},

		{"two joined by Envoy", check.Headers{auth("Bearer " + a + ",Bearer " + b)}, "invalid ambiguous header"},
		{"the same twice", check.Headers{auth("Bearer " + a + ", Bearer " + a)}, "invalid ambiguous header"},
		{"two headers", check.Headers{auth("Bearer " + a), auth("Bearer " + b)}, "invalid ambiguous header"},
		{"an empty one first", check.Headers{auth(""), auth("Bearer " + b)}, "invalid ambiguous header"},
		{"a comma first", check.Headers{auth(",Bearer " + a)}, "invalid ambiguous header"},
		{"a comma last", check.Headers{auth("Bearer " + a + ",")}, "invalid ambiguous header"},
		{"Basic before", check.Headers{auth("Basic YTpi, bearer " + a)}, "invalid ambiguous header"},
		{"Basic after", check.Headers{auth("Bearer " + a + ",Basic YTpi")}, "invalid ambiguous header"},

		{"cookie", check.Headers{cookie("session=" + a)}, "alice cookie"},
		{"cookie among others", check.Headers{cookie("x=1; session=" + a + "; y=2")}, "alice cookie"},
		{"quoted cookie", check.Headers{cookie(`session="` + a + `"`)}, "alice cookie"},
		{"cookie of another name", check.Headers{cookie("xsession=" + a + "; sessionx=" + a + "; SESSION=" + a)}, "absent"},
		{"name without value", check.Headers{cookie("session")}, "absent"},
		{"empty cookie", check.Headers{cookie("session=")}, "absent"},
		{"no cookies", check.Headers{cookie("")}, "absent"},
		{"junk cookie", check.Headers{cookie("session=hello")}, "invalid malformed cookie"},
		{"junk in a cookie", check.Headers{cookie("session=a b")}, "invalid malformed cookie"},
		{"cookie too large", check.Headers{cookie("session=" + strings.Repeat("a", 8193))}, "invalid too_large cookie"},
		{"two cookies", check.Headers{cookie("session=" + a + "; session=" + b)}, "invalid ambiguous cookie"},
		{"two cookies, spelled apart", check.Headers{cookie("session=" + a + "; session =" + b)}, "invalid ambiguous cookie"},
		{"two cookies in two headers", check.Headers{cookie("session=" + a), cookie("session=" + b)}, "invalid ambiguous cookie"},
		{"a cleared one and another", check.Headers{cookie("session=; session=" + b)}, "invalid ambiguous cookie"},
		{"the same cookie twice", check.Headers{cookie("session=" + a + "; session=" + a)}, "alice cookie"},

		{"header wins", check.Headers{cookie("session=" + b), auth("Bearer " + a)}, "alice header"},
		{"header wins over junk", check.Headers{cookie("session=a; session=b"), auth("Bearer " + a)}, "alice header"},
		{"junk does not fall back", check.Headers{auth("Bearer x"), cookie("session=" + b)}, "invalid malformed header"},
		{"forged does not fall back", check.Headers{auth("Bearer " + a[:len(a)-4] + "AAAA"), cookie("session=" + b)}, "invalid signature header"},
		{"empty header, cookie", check.Headers{auth(" "), cookie("session=" + b)}, "bob cookie"},
		{"Basic and cookie", check.Headers{auth("Basic YTpi"), cookie("session=" + b)}, "invalid ambiguous header"},
		{"Basic and another cookie", check.Headers{auth("Basic YTpi"), cookie("x=1")}, "absent"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := v.Verify(t.Context(), tt.headers, theTime)
			got := short(k)
			if k.Status == check.TokenValid {
				got = k.Subject
			}
			if got = strings.TrimSpace(got + " " + k.Via); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
	t.Run("cookies off", func(t *testing.T) {
		v := start(t, Config{Issuers: []Issuer{is}})
		if got := short(v.Verify(t.Context(), check.Headers{cookie("=" + a + "; session=" + a)}, theTime)); got != "absent" {
			t.Error(got)
		}
	})
}

package token

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"authz/internal/check"
)

func TestGoodTokens(t *testing.T) {
	s := startKeys(t, "r1", "p256", "p384", "p521", "ed")
	v := start(t, Config{Issuers: []Issuer{issuerAt(s)}})
	for alg, id := range map[string]string{
		"RS256": "r1", "RS384": "r1", "RS512": "r1", "PS256": "r1", "PS384": "r1", "PS512": "r1",
		"ES256": "p256", "ES384": "p384", "ES512": "p521", "EdDSA": "ed",
	} {
		t.Run(alg, func(t *testing.T) {
			header := members{"alg": alg, "kid": id}
			payload := claims(members{"aud": []string{"billing", theAudience}, "scope": "read  write", "roles": []any{"admin", 7, "ops"}, "n": 1.5})
			want := &check.Token{
				Status: check.TokenValid, Via: "header", Issuer: theIssuer, Subject: "alice",
				Scopes: []string{"read", "write"}, Roles: []string{"admin", "ops"},
				Claims: map[string]any{
					"iss": theIssuer, "aud": []any{"billing", theAudience}, "sub": "alice", "scope": "read  write",
					"roles": []any{"admin", json.Number("7"), "ops"}, "n": json.Number("1.5"),
					"exp": json.Number("1800003600"), "iat": json.Number("1799999940"),
				},
				Header:  map[string]any{"alg": alg, "kid": id},
				Expires: theTime.Add(time.Hour),
			}
			text := sign(header, payload, private()[id])
			for _, from := range []string{"fresh", "cached"} {
				if got := v.Verify(t.Context(), bearer(text), theTime); !reflect.DeepEqual(got, want) {
					t.Errorf("%s:\n got %+v\nwant %+v", from, got, want)
				}
			}
		})
	}
	if _, _, hits, misses := v.CacheStats(); hits != 10 || misses != 10 {
		t.Errorf("%d hits, %d misses", hits, misses)
	}
}

// Each row is a way in that somebody has found somewhere.
func TestThreats(t *testing.T) {
	var asked atomic.Int64
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write(published("mallory"))
	}))
	defer evil.Close()
	s := startKeys(t, "r1", "p256", "p384", "ed")
	internal := Issuer{Issuer: "internal", Audiences: []string{theAudience}, Secret: theSecret}
	strictAlg := issuerAt(s)
	strictAlg.Issuer, strictAlg.Algorithms = "https://strict.example.com", []string{"ES256"}
	v := start(t, Config{Issuers: []Issuer{issuerAt(s), internal, strictAlg}})

	r1, mallory := private()["r1"], private()["mallory"]
	public := r1.Public().(*rsa.PublicKey)
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := x509.MarshalPKCS1PublicKey(public)
	asPEM := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	parts := strings.Split(good(), ".")
	unsigned := func(alg string) string {
		return b64(encode(members{"alg": alg, "kid": "r1"})) + "." + parts[1] + "."
	}
	header := func(changes members) string { return sign(rs256(changes), claims(nil), r1) }
	hs := func(key []byte) string { return sign(rs256(members{"alg": "HS256"}), claims(nil), key) }
	payload := func(text string) string { return signText("RS256", string(encode(rs256(nil))), text, r1) }
	claim := func(name, value string) string { // raw JSON in place of a claim; none where empty
		text := encode(claims(members{name: nil}))
		if value != "" {
			text = fmt.Appendf(nil, `{"%s":%s,%s`, name, value, text[1:])
		}
		return payload(string(text))
	}
	whole := string(encode(claims(nil)))

	tests := []struct{ name, token, want string }{
		{"nothing wrong", good(), "valid"},
		{"secret", sign(members{"alg": "HS256"}, claims(members{"iss": "internal"}), theSecret), "valid"},
		{"another secret", sign(members{"alg": "HS256"}, claims(members{"iss": "internal"}), []byte(strings.Repeat("x", 32))), "invalid signature"},

		{"alg none", unsigned("none"), "invalid algorithm"},
		{"alg None", unsigned("None"), "invalid algorithm"},
		{"alg nOnE", unsigned("nOnE"), "invalid algorithm"},
		{"alg NONE", unsigned("NONE"), "invalid algorithm"},
		{"alg none with a signature", b64(encode(members{"alg": "none"})) + "." + parts[1] + "." + parts[2], "invalid algorithm"},
		{"alg empty", unsigned(""), "invalid algorithm"},
		{"alg in lower case", unsigned("rs256"), "invalid algorithm"},
		{"alg missing", b64([]byte(`{"kid":"r1"}`)) + "." + parts[1] + "." + parts[2], "invalid malformed"},
		{"alg a list", b64([]byte(`{"alg":["RS256"],"kid":"r1"}`)) + "." + parts[1] + "." + parts[2], "invalid malformed"},
		{"alg twice", signText("RS256", `{"alg":"none","alg":"RS256","kid":"r1"}`, whole, r1), "invalid malformed"},
		{"signature stripped", parts[0] + "." + parts[1] + ".", "invalid signature"},
		{"HS256 with the public key as PEM", hs(asPEM("PUBLIC KEY", der)), "invalid algorithm"},
		{"HS256 with the public key as PKCS 1 PEM", hs(asPEM("RSA PUBLIC KEY", pkcs1)), "invalid algorithm"},
		{"HS256 with the public key as DER", hs(der), "invalid algorithm"},
		{"HS256 with the modulus", hs(public.N.Bytes()), "invalid algorithm"},
		{"HS256 with nothing", hs(nil), "invalid algorithm"},
		{"HS384", sign(rs256(members{"alg": "HS384"}), claims(nil), der), "invalid algorithm"},
		{"RS256 for the issuer with a secret", sign(rs256(nil), claims(members{"iss": "internal"}), r1), "invalid algorithm"},
		{"ES256 named for an RSA key", sign(members{"alg": "ES256", "kid": "r1"}, claims(nil), private()["p256"]), "invalid algorithm"},
		{"RS256 named for an EC key", sign(members{"alg": "RS256", "kid": "p256"}, claims(nil), r1), "invalid algorithm"},
		{"EdDSA named for an EC key", sign(members{"alg": "EdDSA", "kid": "p256"}, claims(nil), private()["ed"]), "invalid algorithm"},
		{"ES256 named for a P-384 key", sign(members{"alg": "ES256", "kid": "p384"}, claims(nil), private()["p384"]), "invalid algorithm"},
		{"RS256 signed, PS256 named", signText("RS256", `{"alg":"PS256","kid":"r1"}`, whole, r1), "invalid signature"},
		{"alg not allowed for the issuer", sign(rs256(nil), claims(members{"iss": strictAlg.Issuer}), r1), "invalid algorithm"},
		{"alg allowed for the issuer", sign(members{"alg": "ES256", "kid": "p256"}, claims(members{"iss": strictAlg.Issuer}), private()["p256"]), "valid"},
		{"ES256 of zeros", strings.Join([]string{b64(encode(members{"alg": "ES256", "kid": "p256"})), parts[1], b64(make([]byte, 64))}, "."), "invalid signature"},
		{"ES256 in DER", strings.Join([]string{b64(encode(members{"alg": "ES256", "kid": "p256"})), parts[1], b64([]byte{0x30, 6, 2, 1, 1, 2, 1, 1})}, "."), "invalid signature"},

		{"crit unknown", header(members{"crit": []string{"x"}, "x": 1}), "invalid critical"},
		{"crit exp", header(members{"crit": []string{"exp"}, "exp": 1}), "invalid critical"},
		{"crit empty", header(members{"crit": []string{}}), "invalid critical"},
		{"crit null", signText("RS256", `{"alg":"RS256","kid":"r1","crit":null}`, whole, r1), "invalid critical"},
		{"b64 false", header(members{"b64": false}), "invalid critical"},
		{"b64 false with crit", header(members{"b64": false, "crit": []string{"b64"}}), "invalid critical"},
		{"typ at+jwt", header(members{"typ": "AT+JWT"}), "valid"},
		{"typ application/at+jwt", header(members{"typ": "application/at+jwt"}), "valid"},
		{"typ missing", header(members{"typ": nil}), "valid"},
		{"typ dpop+jwt", header(members{"typ": "dpop+jwt"}), "invalid type"},
		{"typ logout+jwt", header(members{"typ": "logout+jwt"}), "invalid type"},
		{"typ a number", header(members{"typ": 1}), "invalid malformed"},

		{"jku", sign(rs256(members{"kid": "mallory", "jku": evil.URL}), claims(nil), mallory), "invalid key_unknown"},
		{"x5u", sign(rs256(members{"kid": "mallory", "x5u": evil.URL}), claims(nil), mallory), "invalid key_unknown"},
		{"jku with a known kid", sign(rs256(members{"jku": evil.URL, "x5u": evil.URL}), claims(nil), mallory), "invalid signature"},
		{"jwk", sign(rs256(members{"jwk": json.RawMessage(published("mallory"))}), claims(nil), mallory), "invalid signature"},
		{"x5c", sign(rs256(members{"x5c": []string{"MIIB"}}), claims(nil), mallory), "invalid signature"},
		{"jku on a genuine token", header(members{"jku": evil.URL}), "valid"},
		{"kid a path", header(members{"kid": "../../dev/null"}), "invalid key_unknown"},
		{"kid a number", header(members{"kid": 1}), "invalid malformed"},
		{"no kid, one RSA key", header(members{"kid": nil}), "valid"},
		{"no kid, one P-256 key", sign(members{"alg": "ES256"}, claims(nil), private()["p256"]), "valid"},
		{"no kid, no such key", sign(members{"alg": "ES512"}, claims(nil), private()["p521"]), "invalid key_unknown"},

		{"JWE of five segments", strings.Repeat("eyJh.", 4) + "eyJh", "invalid malformed"},
		{"four segments", good() + ".eyJh", "invalid malformed"},
		{"two segments", parts[0] + "." + parts[1], "invalid malformed"},
		{"one segment", "opaque-token", "invalid malformed"},
		{"only dots", "..", "invalid malformed"},
		{"8 kB of dots", strings.Repeat(".", 8192), "invalid malformed"},
		{"1 MB of dots", strings.Repeat(".", 1<<20), "invalid too_large"},
		{"1 MB of letters", strings.Repeat("e", 1<<20), "invalid too_large"},

		{"payload edited", parts[0] + "." + b64(encode(claims(members{"sub": "root"}))) + "." + parts[2], "invalid signature"},
		{"header edited", b64(encode(rs256(members{"x": 1}))) + "." + parts[1] + "." + parts[2], "invalid signature"},
		{"signature a byte short", good()[:len(good())-2], "invalid signature"},
		{"signature with stray bits", respell(good()), "invalid malformed"},
		{"padded", good() + "==", "invalid malformed"},
		{"standard base64", parts[0] + "+/." + parts[1] + "." + parts[2], "invalid malformed"},
		{"signed by somebody else", sign(rs256(nil), claims(nil), mallory), "invalid signature"},
		{"signed by somebody else, and expired", sign(rs256(nil), claims(members{"exp": 1}), mallory), "invalid signature"},

		{"payload a list", payload(`[]`), "invalid malformed"},
		{"payload null", payload(`null`), "invalid malformed"},
		{"payload empty", parts[0] + ".." + parts[2], "invalid malformed"},
		{"trailing data", payload(whole + "{}"), "invalid malformed"},
		{"duplicate claim", payload(`{"sub":"root",` + whole[1:]), "invalid malformed"},
		{"duplicate claim, respelled", payload(`{"\u0073ub":"root",` + whole[1:]), "invalid malformed"},
		{"duplicate claim deep down", payload(`{"x":[{"y":{"z":1,"z":2}}],` + whole[1:]), "invalid malformed"},
		{"not UTF-8", payload(`{"x":"` + "\xff" + `",` + whole[1:]), "invalid malformed"},
		{"half a surrogate pair", payload(`{"x":"\ud800",` + whole[1:]), "invalid malformed"},
		{"byte order mark", payload("\ufeff" + whole), "invalid malformed"},
		{"depth of 1,000", payload(`{"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `,` + whole[1:]), "invalid malformed"},
		{"a number beyond every number", payload(`{"x":1e999999999,` + whole[1:]), "invalid malformed"},

		{"iss unknown", claim("iss", `"https://evil.example.com"`), "invalid issuer"},
		{"iss with a slash more", claim("iss", `"https://id.example.com/"`), "invalid issuer"},
		{"iss in another case", claim("iss", `"https://ID.example.com"`), "invalid issuer"},
		{"iss a list", claim("iss", `["https://id.example.com"]`), "invalid issuer"},
		{"iss missing", claim("iss", ""), "invalid issuer"},
		{"aud another", claim("aud", `"billing"`), "invalid audience"},
		{"aud a prefix", claim("aud", `"order"`), "invalid audience"},
		{"aud among others", claim("aud", `["billing","orders"]`), "valid"},
		{"aud missing", claim("aud", ""), "invalid audience"},
		{"aud empty", claim("aud", `[]`), "invalid audience"},
		{"aud null", claim("aud", `null`), "invalid malformed"},
		{"aud a list of lists", claim("aud", `[["orders"]]`), "invalid malformed"},
		{"aud an object", claim("aud", `{"orders":true}`), "invalid malformed"},
		{"sub a number", claim("sub", `7`), "invalid malformed"},
		{"sub null", claim("sub", `null`), "invalid malformed"},
		{"sub missing", claim("sub", ""), "valid"},

		{"exp missing", claim("exp", ""), "invalid expiration_missing"},
		{"exp null", claim("exp", `null`), "invalid malformed"},
		{"exp a string", claim("exp", `"1800003600"`), "invalid malformed"},
		{"exp true", claim("exp", `true`), "invalid malformed"},
		{"exp negative", claim("exp", `-1`), "invalid malformed"},
		{"exp huge", claim("exp", `1e300`), "invalid malformed"},
		{"exp infinite", claim("exp", `1e309`), "invalid malformed"},
		{"exp in milliseconds", claim("exp", `1800003600000`), "invalid malformed"},
		{"exp the last second there is", claim("exp", `253402300799`), "valid"},
		{"exp a second later", claim("exp", `253402300800`), "invalid malformed"},
		{"exp 0", claim("exp", `0`), "expired expired"},
		{"exp with a fraction", claim("exp", `1799999970.5`), "valid"},
		{"exp as long ago as the leeway", claim("exp", `1799999970`), "expired expired"},
		{"nbf a string", claim("nbf", `"1"`), "invalid malformed"},
		{"nbf negative", claim("nbf", `-1`), "invalid malformed"},
		{"nbf huge", claim("nbf", `1e30`), "invalid malformed"},
		{"nbf ahead by the leeway", claim("nbf", `1800000030`), "valid"},
		{"nbf ahead by more", claim("nbf", `1800000030.5`), "invalid not_before"},
		{"iat a string", claim("iat", `"1"`), "invalid malformed"},
		{"iat negative", claim("iat", `-0.5`), "invalid malformed"},
		{"iat missing", claim("iat", ""), "valid"},
		{"iat ahead by the leeway", claim("iat", `1800000030`), "valid"},
		{"iat ahead by more", claim("iat", `1800000031`), "invalid issued_at"},
		{"not yet, and expired", payload(string(encode(claims(members{"exp": 1, "nbf": theTime.Unix() + 99})))), "invalid not_before"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, again := range []string{"first", "second"} {
				if got := verdict(t, v, tt.token, theTime); got != tt.want {
					t.Errorf("%s time: %s, want %s", again, got, tt.want)
				}
			}
		})
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("a URL from a token's header was asked %d times", n)
	}
}

// respell changes bits of the last character that no byte is made of.
func respell(text string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, text[len(text)-1])
	return text[:len(text)-1] + alphabet[last^1:last^1+1]
}

// A megabyte of anything costs nothing but the look at it.
func TestHugeTokensCostNoMemory(t *testing.T) {
	v := start(t, Config{MaxBytes: 2 << 20})
	for name, text := range map[string]string{
		"dots": strings.Repeat(".", 1<<20), "letters": strings.Repeat("a", 1<<20), "segments": strings.Repeat("a.", 1<<19),
	} {
		headers := bearer(text)
		if n := testing.AllocsPerRun(10, func() { v.Verify(t.Context(), headers, theTime) }); n > 4 {
			t.Errorf("%s: %g allocations", name, n)
		}
	}
}

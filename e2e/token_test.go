package e2e

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"authz/internal/testbed"
)

// whoami asks who the sidecar thinks the bearer of a token is.
func whoami(t *testing.T, token string) answer {
	t.Helper()
	return send(t, world.hardened, request{target: "/whoami", headers: []string{bearer(token)}})
}

func wantCaller(t *testing.T, a answer, subject string) {
	t.Helper()
	if got := wantApp(t, a).Headers.Get("X-User-Id"); got != subject {
		t.Errorf("the app was told %q, want %q", got, subject)
	}
}

func TestGoodTokens(t *testing.T) {
	hmac := testbed.NewKey("", "HS256")
	hmac.Secret = []byte(hmacSecret)
	for name, c := range map[string]struct{ token, subject string }{
		"RS256":                     {world.main.Token(nil), "alice"},
		"another subject":           {world.main.Token(map[string]any{"sub": "bob"}), "bob"},
		"a list of audiences":       {world.main.Token(map[string]any{"aud": []string{"x", "api"}}), "alice"},
		"ES256 of another issuer":   {world.other.Token(map[string]any{"sub": "carol"}), "carol"},
		"HS256 with our secret":     {hmac.Token(world.main.Claims(map[string]any{"iss": "internal", "sub": "job"})), "job"},
		"expired within the leeway": {world.main.Token(map[string]any{"exp": time.Now().Add(-5 * time.Second).Unix()}), "alice"},
		"a fraction of a second":    {world.main.Token(map[string]any{"exp": float64(time.Now().Unix()) + 100.5}), "alice"},
		"typ at+jwt (RFC 9068)":     {world.main.Key().TokenWith(map[string]any{"typ": "at+jwt"}, world.main.Claims(nil)), "alice"},
		"no nbf and no iat":         {world.main.Token(map[string]any{"nbf": nil, "iat": nil}), "alice"},
	} {
		t.Run(name, func(t *testing.T) {
			wantCaller(t, whoami(t, c.token), c.subject)
		})
	}
	t.Run("in the cookie", func(t *testing.T) {
		wantCaller(t, send(t, world.hardened, request{target: "/whoami", headers: []string{"Cookie: a=b; session=" + world.main.Token(nil)}}), "alice")
	})
	t.Run("scheme in another case", func(t *testing.T) {
		wantCaller(t, send(t, world.hardened, request{target: "/whoami", headers: []string{"Authorization: bearer " + world.main.Token(nil)}}), "alice")
	})
}

// Tokens that must not be believed. Each is sent to a protected route and to a public
// one: a presented token that is bad is refused there as well.
func TestBadTokens(t *testing.T) {
	key, claims := world.main.Key(), world.main.Claims
	der, err := x509.MarshalPKIXPublicKey(key.Signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	confused := func(secret []byte) string {
		k := testbed.NewKey(key.ID, "HS256")
		k.Secret = secret
		return k.Token(claims(nil))
	}
	stranger := testbed.NewKey(key.ID, "RS256")
	good := world.main.Token(nil)
	parts := strings.Split(good, ".")
	edited := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(decode(t, parts[1]), `"alice"`, `"admin"`, 1)))
	past, future := time.Now().Add(-time.Hour).Unix(), time.Now().Add(time.Hour).Unix()

	for _, c := range []struct{ name, token string }{
		{"alg none", key.TokenWith(map[string]any{"alg": "none"}, claims(nil))},
		{"alg None", key.TokenWith(map[string]any{"alg": "None"}, claims(nil))},
		{"alg nOnE without a signature", strings.Join(strings.Split(key.TokenWith(map[string]any{"alg": "nOnE"}, claims(nil)), ".")[:2], ".") + "."},
		{"no alg", key.TokenWith(map[string]any{"alg": nil}, claims(nil))},
		{"HS256 signed with the public key as DER", confused(der)},
		{"HS256 signed with the public key as PEM", confused(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))},
		{"the algorithm of another key type", key.TokenWith(map[string]any{"alg": "ES256"}, claims(nil))},
		{"an algorithm that the issuer may not use", testbedToken(key, "RS512", claims(nil))},
		{"signed by a stranger with our key id", stranger.Token(claims(nil))},
		{"signature cut off", parts[0] + "." + parts[1] + "."},
		{"a payload edited under the same signature", parts[0] + "." + edited + "." + parts[2]},
		{"unknown crit (CVE-2025-59420)", key.TokenWith(map[string]any{"crit": []string{"bork"}, "bork": 1}, claims(nil))},
		{"empty crit", key.TokenWith(map[string]any{"crit": []string{}}, claims(nil))},
		{"jku to a stranger's keys", stranger.TokenWith(map[string]any{"kid": "evil", "jku": "http://127.0.0.1:1/jwks"}, claims(nil))},
		{"jwk of a stranger", stranger.TokenWith(map[string]any{"kid": "evil", "jwk": stranger.JWK()}, claims(nil))},
		{"x5u", stranger.TokenWith(map[string]any{"kid": "evil", "x5u": "http://127.0.0.1:1/"}, claims(nil))},
		{"unencoded payload (b64 false)", key.TokenWith(map[string]any{"b64": false, "crit": []string{"b64"}}, claims(nil))},
		{"five segments, a JWE (CVE-2024-28180)", good + ".a.b"},
		{"two segments", parts[0] + "." + parts[1]},
		{"only dots", strings.Repeat(".", 5000)},
		{"only text", "garbage"},
		{"base64 with padding", parts[0] + "." + parts[1] + "==." + parts[2]},
		{"too large", world.main.Token(map[string]any{"pad": strings.Repeat("x", 9000)})},
		{"another issuer's name", world.main.Token(map[string]any{"iss": world.other.URL, "aud": "other-api"})},
		{"issuer with a slash more", world.main.Token(map[string]any{"iss": world.main.URL + "/"})},
		{"no issuer", world.main.Token(map[string]any{"iss": nil})},
		{"issuer as a list", world.main.Token(map[string]any{"iss": []string{world.main.URL}})},
		{"another audience", world.main.Token(map[string]any{"aud": "other-api"})},
		{"no audience", world.main.Token(map[string]any{"aud": nil})},
		{"an audience that begins like ours", world.main.Token(map[string]any{"aud": "api.evil"})},
		{"expired", world.main.Token(map[string]any{"exp": past})},
		{"no exp", world.main.Token(map[string]any{"exp": nil})},
		{"exp as text", world.main.Token(map[string]any{"exp": fmt.Sprint(future)})},
		{"huge exp", world.main.Token(map[string]any{"exp": 1e300})},
		{"negative exp", world.main.Token(map[string]any{"exp": -1})},
		{"not yet valid", world.main.Token(map[string]any{"nbf": future})},
		{"nbf as text", world.main.Token(map[string]any{"nbf": "soon"})},
		{"issued in the future", world.main.Token(map[string]any{"iat": future})},
		{"duplicate claims", key.Sign([]byte(fmt.Sprintf(`{"alg":"RS256","kid":%q}`, key.ID)),
			[]byte(fmt.Sprintf(`{"iss":%q,"aud":"api","sub":"alice","sub":"admin","exp":%d}`, world.main.URL, future)))},
		{"a logout token", key.TokenWith(map[string]any{"typ": "logout+jwt"}, claims(nil))},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, target := range []string{"/whoami", "/public"} {
				wantRefused(t, send(t, world.hardened, request{target: target, headers: []string{bearer(c.token)}}), 401)
			}
		})
	}
}

// A megabyte of dots (CVE-2025-30204) is stopped by Envoy's header limit, and by the
// sidecar where Envoy has none that low.
func TestMegabyteOfDots(t *testing.T) {
	got := send(t, world.hardened, request{target: "/whoami", headers: []string{bearer(strings.Repeat(".", 1<<20))}})
	if got.Status != 431 {
		t.Errorf("hardened: got %d, want 431", got.Status)
	}
	wantRefused(t, send(t, world.plain, request{target: "/whoami", headers: []string{bearer(strings.Repeat(".", 50_000))}}), 401)
}

// Where a credential is counts: junk in the header is never an identity
// (CVE-2022-29226), and does not fall back to a good cookie.
func TestTwoCredentials(t *testing.T) {
	good := world.main.Token(nil)
	for _, c := range []struct {
		name    string
		headers []string
	}{
		{"junk bearer before a good cookie", []string{"Authorization: Bearer junk", "Cookie: session=" + good}},
		{"two cookies of that name", []string{"Cookie: session=" + good + "; session=junk"}},
		{"an empty bearer", []string{"Authorization: Bearer "}},
		{"bearer with two words", []string{"Authorization: Bearer a b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantRefused(t, send(t, world.hardened, request{target: "/whoami", headers: c.headers}), 401)
		})
	}
}

// What is cached for one token is not valid for another: the same signature under an
// edited payload is refused after the good one was cached.
func TestCacheIsKeyedByTheWholeToken(t *testing.T) {
	good := world.main.Token(map[string]any{"sub": "cached"})
	wantCaller(t, whoami(t, good), "cached")
	wantCaller(t, whoami(t, good), "cached")
	parts := strings.Split(good, ".")
	edited := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(decode(t, parts[1]), `"cached"`, `"admin1"`, 1)))
	wantRefused(t, whoami(t, parts[0]+"."+edited+"."+parts[2]), 401)
}

// A token that expires while it is cached is refused at once.
func TestExpiryWhileCached(t *testing.T) {
	// The leeway is 30 s: this one has a second left.
	end := time.Now().Add(-28 * time.Second)
	token := world.main.Token(map[string]any{"sub": "brief", "iat": end.Add(-time.Hour).Unix(), "nbf": end.Add(-time.Hour).Unix(), "exp": end.Unix()})
	wantCaller(t, whoami(t, token), "brief")
	for time.Since(end) < 31*time.Second {
		a := whoami(t, token)
		if a.Status == 401 {
			if early := time.Since(end); early < 29*time.Second {
				t.Errorf("refused %s after its end, within the leeway", early)
			}
			return
		}
	}
	wantRefused(t, whoami(t, token), 401)
}

// A new key works with its first token; a removed one is refused after a refresh.
func TestKeyRotation(t *testing.T) {
	issuer := testbed.NewIssuer("RS256")
	issuer.Audience = "api"
	defer issuer.Close()
	sidecar, envoy := own(t, strings.Replace(config("e2e/testdata/policy"), world.main.URL, issuer.URL, 1))
	ask := func(token string) answer {
		return send(t, envoy, request{target: "/whoami", headers: []string{bearer(token)}})
	}
	old := issuer.Key()
	wantCaller(t, ask(old.Token(issuer.Claims(nil))), "alice")

	_, before := issuer.Fetches()
	issuer.Rotate("PS256")
	wantCaller(t, ask(issuer.Token(map[string]any{"sub": "new"})), "new")
	if _, after := issuer.Fetches(); after != before+1 {
		t.Errorf("the new key cost %d fetches, want 1", after-before)
	}
	wantCaller(t, ask(old.Token(issuer.Claims(nil))), "alice")

	// The old key goes; a token of a third key makes the sidecar look again.
	issuer.Retire(old.ID)
	issuer.Rotate("EdDSA")
	deadline := time.Now().Add(10 * time.Second)
	for ask(issuer.Token(map[string]any{"sub": "third"})).Status != 200 {
		if time.Now().After(deadline) {
			t.Fatalf("the third key was never picked up: %s", sidecar.Log().Tail(5))
		}
	}
	wantRefused(t, ask(old.Token(issuer.Claims(nil))), 401)
}

// Keys that can't be had: 503 where the policy needs them, while public routes and
// other issuers go on, and readiness names the issuer.
func TestDeadIssuer(t *testing.T) {
	dead := testbed.NewIssuer("RS256")
	defer dead.Close()
	dead.Audience = "api"
	dead.Answer(dead.Hang())
	text := strings.Replace(config("e2e/testdata/policy"), world.main.URL, dead.URL, 1)
	sidecar, envoy := ownUnready(t, text)
	wantRefused(t, send(t, envoy, request{target: "/whoami", headers: []string{bearer(dead.Token(nil))}}), 503)
	if a := send(t, envoy, request{target: "/public"}); a.Status != 200 {
		t.Errorf("public route: got %d, want 200", a.Status)
	}
	begin := time.Now()
	wantCaller(t, send(t, envoy, request{target: "/whoami", headers: []string{bearer(world.other.Token(nil))}}), "alice")
	t.Logf("a good issuer's token beside a hanging issuer: %s", time.Since(begin))
	_, err := sidecar.Get(t.Context(), "/readyz")
	if err == nil || !strings.Contains(err.Error(), "keys of issuer main") {
		t.Errorf("readiness does not name the issuer: %v", err)
	}
	dead.Answer(nil)
}

// An issuer that fails after its keys were had keeps working on the last good set.
func TestIllIssuer(t *testing.T) {
	issuer := testbed.NewIssuer("RS256")
	issuer.Audience = "api"
	defer issuer.Close()
	_, envoy := own(t, strings.Replace(config("e2e/testdata/policy"), world.main.URL, issuer.URL, 1))
	ask := func(token string) answer {
		return send(t, envoy, request{target: "/whoami", headers: []string{bearer(token)}})
	}
	for name, illness := range map[string]http.HandlerFunc{
		"fails": issuer.Fail(500), "hangs": issuer.Hang(), "sends garbage": issuer.Garbage(), "sends 1 GB": issuer.Huge(1 << 30),
	} {
		t.Run(name, func(t *testing.T) {
			issuer.Answer(illness)
			defer issuer.Answer(nil)
			unknown := testbed.NewKey("unknown-"+strings.ReplaceAll(name, " ", "-"), "RS256")
			served := make(chan int)
			stop := make(chan struct{})
			go func() {
				n := 0
				for {
					select {
					case <-stop:
						served <- n
						return
					default:
						if ask(issuer.Token(map[string]any{"jti": n})).Status == 200 {
							n++
						}
					}
				}
			}()
			// A token of an unknown key makes the sidecar ask the ill issuer.
			a := ask(unknown.Token(issuer.Claims(nil)))
			close(stop)
			n := <-served
			if a.Status != 401 && a.Status != 503 {
				t.Errorf("unknown key: got %d, want a refusal", a.Status)
			}
			wantCaller(t, ask(issuer.Token(nil)), "alice")
			t.Logf("%d good requests served meanwhile", n)
		})
	}
}

// Ten thousand unknown key ids cause at most one fetch a window, and good tokens
// keep working.
func TestFloodOfUnknownKeys(t *testing.T) {
	issuer := testbed.NewIssuer("RS256")
	issuer.Audience = "api"
	defer issuer.Close()
	text := strings.Replace(config("e2e/testdata/policy"), world.main.URL, issuer.URL, 1)
	text = strings.Replace(text, "refetch_window: 50ms", "refetch_window: 1h", 1)
	_, envoy := own(t, text)
	_, before := issuer.Fetches()
	key := testbed.NewKey("", "HS256") // cheap: the signature is never looked at
	key.Secret = []byte(hmacSecret)
	client := keepAlive(t)
	good := issuer.Token(nil)
	served := 0
	for i := range 10_000 {
		token := key.TokenWith(map[string]any{"alg": "RS256", "kid": fmt.Sprintf("flood-%d", i)}, issuer.Claims(nil))
		if status := client.get(envoy.URL+"/whoami", token); status != 401 {
			t.Fatalf("unknown key %d: got %d, want 401", i, status)
		}
		if i%100 == 0 {
			if status := client.get(envoy.URL+"/whoami", good); status != 200 {
				t.Fatalf("good token after %d unknown keys: got %d", i, status)
			}
			served++
		}
	}
	_, after := issuer.Fetches()
	if after-before > 1 {
		t.Errorf("%d fetches in one window, want at most 1", after-before)
	}
	t.Logf("10,000 unknown key ids: %d fetches, %d good requests served", after-before, served)
}

func decode(t *testing.T, segment string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// testbedToken signs with the key under another algorithm of its family.
func testbedToken(k testbed.Key, alg string, claims map[string]any) string {
	k.Alg = alg
	return k.Token(claims)
}

package token

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// hits is how many answers came from the cache so far.
func hits(v *Verifier) uint64 {
	_, _, n, _ := v.CacheStats()
	return n
}

func TestTokenExpiresWhileCached(t *testing.T) {
	v := start(t, Config{Issuers: []Issuer{issuerAt(startKeys(t, "r1"))}})
	text := sign(rs256(nil), claims(members{"nbf": theTime.Unix()}), private()["r1"])
	end := theTime.Add(time.Hour + DefaultLeeway)
	for i, tt := range []struct {
		at   time.Time
		want string
	}{
		{theTime, "valid"},
		{end.Add(-1), "valid"},
		{end, "expired expired"},
		{end.Add(time.Hour), "expired expired"},
		{theTime, "valid"}, // the clock went back
		{theTime.Add(-DefaultLeeway), "valid"},
		{theTime.Add(-DefaultLeeway - 1), "invalid not_before"},
	} {
		if got := verdict(t, v, text, tt.at); got != tt.want {
			t.Errorf("at %s: %s, want %s", tt.at.UTC(), got, tt.want)
		}
		if n := hits(v); n != uint64(i) {
			t.Errorf("at %s: verified again (%d hits)", tt.at.UTC(), n)
		}
	}
}

// A token that was over when it was first seen is verified once, then known.
func TestExpiredTokenIsVerifiedOnce(t *testing.T) {
	v := start(t, Config{Issuers: []Issuer{issuerAt(startKeys(t, "r1"))}})
	text := sign(rs256(nil), claims(members{"exp": 1}), private()["r1"])
	for i := range 3 {
		if got := verdict(t, v, text, theTime); got != "expired expired" || hits(v) != uint64(i) {
			t.Errorf("use %d: %s, %d hits", i, got, hits(v))
		}
	}
}

// A good signature does not vouch for another payload, cached or not.
func TestEditedPayloadUnderACachedSignature(t *testing.T) {
	v := start(t, Config{Issuers: []Issuer{issuerAt(startKeys(t, "r1"))}})
	text := good()
	if got := verdict(t, v, text, theTime); got != "valid" {
		t.Fatal(got)
	}
	parts := strings.Split(text, ".")
	edited := parts[0] + "." + b64(encode(claims(members{"roles": []string{"admin"}}))) + "." + parts[2]
	if got := verdict(t, v, edited, theTime); got != "invalid signature" {
		t.Errorf("edited: %s", got)
	}
	if got := verdict(t, v, text, theTime); got != "valid" || hits(v) != 1 {
		t.Errorf("the token itself: %s, %d hits", got, hits(v))
	}
}

func TestTokenIsValidForItsIssuerAndAudienceOnly(t *testing.T) {
	one, other := startKeys(t, "r1"), startKeys(t, "r2")
	first, second, third := issuerAt(one), issuerAt(other), issuerAt(one)
	first.RolesClaim = "roles"
	second.Issuer = "https://other.example.com"
	third.Audiences, third.RolesClaim = []string{"billing"}, "groups"
	v := start(t, Config{Issuers: []Issuer{first, second, third}})
	changes := func(aud any, iss string) members {
		return claims(members{"aud": aud, "iss": iss, "roles": []string{"a"}, "groups": []string{"b"}})
	}
	r1 := private()["r1"]
	for _, tt := range []struct{ name, text, want string }{
		{"the first", sign(rs256(nil), changes("orders", theIssuer), r1), "valid [a]"},
		{"its key for another issuer", sign(rs256(nil), changes("orders", second.Issuer), r1), "invalid key_unknown []"},
		{"its key by another's id", sign(rs256(members{"kid": "r2"}), changes("orders", second.Issuer), r1), "invalid signature []"},
		{"the other's own", sign(rs256(members{"kid": "r2"}), changes("orders", second.Issuer), private()["r2"]), "valid [a]"},
		{"same issuer, second audience", sign(rs256(nil), changes("billing", theIssuer), r1), "valid [b]"},
		{"same issuer, both audiences", sign(rs256(nil), changes([]string{"billing", "orders"}, theIssuer), r1), "valid [a]"},
		{"same issuer, neither", sign(rs256(nil), changes("stock", theIssuer), r1), "invalid audience []"},
		{"second audience at the other issuer", sign(rs256(members{"kid": "r2"}), changes("billing", second.Issuer), private()["r2"]), "invalid audience []"},
	} {
		for range 2 {
			k := v.Verify(t.Context(), bearer(tt.text), theTime)
			if got := fmt.Sprint(short(k), " ", k.Roles); got != tt.want {
				t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
			}
		}
	}
}

func TestRemovedKeyEndsCachedTokens(t *testing.T) {
	s := startKeys(t, "r1", "p256")
	v := start(t, Config{Issuers: []Issuer{issuerAt(s)}})
	stays := sign(members{"alg": "ES256", "kid": "p256"}, claims(nil), private()["p256"])
	for _, text := range []string{good(), stays, good(), stays} {
		if got := verdict(t, v, text, theTime); got != "valid" {
			t.Fatal(got)
		}
	}
	s.publish("r2", "p256")
	fresh := sign(rs256(members{"kid": "r2"}), claims(nil), private()["r2"])
	for _, tt := range []struct{ name, text, want string }{
		{"new key", fresh, "valid"}, // fetches
		{"removed key, cached token", good(), "invalid key_unknown"},
		{"kept key", stays, "valid"},
	} {
		if got := verdict(t, v, tt.text, theTime); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	if n := s.asked.Load(); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}
}

// When the keys are too old to be trusted, so is what they once verified.
func TestStaleKeysEndCachedTokens(t *testing.T) {
	s := startKeys(t, "r1")
	is := issuerAt(s)
	is.Keys.MinRefresh, is.Keys.MaxRefresh, is.Keys.MaxStale = time.Millisecond, time.Millisecond, 50*time.Millisecond
	v := start(t, Config{Issuers: []Issuer{is}})
	text := good()
	if got := verdict(t, v, text, theTime); got != "valid" {
		t.Fatal(got)
	}
	s.say(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		switch got := verdict(t, v, text, theTime); got {
		case "valid":
		case "unavailable keys_unavailable":
			return
		default:
			t.Fatal(got)
		}
	}
	t.Error("still valid")
}

func TestWhatIsNotGenuineIsNotRemembered(t *testing.T) {
	v := start(t, Config{Issuers: []Issuer{issuerAt(startKeys(t, "r1"))}, CacheBytes: 16 << 10})
	text := good()
	verdict(t, v, text, theTime)
	before, _, _, _ := v.CacheStats()
	for i := range 2000 {
		forged := sign(rs256(nil), claims(members{"jti": i}), theSecret)
		if got := verdict(t, v, forged, theTime); got != "invalid signature" {
			t.Fatal(got)
		}
	}
	if n, _, _, _ := v.CacheStats(); n != before {
		t.Errorf("%d tokens remembered, then %d", before, n)
	}
	if verdict(t, v, text, theTime); hits(v) != 1 {
		t.Error("the good token was forgotten")
	}
}

// The bound holds, in bytes as the runtime counts them.
func TestCacheBytes(t *testing.T) {
	secretIssuer := Issuer{Issuer: theIssuer, Audiences: []string{theAudience}, Secret: theSecret}
	shapes := map[string]members{
		"small": {},
		"usual": {"scope": "orders:read orders:write", "roles": []string{"user", "ops"}, "email": "alice@example.com", "jti": "4dd9d70b", "azp": "web", "sid": "8e1a", "name": "Alice Example"},
		"large": {"groups": strings.Split(strings.Repeat("a-group-with-a-name,", 100), ","), "realm_access": members{"roles": []string{"a", "b", "c"}}, "nested": []members{{"a": 1, "b": true}, {"c": "d"}}, "text": strings.Repeat("x", 500)},
	}
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			const limit, n = 4 << 20, 4000
			v, err := New(Config{Issuers: []Issuer{secretIssuer}, CacheBytes: limit}, quiet)
			if err != nil {
				t.Fatal(err)
			}
			before := heap()
			for i := range n {
				text := sign(members{"alg": "HS256"}, claims(with(shape, members{"n": i})), theSecret)
				if got := verdict(t, v, text, theTime); got != "valid" {
					t.Fatal(got)
				}
				if i%1000 == 0 {
					if _, bytes, _, _ := v.CacheStats(); bytes > limit {
						t.Fatalf("%d bytes after %d tokens", bytes, i)
					}
				}
			}
			used := int64(heap() - before)
			entries, bytes, _, _ := v.CacheStats()
			t.Logf("%d tokens: %d bytes counted, %d used; %d and %d a token", entries, bytes, used, bytes/int64(entries), used/int64(entries))
			if entries >= n || bytes > limit || used > limit*5/4 || used < limit/2 {
				t.Errorf("%d entries, %d bytes counted, %d used, limit %d", entries, bytes, used, int64(limit))
			}
			runtime.KeepAlive(v)
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestCacheOff(t *testing.T) {
	v := start(t, Config{Issuers: []Issuer{issuerAt(startKeys(t, "r1"))}, CacheBytes: -1})
	for range 2 {
		if got := verdict(t, v, good(), theTime); got != "valid" {
			t.Error(got)
		}
	}
	if n, bytes, hits, misses := v.CacheStats(); n != 0 || bytes != 0 || hits != 0 || misses != 0 {
		t.Errorf("%d entries, %d bytes, %d hits, %d misses", n, bytes, hits, misses)
	}
}

// While every slot is taken, known tokens pass and others wait no longer than they may.
func TestFloodOfVerifications(t *testing.T) {
	v := start(t, Config{Issuers: []Issuer{issuerAt(startKeys(t, "r1"))}})
	known := good()
	verdict(t, v, known, theTime)
	for range cap(v.slots) {
		v.slots <- struct{}{}
	}
	hurried, cancel := context.WithCancel(t.Context())
	cancel()
	other := sign(rs256(nil), claims(members{"sub": "bob"}), private()["r1"])
	if got := short(v.Verify(hurried, bearer(other), theTime)); got != "unavailable busy" {
		t.Errorf("unknown token: %s", got)
	}
	if got := short(v.Verify(hurried, bearer(known), theTime)); got != "valid" {
		t.Errorf("known token: %s", got)
	}
	for range cap(v.slots) {
		<-v.slots
	}
	if got := verdict(t, v, other, theTime); got != "valid" {
		t.Errorf("afterwards: %s", got)
	}
}

// Everybody at once: one token, many tokens, and keys that change meanwhile.
func TestConcurrentUse(t *testing.T) {
	s := startKeys(t, "r1", "p256")
	is := issuerAt(s)
	is.Keys.MinRefetch = time.Nanosecond
	v := start(t, Config{Issuers: []Issuer{is}, CacheBytes: 64 << 10})
	var texts []string
	for n := range 10 {
		texts = append(texts, sign(members{"alg": "ES256", "kid": "p256"}, claims(members{"n": n}), private()["p256"]))
	}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 100 {
				if worker == 0 && i%10 == 0 {
					s.publish([]string{"r1", "p256", "r2", "ed"}[:2+i/10%3]...)
					verdict(t, v, sign(rs256(members{"kid": "none"}), claims(nil), theSecret), theTime)
				}
				if got := verdict(t, v, texts[(worker+i)%len(texts)], theTime); got != "valid" {
					t.Errorf("worker %d, token %d: %s", worker, i, got)
				}
			}
		})
	}
	wg.Wait()
	entries, bytes, hits, misses := v.CacheStats()
	t.Logf("%d entries, %d bytes, %d hits, %d misses, %d fetches", entries, bytes, hits, misses, s.asked.Load())
}

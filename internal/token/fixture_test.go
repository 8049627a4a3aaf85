package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"authz/internal/check"
	"authz/internal/jwks"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// The world of these tests: one moment, one issuer, one audience, some keys.
const (
	theIssuer   = "https://id.example.com"
	theAudience = "orders"
)

var (
	theTime   = time.Unix(1_800_000_000, 0)
	theSecret = []byte("0123456789abcdef0123456789abcdef")
	quiet     = slog.New(slog.DiscardHandler)
)

// private are signing keys by key id.
var private = sync.OnceValue(func() map[string]crypto.Signer {
	keys := map[string]crypto.Signer{}
	for _, id := range []string{"r1", "r2", "mallory"} {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[id] = k
	}
	for id, curve := range map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()} {
		k, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			panic(err)
		}
		keys[id] = k
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	keys["ed"] = ed
	return keys
})

type members = map[string]any

// published is the key set of these ids.
func published(ids ...string) []byte {
	set := jwk.NewSet()
	for _, id := range ids {
		k, err := jwk.FromRaw(private()[id].Public())
		if err != nil {
			panic(err)
		}
		if err := k.Set(jwk.KeyIDKey, id); err != nil {
			panic(err)
		}
		if err := set.AddKey(k); err != nil {
			panic(err)
		}
	}
	return encode(set)
}

func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// with is base with members replaced, or taken away where they are nil.
func with(base, changes members) members {
	out := maps.Clone(base)
	for name, value := range changes {
		if out[name] = value; value == nil {
			delete(out, name)
		}
	}
	return out
}

// claims of a token that is valid at theTime.
func claims(changes members) members {
	return with(members{
		"iss": theIssuer, "aud": theAudience, "sub": "alice",
		"exp": theTime.Unix() + 3600, "iat": theTime.Unix() - 60,
	}, changes)
}

func rs256(changes members) members {
	return with(members{"alg": "RS256", "kid": "r1", "typ": "JWT"}, changes)
}

// good is a valid token.
func good() string { return sign(rs256(nil), claims(nil), private()["r1"]) }

// sign makes a token as the header's alg says, whatever the key is for.
func sign(header, payload members, key any) string {
	alg, _ := header["alg"].(string)
	return signText(alg, string(encode(header)), string(encode(payload)), key)
}

func b64(s []byte) string { return base64.RawURLEncoding.EncodeToString(s) }

func signText(alg, header, payload string, key any) string {
	signed := b64([]byte(header)) + "." + b64([]byte(payload))
	return signed + "." + b64(signature(alg, []byte(signed), key))
}

func signature(alg string, signed []byte, key any) []byte {
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[alg[max(0, len(alg)-3):]]
	var sum []byte
	switch hash {
	case crypto.SHA256:
		d := sha256.Sum256(signed)
		sum = d[:]
	case crypto.SHA384:
		d := sha512.Sum384(signed)
		sum = d[:]
	case crypto.SHA512:
		d := sha512.Sum512(signed)
		sum = d[:]
	}
	var out []byte
	var err error
	switch key := key.(type) {
	case []byte:
		mac := hmac.New(sha256.New, key)
		mac.Write(signed)
		out = mac.Sum(nil)
	case *rsa.PrivateKey:
		var options crypto.SignerOpts = hash
		if alg[:2] == "PS" {
			options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
		}
		out, err = key.Sign(rand.Reader, sum, options)
	case *ecdsa.PrivateKey:
		r, s, failed := ecdsa.Sign(rand.Reader, key, sum)
		size := (key.Params().BitSize + 7) / 8
		out, err = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...), failed
	case ed25519.PrivateKey:
		out = ed25519.Sign(key, signed)
	}
	if err != nil {
		panic(err)
	}
	return out
}

// keyServer publishes a key set that a test changes while it runs.
type keyServer struct {
	*httptest.Server
	answer atomic.Pointer[http.HandlerFunc]
	asked  atomic.Int64
}

func startKeys(t testing.TB, ids ...string) *keyServer {
	t.Helper()
	s := &keyServer{}
	s.publish(ids...)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		(*s.answer.Load())(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *keyServer) say(answer http.HandlerFunc) { s.answer.Store(&answer) }

func (s *keyServer) publish(ids ...string) {
	text := published(ids...)
	s.say(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) })
}

// issuerAt is the issuer of these tests with keys at a server.
func issuerAt(s *keyServer) Issuer {
	return Issuer{
		Name: "test", Issuer: theIssuer, Audiences: []string{theAudience},
		Keys: jwks.Config{URL: s.URL, MaxWait: time.Minute},
	}
}

// start makes a verifier and runs it for as long as the test.
func start(t testing.TB, cfg Config) *Verifier {
	t.Helper()
	v, err := New(cfg, quiet)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return v
}

func bearer(text string) check.Headers {
	return check.Headers{{Name: ":path", Value: "/"}, {Name: "authorization", Value: "Bearer " + text}}
}

// verdict is what became of a bearer token: its status, and the code if any.
func verdict(t testing.TB, v *Verifier, text string, now time.Time) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return short(v.Verify(ctx, bearer(text), now))
}

func short(k *check.Token) string {
	if k.Error == "" {
		return string(k.Status)
	}
	if k.Claims != nil || k.Header != nil || k.Subject != "" || k.Issuer != "" || k.Roles != nil || k.Scopes != nil {
		return "a refused token that says who it is"
	}
	return string(k.Status) + " " + k.Error
}

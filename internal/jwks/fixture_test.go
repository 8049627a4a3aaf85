package jwks

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// issuer is an HTTP server whose answer a test changes while it runs.
type issuer struct {
	*httptest.Server
	answer atomic.Pointer[http.HandlerFunc]
	asked  atomic.Int64
}

func startIssuer(t *testing.T, answer http.HandlerFunc) *issuer {
	t.Helper()
	i := &issuer{}
	i.say(answer)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.asked.Add(1)
		(*i.answer.Load())(w, r)
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) say(answer http.HandlerFunc) { i.answer.Store(&answer) }

func body(b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) }
}

// hang answers nothing until the caller gives up.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// clock stands still until a test moves it. Each pause of Run is an event.
type clock struct {
	mu     sync.Mutex
	at     time.Time
	pauses chan time.Duration
	due    chan time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func (c *clock) after(d time.Duration) <-chan time.Time {
	c.pauses <- d
	return c.due
}

// fetched waits until the fetch under way has ended and says how long Run pauses.
func (c *clock) fetched(t *testing.T) time.Duration {
	t.Helper()
	select {
	case d := <-c.pauses:
		return d
	case <-time.After(20 * time.Second):
		t.Fatal("no fetch ended")
		return 0
	}
}

// refresh makes the next refresh due and waits for its end.
func (c *clock) refresh(t *testing.T) time.Duration {
	t.Helper()
	c.due <- c.now()
	return c.fetched(t)
}

// start runs a set under a clock of its own, without waiting for its first fetch.
func start(t *testing.T, cfg Config, prepare ...func(*Set)) (*Set, *clock, *bytes.Buffer) {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = "test"
	}
	if cfg.MaxWait == 0 {
		cfg.MaxWait = time.Minute // what a test awaits, it awaits to the end
	}
	log := &bytes.Buffer{}
	s, err := New(cfg, slog.New(slog.NewJSONHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{at: time.Unix(1_800_000_000, 0), pauses: make(chan time.Duration, 1000), due: make(chan time.Time)}
	s.now, s.after = c.now, c.after
	for _, p := range prepare {
		p(s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s, c, log
}

var testKeys = sync.OnceValue(func() map[string]crypto.PublicKey {
	keys := map[string]crypto.PublicKey{}
	for _, name := range []string{"r1", "r2", "r3"} {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[name] = k.Public()
	}
	for name, curve := range map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()} {
		k, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			panic(err)
		}
		keys[name] = k.Public()
	}
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	keys["ed"] = public
	return keys
})

// published is a test key as an issuer publishes it, with members added, replaced
// or (nil) taken away.
func published(name string, members map[string]any) map[string]any {
	k, err := jwk.FromRaw(testKeys()[name])
	if err != nil {
		panic(err)
	}
	text, err := json.Marshal(k)
	if err != nil {
		panic(err)
	}
	out := map[string]any{}
	if err := json.Unmarshal(text, &out); err != nil {
		panic(err)
	}
	out["kid"] = name
	for name, value := range members {
		if out[name] = value; value == nil {
			delete(out, name)
		}
	}
	return out
}

func setOf(keys ...map[string]any) []byte {
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		panic(err)
	}
	return text
}

func named(names ...string) []byte {
	var keys []map[string]any
	for _, n := range names {
		keys = append(keys, published(n, nil))
	}
	return setOf(keys...)
}

// soon is a context for a call that must not wait long.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func wantKey(t *testing.T, s *Set, id string) Key {
	t.Helper()
	k, err := s.Key(soon(t), id, "RS256")
	if err != nil {
		t.Fatalf("Key(%s): %v", id, err)
	}
	if want := testKeys()[id].(*rsa.PublicKey); !want.Equal(k.Public) || k.ID != id || k.Generation != s.Generation() {
		t.Fatalf("Key(%s) is another key: %+v", id, k)
	}
	return k
}

func wantNoKey(t *testing.T, s *Set, id string, want error) {
	t.Helper()
	if k, err := s.Key(soon(t), id, "RS256"); !errors.Is(err, want) {
		t.Fatalf("Key(%s) = %+v, %v, want %v", id, k, err, want)
	}
}

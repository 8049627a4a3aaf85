package extauthz

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"authz/internal/audit"
	"authz/internal/authz"
	"authz/internal/jwks"
	"authz/internal/ops"
	"authz/internal/policy"
	"authz/internal/ratelimit"
	"authz/internal/testbed"
	"authz/internal/token"
	"authz/policies"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"
)

const hitData = `authz:
  config:
    https: { enabled: false }
    quotas:
      limits:
        address: { by: address, limit: 1000000000, window: 1h, routes: [orders.limited] }
        user: { by: user, limit: 1000000000, window: 1h, routes: [orders.limited] }
    routes:
      orders.read: { methods: [GET], path: "/orders/{id:uuid}", roles: [viewer] }
      orders.limited: { methods: [POST], path: "/orders/{id:uuid}", roles: [viewer] }
      orders.write: { methods: [PUT], path: "/orders/{id:uuid}", roles: [editor] }
      people.read: { methods: [GET], path: "/people/{name}", owner: { param: name, claim: sub } }
`

// building is the whole staircase below the front door, with the policy library.
type building struct {
	*Server
	key    testbed.Key
	issued map[string]string
	policy *policy.Engine
	log    *audit.Log
}

func newBuilding(tb testing.TB, decisions io.Writer) *building {
	tb.Helper()
	return build(tb, decisions, "ES256", 0)
}

// build is newBuilding with another algorithm, and room for tokens.
func build(tb testing.TB, decisions io.Writer, alg string, tokenBytes int64) *building {
	tb.Helper()
	key := testbed.NewKey("k", alg)
	dir := tb.TempDir()
	set, err := json.Marshal(map[string]any{"keys": []any{key.JWK()}})
	if err != nil {
		tb.Fatal(err)
	}
	for name, content := range map[string]string{"policy/data.yaml": hitData, "jwks.json": string(set)} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	tokens, err := token.New(token.Config{MaxBytes: 8192, CacheBytes: tokenBytes, Issuers: []token.Issuer{{
		Name: "i", Issuer: "https://issuer.example", Audiences: []string{"bench"}, RolesClaim: "roles",
		Keys: jwks.Config{Name: "i", Issuer: "https://issuer.example", File: filepath.Join(dir, "jwks.json")},
	}}}, silent)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = tokens.Run(ctx) }()
	tb.Cleanup(func() { stop(); <-ended })
	engine, err := policy.New(policy.Config{
		Path: filepath.Join(dir, "policy"), Library: policies.Library, Decision: "authz/decision", Timeout: time.Minute, CacheBytes: 1 << 26,
	}, silent)
	if err != nil {
		tb.Fatal(err)
	}
	if err := engine.Load(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	b := &building{key: key, policy: engine, issued: map[string]string{}, log: audit.New(decisions, 1024)}
	metrics := ops.NewMetrics()
	a := authz.New(authz.Parts{
		Tokens: tokens, Policy: engine, Quotas: ratelimit.NewMemory(ratelimit.MemoryConfig{}), Audit: b.log, Log: silent, Now: time.Now,
		PolicyPath: "authz/decision",
		Observe: func(o authz.Observation) {
			metrics.Observe(ops.Observation{Outcome: o.Outcome.String(), Reasons: o.Reasons, Route: o.Route,
				Token: o.Token, Policy: o.Policy, Quota: o.Quota, Total: o.Total})
		},
	})
	b.Server, err = NewServer(Config{Transport: TransportLean, Fail: a.Fail, Quick: a.Quick, IdentityHeaders: []string{"x-user-id", "x-user-roles"}}, a.Decide, silent)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// token is one and the same for a lifetime and a role.
func (b *building) token(ttl time.Duration, role string) string {
	name := fmt.Sprint(ttl, role)
	if b.issued[name] == "" {
		b.issued[name] = b.key.Token(map[string]any{
			"iss": "https://issuer.example", "aud": "bench", "sub": "ann", "roles": []string{role}, "scope": "orders:read profile",
			"iat": time.Now().Add(-2 * time.Hour).Unix(), "exp": time.Now().Add(ttl).Unix(),
		})
	}
	return b.issued[name]
}

// check is a request with the headers of a browser.
func (b *building) check(method string, n int, ttl time.Duration, role string, more ...map[string]string) []byte {
	path := fmt.Sprintf("/orders/3f1e0f2c-6d1c-4b52-9c43-%012d", n)
	headers := map[string]string{

		"authorization": "Bearer " + b.token(ttl, role),
		"accept":        "application/json", "accept-encoding": "gzip, deflate, br", "accept-language": "en-GB,en;q=0.9",
		"user-agent":   "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
		"x-request-id": fmt.Sprintf("5132ebe8-38c4-4646-9b9e-%012d", n), "x-forwarded-for": "203.0.113.7",
	}
	for _, m := range more {
		maps.Copy(headers, m)
	}
	message := httpCheck(method, path, headers)
	message.Attributes.Source = &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
		SocketAddress: &corev3.SocketAddress{Address: "203.0.113.7", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 40000}}}}}
	return encoded(message)
}

// callers are checks of n callers, learned. Each has memory of its own, as in a process that serves many: what a hit costs
// is then also how many places of memory it looks at.
func (b *building) callers(tb testing.TB, n int) [][]byte {
	tb.Helper()
	messages := make([][]byte, n)
	for i := range messages {
		token := b.key.Token(map[string]any{
			"iss": "https://issuer.example", "aud": "bench", "sub": fmt.Sprintf("user-%d", i), "roles": []string{"viewer"},
			"scope": "orders:read profile", "exp": time.Now().Add(time.Hour).Unix(), "name": "A name to make it longer", "padding": strings.Repeat("x", 300),
		})
		messages[i] = b.check("GET", i, time.Hour, "viewer", map[string]string{"authorization": "Bearer " + token})
		b.learned(tb, messages[i])
	}
	return messages
}

// learned asks until a check is answered on the spot.
func (b *building) learned(tb testing.TB, message []byte) {
	tb.Helper()
	for range 50 {
		if _, ok := b.inline(message, address{}, nil); ok {
			return
		}
		b.answer(tb.Context(), message, address{})
	}
	out := b.answer(tb.Context(), message, address{})
	tb.Fatalf("nothing is remembered: %s", out.bytes())
}

// A decision that is remembered costs no allocation, from the message to the answer;
// charging quotas costs a few.
func TestHitAllocatesNothing(t *testing.T) {
	if testbed.RaceEnabled {
		t.Skip("the race detector has pools forget")
	}
	for method, most := range map[string]float64{
		"GET":  0, // allowed
		"PUT":  0, // refused
		"POST": 4, // charged: keys that are this request's, and what the store answers
	} {
		door := newBuilding(t, nil)
		message := door.check(method, 1, time.Hour, "viewer")
		door.learned(t, message)
		out := make([]byte, 0, 4096)
		if n := testing.AllocsPerRun(1000, func() {
			if _, ok := door.inline(message, address{}, out); !ok {
				t.Fatal("no answer")
			}
		}); n > most {
			t.Errorf("%s: %v allocations, want at most %v", method, n, most)
		}
	}
}

// The answer to a hit is that to a miss, but for the decision's id, whatever the
// request holds beside what was decided by: another id, another header's twin.
func TestHitAnswersAsMiss(t *testing.T) {
	door := newBuilding(t, nil)
	for _, c := range []struct {
		method string
		ttl    time.Duration
	}{{"GET", time.Hour}, {"PUT", time.Hour}, {"POST", time.Hour}, {"GET", -time.Hour}} {
		door.learned(t, door.check(c.method, 1, c.ttl, "viewer"))
		for n, more := range []map[string]string{nil, {"x_user_id": "eve"}, {"x-user-id": "eve", "x_http_method": "PUT"}, {"x-request-id": "a \"b\""}, {"x-request-id": "a&b"}} {
			message := door.check(c.method, 2+n, c.ttl, "viewer", more)
			reply, ok := door.inline(message, address{}, nil)
			if !ok {
				t.Fatalf("%s: not remembered", c.method)
			}
			r, err := door.reader.read(message)
			if err != nil {
				t.Fatal(err)
			}
			d := door.decide(t.Context(), r)
			d.Kept = nil
			want, err := door.writer.append(nil, &d, r)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := unnamed(t, reply), unnamed(t, want); !proto.Equal(got, want) {
				t.Errorf("%s %v:\n got %v\nwant %v", c.method, more, got, want)
			}
		}
	}
}

// unnamed is an answer without the decision's id and what is left of the quotas.
func unnamed(t *testing.T, reply []byte) *authv3.CheckResponse {
	t.Helper()
	var r authv3.CheckResponse
	if err := proto.Unmarshal(reply, &r); err != nil {
		t.Fatal(err)
	}
	delete(r.GetDynamicMetadata().GetFields(), decisionID)
	for _, h := range r.GetOkResponse().GetResponseHeadersToAdd() {
		if h.GetHeader().GetKey() == "ratelimit" {
			h.Header.Value = ""
		}
	}
	return &r
}

func BenchmarkHit(b *testing.B) {
	b.Run("of 5,000 callers", func(b *testing.B) {
		door := newBuilding(b, nil)
		messages := door.callers(b, 5000)
		out := make([]byte, 0, 4096)
		b.ReportAllocs()
		for i := 0; b.Loop(); i = (i + 1) % len(messages) {
			if _, ok := door.inline(messages[i], address{}, out); !ok {
				b.Fatal("no answer")
			}
		}
	})
	for _, c := range []struct {
		name, method string
		ttl          time.Duration
	}{{"allowed", "GET", time.Hour}, {"wrong role", "PUT", time.Hour}, {"quotas", "POST", time.Hour}, {"expired", "GET", -time.Hour}} {
		b.Run(c.name, func(b *testing.B) {
			door := newBuilding(b, nil)
			message := door.check(c.method, 1, c.ttl, "viewer")
			door.learned(b, message)
			out := make([]byte, 0, 4096)
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := door.inline(message, address{}, out); !ok {
					b.Fatal("no answer")
				}
			}
		})
	}
}

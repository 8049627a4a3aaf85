package main

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"

	"authz/internal/testbed"
)

const issuer = "https://issuer.example"

// data describes the API to the policy library: twelve routes guarded by four roles,
// one of them by ownership, and one route for each of the other workloads.
const data = `authz:
  config:
    https: { enabled: false }
    cors: { origins: ["https://shop.example.com"] }
    quotas:
      limits:
        address: { by: address, limit: 1000000000, window: 1h, routes: [limited] }
        user: { by: user, limit: 1000000000, window: 1h, routes: [limited] }
    routes:
%s      limited: { methods: [GET], path: /limited, authenticated: true }
      users.create:
        methods: [POST]
        path: /users
        public: true
        body:
          type: object
          required: [name, email, items]
          properties:
            name: { type: string, minLength: 3 }
            email: { type: string, maxLength: 100 }
            items: { type: array, items: { type: object, required: [sku, count], properties: { sku: { type: string, pattern: "^[A-Z0-9-]+$" }, count: { type: integer, minimum: 1 } } } }
`

var roles = []string{"viewer", "clerk", "editor", "admin"}

// owned is the route that asks for the caller's own name.
const owned = 11

func policyData() string {
	var routes strings.Builder
	for i := range 12 {
		guard := fmt.Sprintf("roles: [%s]", roles[i%4])
		name := "id:uuid"
		if i == owned {
			guard, name = "owner: { param: name, claim: sub }", "name"
		}
		fmt.Fprintf(&routes, "      r%d: { methods: [GET], path: \"/r%d/{%s}\", %s }\n", i, i, name, guard)
	}
	return fmt.Sprintf(data, routes.String())
}

// workload is one kind of check.
type workload struct {
	Name     string
	Shapes   []shape
	messages func(round int) []message
	once     bool // each message is sent once: it must be new to the server
	warm     bool // send all of them before the first round
}

func user(i int) string { return fmt.Sprintf("user-%08d", i) }

func (k keys) jwks() ([]byte, error) {
	return json.Marshal(map[string]any{"keys": []any{k.rs.JWK(), k.es.JWK()}})
}

func claims(subject string, ttl time.Duration, roles ...string) map[string]any {
	now := time.Now()
	return map[string]any{
		"iss": issuer, "aud": "bench", "sub": subject, "roles": roles, "scope": "orders:read orders:write profile",
		"iat": now.Add(-2 * time.Hour).Unix(), "exp": now.Add(ttl).Unix(), "jti": uuid(),
	}
}

func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:]
}

// target is the path of check i among so many subjects: one never seen, or the
// caller's own name where the route asks for it.
func target(i, subjects int) string {
	last := uuid()
	if i%12 == owned {
		last = user(i % subjects)
	}
	return fmt.Sprintf("/r%d/%s", i%12, last)
}

// rbac is n checks with the tokens of user-00000000 and so on in turn, each allowed.
func rbac(tokens []string, n int) []message {
	return repeat(n, func(i int) message { return check("GET", target(i, len(tokens)), tokens[i%len(tokens)], "", 200) })
}

func repeat(n int, f func(i int) message) []message {
	out := make([]message, n)
	for i := range out {
		out[i] = f(i)
	}
	return out
}

// always is a workload whose messages are the same in each round, made when first asked for.
func always(make func() []message) func(int) []message {
	once := sync.OnceValue(make)
	return func(int) []message { return once() }
}

// subjects is W1 with tokens that are all known after the first round.
func subjects(name string, k testbed.Key, n, checks int, shapes ...shape) workload {
	return workload{Name: name, Shapes: shapes, warm: true, messages: always(func() []message {
		return rbac(sign(n, func(i int) string { return k.Token(claims(user(i), lifetime, roles...)) }, nil), checks)
	})}
}

// newTokens is W1 with tokens never seen, of one caller or of as many as there are tokens.
func newTokens(name string, k testbed.Key, n int, oneCaller bool) workload {
	return workload{Name: name, Shapes: []shape{{2, 4}}, once: true, messages: func(round int) []message {
		number := func(i int) int { return 1_000_000*(round+1) + i }
		if oneCaller {
			number = func(int) int { return 0 }
		}
		tokens := sign(n, func(i int) string { return k.Token(claims(user(number(i)), lifetime, roles...)) }, nil)
		return repeat(n, func(i int) message {
			last := uuid()
			if i%12 == owned {
				last = user(number(i))
			}
			return check("GET", fmt.Sprintf("/r%d/%s", i%12, last), tokens[i], "", 200)
		})
	}}
}

// workloads are all of them; short leaves out what takes long to prepare.
func workloads(k keys, o options) []workload {
	busy, some, one := shape{2, 32}, shape{2, 4}, shape{1, 1}
	token := k.rs.Token(claims("user-1", lifetime, "viewer"))
	bad := func(int) message {
		t := k.rs.Token(claims("user-1", lifetime, "viewer"))
		at := len(t) - 20
		c := byte('A')
		if t[at] == 'A' {
			c = 'B'
		}
		return check("GET", "/r0/"+uuid(), t[:at]+string(c)+t[at+1:], "", 401)
	}
	body := func(i int) string {
		items := make([]string, 26)
		for j := range items {
			items[j] = fmt.Sprintf(`{"sku":"A-%05d-%04d","count":%d}`, i, j, j+1)
		}
		return fmt.Sprintf(`{"name":"user %d","email":"user%d@example.com","items":[%s]}`, i, i, strings.Join(items, ","))
	}
	unseen := 2000 / o.many
	if o.short {
		unseen = 300 / o.many
	}
	all := []workload{
		subjects("W1 RS256, 1 subject", k.rs, 1, 1000, some),
		subjects("W1 RS256, 1,000 subjects", k.rs, 1000/o.many, 12000/o.many, busy, some, one),
		subjects("W1 ES256, 1,000 subjects", k.es, 1000/o.many, 12000/o.many, some),
		newTokens("W1 RS256, token never seen", k.rs, unseen, true),
		newTokens("W1 RS256, token and caller never seen", k.rs, unseen, false),
		{Name: "W2 body of 1 KiB, first sight", Shapes: []shape{some}, messages: func(round int) []message {
			return repeat(unseen, func(i int) message { return check("POST", "/users", "", body(round*unseen+i), 200) })
		}, once: true},
		{Name: "W3 bad signature", Shapes: []shape{some}, messages: func(int) []message { return repeat(unseen, bad) }, once: true},
		{Name: "W3 expired", Shapes: []shape{some}, messages: always(func() []message {
			return repeat(100/o.many, func(int) message {
				return check("GET", "/r0/"+uuid(), k.rs.Token(claims("user-1", -time.Hour, "viewer")), "", 401)
			})
		}), warm: true},
		{Name: "W3 wrong role", Shapes: []shape{some}, messages: always(func() []message {
			return repeat(1000, func(int) message { return check("GET", "/r1/"+uuid(), token, "", 403) })
		}), warm: true},
		{Name: "W4 quotas by user and address", Shapes: []shape{some}, messages: always(func() []message {
			return repeat(100, func(int) message { return check("GET", "/limited", token, "", 200) })
		}), warm: true},
		{Name: "W5 preflight", Shapes: []shape{some}, messages: always(func() []message {
			return repeat(100, func(int) message { return preflight() })
		}), warm: true},
	}
	if !o.short {
		all = append(all, subjects("W1 ES256, 1 subject", k.es, 1, 1000, some))
	}
	return all
}

// hundredThousand is W1 with as many callers as a large service has in an hour.
func hundredThousand(t kept) []workload {
	of := func(alg string, tokens []string) workload {
		return workload{Name: "W1 " + alg + ", 100,000 subjects", Shapes: []shape{{2, 4}}, warm: true,
			messages: always(func() []message { return rbac(tokens, len(tokens)) })}
	}
	return []workload{of("RS256", t.rs), of("ES256", t.es)}
}

func preflight() message {
	m := request("OPTIONS", "/r0/"+uuid())
	h := m.Attributes.Request.Http.Headers
	h["origin"], h["access-control-request-method"], h["access-control-request-headers"] = "https://shop.example.com", "GET", "authorization"
	return frame(m, 204)
}

func check(method, path, token, body string, want int) message {
	m := request(method, path)
	http := m.Attributes.Request.Http
	if token != "" {
		http.Headers["authorization"] = "Bearer " + token
	}
	if body != "" {
		http.Headers["content-type"] = "application/json"
		http.Headers["content-length"] = fmt.Sprint(len(body))
		http.RawBody, http.Size = []byte(body), int64(len(body))
	}
	return frame(m, want)
}

// request is a check as Envoy sends it, with the headers of a browser.
func request(method, path string) *authv3.CheckRequest {
	peer := func(ip string, port uint32) *authv3.AttributeContext_Peer {
		return &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
			SocketAddress: &corev3.SocketAddress{Address: ip, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port}}}}}
	}
	m := &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: peer("203.0.113.7", 40000), Destination: peer("10.0.0.2", 8080),
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Id: "1234567890", Method: method, Path: path, Host: "api.example.com", Scheme: "https", Protocol: "HTTP/1.1",
			Headers: map[string]string{
				":authority": "api.example.com", ":method": method, ":path": path, ":scheme": "https",
				"x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.7", "x-request-id": uuid(),
			},
		}},
	}}
	maps.Copy(m.Attributes.Request.Http.Headers, browser)
	return m
}

// browser is what one sends with each request.
var browser = map[string]string{
	"accept": "application/json", "accept-encoding": "gzip, deflate, br", "accept-language": "en-GB,en;q=0.9",
	"user-agent":    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
	"cache-control": "no-cache", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}

func frame(m *authv3.CheckRequest, want int) message {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err) // strings made here are valid UTF-8
	}
	out := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(b)))
	return message{append(out, b...), want}
}

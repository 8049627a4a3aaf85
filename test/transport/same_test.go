package transport

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"authz/internal/testbed"
)

var sameRequests = flag.Int("same.requests", 4000, "how many checks both transports are asked")

// Both transports, with and without remembered decisions, give the same answers, octet
// for octet, but for ids and what is left of quotas. The policies are the library over
// the API of the end-to-end tests, whose data changes halfway.
func TestSameAnswers(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs sidecars")
	}
	issuer := testbed.NewIssuer("ES256")
	defer issuer.Close()
	dir := t.TempDir()
	text, err := os.ReadFile("../../e2e/testdata/library/data.yaml")
	if err != nil {
		t.Fatal(err)
	}
	write := func(data []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "data.yaml"), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// No quota is met here: it would depend on the time.
	data := regexp.MustCompile(`limit: \d+,`).ReplaceAll(text, []byte("limit: 1000000000,"))
	write(data)

	var clients []authv3.AuthorizationClient
	var sidecars []*testbed.Sidecar
	names := []string{"grpc-go", "grpc-go, remembering", "lean", "lean, remembering"}
	for _, name := range names {
		transport, size := strings.TrimSuffix(name, ", remembering"), "0"
		if strings.HasSuffix(name, "remembering") {
			size = "16MiB"
		}
		s, err := testbed.StartSidecar(t.Context(), testbed.SidecarOptions{Config: fmt.Sprintf(`
policy: {paths: [%q], timeout: 10s, cache_size: %s}
listen: {transport: %s, check_timeout: 20s}
audit: {output: none}
token: {cookie: session}
issuers: [{issuer: %q, audiences: [api]}]
`, dir, size, transport, issuer.URL)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Stop() })
		conn, err := grpc.NewClient("unix:"+s.Socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		clients, sidecars = append(clients, authv3.NewAuthorizationClient(conn)), append(sidecars, s)
	}
	g := newRequests(issuer)
	statuses := map[string]int{}
	ask := func(n int) {
		for range n {
			request := g.next()
			answers := make([][]byte, len(clients))
			var all sync.WaitGroup
			for i, c := range clients {
				all.Go(func() {
					answer, err := c.Check(context.Background(), request)
					if err != nil {
						t.Error(names[i], err)
						return
					}
					answers[i] = comparable(t, answer)
				})
			}
			all.Wait()
			for i := range answers[1:] {
				if !bytes.Equal(answers[0], answers[i+1]) {
					t.Fatalf("%v\n%s: %s\n%s: %s", request, names[0], answers[0], names[i+1], answers[i+1])
				}
			}
			var a authv3.CheckResponse
			if proto.Unmarshal(answers[0], &a) == nil {
				statuses[fmt.Sprint(a.GetDeniedResponse().GetStatus().GetCode().Number())]++
			}
		}
	}
	ask(*sameRequests / 2)
	write(bytes.Replace(data, []byte("orders.read: { methods: [GET], path: \"/orders/{id:uuid}\", roles: [clerk] }"),
		[]byte("orders.read: { methods: [GET], path: \"/orders/{id:uuid}\", roles: [admin] }"), 1))
	for i, s := range sidecars {
		for loaded := 0.0; loaded < 1; {
			if loaded, err = s.Metric(t.Context(), "authz_policy_reloads_total"); err != nil {
				t.Fatal(names[i], err)
			}
		}
	}
	ask(*sameRequests / 2)
	if len(statuses) < 8 {
		t.Errorf("hardly a variety of answers: %v", statuses)
	}
	hits, err := sidecars[3].Metric(t.Context(), "authz_decision_cache_hits_total")
	if err != nil || hits == 0 {
		t.Errorf("%v decisions were remembered (%v)", hits, err)
	}
	t.Logf("%d checks, %.0f of them remembered by the lean sidecar; by status: %v", *sameRequests, hits, statuses)
}

var (
	anID   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)
	isLeft = regexp.MustCompile(`r=\d+;t=\d+`)
)

// comparable is an answer as it came, with what differs by nature taken out.
func comparable(t *testing.T, answer *authv3.CheckResponse) []byte {
	headers := append(answer.GetOkResponse().GetHeaders(), answer.GetOkResponse().GetResponseHeadersToAdd()...)
	for _, h := range append(headers, answer.GetDeniedResponse().GetHeaders()...) {
		h.Header.Value = isLeft.ReplaceAllString(anID.ReplaceAllString(h.Header.Value, "ID"), "r=;t=")
	}
	if d := answer.GetDeniedResponse(); d != nil {
		d.Body = anID.ReplaceAllString(d.Body, "ID")
	}
	for name, v := range answer.GetDynamicMetadata().GetFields() {
		if anID.MatchString(v.GetStringValue()) {
			delete(answer.DynamicMetadata.Fields, name)
		}
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(answer)
	if err != nil {
		t.Error(err)
	}
	return b
}

// requests are checks as Envoy makes them, of a few callers, mostly sensible.
type requests struct {
	*rand.Rand
	credentials []string
}

func newRequests(issuer *testbed.Issuer) *requests {
	g := &requests{Rand: rand.New(rand.NewPCG(11, 12)), credentials: []string{"", "Bearer junk", "Basic YTpi"}}
	for _, who := range []map[string]any{
		{"sub": "alice", "roles": []string{"clerk"}, "scope": "orders:write"}, {"sub": "bob", "roles": []string{"viewer"}},
		{"sub": "ada", "roles": []string{"admin"}}, {"sub": "alice", "roles": "clerk"}, {"sub": "eve"},
		{"sub": "late", "exp": time.Now().Add(-time.Hour).Unix()}, {"sub": "other", "aud": "other"},
	} {
		claims := map[string]any{"aud": "api", "exp": time.Now().Add(time.Hour).Unix()}
		for k, v := range who {
			claims[k] = v
		}
		token := issuer.Token(claims)
		g.credentials = append(g.credentials, "Bearer "+token, "Bearer "+token[:len(token)-6]+"AAAAAA")
	}
	return g
}

func pick[T any](g *requests, list ...T) T { return list[g.IntN(len(list))] }

func (g *requests) next() *authv3.CheckRequest {
	method := pick(g, "GET", "GET", "GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD")
	path := pick(g, "/health", "/public", "/login", "/me", "/limited", "/orders", "/orders/0b0e7b9a-6a5d-4b0e-9d5c-0f6c1b2a3d4e", "/orders/7", "/users/alice", "/users/bob",
		"/admin", "/open", "/unguarded", "/users", "/notes", "/search/orders", "/search/x", "/comments", "/nowhere", "//admin", "/%2e%2e/admin", "/")
	path += pick(g, "", "", "", "?page=1", "?page=0", "?q=a&q=b", "?since=2026-01-01T00:00:00Z", "?%zz")
	scheme := pick(g, "https", "https", "https", "http")
	headers := map[string]string{":method": method, ":path": path, ":authority": "api.example.com", ":scheme": scheme, "x-request-id": "the-same", "user-agent": "test"}
	set := func(name string, values ...string) {
		if v := pick(g, values...); v != "" {
			headers[name] = v
		}
	}
	set("authorization", g.credentials...)
	set("cookie", "", "", "", "session="+strings.TrimPrefix(pick(g, g.credentials...), "Bearer "), "a=b")
	set("origin", "", "", "https://shop.example.com", "https://x.preview.example.com", "https://evil.example", "null")
	set("sec-fetch-site", "", "", "same-origin", "cross-site", "none")
	if method == "OPTIONS" {
		set("access-control-request-method", "GET", "DELETE", "")
		set("access-control-request-headers", "", "authorization", "x-odd")
	}
	body := ""
	if method == "POST" || method == "PUT" {
		set("content-type", "application/json", "application/json", "text/plain", "application/x-www-form-urlencoded", "")
		body = pick(g, "", `{}`, `{"name":"Ann Lee","email":"ann@example.com","password":"secret1"}`, `{"name":"x"}`, `{"text":"hi"}`, `{"text":"too long"}`, `{"a":1,"a":2}`, `[`, "name=x&email=y",
			`{"text":"<script>alert(1)</script>"}`, `{"html":"<b>x</b>","note":"<img src=x onerror=y>"}`)
		headers["content-length"] = fmt.Sprint(len(body))
	}
	address := &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{Address: pick(g, "203.0.113.7", "2001:db8::1"), PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 4711}}}}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Address: address},
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Id: "the-same", Method: method, Path: path, Host: "api.example.com", Scheme: scheme, Protocol: "HTTP/1.1", Headers: headers, Body: body, Size: int64(len(body)),
		}},
	}}
}

// Package envoy_test holds the shipped configuration to what its comments say, by
// running it in a real Envoy with a sidecar whose answers the tests choose.
package envoy_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"authz/internal/testbed"
)

// world is Envoy with the shipped configuration, an app, and a sidecar that answers
// as a test says.
type world struct {
	envoy   *testbed.Envoy
	app     *testbed.App
	sidecar *sidecar
}

// sidecar answers checks; nil answers every one with an empty allow.
type sidecar struct {
	authv3.UnimplementedAuthorizationServer
	socket string

	mu     sync.Mutex
	answer func(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error)
	seen   []*authv3.CheckRequest
}

func (s *sidecar) Check(ctx context.Context, r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	s.mu.Lock()
	s.seen = append(s.seen, r)
	answer := s.answer
	s.mu.Unlock()
	if answer == nil {
		return allow(&authv3.OkHttpResponse{}), nil
	}
	return answer(ctx, r)
}

func (s *sidecar) answers(f func(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer, s.seen = f, nil
}

func (s *sidecar) checks() []*authv3.CheckRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*authv3.CheckRequest(nil), s.seen...)
}

// serve listens and returns the function that ends it.
func (s *sidecar) serve(t *testing.T) (stop func()) {
	t.Helper()
	l, err := net.Listen("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	authv3.RegisterAuthorizationServer(server, s)
	go func() { _ = server.Serve(l) }()
	return server.Stop
}

func allow(ok *authv3.OkHttpResponse) *authv3.CheckResponse {
	return &authv3.CheckResponse{
		Status:       &rpcstatus.Status{Code: int32(codes.OK)},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: ok},
	}
}

func deny(status int, body string, headers ...*corev3.HeaderValueOption) *authv3.CheckResponse {
	return &authv3.CheckResponse{
		Status: &rpcstatus.Status{Code: int32(codes.PermissionDenied)},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
			Status: &typev3.HttpStatus{Code: typev3.StatusCode(status)}, Body: body, Headers: headers,
		}},
	}
}

func header(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: name, Value: value}}
}

// start builds a world with changes to the shipped configuration, if any.
func start(t *testing.T, edits ...testbed.Edit) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "envoy-test-") // short: a socket's path has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w := &world{app: testbed.NewApp(), sidecar: &sidecar{socket: filepath.Join(dir, "s")}}
	t.Cleanup(w.app.Close)
	t.Cleanup(w.sidecar.serve(t))
	w.envoy, err = testbed.StartEnvoy(t.Context(), testbed.EnvoyOptions{Sidecar: w.sidecar.socket, App: w.app.Addr, Edits: edits})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.envoy.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("envoy printed:\n%s", w.envoy.Log().Tail(40))
		}
	})
	return w
}

// raw sends octets and reads one answer: what no HTTP client would send.
func (w *world) raw(t *testing.T, request string) (*http.Response, string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", w.envoy.Addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// get is raw for a plain GET with further header lines.
func (w *world) get(t *testing.T, target string, lines ...string) (*http.Response, string) {
	t.Helper()
	return w.raw(t, "GET "+target+" HTTP/1.1\r\nHost: api.example.com\r\n"+strings.Join(append(lines, "", ""), "\r\n"))
}

// security is what every answer that Envoy makes itself must carry.
var security = []string{"Cache-Control", "Content-Security-Policy", "Cross-Origin-Resource-Policy", "Referrer-Policy",
	"Strict-Transport-Security", "X-Content-Type-Options", "X-Frame-Options"}

func missing(h http.Header, names []string) (out []string) {
	for _, n := range names {
		if h.Get(n) == "" {
			out = append(out, n)
		}
	}
	return out
}

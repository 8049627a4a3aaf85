package envoy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"authz/envoy"
	"authz/internal/bootstrap"
	"authz/internal/lintenvoy"
	"authz/internal/testbed"

	"golang.org/x/sys/unix"
)

// The address that stands for the pod's; the app has the same port on 127.0.0.1.
const podAddress = "127.0.0.2"

// The configuration as it is in a pod: Envoy and the app share a port, nobody else
// can have it, every request is judged, and the probes get through without a token.
func TestInPod(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	app := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Method+" "+r.URL.String())
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = app.Serve(l) }()
	defer app.Close()
	port := l.Addr().(*net.TCPAddr).Port

	dir, err := os.MkdirTemp("", "envoy-pod-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s := &sidecar{socket: filepath.Join(dir, "s")}
	defer s.serve(t)()
	s.answers(func(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
		return deny(403, "no\n"), nil
	})

	probePort, secondPort := freePort(t), freePort(t)
	fitted, err := bootstrap.Fit(envoy.Config, bootstrap.Place{
		Addresses: []string{podAddress}, Memory: 256 << 20,
		// The second port leads to the same app.
		Serves:    []bootstrap.Serve{{Port: port, App: l.Addr().(*net.TCPAddr).AddrPort()}, {Port: secondPort, App: l.Addr().(*net.TCPAddr).AddrPort()}},
		ProbePort: probePort, Drainable: true, Probes: []bootstrap.Probe{{Path: "/app/liveness", Target: "/healthz?full=1", Port: uint16(port)}, {Path: "/app/startup", Port: uint16(port)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	findings, err := lintenvoy.Lint(fitted)
	if err != nil || len(findings) > 0 {
		t.Errorf("lint-envoy finds something: %v %+v", err, findings)
	}
	adminPort := freePort(t)
	// What differs from a pod: where the sidecar's socket is, and a port for the admin interface.
	config := strings.NewReplacer("/run/authz/authz.sock", s.socket, "port_value: 9902", fmt.Sprintf("port_value: %d", adminPort)).Replace(string(fitted))
	file := filepath.Join(dir, "envoy.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	binary, err := testbed.EnvoyBinary()
	if err != nil {
		t.Fatal(err)
	}
	p, err := testbed.Start("envoy", exec.Command(binary, "--config-path", file, "--disable-hot-restart", "--drain-strategy", "immediate", "--concurrency", "2", "--log-level", "info"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(p.Log().Tail(30))
		}
	}()
	front, probes := fmt.Sprintf("http://%s:%d", podAddress, port), fmt.Sprintf("http://%s:%d", podAddress, probePort)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := p.Log().Wait(ctx, func(line string) bool {
		return strings.Contains(line, "all dependencies initialized. starting workers")
	}); err != nil {
		t.Fatal(err, p.Log().Tail(30))
	}
	for status, _ := ask(t, "GET", probes+"/ready"); status != 200; status, _ = ask(t, "GET", probes+"/ready") {
		select {
		case <-ctx.Done():
			t.Fatal("never ready")
		case <-time.After(20 * time.Millisecond):
		}
	}

	took := func() (list []string) {
		mu.Lock()
		defer mu.Unlock()
		list, seen = seen, nil
		return list
	}
	for _, c := range []struct {
		method, url string
		status      int
		app         string
	}{
		{"GET", front + "/orders", 403, ""},
		{"GET", fmt.Sprintf("http://%s:%d/orders", podAddress, secondPort), 403, ""},
		{"GET", front + "/healthz?full=1", 403, ""},
		{"GET", front + "/app/liveness", 403, ""},
		{"GET", probes + "/app/liveness", 200, "GET /healthz?full=1"},
		{"GET", probes + "/stats/prometheus", 200, ""},
		// Nothing else gets through here.
		{"POST", probes + "/app/liveness", 404, ""},
		{"GET", probes + "/app/liveness?full=2", 404, ""},
		{"GET", probes + "/app/liveness/", 404, ""},
		{"GET", probes + "/app/liveness/../../orders", 404, ""},
		{"GET", probes + "/app/liveness/x", 404, ""},
		{"GET", probes + "/x/../app/liveness", 200, "GET /healthz?full=1"}, // it is the same path
		{"GET", probes + "/app%2fliveness", 400, ""},
		{"GET", probes + "/orders", 404, ""},
		{"GET", probes + "/", 404, ""},
		{"POST", probes + "/ready", 404, ""},
		{"POST", probes + "/quitquitquit", 404, ""},
		{"GET", probes + "/config_dump", 404, ""},
	} {
		status, _ := ask(t, c.method, c.url)
		if got := strings.Join(took(), ", "); status != c.status || got != c.app {
			t.Errorf("%s %s: %d, the app got %q", c.method, c.url, status, got)
		}
	}
	if n := len(s.checks()); n != 4 {
		t.Errorf("%d checks, and not four", n)
	}

	// Drained, it serves on and ends each connection after the answer.
	if err := bootstrap.Drain(ctx, fmt.Sprintf("127.0.0.1:%d", adminPort)); err != nil {
		t.Error(err)
	}
	for range 2 {
		answer, err := http.Get(front + "/orders")
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != 403 || !answer.Close {
			t.Errorf("drained: %d, connection closed: %v", answer.StatusCode, answer.Close)
		}
	}

	// A TCP probe is answered by whether the app accepts connections.
	accepts := func(want int) {
		t.Helper()
		for status, body := ask(t, "GET", probes+"/app/startup"); status != want; status, body = ask(t, "GET", probes+"/app/startup") {
			select {
			case <-ctx.Done():
				t.Fatalf("%d %s, and never %d", status, body, want)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	accepts(200)
	app.Close()
	accepts(503)

	// An app that binds all addresses does not get the port, even if it is ready to share.
	sharing := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	}}
	if all, err := sharing.Listen(ctx, "tcp4", fmt.Sprintf("0.0.0.0:%d", port)); err == nil {
		all.Close()
		t.Error("it gets the port, and would be reachable around Envoy")
	}
}

// ask sends a path as it is written.
func ask(t *testing.T, method, url string) (int, string) {
	t.Helper()
	address, path, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	r, err := http.NewRequest(method, "http://"+address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.URL.Opaque = "//" + address + "/" + path
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(body)
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", podAddress+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

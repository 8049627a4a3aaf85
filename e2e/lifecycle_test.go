package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"authz/internal/testbed"
)

// load sends requests from several connections until it is stopped.
type load struct {
	sent, failed atomic.Int64
	statuses     sync.Map // status to *atomic.Int64
	stop         chan struct{}
	all          sync.WaitGroup
}

func startLoad(t *testing.T, url, token string, workers int) *load {
	l := &load{stop: make(chan struct{})}
	c := keepAlive(t)
	for range workers {
		l.all.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
				}
				status := c.get(url, token)
				l.sent.Add(1)
				n, _ := l.statuses.LoadOrStore(status, new(atomic.Int64))
				n.(*atomic.Int64).Add(1)
				if status != 200 {
					l.failed.Add(1)
				}
			}
		})
	}
	return l
}

func (l *load) end() string {
	close(l.stop)
	l.all.Wait()
	var b strings.Builder
	l.statuses.Range(func(status, n any) bool {
		fmt.Fprintf(&b, " %v×%d", n.(*atomic.Int64).Load(), status)
		return true
	})
	return b.String()
}

// past waits until that many more requests were answered.
func (l *load) past(t *testing.T, more int64) {
	t.Helper()
	from := l.sent.Load()
	await(t, "requests to be answered", func() bool { return l.sent.Load() >= from+more })
}

// SIGTERM under load, nobody to take over: the sidecar serves as long as Envoy is
// there and ends when it has gone.
func TestTermUnderLoad(t *testing.T) {
	s, e := own(t, config("e2e/testdata/policy"))
	l := startLoad(t, e.URL+"/whoami", world.main.Token(nil), 8)
	l.past(t, 200)
	if err := s.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Log().Wait(t.Context(), func(line string) bool { return strings.Contains(line, `"draining"`) }); err != nil {
		t.Fatal(err)
	}
	l.past(t, 1000)
	if _, err := s.Get(t.Context(), "/readyz"); err == nil || !strings.Contains(err.Error(), "shutting down") {
		t.Errorf("ready while draining: %v", err)
	}
	statuses := l.end()
	if failed := l.failed.Load(); failed != 0 {
		t.Errorf("%d of %d requests failed:%s", failed, l.sent.Load(), statuses)
	}
	t.Logf("%d requests around SIGTERM:%s", l.sent.Load(), statuses)
	if err := e.Stop(); err != nil {
		t.Error(err)
	}
	<-s.Done()
	if err := s.Err(); err != nil {
		t.Errorf("the sidecar ended with %v:\n%s", err, s.Log().Tail(10))
	}
}

// SIGTERM under load with a successor at the same socket: Envoy moves over and
// nothing is lost, ten times in a row.
func TestHandoverUnderLoad(t *testing.T) {
	s, e := own(t, config("e2e/testdata/policy"))
	l := startLoad(t, e.URL+"/whoami", world.main.Token(nil), 8)
	l.past(t, 100)
	for range 5 {
		next, err := testbed.StartSidecar(t.Context(), testbed.SidecarOptions{
			Config: config("e2e/testdata/policy"), Socket: s.Socket, Env: []string{"E2E_SECRET=" + hmacSecret}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Process.Stop(); err != nil {
			t.Errorf("%v\n%s", err, s.Log().Tail(10))
		}
		l.past(t, 100)
		*s = *next
	}
	statuses := l.end()
	if failed := l.failed.Load(); failed != 0 {
		t.Errorf("%d of %d requests failed:%s", failed, l.sent.Load(), statuses)
	}
	t.Logf("%d requests over five handovers:%s", l.sent.Load(), statuses)
}

// A second sidecar that can't start leaves the socket to the one that runs.
func TestFailedSuccessor(t *testing.T) {
	s, e := own(t, config("e2e/testdata/policy"))
	next, err := testbed.StartSidecar(t.Context(), testbed.SidecarOptions{
		Config: config("e2e/testdata/policy"), Socket: s.Socket, Env: []string{"E2E_SECRET=" + hmacSecret},
		Args: []string{"--ops.address", strings.TrimPrefix(s.Ops, "http://")}})
	if err == nil {
		_ = next.Stop()
		t.Fatal("two sidecars share a port")
	}
	if !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("the error does not say why: %v", err)
	}
	wantCaller(t, send(t, e, request{target: "/whoami", headers: []string{bearer(world.main.Token(nil))}}), "alice")
}

// kill -9: Envoy as shipped refuses with 503 and recovers with the restart.
func TestKill(t *testing.T) {
	s, e := start(t, testbed.SidecarOptions{Config: config("e2e/testdata/policy")}, testbed.EnvoyOptions{})
	ask := func() answer {
		return send(t, e, request{target: "/whoami", headers: []string{bearer(world.main.Token(nil))}})
	}
	wantCaller(t, ask(), "alice")
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	world.app.Forget()
	for range 20 {
		got := ask()
		wantRefused(t, got, 503)
		for _, name := range []string{"X-Content-Type-Options", "Content-Security-Policy", "Strict-Transport-Security"} {
			if got.Header.Get(name) == "" {
				t.Errorf("the refusal of a dead sidecar lacks %s", name)
			}
		}
	}
	if len(world.app.Seen()) != 0 {
		t.Error("the app was reached while the sidecar was dead")
	}
	next, err := testbed.StartSidecar(t.Context(), testbed.SidecarOptions{
		Config: config("e2e/testdata/policy"), Socket: s.Socket, Env: []string{"E2E_SECRET=" + hmacSecret}})
	if err != nil {
		t.Fatal(err)
	}
	*s = *next
	await(t, "the restarted sidecar to be asked", func() bool { return ask().Status == 200 })
}

// A hundred reloads under load: no error, and no decision by a policy that was
// replaced before the request began.
func TestReloadUnderLoad(t *testing.T) {
	const reloads, requests = 100, 50_000
	dir := policyCopy(t)
	s, e := own(t, config(dir))
	var inForce atomic.Int64 // the oldest version that may still answer
	inForce.Store(1)
	var sent, stale, failed atomic.Int64
	stop := make(chan struct{})
	var all sync.WaitGroup
	c := keepAlive(t)
	token := world.main.Token(nil)
	for range 8 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				oldest := inForce.Load()
				status, header := c.do(e.URL+"/whoami", token)
				sent.Add(1)
				version, err := strconv.ParseInt(header.Get("X-Policy-Version"), 10, 64)
				switch {
				case status != 200 || err != nil:
					failed.Add(1)
				case version < oldest:
					stale.Add(1)
				}
			}
		})
	}
	data := filepath.Join(dir, "data.yaml")
	text, err := os.ReadFile(data)
	if err != nil {
		t.Fatal(err)
	}
	for version := int64(2); version <= reloads+1; version++ {
		next := strings.Replace(string(text), "settings: {version: 1}", fmt.Sprintf("settings: {version: %d}", version), 1)
		// Written beside and renamed, as every careful deployer does.
		if err := os.WriteFile(filepath.Join(dir, ".next"), []byte(next), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, ".next"), data); err != nil {
			t.Fatal(err)
		}
		await(t, fmt.Sprintf("version %d to be announced", version), func() bool {
			n, err := s.Metric(t.Context(), "authz_policy_reloads_total")
			return err == nil && int64(n) >= version-1
		})
		inForce.Store(version)
		await(t, "requests", func() bool { return sent.Load() >= requests*(version-1)/reloads })
	}
	close(stop)
	all.Wait()
	if failed.Load() != 0 || stale.Load() != 0 {
		t.Errorf("of %d requests %d failed and %d were decided by a replaced policy", sent.Load(), failed.Load(), stale.Load())
	}
	t.Logf("%d requests, %d reloads, %d failed, %d stale", sent.Load(), reloads, failed.Load(), stale.Load())
}

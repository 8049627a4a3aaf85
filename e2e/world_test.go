// Package e2e tests the whole way of a request: a real client connection, a real
// Envoy that runs the shipped configuration, the sidecar as a process of its own
// (with the race detector when the tests have it), real keys over HTTP, and an
// application that records what reaches it.
//
// Envoy runs with failure_mode_allow here: whatever the sidecar does not refuse
// explicitly reaches the application, and the test sees it there. There are two of
// them: "hardened" is envoy/envoy.yaml as shipped, "plain" the same without its
// hardening, so that hostile requests reach the sidecar as they were sent.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"authz/internal/testbed"
)

// world is what every test stands on; tests that break something start their own.
var world struct {
	app             *testbed.App
	main            *testbed.Issuer // RS256, audience "api"
	other           *testbed.Issuer // ES256, audience "other-api"
	sidecar         *testbed.Sidecar
	hardened, plain *testbed.Envoy
}

// ctx is for what outlives a single test; atEnd ends it.
var (
	ctx   = context.Background()
	atEnd []func() error
)

const hmacSecret = "an e2e secret of more than thirty-two bytes"

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		fmt.Println("e2e: left out by -short")
		return
	}
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	defer func() {
		for _, end := range atEnd {
			_ = end()
		}
	}()
	w := &world
	w.app = testbed.NewApp()
	defer w.app.Close()
	w.main, w.other = testbed.NewIssuer("RS256"), testbed.NewIssuer("ES256")
	w.main.Audience, w.other.Audience = "api", "other-api"
	defer w.main.Close()
	defer w.other.Close()

	var err error
	step := func(name string, f func() error) {
		if err != nil {
			return
		}
		if err = f(); err != nil {
			fmt.Fprintf(os.Stderr, "e2e: starting %s: %v\n", name, err)
		}
	}
	step("the sidecar", func() (err error) {
		w.sidecar, err = testbed.StartSidecar(ctx, testbed.SidecarOptions{
			Config: config("e2e/testdata/policy"), Env: []string{"E2E_SECRET=" + hmacSecret}})
		return err
	})
	if w.sidecar != nil {
		defer w.sidecar.Stop()
	}
	step("the hardened Envoy", func() (err error) {
		w.hardened, err = testbed.StartEnvoy(ctx, testbed.EnvoyOptions{Sidecar: w.sidecar.Socket, App: w.app.Addr, FailureModeAllow: true, Edits: patience()})
		return err
	})
	if w.hardened != nil {
		defer w.hardened.Stop()
	}
	step("the plain Envoy", func() (err error) {
		w.plain, err = testbed.StartEnvoy(ctx, testbed.EnvoyOptions{Sidecar: w.sidecar.Socket, App: w.app.Addr, FailureModeAllow: true, Plain: true, Edits: patience()[:1]})
		return err
	})
	if w.plain != nil {
		defer w.plain.Stop()
	}
	if err != nil {
		return 1
	}
	code := m.Run()
	if log := w.sidecar.Log().String(); strings.Contains(log, "WARNING: DATA RACE") || strings.Contains(log, "\"panic\"") {
		fmt.Fprintln(os.Stderr, "e2e: the sidecar raced or panicked:\n"+log)
		code = 1
	}
	return code
}

// config is the sidecar's configuration, with the two issuers and one of a shared
// secret.
func config(policyPath string) string {
	return fmt.Sprintf(`
policy:
  paths: [%s]
  library: false
  decision: e2e/decision
  routes: e2e/routes
  timeout: 2s           # the race detector makes everything slow, and so do neighbours
listen: {check_timeout: 4s}
issuers:
  - name: main
    issuer: %s
    audiences: [api]
    algorithms: [RS256, PS256, EdDSA]
    refetch_window: 50ms
    min_refresh: 1h
    max_refresh: 2h
  - name: other
    issuer: %s
    audiences: [other-api]
  - name: internal
    issuer: internal
    audiences: [api]
    secret: env:E2E_SECRET
token: {cookie: session}
shutdown: {linger: 10s}
`, policyPath, world.main.URL, world.other.URL)
}

// patience is time enough for a sidecar with the race detector on a busy machine: a
// check that Envoy gives up would be let through.
func patience() []testbed.Edit {
	return []testbed.Edit{
		{Path: testbed.ExtAuthz + ".grpc_service.timeout", Value: "10s"},
		{Path: testbed.ExtAuthz + ".grpc_service.retry_policy.retry_back_off.max_interval", Value: "10s"},
	}
}

// policyCopy is a folder with the test policy that a test may change.
func policyCopy(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "policy"))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// envoys runs a test against both.
func envoys(t *testing.T, f func(t *testing.T, e *testbed.Envoy)) {
	t.Run("hardened", func(t *testing.T) { f(t, world.hardened) })
	t.Run("plain", func(t *testing.T) { f(t, world.plain) })
}

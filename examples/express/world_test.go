// Package express holds the example to what its README says: the Express app as npm
// installs it, behind a real Envoy and the sidecar.
package express

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"authz/internal/testbed"
)

// world is the example with ports of the kernel's choice.
type world struct {
	issuer string // its URL
	app    string // the bare app's URL
	envoy  *testbed.Envoy
	ends   []func() error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if w := started; w != nil {
		for i := range w.ends {
			if err := w.ends[len(w.ends)-1-i](); err != nil {
				code = 1
			}
		}
	}
	os.Exit(code)
}

var (
	started *world
	begin   = sync.OnceValue(func() error { return start(context.Background()) })
)

// example is the world, started once. Without Node.js there is nothing to test.
func example(t *testing.T) *world {
	t.Helper()
	needNode(t)
	if err := begin(); err != nil {
		t.Fatal(err)
	}
	return started
}

func needNode(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("left out by -short")
	}
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s on PATH: `make node` installs it where it can", tool)
		}
	}
	if _, err := os.Stat("node_modules/express"); err != nil {
		t.Fatal("Express is not installed: run `make node`, or `npm ci` in examples/express")
	}
}

func start(ctx context.Context) error {
	w := &world{}
	started = w
	var err error
	if w.issuer, err = w.node(ctx, "issuer.js", "PORT=0"); err != nil {
		return err
	}
	if w.app, err = w.node(ctx, "server.js", "PORT=0", "ISSUER="+w.issuer); err != nil {
		return err
	}
	config, err := os.ReadFile("authz.yaml")
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(".")
	if err != nil {
		return err
	}
	sidecar, err := testbed.StartSidecar(ctx, testbed.SidecarOptions{
		Config: strings.Replace(string(config), "http://127.0.0.1:9000", w.issuer, 1), Dir: dir,
		Args: []string{"--policy.timeout=2s", "--listen.check_timeout=4s"}, // the race detector is slow
	})
	if err != nil {
		return err
	}
	w.ends = append(w.ends, sidecar.Stop)
	w.envoy, err = testbed.StartEnvoy(ctx, testbed.EnvoyOptions{
		Config: "examples/express/envoy.yaml", Sidecar: sidecar.Socket, App: strings.TrimPrefix(w.app, "http://"),
		Edits: []testbed.Edit{{Path: testbed.ExtAuthz + ".grpc_service.timeout", Value: "10s"},
			{Path: testbed.ExtAuthz + ".grpc_service.retry_policy.retry_back_off.max_interval", Value: "10s"}},
	})
	if err == nil {
		w.ends = append(w.ends, w.envoy.Stop)
	}
	return err
}

// node runs a server of the example and says under which URL it listens: the end of
// the line that it prints.
func (w *world) node(ctx context.Context, script string, env ...string) (string, error) {
	cmd := exec.Command("node", script)
	cmd.Env = append(os.Environ(), env...)
	p, err := testbed.Start(script, cmd, nil)
	if err != nil {
		return "", err
	}
	w.ends = append(w.ends, p.Stop)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	line, err := p.Log().Wait(ctx, func(line string) bool { return strings.Contains(line, "127.0.0.1:") })
	if err != nil {
		return "", errors.Join(err, errors.New(p.Log().Tail(20)))
	}
	_, port, _ := strings.Cut(line, "127.0.0.1:")
	return "http://127.0.0.1:" + port, nil
}

// passwords are issuer.js's.
var passwords = map[string]string{"alice": "correct-horse", "bob": "battery-staple", "ada": "difference-engine"}

// token is what the issuer gives somebody who logs in.
func (w *world) token(t *testing.T, name string) string {
	t.Helper()
	res, err := http.PostForm(w.issuer+"/token", url.Values{"grant_type": {"password"}, "username": {name}, "password": {passwords[name]}})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || answer.Token == "" {
		t.Fatalf("no token for %s: %s, %v", name, res.Status, err)
	}
	return answer.Token
}

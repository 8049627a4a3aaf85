package testbed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// EnvoyOptions say what Envoy stands between.
type EnvoyOptions struct {
	Sidecar string // the sidecar's Unix socket (a path), or host:port; "" keeps the shipped path
	App     string // host:port of the application

	// FailureModeAllow lets requests through when the sidecar gives no answer: only
	// explicit refusals then count.
	FailureModeAllow bool
	// Plain takes the hardening away: an Envoy as most people first set it up, with
	// partial bodies as text.
	Plain bool
	// Config is another configuration to run than envoy/envoy.yaml: a file's path from
	// the module's root.
	Config string
	// Edits are made last.
	Edits []Edit

	Concurrency int       // worker threads; 0 means 1
	Log         io.Writer // also gets what Envoy prints, if not nil
}

// Envoy is a running Envoy.
type Envoy struct {
	*Process
	Addr  string // host:port where clients connect
	URL   string // http://Addr
	Admin string // http:// address of the admin interface

	dir string
}

// StartEnvoy runs Envoy with the shipped configuration, or another one that has its
// shape, and returns when it serves.
func StartEnvoy(ctx context.Context, o EnvoyOptions) (*Envoy, error) {
	binary, err := EnvoyBinary()
	if err != nil {
		return nil, err
	}
	config, err := envoyConfig(o)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "authz-envoy-")
	if err != nil {
		return nil, fmt.Errorf("testbed: %w", err)
	}
	path := filepath.Join(dir, "envoy.yaml")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		return nil, fmt.Errorf("testbed: %w", err)
	}
	// Hot restart would have parallel Envoys share memory by their base id.
	p, err := Start("envoy", exec.Command(binary, "-c", path,
		"--disable-hot-restart", "--concurrency", strconv.Itoa(max(1, o.Concurrency)),
		"--admin-address-path", filepath.Join(dir, "admin"), "--file-flush-interval-msec", "20"), o.Log)
	if err != nil {
		return nil, err
	}
	e := &Envoy{Process: p, dir: dir}
	if err := e.await(ctx); err != nil {
		err = p.fail(err)
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return e, nil
}

// await learns the addresses and waits until Envoy serves.
func (e *Envoy) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	line, err := e.Log().Wait(ctx, func(line string) bool { return strings.Contains(line, "admin address: ") })
	if err != nil {
		return err
	}
	e.Admin = "http://" + strings.TrimSpace(line[strings.LastIndex(line, ": ")+2:])
	if _, err := e.Log().Wait(ctx, func(line string) bool { return strings.Contains(line, "starting main dispatch loop") }); err != nil {
		return err
	}
	if err := poll(ctx, e.Done(), func() error {
		body, err := e.AdminGet(ctx, "/ready")
		if err == nil && !strings.HasPrefix(body, "LIVE") {
			err = errors.New("not ready: " + body)
		}
		return err
	}); err != nil {
		return err
	}
	listeners, err := e.AdminGet(ctx, "/listeners")
	if err != nil {
		return err
	}
	for line := range strings.Lines(listeners) { // ingress::127.0.0.1:39041
		if addr, ok := strings.CutPrefix(strings.TrimSpace(line), "ingress::"); ok {
			e.Addr, e.URL = addr, "http://"+addr
			return nil
		}
	}
	return fmt.Errorf("no listener named ingress in %q", listeners)
}

// AdminGet reads a page of the admin interface.
func (e *Envoy) AdminGet(ctx context.Context, path string) (string, error) {
	return get(ctx, e.Admin+path)
}

// Stat reads one counter or gauge by its full name, such as
// "http.ingress.ext_authz.denied". One that Envoy does not know is 0.
func (e *Envoy) Stat(ctx context.Context, name string) (int64, error) {
	page, err := e.AdminGet(ctx, "/stats?filter=^"+name+"$")
	if err != nil {
		return 0, err
	}
	_, value, found := strings.Cut(strings.TrimSpace(page), ": ")
	if !found {
		return 0, nil
	}
	return strconv.ParseInt(value, 10, 64)
}

// Stop ends Envoy and removes its files.
func (e *Envoy) Stop() error { return errors.Join(e.Process.Stop(), os.RemoveAll(e.dir)) }

// get reads a page of a server on this machine.
func get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s: %.200s", url, res.Status, body)
	}
	return string(body), nil
}

// poll tries until try succeeds, ctx ends or the process does. It is for servers
// that announce nothing.
func poll(ctx context.Context, died <-chan struct{}, try func() error) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-died:
			return errors.New("the process ended")
		case <-ctx.Done():
			return fmt.Errorf("%w; last: %w", context.Cause(ctx), err)
		}
	}
}

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// subject is a server that is measured.
type subject struct {
	Name     string
	address  string // host:port, or the path of a Unix socket
	pid      int
	constant bool // allows everything
	idle     int64
}

// footprint is what the sidecar weighs before it has answered anything.
type footprint struct {
	BinaryMB float64 `json:"binary_mb"`
	ReadyMS  float64 `json:"exec_to_ready_ms"`
	IdleMiB  float64 `json:"idle_rss_mib"`

	keys keys
}

// startAll starts A and the sidecar in each transport. stop ends what was started,
// also after an error.
func startAll(ctx context.Context, o options) (subjects []subject, foot footprint, stop func(), err error) {
	dir, err := os.MkdirTemp("", "authz-bench-")
	if err != nil {
		return nil, foot, func() {}, fmt.Errorf("making room: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var running []*exec.Cmd
	stop = func() {
		cancel() // kills
		for _, c := range running {
			_ = c.Wait() // killed: no news
		}
		_ = os.RemoveAll(dir)
	}
	start := func(ready *regexp.Regexp, binary string, args ...string) (int, string, error) {
		cmd, line, err := launch(ctx, ready, binary, args...)
		if cmd != nil {
			running = append(running, cmd)
			return cmd.Process.Pid, line, err
		}
		return 0, line, err
	}

	foot.keys = newKeys()
	jwks, err := foot.keys.jwks()
	if err != nil {
		return nil, foot, stop, fmt.Errorf("encoding the keys: %w", err)
	}
	config := fmt.Sprintf(`{policy: {paths: [%[1]s/policy], timeout: 5s, cache_size: 64MiB}, listen: {check_timeout: 8s}, audit: {output: none}, token: {cache_size: 256MiB},
issuers: [{name: bench, issuer: "%[2]s", jwks_file: %[1]s/jwks.json, audiences: [bench]}]}
`, dir, issuer)
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "policy"), 0o700),
		os.WriteFile(filepath.Join(dir, "policy", "data.yaml"), []byte(policyData()), 0o600),
		os.WriteFile(filepath.Join(dir, "jwks.json"), jwks, 0o600),
		os.WriteFile(filepath.Join(dir, "authz.yaml"), []byte(config), 0o600)); err != nil {
		return nil, foot, stop, fmt.Errorf("writing the configuration: %w", err)
	}

	noop := filepath.Join(dir, "noop")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", noop, "authz/bench/noop").CombinedOutput(); err != nil { //nolint:gosec // a path of our own
		return nil, foot, stop, fmt.Errorf("building the server that does nothing: %w\n%s", err, out)
	}
	socket := filepath.Join(dir, "noop.sock")
	pid, line, err := start(regexp.MustCompile(`listening 127\S+`), noop, socket, "127.0.0.1:0")
	if err != nil {
		return nil, foot, stop, err
	}
	subjects = append(subjects, subject{Name: "A", address: socket, pid: pid, constant: true},
		subject{Name: "A over TCP", address: strings.TrimPrefix(line, "listening "), pid: pid, constant: true})

	info, err := os.Stat(o.sidecar)
	if err != nil {
		return nil, foot, stop, fmt.Errorf("the sidecar (`make build` makes it): %w", err)
	}
	foot.BinaryMB = float64(info.Size()) / 1e6
	for i, transport := range o.transports {
		socket := filepath.Join(dir, fmt.Sprintf("authz%d.sock", i))
		began := time.Now()
		pid, line, err := start(regexp.MustCompile(`"ops":"[^"]+"`), o.sidecar, "run", "--config", filepath.Join(dir, "authz.yaml"),
			"--listen.socket", socket, "--ops.address", "127.0.0.1:0", "--listen.transport", transport)
		if err == nil {
			err = awaitReady(ctx, "http://"+strings.Trim(strings.TrimPrefix(line, `"ops":`), `"`)+"/readyz")
		}
		if err != nil {
			fmt.Fprintf(o.log, "left out: authz %s: %v\n", transport, err)
			continue
		}
		if foot.ReadyMS == 0 {
			foot.ReadyMS = float64(time.Since(began).Microseconds()) / 1000
		}
		subjects = append(subjects, subject{Name: "authz " + transport, address: socket, pid: pid})
	}
	subjects = append(subjects, o.servers...)
	time.Sleep(time.Second) // let them settle: what start-up leaves behind is part of idle
	for i := range subjects {
		if subjects[i].idle, err = rss(subjects[i].pid); err != nil {
			return nil, foot, stop, err
		}
		if strings.HasPrefix(subjects[i].Name, "authz ") && foot.IdleMiB == 0 {
			foot.IdleMiB = mib(subjects[i].idle)
		}
	}
	return subjects, foot, stop, nil
}

// launch runs a server until it prints a line that holds ready, and returns what matched.
func launch(ctx context.Context, ready *regexp.Regexp, binary string, args ...string) (*exec.Cmd, string, error) {
	cmd := exec.CommandContext(ctx, binary, args...) //nolint:gosec // the operator names the binary
	out, err := cmd.StderrPipe()
	if err != nil {
		return nil, "", fmt.Errorf("starting %s: %w", binary, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, "", fmt.Errorf("starting %s: %w", binary, err)
	}
	lines := bufio.NewReader(out)
	var last string
	for {
		line, err := lines.ReadString('\n')
		if match := ready.FindString(line); match != "" {
			go func() { _, _ = io.Copy(io.Discard, lines) }() // never let it block on its log
			return cmd, match, nil
		}
		if err != nil {
			return cmd, "", fmt.Errorf("%s did not start: %s", filepath.Base(binary), strings.TrimSpace(last))
		}
		last = line
	}
}

// awaitReady asks until the sidecar says that it is ready.
func awaitReady(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return fmt.Errorf("asking whether it is ready: %w", err)
		}
		_ = res.Body.Close() // nothing of it is wanted
		if res.StatusCode == http.StatusOK {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

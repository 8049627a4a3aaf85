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
	"strconv"
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

// network is its address as Envoy writes it.
func (s *subject) network() object {
	if strings.Contains(s.address, "/") {
		return object{"pipe": object{"path": s.address}}
	}
	host, port, _ := strings.Cut(s.address, ":")
	n, _ := strconv.Atoi(port) // Envoy refuses 0
	return object{"socket_address": object{"address": host, "port_value": n}}
}

// startAll starts A and the sidecar in each transport. stop ends what was started,
// also after an error.
func startAll(ctx context.Context, o options, k keys) (subjects []subject, dir string, stop func(), err error) {
	dir, err = os.MkdirTemp("", "authz-bench-")
	if err != nil {
		return nil, dir, func() {}, fmt.Errorf("making room: %w", err)
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

	jwks, err := k.jwks()
	if err != nil {
		return nil, dir, stop, fmt.Errorf("encoding the keys: %w", err)
	}
	config := fmt.Sprintf(`{policy: {paths: [%[1]s/policy], timeout: 5s, cache_size: 64MiB}, listen: {check_timeout: 8s}, audit: {output: none}, token: {cache_size: 256MiB},
issuers: [{name: bench, issuer: "%[2]s", jwks_file: %[1]s/jwks.json, audiences: [bench]}]}
`, dir, issuer)
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "policy"), 0o700),
		os.WriteFile(filepath.Join(dir, "policy", "data.yaml"), []byte(policyData()), 0o600),
		os.WriteFile(filepath.Join(dir, "jwks.json"), jwks, 0o600),
		os.WriteFile(filepath.Join(dir, "authz.yaml"), []byte(config), 0o600)); err != nil {
		return nil, dir, stop, fmt.Errorf("writing the configuration: %w", err)
	}

	noop := filepath.Join(dir, "noop")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", noop, "authz/bench/noop").CombinedOutput(); err != nil { //nolint:gosec // a path of our own
		return nil, dir, stop, fmt.Errorf("building the server that does nothing: %w\n%s", err, out)
	}
	socket := filepath.Join(dir, "noop.sock")
	pid, line, err := start(regexp.MustCompile(`listening 127\S+`), noop, socket, "127.0.0.1:0")
	if err != nil {
		return nil, dir, stop, err
	}
	subjects = append(subjects, subject{Name: "A", address: socket, pid: pid, constant: true},
		subject{Name: "A over TCP", address: strings.TrimPrefix(line, "listening "), pid: pid, constant: true})

	for i, transport := range o.transports {
		side, err := startSidecar(ctx, o, dir, fmt.Sprint("authz", i), transport)
		if side.cmd != nil {
			running = append(running, side.cmd)
		}
		if err != nil {
			fmt.Fprintf(o.log, "left out: authz %s: %v\n", transport, err)
			continue
		}
		subjects = append(subjects, subject{Name: "authz " + transport, address: side.socket, pid: side.cmd.Process.Pid})
	}
	subjects = append(subjects, o.servers...)
	time.Sleep(time.Second) // let them settle: what start-up leaves behind is part of idle
	for i := range subjects {
		if subjects[i].idle, err = rss(subjects[i].pid); err != nil {
			return nil, dir, stop, err
		}
	}
	return subjects, dir, stop, nil
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

package main

import (
	"context"
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

// footprint is what the sidecar weighs. Lists have a value for each of several starts.
type footprint struct {
	BinaryMB     float64   `json:"binary_mb"`
	ImageMB      float64   `json:"image_mb,omitempty"`
	ReadyMS      []float64 `json:"exec_to_ready_ms"`
	ReadyCPUMS   []float64 `json:"exec_to_ready_cpu_ms"`
	IdleMiB      []float64 `json:"idle_rss_mib"`
	Cached       float64   `json:"cached_tokens,omitempty"`
	CachedMiB    float64   `json:"cached_rss_mib,omitempty"`
	AllocsPerHit []float64 `json:"allocations_per_hit"`
}

// sidecar is a running one.
type sidecar struct {
	cmd    *exec.Cmd
	socket string
	ops    string        // URL
	ready  time.Duration // from exec to ready
	cpu    time.Duration // used until then
}

func startSidecar(ctx context.Context, o options, dir, name, transport string) (sidecar, error) {
	s := sidecar{socket: filepath.Join(dir, name+".sock")}
	began := time.Now()
	cmd, line, err := launch(ctx, regexp.MustCompile(`"ops":"[^"]+"`), o.sidecar, "run", "--config", filepath.Join(dir, "authz.yaml"),
		"--listen.socket", s.socket, "--ops.address", "127.0.0.1:0", "--listen.transport", transport)
	s.cmd = cmd
	if err != nil {
		return s, err
	}
	s.ops = "http://" + strings.Trim(strings.TrimPrefix(line, `"ops":`), `"`)
	if err := awaitReady(ctx, s.ops+"/readyz"); err != nil {
		return s, err
	}
	s.ready = time.Since(began)
	s.cpu, err = cpuTime(cmd.Process.Pid)
	return s, err
}

// end kills it: it holds nothing worth keeping.
func (s sidecar) end() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
}

// metric reads one of the sidecar's own.
func (s sidecar) metric(ctx context.Context, name string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.ops+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("reading the metrics: %w", err)
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, fmt.Errorf("reading the metrics: %w", err)
	}
	for line := range strings.Lines(string(page)) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("no metric %s", name)
}

// weigh measures a sidecar that nobody else asks, on the first transport.
func weigh(ctx context.Context, o options, dir string, k keys) (footprint, error) {
	var f footprint
	info, err := os.Stat(o.sidecar)
	if err != nil {
		return f, fmt.Errorf("the sidecar (`make build` makes it): %w", err)
	}
	f.BinaryMB = float64(info.Size()) / 1e6
	if o.image {
		if f.ImageMB, err = imageSize(ctx, dir); err != nil {
			fmt.Fprintln(o.log, "left out:", err)
		}
	}
	for i := range max(1, o.rounds) {
		fmt.Fprintf(o.log, "footprint, start %d\n", i+1)
		if err := f.start(ctx, o, dir, k, i == 0); err != nil {
			return f, fmt.Errorf("footprint: %w", err)
		}
	}
	return f, nil
}

// start weighs one start; the first one is filled with tokens too.
func (f *footprint) start(ctx context.Context, o options, dir string, k keys, fill bool) error {
	s, err := startSidecar(ctx, o, dir, "weighed", o.transports[0])
	defer s.end()
	if err != nil {
		return err
	}
	f.ReadyMS = append(f.ReadyMS, float64(s.ready.Microseconds())/1000)
	f.ReadyCPUMS = append(f.ReadyCPUMS, float64(s.cpu.Microseconds())/1000)
	time.Sleep(time.Second) // let it settle: what start-up leaves behind is part of idle
	pid := s.cmd.Process.Pid
	idle, err := rss(pid)
	if err != nil {
		return err
	}
	f.IdleMiB = append(f.IdleMiB, mib(idle))

	hits := rbac(sign(1, func(int) string { return k.rs.Token(claims(user(0), lifetime, roles...)) }, nil), 120)
	if _, err := drive(ctx, s.socket, pid, shape{2, 32}, hits, new(int), true, 0); err != nil {
		return err
	}
	const counter = "go_memstats_mallocs_total"
	first, err := s.metric(ctx, counter)
	if err != nil {
		return err
	}
	before, err := s.metric(ctx, counter) // between the two: what reading it allocates
	if err != nil {
		return err
	}
	// Long enough (two seconds) that setting up the connections, a thousand allocations
	// or two, does not pass for what hits make.
	window := 4 * o.time
	if o.short {
		window = 20 * o.time
	}
	got, err := drive(ctx, s.socket, pid, shape{2, 32}, hits, new(int), false, window)
	if err != nil {
		return err
	}
	after, err := s.metric(ctx, counter)
	if err != nil {
		return err
	}
	f.AllocsPerHit = append(f.AllocsPerHit, max(0, (after-before)-(before-first))/float64(got.Checks))

	if !fill || len(o.tokens.rs) == 0 {
		return nil
	}
	if _, err := drive(ctx, s.socket, pid, shape{2, 32}, rbac(o.tokens.rs, len(o.tokens.rs)), new(int), true, 0); err != nil {
		return err
	}
	if f.Cached, err = s.metric(ctx, "authz_token_cache_entries"); err != nil {
		return err
	}
	full, err := rss(pid)
	f.CachedMiB = mib(full)
	return err
}

// imageSize makes the image that a release ships.
func imageSize(ctx context.Context, dir string) (float64, error) {
	dir = filepath.Join(dir, "release")
	if out, err := exec.CommandContext(ctx, "go", "run", "authz/release", "-o", dir, "-sbom=false").CombinedOutput(); err != nil { //nolint:gosec // a path of our own
		return 0, fmt.Errorf("making the image: %w\n%s", err, out)
	}
	info, err := os.Stat(filepath.Join(dir, "authz-image.tar"))
	if err != nil {
		return 0, fmt.Errorf("making the image: %w", err)
	}
	return float64(info.Size()) / 1e6, nil
}

package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"authz/internal/testbed"
)

// The whole benchmark, tiny: every workload on every server, every answer checked.
// How fast it was is nobody's business here.
func TestBenchmarkRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs servers")
	}
	binary, err := testbed.SidecarBinary()
	if err != nil {
		t.Fatal(err)
	}
	o := options{rounds: 2, short: true, many: 20, time: 5 * time.Millisecond, output: "json", svg: t.TempDir(),
		sidecar: binary, transports: []string{"grpc-go", "no-such-transport"}, log: io.Discard}
	r, err := run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := r.write(&out, o); err != nil {
		t.Fatal(err)
	}
	var parsed report
	if err := json.Unmarshal([]byte(out.String()), &parsed); err != nil {
		t.Fatal(err)
	}
	if parsed.Footprint.BinaryMB <= 0 || parsed.Footprint.IdleMiB <= 0 || parsed.Footprint.ReadyMS <= 0 {
		t.Errorf("no footprint: %+v", parsed.Footprint)
	}
	servers := map[string]int{}
	for _, row := range parsed.Rows {
		servers[row.Server]++
		if len(row.Samples) != 2 || len(row.Ratios) != 2 {
			t.Errorf("%s, %s: %d samples, want one a round", row.Workload, row.Server, len(row.Samples))
		}
		for _, s := range row.Samples {
			if s.Checks <= 0 || s.CPU <= 0 || s.Rate <= 0 || s.P50US <= 0 || s.P99US < s.P50US {
				t.Errorf("%s, %s: %+v", row.Workload, row.Server, s)
			}
		}
	}
	// The transport that does not exist is left out; the others did the same work.
	if len(servers) != 3 || servers["A"] != 12 || servers["A over TCP"] != 12 || servers["authz grpc-go"] != 12 {
		t.Errorf("rows a server: %v", servers)
	}
	if chart, err := os.ReadFile(filepath.Join(o.svg, "ratio.svg")); err != nil || !strings.Contains(string(chart), "authz grpc-go") {
		t.Errorf("the chart: %v", err)
	}
}

// A server that lets through what must be refused ends the run: its speed is void.
func TestWrongAnswerEndsTheRun(t *testing.T) {
	binary, err := testbed.SidecarBinary()
	if testing.Short() || err != nil {
		t.Skip("builds and runs servers", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	subjects, foot, stop, err := startAll(ctx, options{sidecar: binary, log: io.Discard})
	defer stop()
	if err != nil {
		t.Fatal(err)
	}
	all := workloads(foot.keys, true, 20)
	refused := all[slices.IndexFunc(all, func(w workload) bool { return w.Name == "W3 wrong role" })].messages(0)
	_, err = drive(ctx, subjects[0].address, subjects[0].pid, shape{1, 1}, refused, new(int), true, 0)
	if err == nil || !strings.Contains(err.Error(), "a wrong answer: 200, want 403") {
		t.Errorf("got %v", err)
	}
}

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		name string
		body string
		want int // 0: an error
	}{
		{"allowed", "\x00\x00\x00\x00\x04\x0a\x00\x1a\x00", 200},
		{"refused with 401", "\x00\x00\x00\x00\x0b\x0a\x02\x08\x07\x12\x05\x0a\x03\x08\x91\x03", 401},
		{"neither", "\x00\x00\x00\x00\x02\x0a\x00", 0},
		{"allowed and refused", "\x00\x00\x00\x00\x06\x0a\x00\x12\x00\x1a\x00", 0},
		{"allowed, but with an error's status", "\x00\x00\x00\x00\x06\x0a\x02\x08\x07\x1a\x00", 0},
		{"cut", "\x00\x00\x00\x00\x04\x0a\x00\x1a", 0},
		{"empty", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := verdict([]byte(c.body))
			if got != c.want || (err != nil) != (c.want == 0) {
				t.Errorf("got %d, %v; want %d", got, err, c.want)
			}
		})
	}
}

// A process that works uses processor time, one that waits does not.
func TestCPUTime(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Skip(err)
	}
	end := time.Now().Add(20 * time.Millisecond)
	for time.Now().Before(end) { // work
	}
	after, err := cpuTime(os.Getpid())
	if err != nil || after <= before {
		t.Errorf("%v, then %v (%v)", before, after, err)
	}
	if _, err := cpuTime(1 << 22); err == nil {
		t.Error("a process that is not there has a clock")
	}
}

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
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
	_, envoyErr := testbed.EnvoyBinary()
	o := options{rounds: 2, short: true, many: 20, time: 5 * time.Millisecond, output: "json", store: t.TempDir(),
		envoy: envoyErr == nil, sidecar: binary, transports: []string{"grpc-go", "no-such-transport"}, log: io.Discard}
	r, err := run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := r.write(&out, "json"); err != nil {
		t.Fatal(err)
	}
	var parsed report
	if err := json.Unmarshal([]byte(out.String()), &parsed); err != nil {
		t.Fatal(err)
	}
	if f := parsed.Footprint; f.BinaryMB <= 0 || len(f.IdleMiB) != 2 || len(f.ReadyMS) != 2 || len(f.AllocsPerHit) != 2 {
		t.Errorf("footprint: %+v", f)
	}
	if len(parsed.Verdicts) != len(aims)+6 {
		t.Errorf("%d verdicts", len(parsed.Verdicts))
	}
	if envoyErr == nil {
		var names []string
		for _, e := range parsed.Envoy {
			names = append(names, e.Server)
			if len(e.Samples) != 2 || len(e.Ratios) != 2 || e.Samples[0].CPU <= 0 {
				t.Errorf("through Envoy, %s: %+v", e.Server, e)
			}
		}
		if want := []string{unguarded, ownFilter, "A", "A over TCP", "authz grpc-go"}; !slices.Equal(names, want) {
			t.Errorf("through Envoy: %v, want %v", names, want)
		}
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
	if len(servers) != 3 || servers["A"] != 13 || servers["A over TCP"] != 13 || servers["authz grpc-go"] != 13 {
		t.Errorf("rows a server: %v", servers)
	}
	if chart := r.charts()["ratio.svg"]; !strings.Contains(chart, "authz grpc-go") {
		t.Errorf("the chart: %s", chart)
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
	k, err := store{t.TempDir(), io.Discard}.keys()
	if err != nil {
		t.Fatal(err)
	}
	subjects, _, stop, err := startAll(ctx, options{sidecar: binary, log: io.Discard}, k)
	defer stop()
	if err != nil {
		t.Fatal(err)
	}
	all := workloads(k, options{short: true, many: 20})
	refused := all[slices.IndexFunc(all, func(w workload) bool { return w.Name == "W3 wrong role" })].messages(0)
	_, err = drive(ctx, subjects[0].address, subjects[0].pid, shape{1, 1}, refused, new(int), true, 0)
	if err == nil || !strings.Contains(err.Error(), "a wrong answer: 200, want 403") {
		t.Errorf("got %v", err)
	}
}

// Tokens are made once, by a key that is made once; those of another key are not taken.
func TestTokensAreKept(t *testing.T) {
	s := store{t.TempDir(), io.Discard}
	k, err := s.keys()
	if err != nil {
		t.Fatal(err)
	}
	first, err := s.tokens(k.es, 3)
	if err != nil || len(first) != 3 {
		t.Fatal(first, err)
	}
	again, err := s.keys()
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := s.tokens(again.es, 3); err != nil || !slices.Equal(kept, first) {
		t.Errorf("made anew: %v", err)
	}
	if other, err := s.tokens(testbed.NewKey("es", "ES256"), 3); err != nil || slices.Equal(other, first) {
		t.Errorf("the tokens of another key: %v", err)
	}
}

func TestAnswerOfEnvoy(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       int // 0: an error
	}{
		{"allowed", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nserver: envoy\r\n\r\nok", 200},
		{"refused", "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", 403},
		{"no length", "HTTP/1.1 200 OK\r\n\r\n", 0},
		{"cut", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no", 0},
		{"something else", "SSH-2.0-OpenSSH_9.9\r\n", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := answer(bufio.NewReader(strings.NewReader(c.text)))
			if (err != nil) != (c.want == 0) || err == nil && got != c.want {
				t.Errorf("got %d, %v; want %d", got, err, c.want)
			}
		})
	}
}

// A target that is missed is said to be, and so is one that nobody measured.
func TestJudge(t *testing.T) {
	r := &report{Rows: []row{{Workload: manyCallers, Shape: "2×4", Server: "authz lean", Ratios: []float64{0.1, 0.2, 0.3}},
		{Workload: manyCallers, Shape: "2×32", Server: "authz lean", Ratios: []float64{0.01, 0.02, 0.9}}}}
	r.judge()
	verdicts := map[string]string{}
	for _, j := range r.Verdicts {
		verdicts[j.What] = j.Verdict
	}
	for what, want := range map[string]string{manyCallers + ", 2×4, lean": missed, manyCallers + ", 2×32, lean": met,
		manyCallers + ", 1×1, lean": notMeasured, "RSS idle": notMeasured} {
		if verdicts[what] != want {
			t.Errorf("%s: %q, want %q", what, verdicts[what], want)
		}
	}
	if want := fmt.Sprintf("1 of %d targets met, 1 missed, %d not measured.", len(r.Verdicts), len(r.Verdicts)-2); r.sum() != want {
		t.Errorf("got %q, want %q", r.sum(), want)
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

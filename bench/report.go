package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

// row is one server under one workload in one shape, a sample and a ratio a round.
type row struct {
	Workload string    `json:"workload"`
	Shape    string    `json:"shape"`
	Server   string    `json:"server"`
	Samples  []sample  `json:"samples"`
	Ratios   []float64 `json:"ratios"`
	Target   float64   `json:"target,omitempty"`
	Verdict  string    `json:"verdict,omitempty"`
}

type memory struct {
	Server string  `json:"server"`
	Idle   float64 `json:"idle_mib"`
	After  float64 `json:"after_mib"`
}

type report struct {
	Rounds    int       `json:"rounds"`
	Footprint footprint `json:"footprint"`
	Memory    []memory  `json:"memory"`
	Rows      []row     `json:"rows"`
}

// targets are the ratios to A that the sidecar is held to, by workload, shape and
// server. They are aims, not tests: the benchmark reports and never fails on one.
var targets = map[string]float64{
	"W1 RS256, 1,000 subjects|2×32|authz lean":     0.08,
	"W1 RS256, 1,000 subjects|2×4|authz lean":      0.16,
	"W1 RS256, 1,000 subjects|1×1|authz lean":      0.15,
	"W1 RS256, 1,000 subjects|2×32|authz grpc-go":  0.65,
	"W1 RS256, 1,000 subjects|2×4|authz grpc-go":   0.65,
	"W1 RS256, 1,000 subjects|1×1|authz grpc-go":   0.65,
	"W1 token never seen|2×4|authz lean":           1.8,
	"W3 bad signature|2×4|authz lean":              1.0,
	"W3 expired|2×4|authz lean":                    0.3,
	"W3 wrong role|2×4|authz lean":                 0.2,
	"W2 body of 1 KiB, first sight|2×4|authz lean": 3,
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func (r *row) median(f func(sample) float64) float64 {
	values := make([]float64, len(r.Samples))
	for i, s := range r.Samples {
		values[i] = f(s)
	}
	return median(values)
}

func met(got, target float64) string {
	if got <= target {
		return "met"
	}
	return "not met"
}

func (r *report) judge() {
	for i := range r.Rows {
		row := &r.Rows[i]
		if target, found := targets[row.Workload+"|"+row.Shape+"|"+row.Server]; found {
			row.Target, row.Verdict = target, met(median(row.Ratios), target)
		}
	}
}

func (r *report) write(w io.Writer, o options) error {
	r.judge()
	if o.svg != "" {
		if err := r.charts(o.svg); err != nil {
			return err
		}
	}
	if o.output == "json" {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "workload\tin flight\tserver\tCPU µs/check\tof A\tmin–max\tchecks/s\tp50 µs\tp99 µs\ttarget\tverdict")
	for i := range r.Rows {
		row := &r.Rows[i]
		target := ""
		if row.Target > 0 {
			target = fmt.Sprintf("≤ %g", row.Target)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%.1f\t%.3f\t%.3f–%.3f\t%.0f\t%.0f\t%.0f\t%s\t%s\n", row.Workload, row.Shape, row.Server,
			row.median(func(s sample) float64 { return s.CPU }), median(row.Ratios), slices.Min(row.Ratios), slices.Max(row.Ratios),
			row.median(func(s sample) float64 { return s.Rate }), row.median(func(s sample) float64 { return s.P50US }),
			row.median(func(s sample) float64 { return s.P99US }), target, row.Verdict)
	}
	fmt.Fprintln(t, "\nmemory\t\tserver\tidle MiB\tafter all MiB")
	for _, m := range r.Memory {
		fmt.Fprintf(t, "\t\t%s\t%.1f\t%.1f\n", m.Server, m.Idle, m.After)
	}
	f := r.Footprint
	fmt.Fprintf(t, "\nfootprint\t\tidle RSS\t%.1f MiB\t≤ 24\t%s\n", f.IdleMiB, met(f.IdleMiB, 24))
	fmt.Fprintf(t, "\t\texec to ready\t%.0f ms\t≤ 40\t%s\n", f.ReadyMS, met(f.ReadyMS, 40))
	fmt.Fprintf(t, "\t\tbinary\t%.1f MB\t≤ 35\t%s\n", f.BinaryMB, met(f.BinaryMB, 35))
	return t.Flush()
}

// charts writes ratio.svg: the ratios to A, a bar a row, a whisker from the least to
// the greatest, on a logarithmic scale, since they span three orders.
func (r *report) charts(dir string) error {
	const left, width, step = 380, 420, 18
	x := func(ratio float64) float64 { return left + width*position(ratio) }
	var b strings.Builder
	n := 0
	for i := range r.Rows {
		row := &r.Rows[i]
		if row.Server == "A" {
			continue
		}
		y, m := 40+n*step, median(row.Ratios)
		n++
		colour := "#888888"
		if strings.HasPrefix(row.Server, "authz") {
			colour = "#2f6fb0"
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s, %s, %s</text>`+"\n", left-6, y+11, row.Workload, row.Shape, row.Server)
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="11" fill="%s"/>`+"\n", left, y+2, x(m)-left, colour)
		fmt.Fprintf(&b, `<path d="M%.1f %d H%.1f" stroke="#222"/><text x="%d" y="%d">%.2f</text>`+"\n",
			x(slices.Min(row.Ratios)), y+7, x(slices.Max(row.Ratios)), left+width+8, y+11, m)
	}
	bottom := 40 + n*step
	var head strings.Builder
	fmt.Fprintf(&head, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n", left+width+60, bottom+20)
	head.WriteString(`<rect width="100%" height="100%" fill="white"/><text x="10" y="16" font-size="13">CPU of the server for each check, as a multiple of A (logarithmic; less is better)</text>` + "\n")
	for _, tick := range []float64{0.01, 0.1, 1, 10, 100} {
		fmt.Fprintf(&head, `<path d="M%.1f 34 V%d" stroke="#ccc"/><text x="%.1f" y="30" text-anchor="middle">%g</text>`+"\n", x(tick), bottom, x(tick), tick)
	}
	path := filepath.Join(dir, "ratio.svg")
	if err := os.WriteFile(path, []byte(head.String()+b.String()+"</svg>\n"), 0o644); err != nil {
		return fmt.Errorf("writing the chart: %w", err)
	}
	return nil
}

// position is where a ratio between 0.01 and 100 lies on the scale, from 0 to 1.
func position(ratio float64) float64 {
	return (math.Log10(min(max(ratio, 0.01), 100)) + 2) / 4
}

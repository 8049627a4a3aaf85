package main

import (
	"encoding/json"
	"fmt"
	"io"
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
	Ratios   []float64 `json:"ratios"` // to A, in the same round
}

type memory struct {
	Server string  `json:"server"`
	Idle   float64 `json:"idle_mib"`
	After  float64 `json:"after_mib"`
}

// report is all that was measured.
type report struct {
	Rounds    int         `json:"rounds"`
	Machine   machine     `json:"machine"`
	Verdicts  []judgement `json:"verdicts"`
	Envoy     []envoyRow  `json:"through_envoy"`
	Footprint footprint   `json:"footprint"`
	Memory    []memory    `json:"memory"`
	Rows      []row       `json:"rows"`
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

func (r *report) write(w io.Writer, format string) error {
	if format == "json" {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	table := func(head []string, rows [][]string) {
		fmt.Fprintln(t, strings.Join(head, "\t"))
		for _, cells := range rows {
			fmt.Fprintln(t, strings.Join(cells, "\t"))
		}
		fmt.Fprintln(t)
		_ = t.Flush() // the last flush says whether writing failed
	}
	table(r.checks())
	table(r.proxied())
	table(r.weights())
	table(r.judged())
	fmt.Fprintln(t, r.sum())
	return t.Flush()
}

// checks is the table of the workloads.
func (r *report) checks() (head []string, rows [][]string) {
	head = []string{"workload", "in flight", "server", "CPU µs a check", "of A", "least–greatest", "checks/s", "p50 µs", "p99 µs"}
	for i := range r.Rows {
		row := &r.Rows[i]
		rows = append(rows, []string{row.Workload, row.Shape, row.Server,
			fmt.Sprintf("%.1f", row.median(func(s sample) float64 { return s.CPU })),
			fmt.Sprintf("%.3f", median(row.Ratios)), spread("%.3f", row.Ratios),
			fmt.Sprintf("%.0f", row.median(func(s sample) float64 { return s.Rate })),
			fmt.Sprintf("%.0f", row.median(func(s sample) float64 { return s.P50US })),
			fmt.Sprintf("%.0f", row.median(func(s sample) float64 { return s.P99US }))})
	}
	return head, rows
}

// proxied is the table of what goes through Envoy.
func (r *report) proxied() (head []string, rows [][]string) {
	head = []string{"through Envoy, 64 connections", "CPU µs a request", "added µs", "least–greatest", "added, of A", "least–greatest", "p50 µs", "p99 µs"}
	for _, e := range r.Envoy {
		all := row{Samples: e.Samples}
		cells := []string{e.Server, fmt.Sprintf("%.1f", all.median(func(s sample) float64 { return s.CPU })), "", "", "", "",
			fmt.Sprintf("%.0f", all.median(func(s sample) float64 { return s.P50US })),
			fmt.Sprintf("%.0f", all.median(func(s sample) float64 { return s.P99US }))}
		if e.Server != unguarded {
			cells[2], cells[3] = fmt.Sprintf("%.1f", median(e.Added)), spread("%.1f", e.Added)
			cells[4], cells[5] = fmt.Sprintf("%.2f", median(e.Ratios)), spread("%.2f", e.Ratios)
		}
		rows = append(rows, cells)
	}
	return head, rows
}

// weights is the table of the memory.
func (r *report) weights() (head []string, rows [][]string) {
	head = []string{"memory (RSS)", "idle MiB", "after all MiB"}
	for _, m := range r.Memory {
		rows = append(rows, []string{m.Server, fmt.Sprintf("%.1f", m.Idle), fmt.Sprintf("%.1f", m.After)})
	}
	return head, rows
}

func spread(format string, values []float64) string {
	return fmt.Sprintf(format+"–"+format, slices.Min(values), slices.Max(values))
}

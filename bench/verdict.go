package main

import (
	"fmt"
	"slices"
)

// judgement is a target and what became of it.
type judgement struct {
	What     string  `json:"what"`
	Unit     string  `json:"unit"`
	Target   float64 `json:"target"` // at most
	Median   float64 `json:"median"`
	Least    float64 `json:"least"`
	Greatest float64 `json:"greatest"`
	Verdict  string  `json:"verdict"`
}

const (
	met         = "met"
	missed      = "MISSED"
	notMeasured = "not measured"
)

// aim is a target for a workload of the sidecar: its ratio to A.
type aim struct {
	workload, shape, transport string
	target                     float64
}

const (
	manyCallers = "W1 RS256, 1,000 subjects"
	lean, stock = "lean", "grpc-go"

	fullCache = "RSS with 100,000 cached tokens"
)

var aims = []aim{
	{manyCallers, "2×32", lean, 0.08}, {manyCallers, "2×4", lean, 0.16}, {manyCallers, "1×1", lean, 0.15},
	{manyCallers, "2×32", stock, 0.65}, {manyCallers, "2×4", stock, 0.65}, {manyCallers, "1×1", stock, 0.65},
	{"W1 RS256, token never seen", "2×4", lean, 1.3},
	{"W1 RS256, token and caller never seen", "2×4", lean, 1.8},
	{"W3 bad signature", "2×4", lean, 1.0}, {"W3 expired", "2×4", lean, 0.3}, {"W3 wrong role", "2×4", lean, 0.2},
	{"W2 body of 1 KiB, first sight", "2×4", lean, 3},
}

// none of the counted allocations may be one a check; what the runtime itself and the
// reading of the counter allocate meanwhile stays far below this.
const noAllocation = 0.05

// judge holds what was measured against the targets.
func (r *report) judge() {
	r.Verdicts = nil
	add := func(what, unit string, target float64, values []float64) {
		j := judgement{What: what, Unit: unit, Target: target, Verdict: notMeasured}
		if len(values) > 0 {
			j.Median, j.Least, j.Greatest, j.Verdict = median(values), slices.Min(values), slices.Max(values), met
			if j.Median > target {
				j.Verdict = missed
			}
		}
		r.Verdicts = append(r.Verdicts, j)
	}
	one := func(value float64) []float64 {
		if value == 0 {
			return nil
		}
		return []float64{value}
	}
	for _, a := range aims {
		add(fmt.Sprintf("%s, %s, %s", a.workload, a.shape, a.transport), "of A", a.target, r.ratios(a))
	}
	var through []float64
	for _, e := range r.Envoy {
		if e.Server == "authz "+lean {
			through = e.Ratios
		}
	}
	add("through Envoy, 64 connections: CPU added, lean", "of A", 0.60, through)
	f := r.Footprint
	add("RSS idle", "MiB", 24, f.IdleMiB)
	add(fullCache, "MiB", 200, one(f.CachedMiB))
	add("exec to ready", "ms", 40, f.ReadyMS)
	add("binary, stripped", "MB", 35, one(f.BinaryMB))
	add("allocations on a hit", "a check", noAllocation, f.AllocsPerHit)
}

// ratios are those of one workload, shape and transport.
func (r *report) ratios(a aim) []float64 {
	for i := range r.Rows {
		if row := &r.Rows[i]; row.Workload == a.workload && row.Shape == a.shape && row.Server == "authz "+a.transport {
			return row.Ratios
		}
	}
	return nil
}

// judged is the table of the verdicts.
func (r *report) judged() (head []string, rows [][]string) {
	for _, j := range r.Verdicts {
		cells := []string{j.What, fmt.Sprintf("≤ %g %s", j.Target, j.Unit), "", "", j.Verdict}
		if j.Verdict != notMeasured {
			cells[2] = fmt.Sprintf("%.3g", j.Median)
			cells[3] = spread("%.3g", []float64{j.Least, j.Greatest})
		}
		rows = append(rows, cells)
	}
	return []string{"target", "at most", "median", "least–greatest", "verdict"}, rows
}

// sum says plainly how many were missed.
func (r *report) sum() string {
	count := map[string]int{}
	for _, j := range r.Verdicts {
		count[j.Verdict]++
	}
	return fmt.Sprintf("%d of %d targets met, %d missed, %d not measured.", count[met], len(r.Verdicts), count[missed], count[notMeasured])
}

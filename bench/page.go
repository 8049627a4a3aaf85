package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The figures of the page stand between these two lines; the rest of it is written by hand.
const (
	figuresBegin = "<!-- figures: written by make bench ARGS='-docs docs' -->\n"
	figuresEnd   = "<!-- end of figures -->\n"
)

// document writes what -docs asks for: the results, the charts and the figures of the page.
func (r *report) document(docs string) error {
	dir := filepath.Join(docs, "performance")
	text, err := json.MarshalIndent(r, "", " ")
	if err == nil {
		err = os.MkdirAll(dir, 0o755) //nolint:gosec // documentation
	}
	files := r.charts()
	files["results.json"] = string(text) + "\n"
	for name, content := range files {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644)
		}
	}
	if err != nil {
		return fmt.Errorf("writing the charts and results: %w", err)
	}
	path := filepath.Join(docs, "performance.md")
	page, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("the page whose figures are to be replaced: %w", err)
	}
	replaced, err := r.into(string(page))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(replaced), 0o644)
}

// readReport is the results that document wrote.
func readReport(docs string) (*report, error) {
	text, err := os.ReadFile(filepath.Join(docs, "performance", "results.json"))
	if err != nil {
		return nil, fmt.Errorf("the results (-docs says where): %w", err)
	}
	r := &report{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("the results: %w", err)
	}
	r.judge()
	return r, nil
}

// into is the page with these figures.
func (r *report) into(page string) (string, error) {
	head, rest, found := strings.Cut(page, figuresBegin)
	_, tail, ends := strings.Cut(rest, figuresEnd)
	if !found || !ends {
		return "", fmt.Errorf("no lines %q and %q", figuresBegin, figuresEnd)
	}
	return head + figuresBegin + r.figures() + figuresEnd + tail, nil
}

func (r *report) figures() string {
	m, f := r.Machine, r.Footprint
	var b strings.Builder
	short := " SHORT=1"
	if f.Cached > 0 {
		short = ""
	}
	fmt.Fprintf(&b, "Measured on %s at commit `%s` with `make bench ROUNDS=%d%s ARGS='-docs docs'`: %s, %d cores, Linux %s, %s; load average %s before and %s after.\n",
		m.Date, m.Commit, r.Rounds, short, m.Processor, m.CPUs, m.Kernel, m.Go, m.LoadBefore, m.LoadAfter)
	section := func(title string, head []string, rows [][]string) {
		fmt.Fprintf(&b, "\n### %s\n\n| %s |\n|%s\n", title, strings.Join(head, " | "), strings.Repeat("---|", len(head)))
		for _, cells := range rows {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
		}
	}
	head, rows := r.judged()
	section("Targets", head, rows)
	fmt.Fprintf(&b, "\n%s\n", r.sum())
	head, rows = r.proxied()
	section("Through Envoy", head, rows)
	fmt.Fprintf(&b, "\n![CPU added to a request through Envoy](performance/envoy.svg)\n")
	head, rows = r.checks()
	section("Straight to the server", head, rows)
	fmt.Fprintf(&b, "\n![CPU of a check, as a multiple of A](performance/ratio.svg)\n")
	head, rows = r.weights()
	section("Footprint", head, rows)
	fmt.Fprintf(&b, "\nExec to ready used %.0f ms of processor time (median of %d starts). ", median(f.ReadyCPUMS), len(f.ReadyCPUMS))
	fmt.Fprintf(&b, "The binary has %.1f MB. A hit made %.3f allocations. ", f.BinaryMB, median(f.AllocsPerHit))
	if f.ImageMB > 0 {
		fmt.Fprintf(&b, "The image of a release has %.1f MB. ", f.ImageMB)
	}
	if f.Cached > 0 {
		fmt.Fprintf(&b, "With %.0f tokens cached, RSS was %.0f MiB.\n", f.Cached, f.CachedMiB)
	} else {
		b.WriteString("100,000 callers and the image were not measured: SHORT=1 leaves them out.\n")
	}
	return b.String()
}

// bar is one of a chart, with a whisker.
type bar struct {
	label, colour           string
	median, least, greatest float64
}

func colour(server string) string {
	switch {
	case server == "authz "+lean:
		return "#2b7a4b"
	case strings.HasPrefix(server, "authz"):
		return "#7ab893"
	}
	return "#9aa3ad"
}

// charts are ratio.svg, on a logarithmic scale since the ratios span three orders, and envoy.svg.
func (r *report) charts() map[string]string {
	var straight, through []bar
	for i := range r.Rows {
		row := &r.Rows[i]
		if row.Server != "A" {
			straight = append(straight, bar{fmt.Sprintf("%s · %s · %s", row.Workload, row.Shape, row.Server), colour(row.Server),
				median(row.Ratios), slices.Min(row.Ratios), slices.Max(row.Ratios)})
		}
	}
	most := 1.0
	for _, e := range r.Envoy {
		if e.Server != unguarded {
			through = append(through, bar{e.Server, colour(e.Server), median(e.Added), slices.Min(e.Added), slices.Max(e.Added)})
			most = max(most, slices.Max(e.Added))
		}
	}
	linear := func(v float64) float64 { return min(max(v/most, 0), 1) }
	charts := map[string]string{"ratio.svg": chart("CPU of the server for each check, as a multiple of A (logarithmic; less is better)",
		straight, position, []float64{0.01, 0.1, 1, 10, 100})}
	if len(through) > 0 {
		charts["envoy.svg"] = chart("CPU that authorization adds to a request, Envoy and server, in µs (less is better)",
			through, linear, []float64{0, math.Round(most / 2), math.Round(most)})
	}
	return charts
}

// chart is a bar for each median, a whisker from the least to the greatest.
func chart(title string, bars []bar, place func(float64) float64, ticks []float64) string {
	const left, width, step = 420, 420, 18
	x := func(v float64) float64 { return left + width*place(v) }
	bottom := 40 + len(bars)*step
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n", left+width+60, bottom+20)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/><text x="10" y="16" font-size="13">%s</text>`+"\n", title)
	for _, tick := range ticks {
		fmt.Fprintf(&b, `<path d="M%.1f 34 V%d" stroke="#ccc"/><text x="%.1f" y="30" text-anchor="middle">%g</text>`+"\n", x(tick), bottom, x(tick), tick)
	}
	for i, one := range bars {
		y := 40 + i*step
		fmt.Fprintf(&b, `<text x="10" y="%d">%s</text>`+"\n", y+11, strings.ReplaceAll(one.label, "&", "&amp;"))
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="11" fill="%s"/>`+"\n", left, y+2, x(one.median)-left, one.colour)
		fmt.Fprintf(&b, `<path d="M%.1f %d H%.1f" stroke="#222"/><text x="%d" y="%d">%.3g</text>`+"\n",
			x(one.least), y+7, x(one.greatest), left+width+8, y+11, one.median)
	}
	return b.String() + "</svg>\n"
}

// position is where a ratio between 0.01 and 100 lies on the scale, from 0 to 1.
func position(ratio float64) float64 {
	return (math.Log10(min(max(ratio, 0.01), 100)) + 2) / 4
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the page and its charts say is what the committed results hold.
func TestPageSaysWhatWasMeasured(t *testing.T) {
	docs := filepath.Join("..", "docs")
	r, err := readReport(docs)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(docs, "performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := r.into(string(page))
	if err != nil {
		t.Fatal(err)
	}
	const way = "`go run ./bench -render -docs docs` writes it from the results"
	if string(page) != want {
		t.Errorf("docs/performance.md says something else than performance/results.json: %s", way)
	}
	for name, content := range r.charts() {
		if got, err := os.ReadFile(filepath.Join(docs, "performance", name)); err != nil || string(got) != content {
			t.Errorf("docs/performance/%s shows something else than results.json (%v): %s", name, err, way)
		}
	}
}

// Results that lack a part are no results for a page, but for what SHORT=1 leaves out.
func TestCommittedResultsAreWhole(t *testing.T) {
	r, err := readReport(filepath.Join("..", "docs"))
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range r.Verdicts {
		if j.Verdict == notMeasured && j.What != fullCache {
			t.Errorf("%s: %s", j.What, j.Verdict)
		}
	}
	if r.Machine.Commit == "" || r.Machine.Date == "" || r.Rounds < 3 || len(r.Envoy) < 5 {
		t.Errorf("%+v, %d rounds, %d through Envoy", r.Machine, r.Rounds, len(r.Envoy))
	}
}

// The hand-written part stays; a page without a place for figures is refused.
func TestFiguresHaveTheirPlace(t *testing.T) {
	r := &report{Footprint: footprint{ReadyCPUMS: []float64{1}, AllocsPerHit: []float64{0}}}
	got, err := r.into("before\n" + figuresBegin + "old\n" + figuresEnd + "after\n")
	if err != nil || !strings.HasPrefix(got, "before\n") || !strings.HasSuffix(got, figuresEnd+"after\n") || strings.Contains(got, "old\n") {
		t.Errorf("%v: %s", err, got)
	}
	if _, err := r.into("no place"); err == nil {
		t.Error("a page without a place took figures")
	}
}

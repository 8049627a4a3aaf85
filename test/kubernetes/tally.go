package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// tally counts the checks.
type tally struct {
	passed, failed int
}

// report makes a check and prints what became of it, with its figures.
func (t *tally) report(name string, check func() (figures string, err error)) {
	start := time.Now()
	figures, err := check()
	took := time.Since(start).Seconds()
	if err != nil {
		t.failed++
		fmt.Printf("FAIL %-58s %5.1f s\n%s\n", name, took, indent(err.Error()))
		return
	}
	t.passed++
	fmt.Printf("ok   %-58s %5.1f s\n", name, took)
	if figures != "" {
		fmt.Println(indent(figures))
	}
}

func indent(text string) string {
	return "       " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n       ")
}

// The tally of the checks in the cluster comes out through a file.
func (t *tally) save(work string) error {
	data, err := json.Marshal([2]int{t.passed, t.failed})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(work, "tally.json"), data, 0o600)
}

// load counts a run that left no tally as a failure.
func (t *tally) load(work string) {
	var counts [2]int
	data, err := os.ReadFile(filepath.Join(work, "tally.json"))
	if err == nil {
		err = json.Unmarshal(data, &counts)
	}
	if err != nil {
		fmt.Println("FAIL the checks did not end:", err)
		counts = [2]int{0, 1}
	}
	t.passed, t.failed = t.passed+counts[0], t.failed+counts[1]
}

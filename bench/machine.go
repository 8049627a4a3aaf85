package main

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// machine is what the figures were measured on.
type machine struct {
	Date       string `json:"date"`
	Commit     string `json:"commit"`
	Processor  string `json:"processor"`
	CPUs       int    `json:"cpus"`
	Kernel     string `json:"kernel"`
	Go         string `json:"go"`
	LoadBefore string `json:"load_before"` // the kernel's averages over 1, 5 and 15 minutes
	LoadAfter  string `json:"load_after"`
}

func thisMachine(ctx context.Context) machine {
	m := machine{Date: time.Now().UTC().Format("2006-01-02"), CPUs: runtime.NumCPU(), Go: runtime.Version(), LoadBefore: load(),
		Kernel: word("/proc/sys/kernel/osrelease"), Processor: runtime.GOARCH}
	if out, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=12", "HEAD").Output(); err == nil {
		m.Commit = strings.TrimSpace(string(out))
	}
	for line := range strings.Lines(word("/proc/cpuinfo")) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			m.Processor = strings.TrimSpace(value)
		}
	}
	return m
}

func load() string {
	fields := strings.Fields(word("/proc/loadavg"))
	return strings.Join(fields[:min(3, len(fields))], " ")
}

// word is the text of a file, or nothing.
func word(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

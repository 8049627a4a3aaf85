package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// soak sends so many checks to each of the sidecar's transports, all workloads mixed, and
// holds every answer against what it must be. It fails at the first wrong one, and when
// a sidecar's memory grows.
func soak(ctx context.Context, o options, out io.Writer) error {
	o.short = true
	k, err := store{o.store, o.log}.keys()
	if err != nil {
		return err
	}
	subjects, _, stop, err := startAll(ctx, o, k)
	defer stop()
	if err != nil {
		return err
	}
	subjects = slices.DeleteFunc(subjects, func(s subject) bool { return s.constant })
	if len(subjects) < len(o.transports) {
		return fmt.Errorf("only %d of %d transports started", len(subjects), len(o.transports))
	}
	messages := mixed(workloads(k, o))
	done, cursors := make([]int, len(subjects)), make([]int, len(subjects))
	memory := make([][]int64, len(subjects))
	began, told := time.Now(), time.Now()
	for left := true; left; {
		left = false
		for i := range subjects {
			s := &subjects[i]
			if done[i] >= o.soak {
				continue
			}
			left = true
			got, err := drive(ctx, s.address, s.pid, shape{4, 128}, messages, &cursors[i], false, o.time)
			if err != nil {
				return fmt.Errorf("%s, after %d right answers: %w", s.Name, done[i], err)
			}
			done[i] += got.Checks
			now, err := rss(s.pid)
			if err != nil {
				return err
			}
			memory[i] = append(memory[i], now)
		}
		if time.Since(told) > 30*time.Second {
			told = time.Now()
			fmt.Fprintf(o.log, "%v: %d right answers\n", time.Since(began).Round(time.Second), done)
		}
	}
	var growing []string
	for i, s := range subjects {
		m := memory[i]
		fmt.Fprintf(out, "%-14s %9d checks, every answer right; memory %.0f MiB when idle, then %s\n",
			s.Name, done[i], mib(s.idle), quarters(m))
		if !flat(m) {
			growing = append(growing, s.Name)
		}
	}
	fmt.Fprintf(out, "%v in all\n", time.Since(began).Round(time.Second))
	if growing != nil {
		return fmt.Errorf("memory grows: %s", strings.Join(growing, ", "))
	}
	return nil
}

// mixed is a message of every workload after the other: mostly RBAC, some of everything.
func mixed(all []workload) []message {
	var out []message
	for _, w := range all {
		out = append(out, w.messages(0)...)
	}
	order := rand.New(rand.NewPCG(1, 2)) // the same order each time
	order.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// flat says whether memory in the last quarter is what it was in the second, in which
// all caches are full and the collector has found its pace.
func flat(samples []int64) bool {
	n := len(samples)
	if n < 8 {
		return true
	}
	const slack = 8 << 20
	second, last := slices.Max(samples[n/4:n/2]), slices.Max(samples[n-n/4:])
	return last <= second+second/10+slack
}

// quarters is the most memory in each quarter of the time.
func quarters(samples []int64) string {
	var most []string
	for i := range 4 {
		if part := samples[i*len(samples)/4 : (i+1)*len(samples)/4]; len(part) > 0 {
			most = append(most, fmt.Sprintf("%.0f", mib(slices.Max(part))))
		}
	}
	return "at most " + strings.Join(most, ", ") + " MiB, a quarter of the time each"
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// sample is what one run of load measured.
type sample struct {
	Checks   int           `json:"checks"`
	Seconds  float64       `json:"seconds"`
	CPU      float64       `json:"cpu_us_per_check"`
	Rate     float64       `json:"checks_per_second"`
	P50, P99 time.Duration `json:"-"`
	P50US    float64       `json:"p50_us"`
	P99US    float64       `json:"p99_us"`
}

// drive sends messages in turn, from where the cursor is, for the given time (one at
// least), or each once when once is set.
func drive(ctx context.Context, address string, pid int, s shape, messages []message, cursor *int, once bool, d time.Duration) (sample, error) {
	var mu sync.Mutex // the cursor's
	var end time.Time
	left := len(messages)
	sent := 0
	next := func() (message, bool) {
		mu.Lock()
		defer mu.Unlock()
		// One check goes in any case: on a starved machine the time can be over before the first.
		if left == 0 || !once && sent > 0 && !time.Now().Before(end) {
			return message{}, false
		}
		if once {
			left--
		}
		m := messages[*cursor%len(messages)]
		*cursor++
		sent++
		return m, true
	}
	clients := make([]*client, s.conns)
	for i := range clients {
		c, err := dial(ctx, address)
		if err != nil {
			return sample{}, err
		}
		defer c.nc.Close()
		clients[i] = c
	}
	before, err := cpuTime(pid)
	if err != nil {
		return sample{}, err
	}
	start := time.Now()
	end = start.Add(d) // dialling is not measured
	var group sync.WaitGroup
	counts, errs := make([]int, s.conns), make([]error, s.conns)
	for i, c := range clients {
		group.Go(func() { counts[i], errs[i] = c.run(s.inFlight, next) })
	}
	group.Wait()
	took := time.Since(start)
	after, err := cpuTime(pid)
	if err := errors.Join(append(errs, err)...); err != nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("the server closed the connection: %w", err)
		}
		return sample{}, err
	}
	latest := make([][]time.Duration, len(clients))
	for i, c := range clients {
		latest[i] = c.latest
	}
	return summarize(counts, latest, took, after-before)
}

// summarize makes a sample of what each connection counted.
func summarize(counts []int, latest [][]time.Duration, took, cpu time.Duration) (sample, error) {
	r := sample{Seconds: took.Seconds()}
	for _, n := range counts {
		r.Checks += n
	}
	if r.Checks == 0 {
		return r, errors.New("nothing was answered in the time given")
	}
	all := slices.Concat(latest...)
	slices.Sort(all)
	r.CPU = float64(cpu.Nanoseconds()) / 1000 / float64(r.Checks)
	r.Rate = float64(r.Checks) / r.Seconds
	r.P50, r.P99 = all[len(all)/2], all[len(all)*99/100]
	r.P50US, r.P99US = float64(r.P50.Nanoseconds())/1000, float64(r.P99.Nanoseconds())/1000
	return r, nil
}

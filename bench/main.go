// Bench measures what a check costs: the processor time of the server for each check,
// beside throughput, latency and memory, against a server that does nothing.
//
// All servers run at once and take turns, round by round, so that whatever else the
// machine does hits each of them alike. What counts is the ratio to the server that
// does nothing (A) in the same round: the median over the rounds, with the least and
// the greatest. The load is made of prebuilt HTTP/2 frames, and every answer is
// checked: a wrong one ends the run.
//
//	make bench                        the table, with a verdict for each target
//	make bench SHORT=1                about a minute
//	make bench ARGS='-docs docs'      docs/performance.md, its charts and results.json too
//	make bench ARGS='-server mine=127.0.0.1:9191,4711'     one more server, its pid
//
// Targets are aims: one that is missed is told, and ends with exit code 0 all the same.
// A server given by -server must decide as the policy of the benchmark does; -data
// prints that policy's data.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"
)

type options struct {
	rounds     int
	short      bool
	soak       int // checks for each transport; 0 for a benchmark
	many       int // divides the number of messages: 1 but in tests
	time       time.Duration
	output     string
	docs       string
	render     bool
	store      string
	tokens     kept
	envoy      bool
	image      bool
	sidecar    string // its binary
	transports []string
	servers    []subject
	only       string
	log        io.Writer
}

func main() {
	o := options{many: 1, log: os.Stderr}
	transports, printData := "", false
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; each server is measured once in each")
	flag.BoolVar(&o.short, "short", false, "about a minute: short measurements, no 100,000 tokens")
	flag.IntVar(&o.soak, "soak", 0, "send so many checks to each transport, and see that every answer is right and memory stays flat")
	flag.DurationVar(&o.time, "time", 500*time.Millisecond, "how long one measurement takes")
	flag.StringVar(&o.output, "o", "table", "table or json")
	flag.StringVar(&o.docs, "docs", "", "write performance.md, its charts and results into this directory")
	flag.BoolVar(&o.render, "render", false, "measure nothing: show the results that -docs holds")
	flag.StringVar(&o.store, "store", ".cache/bench", "where keys and tokens are kept")
	flag.BoolVar(&o.envoy, "envoy", true, "measure through a real Envoy too (make envoy gets it)")
	flag.StringVar(&o.sidecar, "authz", "bin/authz", "the sidecar's binary")
	flag.StringVar(&transports, "transports", "lean,grpc-go", "the sidecar's transports")
	flag.StringVar(&o.only, "only", "", "only workloads whose name holds this")
	flag.BoolVar(&printData, "data", false, "print the policy data of the benchmark and end")
	flag.Func("server", "name=ADDRESS,PID: measure this server too", func(text string) error {
		s, err := parseServer(text)
		o.servers = append(o.servers, s)
		return err
	})
	flag.Parse()
	if printData {
		fmt.Fprint(os.Stdout, policyData())
		return
	}
	o.transports = strings.Split(transports, ",")
	if o.short {
		o.time /= 5
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	o.image = !o.short
	err := do(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

func do(ctx context.Context, o options) error {
	if o.soak > 0 {
		return soak(ctx, o, os.Stdout)
	}
	r, err := o.report(ctx)
	if err == nil && o.docs != "" {
		err = r.document(o.docs)
	}
	if err != nil {
		return err
	}
	return r.write(os.Stdout, o.output)
}

func parseServer(text string) (subject, error) {
	name, rest, _ := strings.Cut(text, "=")
	address, number, found := strings.Cut(rest, ",")
	pid, err := strconv.Atoi(number)
	if !found || err != nil || name == "" {
		return subject{}, fmt.Errorf("%q: want name=ADDRESS,PID", text)
	}
	return subject{Name: name, address: address, pid: pid}, nil
}

func (o options) report(ctx context.Context) (*report, error) {
	if o.render {
		return readReport(o.docs)
	}
	return run(ctx, o)
}

// run starts the servers and measures every workload in every round.
func run(ctx context.Context, o options) (*report, error) {
	s := store{o.store, o.log}
	k, err := s.keys()
	if err != nil {
		return nil, err
	}
	subjects, dir, stop, err := startAll(ctx, o, k)
	defer stop()
	if err != nil {
		return nil, err
	}
	r := &report{Rounds: o.rounds, Machine: thisMachine(ctx)}
	if o.envoy && o.wants(throughName) {
		if err := throughEnvoy(ctx, o, r, k, subjects); err != nil {
			return nil, err
		}
	}
	if err := measureAll(ctx, o, r, workloads(k, o), subjects); err != nil {
		return nil, err
	}
	if !o.short {
		if o.tokens, err = s.both(k, 100_000); err != nil {
			return nil, err
		}
		if err := measureAll(ctx, o, r, hundredThousand(o.tokens), subjects); err != nil {
			return nil, err
		}
	}
	if r.Footprint, err = weigh(ctx, o, dir, k); err != nil {
		return nil, err
	}
	for i := range subjects {
		s := &subjects[i]
		bytes, err := rss(s.pid)
		if err != nil {
			return nil, err
		}
		r.Memory = append(r.Memory, memory{s.Name, mib(s.idle), mib(bytes)})
	}
	r.Machine.LoadAfter = load()
	r.judge()
	return r, nil
}

// wants reports whether a workload is among those that -only names.
func (o options) wants(name string) bool { return strings.Contains(name, o.only) }

func measureAll(ctx context.Context, o options, r *report, all []workload, subjects []subject) error {
	for i := range all {
		if !o.wants(all[i].Name) {
			continue
		}
		fmt.Fprintln(o.log, all[i].Name)
		if err := measure(ctx, o, r, all[i], subjects); err != nil {
			return err
		}
		all[i] = workload{} // its messages go
	}
	return nil
}

// measure runs one workload on every server, in every shape and round.
func measure(ctx context.Context, o options, r *report, w workload, subjects []subject) error {
	if w.warm {
		messages := w.messages(0)
		for i := range subjects {
			s := &subjects[i]
			if s.constant {
				continue
			}
			if _, err := drive(ctx, s.address, s.pid, shape{2, 32}, messages, new(int), true, 0); err != nil {
				return fmt.Errorf("%s: %s: warming up: %w", w.Name, s.Name, err)
			}
		}
	}
	rows := map[string]int{}
	for round := range o.rounds {
		messages := w.messages(round)
		for _, shape := range w.Shapes {
			var base float64
			for i := range subjects {
				s := &subjects[i]
				set := messages
				if s.constant {
					set = allow(messages)
				}
				got, err := drive(ctx, s.address, s.pid, shape, set, new(int), w.once, o.time)
				if err != nil {
					return fmt.Errorf("%s: %s: %w", w.Name, s.Name, err)
				}
				if i == 0 {
					base = got.CPU
				}
				key := s.Name + shape.String()
				at, found := rows[key]
				if !found {
					at = len(r.Rows)
					rows[key] = at
					r.Rows = append(r.Rows, row{Workload: w.Name, Shape: shape.String(), Server: s.Name})
				}
				r.Rows[at].Samples = append(r.Rows[at].Samples, got)
				r.Rows[at].Ratios = append(r.Rows[at].Ratios, got.CPU/base)
			}
		}
	}
	return nil
}

// allow is what a server that always allows must answer.
func allow(messages []message) []message {
	out := make([]message, len(messages))
	for i, m := range messages {
		out[i] = message{m.data, 200}
	}
	return out
}

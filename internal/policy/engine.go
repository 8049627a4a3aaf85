// Package policy answers one question: given a request and what is known of its
// caller, what does the policy say? It loads Rego and data, holds them to the
// input schema and to the built-ins that are allowed, evaluates one entry point
// under a deadline, and decodes what comes out strictly into a Result.
//
// A policy is a pure function of its input and its data. This package adds
// nothing to what it says: it charges no quota, sends no header and turns no
// failure into a denial. What keeps a decision from being made is one of the Err
// values; a caller treats each of them as a refusal of its own.
//
// A new policy is compiled beside the old one and takes its place in one step.
// Every evaluation sees one policy from beginning to end. A policy that does not
// compile never takes the place of one that does.
//
// Built-in errors (a division by zero, a bad regular expression) make the
// expression undefined, as they do for opa test and opa-envoy-plugin; they do
// not end the evaluation.
//
// Nothing here knows Envoy, HTTP answers or tokens' signatures. No other package
// knows OPA.
package policy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Engine holds the policy in force. Its methods may be called from any goroutine.
type Engine struct {
	settings settings
	log      *slog.Logger
	current  atomic.Pointer[compiled] // nil until the first good load
	slots    chan struct{}            // one token for each evaluation under way
	jobs     chan func()              // unbuffered: to a goroutine that waits for work

	loading sync.Mutex // one load at a time; guards failed
	failed  string     // digest of the content that did not compile last, and
	failure error      // why

	fetched chan struct{} // of one: a bundle has come that Watch shall load

	counts cacheCounts // of remembered decisions, whatever policy they belonged to

	mu     sync.Mutex // guards status
	status Status
}

// Status says which policy is in force and how loading has gone.
type Status struct {
	Loaded    bool
	Revision  string
	LoadedAt  time.Time
	Reloads   int    // how often another policy took the place of one
	Failures  int    // how often a policy could not be loaded
	LastError string // why the last load failed; empty after a good one
	Warnings  []string
	Routes    int // rows of the route table
	Cache     CacheStatus
	// Fetches of bundles, how many failed, and by bundle why the last one did.
	Fetches, FetchFailures uint64
	Unfetched              map[string]string
}

// New validates the configuration and reports all its faults. It loads nothing.
func New(cfg Config, log *slog.Logger) (*Engine, error) {
	s, err := cfg.complete()
	if err != nil {
		return nil, fmt.Errorf("policy configuration: %w", err)
	}
	return &Engine{settings: s, log: log, fetched: make(chan struct{}, 1), slots: make(chan struct{}, s.MaxConcurrent), jobs: make(chan func())}, nil
}

// Status reports without waiting for a load under way. The zero Status: nothing
// was loaded yet.
func (e *Engine) Status() Status {
	e.mu.Lock()
	s := e.status
	e.mu.Unlock()
	s.Cache = e.cacheStatus()
	return s
}

// Load reads and compiles the policy, and puts it in force if that went well.
// Content that has not changed since is left alone. On an error the policy in
// force stays.
func (e *Engine) Load(ctx context.Context) error {
	e.loading.Lock()
	defer e.loading.Unlock()
	next, err := e.build(ctx)
	switch {
	case err == nil:
		e.enforce(next)
	case errors.Is(err, ErrNotFetched): // there is nothing that could be refused
	case ctx.Err() == nil: // a load that was called off says nothing about the policy
		e.recordFailure(err)
	}
	return err
}

// build gives the policy in force again when the content is the same, and the
// error again when it is the content that failed last.
func (e *Engine) build(ctx context.Context) (next *compiled, err error) {
	defer func() {
		if p := recover(); p != nil {
			next, err = nil, fmt.Errorf("compiling the policy: panic: %v\n%s", p, debug.Stack())
		}
	}()
	sources, digest, err := readSources(ctx, &e.settings)
	if err != nil {
		return nil, err
	}
	if old := e.current.Load(); old != nil && old.digest == digest {
		return old, nil
	}
	if digest == e.failed {
		return nil, e.failure
	}
	next, err = compile(ctx, &e.settings, sources, digest)
	if err == nil {
		next.cache = newDecisionCache(next, &e.settings, &e.counts)
	}
	if err != nil {
		err = fmt.Errorf("compiling the policy: %w", err)
		if e.settings.Library != nil && strings.Contains(err.Error(), "annotation redeclared") && strings.Contains(err.Error(), "library/authz/") {
			err = fmt.Errorf("the paths hold a copy of the policy library, which is built in as well: leave the copy out, or switch the built-in one off (policy.library): %w", err)
		}
		if ctx.Err() == nil {
			e.failed, e.failure = digest, err
		}
		return nil, err
	}
	return next, nil
}

func (e *Engine) enforce(next *compiled) {
	e.failed, e.failure = "", nil
	old := e.current.Swap(next)
	e.mu.Lock()
	recovered := e.status.LastError != ""
	e.status.LastError = ""
	if old != next {
		if old != nil {
			e.status.Reloads++
		}
		e.status.Loaded = true
		e.status.Revision = next.revision
		e.status.LoadedAt = time.Now()
		e.status.Warnings = next.warnings
		e.status.Routes = next.routes.Len()
	}
	e.mu.Unlock()
	switch {
	case old != next:
		e.log.Info("policy in force", "revision", next.revision, "routes", next.routes.Len())
		for _, warning := range next.warnings {
			e.log.Warn("policy: "+warning, "revision", next.revision)
		}
	case recovered:
		e.log.Info("the policy files are as they were; the policy in force stays", "revision", next.revision)
	}
}

// recordFailure is loud once for each failure, not at every look at the files.
func (e *Engine) recordFailure(err error) {
	e.mu.Lock()
	same := e.status.LastError == err.Error()
	if !same {
		e.status.Failures++
		e.status.LastError = err.Error()
	}
	revision := e.status.Revision
	e.mu.Unlock()
	switch {
	case same:
	case revision == "":
		e.log.Error("no usable policy: every request is refused", "error", err)
	default:
		e.log.Error("the new policy is refused; the old one stays in force", "revision", revision, "error", err)
	}
}

// isSentinel: whether an error says already which of the package's errors it is.
func isSentinel(err error) bool {
	for _, sentinel := range []error{ErrUndefined, ErrMalformed, ErrDeadline, ErrBusy, ErrEvaluation} {
		if errors.Is(err, sentinel) {
			return true
		}
	}
	return false
}

package policy

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"authz/internal/check"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// answer is what an evaluation came to.
type answer struct {
	result *Result
	err    error
}

// Eval asks the policy in force. It returns by the deadline, whatever the policy
// does: the evaluation runs on a goroutine of its own and is abandoned, with its
// slot, until it notices that it was cancelled. The error wraps one of the
// package's Err values; its text is for the log.
//
// A decision that is remembered (Cached) is returned without evaluating. The Result
// may be shared: read only.
func (e *Engine) Eval(ctx context.Context, r *check.Request, token *check.Token) (*Result, error) {
	if result, ok := e.Cached(r, token); ok {
		return result, nil
	}
	ctx, stop := context.WithTimeout(ctx, e.settings.Timeout)
	defer stop()
	select {
	case e.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
	// The policy is taken once, and after the wait: one decision, one policy, and
	// never one that had been replaced when the request came in.
	policy := e.current.Load()
	if policy == nil {
		<-e.slots
		return nil, ErrNotLoaded
	}
	cancel := topdown.NewCancel()
	done := make(chan answer, 1)
	e.work(func() {
		defer func() { <-e.slots }()
		result, err := policy.decide(ctx, cancel, r, token)
		done <- answer{result, err}
	})
	select {
	case a := <-done:
		return e.finish(ctx, policy, a)
	case <-ctx.Done():
		cancel.Cancel()
		return nil, fmt.Errorf("%w: %w", ErrDeadline, ctx.Err())
	}
}

// idleWorker is how long a goroutine waits for the next evaluation.
const idleWorker = 10 * time.Second

// work runs f on a goroutine that has evaluated before, if one is idle, else on a
// new one. OPA evaluates by deeply nested calls; growing a fresh stack under them
// costs as much again as the evaluation. At most as many wait as ever ran at once.
func (e *Engine) work(f func()) {
	select {
	case e.jobs <- f:
	default:
		go e.worker(f)
	}
}

func (e *Engine) worker(f func()) {
	idle := time.NewTimer(idleWorker)
	defer idle.Stop()
	for {
		f()
		idle.Reset(idleWorker)
		select {
		case f = <-e.jobs:
		case <-idle.C:
			return
		}
	}
}

func (e *Engine) finish(ctx context.Context, policy *compiled, a answer) (*Result, error) {
	switch {
	case a.err == nil:
	case isSentinel(a.err):
		return nil, a.err
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%w: %w", ErrDeadline, a.err)
	default:
		return nil, fmt.Errorf("%w: %w", ErrEvaluation, a.err)
	}
	for _, key := range a.result.Unknown {
		if policy.unknown.first(key) {
			e.log.Warn("the decision holds a key that means nothing here", "key", key, "revision", policy.revision)
		}
	}
	return a.result, nil
}

// decide evaluates the entry point on the goroutine of its caller. A panic in it
// concerns one request, and must not end the others.
func (c *compiled) decide(ctx context.Context, cancel topdown.Cancel, r *check.Request, token *check.Token) (result *Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			result, err = nil, fmt.Errorf("%w: panic: %v\n%s", ErrEvaluation, p, debug.Stack())
		}
	}()
	input, route, err := newInput(r, token, c.routes)
	if err != nil {
		return nil, fmt.Errorf("building the input: %w", err)
	}
	var options []option
	// The keys take it that a request has a method.
	if memory := c.cache.route(route); memory != nil && r.HTTP.Method != "" {
		k := takeKey(r, token, c.routes)
		defer k.release()
		if !memory.learning() || !c.cache.again(k, memory) {
			options = append(options, newRuleCache(c.cache, memory, k, nil).use)
		} else if result, again, err := c.record(ctx, cancel, k, input, memory); !again {
			return result, err
		}
	}
	value, err := c.evaluate(ctx, cancel, input, options...)
	if err != nil {
		return nil, err
	}
	if result, err = decode(value, input); err != nil {
		return nil, err
	}
	result.Route, result.Revision = route, c.revision
	return result, nil
}

// evaluate is one evaluation of the entry point.
func (c *compiled) evaluate(ctx context.Context, cancel topdown.Cancel, input ast.Value, options ...option) (ast.Value, error) {
	value, err := c.query.ask(ctx, append(options, func(q *topdown.Query) {
		q.WithInput(ast.NewTerm(input)).WithCancel(cancel).WithInterQueryBuiltinValueCache(c.values)
	})...)
	if err == nil && value == nil {
		err = ErrUndefined
	}
	return value, err
}

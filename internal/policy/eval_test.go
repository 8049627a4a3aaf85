package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// contract, Outcomes: undefined decision, wrong type, conflict, evaluation
// error. Each is told apart, with the detail for the log.
func TestEvalErrors(t *testing.T) {
	for _, row := range []struct {
		name, rego string
		want       error
		detail     string
	}{
		{"undefined", "decision := true if input.route.id == \"x\"", ErrUndefined, "undefined"},
		{"undefined for want of a key", "decision := {\"allowed\": input.token.subject == \"x\"}", ErrUndefined, "undefined"},
		{"wrong type", "decision := \"yes\"", ErrMalformed, "is string"},
		{"a set of decisions", "decision contains true", ErrMalformed, "is set"},
		{"no allowed", "decision := {\"headers\": {}}", ErrMalformed, "allowed: missing"},
		{"conflict of two rules", "decision := true if input.version\n\ndecision := false if input.version", ErrEvaluation, "a.rego:5: eval_conflict_error"},
		{"conflict of two keys", "decision.allowed := x if some x in [true, false]", ErrEvaluation, "eval_conflict_error"},
	} {
		t.Run(row.name, func(t *testing.T) {
			engine := loadedEngine(t, tree{"a.rego": "package authz\n\n" + row.rego + "\n"}, Config{})
			result, err := engine.Eval(t.Context(), get(), anonymous())
			if result != nil || !errors.Is(err, row.want) || !strings.Contains(err.Error(), row.detail) {
				t.Errorf("result %+v, error %v, want %v with %q", result, err, row.want, row.detail)
			}
		})
	}
}

// A built-in error makes its expression undefined, as in opa test and in
// opa-envoy-plugin; the decision is still made.
func TestBuiltinErrors(t *testing.T) {
	engine := loadedEngine(t, tree{"a.rego": `package authz

default decision := false

decision if 1 / count(input.parsed_query) > 0
`}, Config{})
	if got := eval(t, engine, get()); got.Allowed {
		t.Error("a division by zero allowed the request")
	}
}

// awaitIdle waits until every slot is free, by taking them all; what the
// evaluations did has then happened before.
func awaitIdle(t *testing.T, engine *Engine) {
	t.Helper()
	for range cap(engine.slots) {
		select {
		case engine.slots <- struct{}{}:
		case <-time.After(20 * time.Second):
			t.Fatal("an evaluation does not end")
		}
	}
	for range cap(engine.slots) {
		<-engine.slots
	}
}

// threats.md, Engine: a policy that loops or allocates without end is cancelled
// at its deadline.
func TestDeadline(t *testing.T) {
	for _, row := range []struct{ name, rego string }{
		{"nested loops", "decision := {\"allowed\": n > 0} if n := count([1 |\n\tsome x in numbers.range(1, 100000)\n\tsome y in numbers.range(1, 100000)\n\tx * y == -1\n])"},
		{"a list without end", "decision := {\"allowed\": count(numbers.range(1, 1000000000000)) > 0}"},
		{"text that grows without end", "decision := {\"allowed\": count(x) > 0} if x := [s |\n\tsome i in numbers.range(1, 1000000)\n\ts := concat(\"\", [sprintf(\"%d\", [j]) | some j in numbers.range(1, i)])\n]"},
		{"sets of sets", "decision := {\"allowed\": count(x) > 0} if x := {{i, j, k} |\n\tsome i in numbers.range(1, 10000)\n\tsome j in numbers.range(1, 10000)\n\tsome k in numbers.range(1, 10000)\n}"},
	} {
		t.Run(row.name, func(t *testing.T) {
			engine := loadedEngine(t, tree{"a.rego": "package authz\n\n" + row.rego + "\n"}, Config{Timeout: 50 * time.Millisecond, MaxConcurrent: 1})
			began := time.Now()
			_, err := engine.Eval(t.Context(), get(), anonymous())
			if took := time.Since(began); !errors.Is(err, ErrDeadline) || took > 10*time.Second {
				t.Errorf("error %v after %v", err, took)
			}
			// The evaluation itself ends too: its slot comes back.
			awaitIdle(t, engine)
		})
	}
}

// The caller's own deadline, or its going away, ends the evaluation as well.
func TestCancelledCaller(t *testing.T) {
	engine := loadedEngine(t, tree{"a.rego": "package authz\n\ndecision := {\"allowed\": count(numbers.range(1, 1000000000000)) > 0}\n"}, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := engine.Eval(ctx, get(), anonymous()); !errors.Is(err, ErrDeadline) && !errors.Is(err, ErrBusy) {
		t.Errorf("error %v", err)
	}
	awaitIdle(t, engine)
}

// stuck replaces a built-in by one that does what the test says, for the test's
// length. There is no stock built-in that hangs or panics on demand.
func stuck(t *testing.T, does func()) {
	t.Helper()
	name := ast.Floor.Name
	stock := topdown.GetBuiltin(name)
	topdown.RegisterBuiltinFunc(name, func(_ topdown.BuiltinContext, operands []*ast.Term, iter func(*ast.Term) error) error {
		does()
		return iter(operands[0])
	})
	t.Cleanup(func() { topdown.RegisterBuiltinFunc(name, stock) })
}

const floorPolicy = "package authz\n\ndecision := {\"allowed\": floor(count(input.parsed_path)) == 1}\n"

// The deadline holds even where a built-in does not look at it; the slot stays
// taken until the built-in returns, and who finds none by his deadline is told.
func TestDeadlineIgnoredByBuiltin(t *testing.T) {
	release := make(chan struct{})
	stuck(t, func() { <-release })
	engine := loadedEngine(t, tree{"a.rego": floorPolicy}, Config{Timeout: 20 * time.Millisecond, MaxConcurrent: 1})
	if _, err := engine.Eval(t.Context(), get(), anonymous()); !errors.Is(err, ErrDeadline) {
		t.Errorf("error %v, want %v", err, ErrDeadline)
	}
	if _, err := engine.Eval(t.Context(), get(), anonymous()); !errors.Is(err, ErrBusy) {
		t.Errorf("error %v, want %v", err, ErrBusy)
	}
	close(release)
	awaitIdle(t, engine)
}

// A panic concerns one request. Its stack is for the log.
func TestPanic(t *testing.T) {
	broken := true
	stuck(t, func() {
		if broken {
			panic("boom")
		}
	})
	engine := loadedEngine(t, tree{"a.rego": floorPolicy}, Config{})
	_, err := engine.Eval(t.Context(), get(), anonymous())
	if !errors.Is(err, ErrEvaluation) || !strings.Contains(err.Error(), "panic: boom") || !strings.Contains(err.Error(), "policy.(*compiled).decide") {
		t.Errorf("error %v", err)
	}
	broken = false
	if got := eval(t, engine, get()); !got.Allowed {
		t.Errorf("after the panic: %+v", got)
	}
}

// Evaluations share the policy's data and nothing else.
func TestConcurrentEval(t *testing.T) {
	engine := loadedEngine(t, tree{
		"a.rego":    "package authz\n\ndecision := {\"allowed\": true, \"reason\": [input.client.ip, data.x[input.client.ip].y]}\n",
		"data.json": `{"x": {"a": {"y": "1"}, "b": {"y": "2"}, "c": {"y": "3"}}}`,
	}, Config{})
	failed := make(chan error, 3)
	for ip, y := range map[string]string{"a": "1", "b": "2", "c": "3"} {
		go func() {
			r := get()
			r.Client.IP = ip
			for range 200 {
				result, err := engine.Eval(t.Context(), r, anonymous())
				if err != nil || !slices.Equal(result.Reasons, []string{ip, y}) {
					failed <- fmt.Errorf("%s: %+v, %w", ip, result, err)
					return
				}
			}
			failed <- nil
		}()
	}
	for range 3 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

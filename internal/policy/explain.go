package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"

	"authz/internal/check"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Explanation is a decision, taken apart: the rules that were asked, what held in
// them and what did not. It comes from the evaluation itself, not from a second
// set of rules that explains, which would drift from the first.
type Explanation struct {
	// Result is nil where there is no decision; Err says why then.
	Result *Result
	Err    error
	// Value is the decision document as it is; nil where it is undefined.
	Value json.RawMessage
	// Rules are the entry point's own rules, in the order in which they were tried.
	Rules []Step
	// Reasons say where each reason of the result was given.
	Reasons []Reason
	// Cut: the evaluation was too long to be kept whole.
	Cut bool
}

// Step is a rule, a condition of its body or its value, and what that rests on.
type Step struct {
	Kind string `json:"kind"` // "rule", "condition" or "value"
	Text string `json:"text"`
	Held bool   `json:"held"`
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	// Values are what the condition saw.
	Values []Binding `json:"values,omitempty"`
	// Above: the same was explained before.
	Above bool   `json:"above,omitempty"`
	Steps []Step `json:"steps,omitempty"`
}

// Binding is a part of a condition with its value, as Rego; "undefined" where it
// had none.
type Binding struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Reason is a code with the rule that gave it. File is empty where no rule's text
// shows the code.
type Reason struct {
	Code string `json:"code"`
	Rule string `json:"rule,omitempty"`
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
}

// Explain decides as Eval does, slowly: rules are not indexed and every branch is
// followed, so that what did not hold is seen too. The error means that there was
// nothing to explain; a policy that fails is explained as far as it came.
func (e *Engine) Explain(ctx context.Context, r *check.Request, token *check.Token) (*Explanation, error) {
	policy := e.current.Load()
	if policy == nil {
		return nil, ErrNotLoaded
	}
	input, route, err := newInput(r, token, policy.routes)
	if err != nil {
		return nil, fmt.Errorf("building the input: %w", err)
	}
	t := newTracer()
	value, err := policy.traced(ctx, t, input)
	x := &Explanation{Cut: t.cut}
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%w: %w", ErrDeadline, ctx.Err())
	case err != nil:
		x.Err = fmt.Errorf("%w: %w", ErrEvaluation, err)
	case value == nil:
		x.Err = ErrUndefined
	default:
		if x.Value, err = valueJSON(value); err != nil {
			return nil, err
		}
		if x.Result, x.Err = decode(value, input); x.Err == nil {
			x.Result.Route, x.Result.Revision = route, policy.revision
		}
	}
	tree := newTelling(t, input, e.settings.decision, policy.compiler.RewrittenVars)
	x.Rules = tree.decision(x.Result != nil && x.Result.Allowed)
	if x.Result != nil {
		for _, code := range x.Result.Reasons {
			x.Reasons = append(x.Reasons, tree.reason(code))
		}
	}
	return x, nil
}

// traced evaluates the entry point; the value is nil where it is undefined.
func (c *compiled) traced(ctx context.Context, t *tracer, input ast.Value) (value ast.Value, err error) {
	defer func() {
		if p := recover(); p != nil {
			value, err = nil, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	ended, stop := endedBy(ctx)
	defer stop()
	return c.query.ask(ctx, ended, recordedBy(t), func(q *topdown.Query) {
		q.WithInput(ast.NewTerm(input)).WithInterQueryBuiltinValueCache(c.values).WithEarlyExit(false)
	})
}

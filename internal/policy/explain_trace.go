package policy

import (
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// maxEvents bounds what is kept of an evaluation; an ordinary decision has a few
// thousand events.
const maxEvents = 1_000_000

// maxValues bounds the values kept of one rule.
const maxValues = 32

// tracer turns OPA's events into calls. It belongs to one evaluation. It has OPA
// plug no variables (topdown.TraceConfig): that costs much and cannot deal with
// functions that were called with constants.
type tracer struct {
	calls  map[uint64]*call
	order  []*call // of rules, as they were entered
	events int
	cut    bool
}

// call is one evaluation of a rule's body, or of a query within one: the inside of
// a not, a comprehension, an every.
type call struct {
	rule   *ast.Rule // nil for a query
	body   ast.Body
	steps  map[*ast.Expr]*step
	at     *ast.Expr // under evaluation
	exits  int       // how often the whole body held
	values []ast.Value
}

// step is one expression of a body, as it was evaluated last.
type step struct {
	locals *ast.ValueMap // of the variables in it
	calls  []*call       // what it asked
}

func newTracer() *tracer { return &tracer{calls: map[uint64]*call{}} }

// Enabled is part of topdown.QueryTracer.
func (t *tracer) Enabled() bool { return true }

// Config is part of topdown.QueryTracer.
func (t *tracer) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

// TraceEvent is part of topdown.QueryTracer. Events come in order, from one
// goroutine.
func (t *tracer) TraceEvent(ev topdown.Event) {
	if t.events++; t.events > maxEvents {
		t.cut = true
		return
	}
	switch ev.Op {
	case topdown.EnterOp:
		t.enter(&ev)
	case topdown.EvalOp, topdown.RedoOp:
		c, expr := t.calls[ev.QueryID], exprOf(&ev)
		if c == nil || expr == nil {
			return
		}
		c.at = expr
		s := c.steps[expr]
		if s == nil {
			s = &step{}
			c.steps[expr] = s
		}
		if ev.Op == topdown.EvalOp {
			s.locals = localsOf(&ev, expr)
		}
	case topdown.ExitOp:
		if c := t.calls[ev.QueryID]; c != nil {
			c.exits++
			if c.rule != nil && len(c.values) < maxValues {
				c.values = append(c.values, headValue(c.rule, &ev))
			}
		}
	}
}

func (t *tracer) enter(ev *topdown.Event) {
	c := &call{steps: map[*ast.Expr]*step{}}
	switch node := ev.Node.(type) {
	case *ast.Rule:
		c.rule, c.body = node, node.Body
		t.order = append(t.order, c)
	case ast.Body:
		c.body = node
	}
	if parent := t.calls[ev.ParentID]; parent != nil && ev.ParentID != ev.QueryID {
		if s := parent.steps[parent.at]; s != nil {
			s.calls = append(s.calls, c)
		}
	}
	t.calls[ev.QueryID] = c
}

func exprOf(ev *topdown.Event) *ast.Expr {
	expr, _ := ev.Node.(*ast.Expr)
	return expr
}

// localsOf are the values of an expression's own variables, as far as they have one.
func localsOf(ev *topdown.Event, expr *ast.Expr) *ast.ValueMap {
	out := ast.NewValueMap()
	ast.WalkVars(expr, func(v ast.Var) bool {
		if value := ev.Plug(ast.NewTerm(v)).Value; value.IsGround() {
			out.Put(v, value)
		}
		return false
	})
	return out
}

// headValue is what a rule came to: the member of a set, else its value.
func headValue(rule *ast.Rule, ev *topdown.Event) ast.Value {
	head := rule.Head.Value
	if rule.Head.RuleKind() == ast.MultiValue {
		head = rule.Head.Key
	}
	if head == nil {
		return ast.Boolean(true)
	}
	return ev.Plug(head).Value
}

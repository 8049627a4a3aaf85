package policy

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Bounds of a telling: nobody reads further.
const (
	maxSteps   = 400
	maxNesting = 16
	maxTries   = 3 // of a function that was called for each element of something
)

// telling makes steps of the calls of one evaluation. A rule that did not hold is
// told by the first condition that did not, and that one by the rules it asked, and
// so on down; a "not" that did not hold by what held. What held is not taken
// apart, except where it is the cause.
type telling struct {
	input  ast.Value
	entry  ast.Ref
	names  map[ast.Var]ast.Var // the compiler's name of a variable to the author's
	rules  map[string][]*call  // of rules without arguments, by path
	order  []*call
	told   map[*call]bool
	steps  int
	nested int
}

func newTelling(t *tracer, input ast.Value, entry ast.Ref, names map[ast.Var]ast.Var) *telling {
	out := &telling{input: input, entry: entry, names: names, rules: map[string][]*call{}, order: t.order, told: map[*call]bool{}}
	for _, c := range t.order {
		if len(c.rule.Head.Args) == 0 {
			path := c.rule.Ref().GroundPrefix().String()
			out.rules[path] = append(out.rules[path], c)
		}
	}
	return out
}

// decision tells the rules of the entry point.
func (t *telling) decision(allowed bool) []Step {
	var entries []*call
	for _, c := range t.order {
		ref := c.rule.Ref().GroundPrefix()
		if len(c.rule.Head.Args) == 0 && (t.entry.HasPrefix(ref) || ref.HasPrefix(t.entry)) && !slices.Contains(entries, c) {
			entries = append(entries, c)
		}
	}
	var out []Step
	refused := false // by a branch that would have allowed
	for _, c := range entries {
		if t.done() {
			break
		}
		if c.exits == 0 {
			if steps := t.failed(c); len(steps) > 0 {
				refused = true
				out = append(out, steps...)
			}
			continue
		}
		s := t.rule(c, true)
		if !c.rule.Default {
			s.Text = ruleText(c.rule, nil) // the decision itself is told elsewhere
		}
		for _, cond := range conditions(c.body, c.rule) {
			if cond.value && (allowed || refused) {
				continue
			}
			step := t.condition(cond, true)
			switch {
			case allowed:
				step.Steps = t.asked(cond, c, t.held)
			case !refused:
				step.Steps = t.asked(cond, c, t.cause)
			}
			if !cond.value || len(step.Steps) > 0 {
				s.Steps = append(s.Steps, step)
			}
		}
		out = append(out, s)
	}
	return out
}

func (t *telling) done() bool { return t.steps >= maxSteps || t.nested >= maxNesting }

func (t *telling) rule(c *call, held bool) Step {
	t.steps++
	s := Step{Kind: "rule", Held: held}
	var value ast.Value
	if len(c.values) > 0 {
		value = c.values[0]
	}
	s.Text = ruleText(c.rule, value)
	if loc := c.rule.Location; loc != nil {
		s.File, s.Line = loc.File, loc.Row
	}
	return s
}

func (t *telling) condition(c *condition, held bool) Step {
	t.steps++
	kind := "condition"
	if c.value {
		kind = "value"
	}
	return Step{Kind: kind, Text: oneLine(string(c.loc.Text)), Held: held, File: c.loc.File, Line: c.loc.Row}
}

// failed tells why a call's body did not hold.
func (t *telling) failed(c *call) []Step {
	if t.done() || c.rule != nil && c.rule.Default {
		return nil
	}
	var steps []Step
	if !t.told[c] {
		t.told[c] = true
		t.nested++
		steps = t.blame(c)
		t.nested--
	} else if c.rule != nil {
		s := t.rule(c, false)
		s.Above = true
		return []Step{s}
	}
	if c.rule == nil {
		return steps
	}
	return []Step{merged(t.rule(c, false), steps)}
}

// merged puts a rule and its only condition on one line.
func merged(rule Step, steps []Step) Step {
	if len(steps) == 1 && steps[0].Kind == "condition" && steps[0].Line == rule.Line {
		rule.Text = cut(rule.Text+" if "+steps[0].Text, maxText)
		rule.Values, rule.Steps = steps[0].Values, steps[0].Steps
		return rule
	}
	rule.Steps = steps
	return rule
}

// blame lists the conditions of a body that held, and the one that did not.
func (t *telling) blame(c *call) []Step {
	var reached []*condition
	for _, cond := range conditions(c.body, c.rule) {
		if slices.ContainsFunc(cond.exprs, func(e *ast.Expr) bool { return c.steps[e] != nil }) {
			reached = append(reached, cond)
		}
	}
	var out []Step
	for i, cond := range reached {
		last := i == len(reached)-1
		if cond.value && !last {
			continue
		}
		s := t.condition(cond, !last)
		if last {
			expr := lastReached(cond, c)
			s.Values = t.bindings(cond, c)
			s.Steps = t.why(cond, c, expr)
		}
		out = append(out, s)
	}
	return out
}

func lastReached(cond *condition, c *call) *ast.Expr {
	var out *ast.Expr
	for _, e := range cond.exprs {
		if c.steps[e] != nil {
			out = e
		}
	}
	return out
}

// why tells why a condition did not hold at an expression of it.
func (t *telling) why(cond *condition, c *call, expr *ast.Expr) []Step {
	if t.done() {
		return nil
	}
	var out []Step
	if expr.Negated {
		for _, inner := range c.steps[expr].calls {
			if inner.rule == nil && inner.exits > 0 {
				out = append(out, t.within(inner, t.held)...)
				break
			}
		}
		return out
	}
	out = append(out, t.asked(cond, c, t.cause)...)
	out = append(out, t.tries(c.steps[expr].calls)...)
	return out
}

// tries tells the functions and the inner queries that did not hold, those that
// came furthest first.
func (t *telling) tries(calls []*call) []Step {
	var lost []*call
	for _, c := range calls {
		if c.exits == 0 && (c.rule == nil || len(c.rule.Head.Args) > 0) {
			lost = append(lost, c)
		}
	}
	slices.SortStableFunc(lost, func(a, b *call) int { return len(b.steps) - len(a.steps) })
	var out []Step
	for _, c := range lost[:min(len(lost), maxTries)] {
		out = append(out, t.failed(c)...)
	}
	return out
}

// asked tells the rules that a condition asked.
func (t *telling) asked(cond *condition, c *call, tell func(path string) []Step) []Step {
	var out []Step
	seen := map[string]bool{}
	for _, expr := range cond.exprs {
		if c.steps[expr] == nil {
			continue
		}
		for _, ref := range refsOf(expr) {
			path := t.ruleAt(ref)
			if path == "" || seen[path] || t.done() {
				continue
			}
			seen[path] = true
			out = append(out, tell(path)...)
		}
	}
	return out
}

// within tells the rules that a query within an expression asked.
func (t *telling) within(inner *call, tell func(path string) []Step) []Step {
	var out []Step
	for _, cond := range conditions(inner.body, nil) {
		out = append(out, t.asked(cond, inner, tell)...)
		for _, expr := range cond.exprs {
			if s := inner.steps[expr]; s != nil {
				out = append(out, t.functions(s.calls)...)
			}
		}
	}
	return out
}

func (t *telling) functions(calls []*call) []Step {
	var out []Step
	for _, c := range calls {
		if c.exits > 0 && c.rule != nil && len(c.rule.Head.Args) > 0 && len(out) < maxTries && !t.done() {
			out = append(out, t.holding(c))
		}
	}
	return out
}

// ruleAt is the path of the rule that a ref is to, or into; "" where it is none.
func (t *telling) ruleAt(ref ast.Ref) string {
	if !ref.HasPrefix(ast.DefaultRootRef) {
		return ""
	}
	for n := len(ref); n > 1; n-- {
		if path := ref[:n].String(); t.rules[path] != nil {
			return path
		}
	}
	return ""
}

package policy

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// The other half of a telling: what held, where that is the cause of a refusal.

// cause tells what a rule has to do with a refusal: why it did not hold, or which
// members of a set it has and why. A rule with a value is no cause.
func (t *telling) cause(path string) []Step {
	held, set := false, false
	for _, c := range t.rules[path] {
		set = set || c.rule.Head.RuleKind() == ast.MultiValue
		held = held || c.exits > 0 && !isFalse(c)
	}
	switch {
	case held && set:
		return t.held(path)
	case held:
		return nil
	}
	var out []Step
	for _, c := range t.rules[path] {
		if isFalse(c) && !c.rule.Default {
			s := t.rule(c, false)
			for _, cond := range conditions(c.body, c.rule) {
				if steps := t.asked(cond, c, t.cause); len(steps) > 0 {
					step := t.condition(cond, true)
					step.Steps = steps
					s.Steps = append(s.Steps, step)
				}
			}
			out = append(out, s)
			continue
		}
		out = append(out, t.failed(c)...)
	}
	return out
}

func isFalse(c *call) bool {
	return c.exits > 0 && len(c.values) > 0 && c.values[0].Compare(ast.Boolean(false)) == 0
}

// held tells the branches of a rule that held.
func (t *telling) held(path string) []Step {
	var out []Step
	for _, c := range t.rules[path] {
		if c.exits > 0 && !t.done() {
			out = append(out, t.holding(c))
		}
	}
	return out
}

// holding tells a branch that held. Of its conditions only a "not" is taken apart:
// it held because something did not.
func (t *telling) holding(c *call) Step {
	s := t.rule(c, true)
	if t.told[c] {
		s.Above = true
		return s
	}
	t.told[c] = true
	t.nested++
	defer func() { t.nested-- }()
	var steps []Step
	for _, cond := range conditions(c.body, c.rule) {
		if cond.value {
			continue
		}
		step := t.condition(cond, true)
		expr := lastReached(cond, c)
		if expr != nil && expr.Negated && !t.done() {
			for _, inner := range c.steps[expr].calls {
				if inner.rule == nil && inner.exits == 0 {
					step.Steps = append(step.Steps, t.within(inner, t.cause)...)
					if n := len(inner.body); len(step.Steps) == 0 && n > 0 {
						inside := conditions(inner.body, nil)
						step.Values = t.bindings(inside[len(inside)-1], inner)
					}
				}
			}
		}
		steps = append(steps, step)
	}
	out := merged(s, steps)
	if len(c.values) > 1 {
		out.Text = strings.TrimSuffix(out.Text, "…") + ", …"
	}
	return out
}

// reason finds the rule that gave a code: a member of a set first, because that is
// the rule that refused; those that pass it on only mention it.
func (t *telling) reason(code string) Reason {
	out := Reason{Code: code}
	best := 0
	for _, c := range t.order {
		if c.exits == 0 || c.rule.Location == nil {
			continue
		}
		rank := 0
		switch {
		case slices.ContainsFunc(c.values, func(v ast.Value) bool { return v.Compare(ast.String(code)) == 0 }):
			rank = 3
		case mentions(c.rule, code):
			rank = 2
		}
		if rank > best {
			best = rank
			out.Rule, out.File, out.Line = ruleName(c.rule), c.rule.Location.File, c.rule.Location.Row
		}
	}
	return out
}

// mentions: whether the rule's text holds the code.
func mentions(rule *ast.Rule, code string) bool {
	found := false
	ast.WalkTerms(rule, func(t *ast.Term) bool {
		found = found || t.Value.Compare(ast.String(code)) == 0
		return found
	})
	return found
}

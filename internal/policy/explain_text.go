package policy

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// The compiler takes a condition apart: `count(deny) == 0` becomes three expressions
// with variables of its own between them. For people they are put together again by
// where they stand in the source.

// condition is what a person wrote as one condition of a body.
type condition struct {
	loc   *ast.Location
	exprs []*ast.Expr // in the order in which they are evaluated
	// value: it is a part of the rule's value, not of its body.
	value bool
}

// conditions of a body, in the order in which they are evaluated.
func conditions(body ast.Body, rule *ast.Rule) []*condition {
	var out []*condition
	for _, expr := range body {
		if expr.Location == nil {
			continue
		}
		next := &condition{loc: expr.Location, exprs: []*ast.Expr{expr}}
		var kept []*condition
		for _, c := range out {
			switch {
			case within(expr.Location, c.loc):
				next.loc = c.loc
				next.exprs = append(slices.Clone(c.exprs), next.exprs...)
			case within(c.loc, expr.Location):
				next.exprs = append(slices.Clone(c.exprs), next.exprs...)
			default:
				kept = append(kept, c)
			}
		}
		kept = append(kept, next)
		out = kept
	}
	if rule != nil {
		markValues(out, rule)
	}
	return out
}

// markValues: what stands before the word "if" of a rule belongs to its value.
func markValues(list []*condition, rule *ast.Rule) {
	start, end := 0, 0
	if rule.Head != nil && rule.Head.Location != nil {
		start = rule.Head.Location.Offset
		end = start + len(rule.Head.Location.Text)
	}
	for _, c := range list {
		if c.loc.Offset >= start && c.loc.Offset < end {
			c.value = true
		}
		if len(c.exprs) == 1 && c.exprs[0].String() == "true" {
			c.value = true // the body of a rule without one
		}
	}
}

func within(inner, outer *ast.Location) bool {
	return inner.File == outer.File && inner.Offset >= outer.Offset &&
		inner.Offset+len(inner.Text) <= outer.Offset+len(outer.Text)
}

// maxText and maxValue bound one line of an explanation.
const (
	maxText  = 120
	maxValue = 80
)

func oneLine(text string) string { return cut(strings.Join(strings.Fields(text), " "), maxText) }

func cut(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}

func valueText(v ast.Value) string {
	if v == nil {
		return "undefined"
	}
	return cut(v.String(), maxValue)
}

// ruleName is a rule's path without "data".
func ruleName(rule *ast.Rule) string {
	ref := rule.Ref().GroundPrefix()
	return strings.TrimPrefix(ref.String(), "data.")
}

// ruleText names a rule and the value that it came to.
func ruleText(rule *ast.Rule, value ast.Value) string {
	text := ruleName(rule)
	if len(rule.Head.Args) > 0 {
		text += "(…)"
	}
	if rule.Location != nil && strings.HasPrefix(string(rule.Location.Text), "else") {
		text += " (else)"
	}
	if rule.Default {
		text += " (default)"
	}
	switch {
	case rule.Head.RuleKind() == ast.MultiValue:
		if value == nil && rule.Head.Key != nil && rule.Head.Key.IsGround() {
			value = rule.Head.Key.Value
		}
		if value != nil {
			text += " contains " + valueText(value)
		}
	case value != nil && value.Compare(ast.Boolean(true)) != 0:
		text += " = " + valueText(value)
	}
	return cut(text, maxText)
}

// maxBindings bounds what is told of one condition.
const maxBindings = 4

// bindings are the parts of a condition with their values, as they were when it was
// evaluated last.
func (t *telling) bindings(cond *condition, c *call) []Binding {
	var out []Binding
	add := func(name string, v ast.Value) {
		name = oneLine(name)
		if len(out) < maxBindings && !slices.ContainsFunc(out, func(b Binding) bool { return b.Name == name }) {
			out = append(out, Binding{name, valueText(v)})
		}
	}
	for _, expr := range cond.exprs {
		s := c.steps[expr]
		if s == nil {
			continue
		}
		made, isDefinition := definition(expr)
		for _, ref := range refsOf(expr) {
			switch path := t.ruleAt(ref); {
			case ref.HasPrefix(ast.InputRootRef):
				add(t.written(expr, ref, isDefinition), t.lookup(ref, s.locals))
			case path != "" && len(ref) > t.rules[path][0].depth():
				add(strings.TrimPrefix(path, "data."), t.valueOf(path))
			}
		}
		ast.WalkVars(expr, func(v ast.Var) bool {
			name, named := t.names[v]
			if value := s.locals.Get(v); named && value != nil && v != made {
				add(string(name), value)
			}
			return false
		})
	}
	// What the compiler named has its value only in the expressions after.
	for i, expr := range cond.exprs {
		made, isDefinition := definition(expr)
		if !isDefinition {
			continue
		}
		for _, later := range cond.exprs[i+1:] {
			if s := c.steps[later]; s != nil && s.locals.Get(made) != nil {
				add(string(expr.Location.Text), s.locals.Get(made))
				break
			}
		}
	}
	return out
}

// depth is how much of a ref leads to the rule; the rest leads into its value.
func (c *call) depth() int { return len(c.rule.Ref().GroundPrefix()) }

// valueOf is what a rule without arguments came to; nil where it is undefined.
func (t *telling) valueOf(path string) ast.Value {
	for _, c := range t.rules[path] {
		if len(c.values) > 0 {
			return c.values[0]
		}
	}
	return nil
}

// written is a ref as the author wrote it.
func (t *telling) written(expr *ast.Expr, ref ast.Ref, isDefinition bool) string {
	if isDefinition {
		return string(expr.Location.Text)
	}
	return ref.String()
}

// definition tells an expression that the compiler made to name a part of another.
func definition(expr *ast.Expr) (name ast.Var, is bool) {
	if expr.Negated || !expr.IsEquality() {
		return "", false
	}
	name, isVar := expr.Operand(0).Value.(ast.Var)
	_, isRef := expr.Operand(1).Value.(ast.Ref)
	return name, isVar && isRef && strings.HasPrefix(string(name), "__local")
}

// lookup finds what the input has at a ref; nil where nothing.
func (t *telling) lookup(ref ast.Ref, locals *ast.ValueMap) ast.Value {
	path := make(ast.Ref, 0, len(ref)-1)
	for _, term := range ref[1:] {
		if name, isVar := term.Value.(ast.Var); isVar {
			value := locals.Get(name)
			if value == nil {
				return nil
			}
			term = ast.NewTerm(value)
		}
		path = append(path, term)
	}
	value, err := t.input.Find(path)
	if err != nil {
		return nil
	}
	return value
}

// refsOf are the refs of an expression, but not those within comprehensions and
// the like, which are queries of their own.
func refsOf(expr *ast.Expr) []ast.Ref {
	var out []ast.Ref
	ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension, *ast.Every:
			return true
		case ast.Ref:
			out = append(out, x)
		}
		return false
	}).Walk(expr)
	return out
}

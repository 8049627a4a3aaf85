package policy

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A policy says `http := input.attributes.request.http` and then reads
// http.method, or `match := input.route if is_object(input.route)` and then reads
// match.id elsewhere. Read by the letter, both take every header and every
// parameter. A variable stands for a part of the input where nothing asks for more
// of it than what lies below constant names, or its type; then binding it only asks
// whether it is there.
type aliasing struct {
	vars   map[ast.Var][]hop
	stands map[**ast.Term]bool // the first terms of the references that bind them
	// mirror is the part of the input that is the rule's value.
	mirror []hop
}

// uses is what a rule does with a variable.
type uses struct {
	bindings []ast.Ref
	bare     int // how often it stands alone, its bindings included
	types    int // how often as the argument of is_object and the like
	dynamic  bool
}

var typeTests = []string{"is_array", "is_boolean", "is_null", "is_number", "is_object", "is_set", "is_string"}

// aliasesOf looks at one link of a rule. Plain: the value of the rule is read only
// through references to it.
func aliasesOf(link *ast.Rule, plain bool) aliasing {
	seen := map[ast.Var]*uses{}
	of := func(v ast.Var) *uses {
		if seen[v] == nil {
			seen[v] = &uses{}
		}
		return seen[v]
	}
	count := func(x any) bool { return countUses(x, of) }
	ast.NewGenericVisitor(count).Walk(link.Head)
	// Where the value lies (m[x].y) is no part of the head to a visitor.
	ast.NewGenericVisitor(count).Walk(link.Head.Reference)
	ast.NewGenericVisitor(count).Walk(link.Body)

	value := ast.Var("")
	if link.Head.Value != nil {
		value, _ = link.Head.Value.Value.(ast.Var)
	}
	a := aliasing{vars: map[ast.Var][]hop{}, stands: map[**ast.Term]bool{}}
	for v, u := range seen {
		if len(u.bindings) != 1 || u.dynamic {
			continue
		}
		ref := u.bindings[0]
		path := constantPath(ref)
		if len(path) != len(ref)-1 {
			continue
		}
		if _, ok := typeReads(path); !ok {
			continue
		}
		switch u.bare - 1 - u.types {
		case 0:
		case 1:
			if !plain || v != value {
				continue
			}
			a.mirror = path
		default:
			continue
		}
		a.vars[v] = path
		a.stands[&ref[0]] = true
	}
	return a
}

func countUses(x any, of func(ast.Var) *uses) bool {
	switch x := x.(type) {
	case *ast.Expr:
		countExpr(x, of)
	case ast.Var:
		of(x).bare++
	case ast.Ref:
		v, local := x[0].Value.(ast.Var)
		if local && len(constantPath(x)) == 0 {
			of(v).dynamic = true
		}
		rest := x
		if local {
			rest = x[1:]
		}
		for _, t := range rest {
			ast.NewGenericVisitor(func(x any) bool { return countUses(x, of) }).Walk(t)
		}
		return true
	}
	return false
}

func countExpr(e *ast.Expr, of func(ast.Var) *uses) {
	if len(e.With) > 0 {
		return
	}
	terms, ok := e.Terms.([]*ast.Term)
	if !ok {
		return
	}
	if e.IsEquality() && len(terms) == 3 && !e.Negated {
		for i := 1; i <= 2; i++ {
			v, isVar := terms[i].Value.(ast.Var)
			ref, isRef := terms[3-i].Value.(ast.Ref)
			if isVar && isRef && ref.HasPrefix(ast.InputRootRef) {
				of(v).bindings = append(of(v).bindings, ref)
			}
		}
		return
	}
	if len(terms) == 2 && slices.Contains(typeTests, terms[0].String()) {
		if v, isVar := terms[1].Value.(ast.Var); isVar {
			of(v).types++
		}
	}
}

package policy

import (
	"fmt"
	"slices"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Keys of a decision that mean nothing are found in two places: here, when the
// policy is loaded, as far as the text shows them (object literals in the entry
// rule's value, rules below it); and in the decision itself, where they are
// logged once each.

// unknownKeys warns of such keys, with the place of each.
func unknownKeys(modules map[string]*ast.Module, entry ast.Ref) []string {
	var out []string
	warn := func(loc *ast.Location, key ast.Value) {
		name, ok := key.(ast.String)
		if ok && decoders[string(name)] == nil {
			out = append(out, fmt.Sprintf("%s: the decision's key %q means nothing here", loc, string(name)))
		}
	}
	for _, module := range modules {
		for _, rule := range module.Rules {
			if len(rule.Head.Args) > 0 {
				continue
			}
			ref := rule.Ref()
			switch {
			case len(ref) > len(entry) && ref.HasPrefix(entry):
				warn(rule.Location, ref[len(entry)].Value)
			case entry.HasPrefix(ref):
				for r := rule; r != nil; r = r.Else {
					for _, object := range literals(r.Head.Value, r.Body, entry[len(ref):]) {
						object.Foreach(func(k, _ *ast.Term) { warn(k.Location, k.Value) })
					}
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// literals are the object literals that a rule's value is made of, below path.
func literals(t *ast.Term, body ast.Body, path ast.Ref) []ast.Object {
	if t == nil {
		return nil
	}
	switch v := t.Value.(type) {
	case ast.Object:
		if len(path) == 0 {
			return []ast.Object{v}
		}
		return literals(v.Get(path[0]), body, path[1:])
	case ast.Var:
		return literals(assigned(v, body), nil, path)
	case ast.Call:
		var out []ast.Object
		if v[0].String() == ast.ObjectUnion.Name {
			for _, arg := range v[1:] {
				out = append(out, literals(arg, body, path)...)
			}
		}
		return out
	}
	return nil
}

// assigned is what the body sets a variable to.
func assigned(name ast.Var, body ast.Body) *ast.Term {
	for _, expr := range body {
		if (expr.IsAssignment() || expr.IsEquality()) && expr.Operand(0).Value.Compare(name) == 0 {
			return expr.Operand(1)
		}
	}
	return nil
}

// maxReported bounds the note: keys can be made from the input.
const maxReported = 32

// reported remembers which unknown keys of one policy have been logged.
type reported struct {
	mu   sync.Mutex
	keys map[string]bool
}

// first says whether a key is to be logged now.
func (r *reported) first(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.keys[key] || len(r.keys) >= maxReported {
		return false
	}
	if r.keys == nil {
		r.keys = map[string]bool{}
	}
	r.keys[key] = true
	return true
}

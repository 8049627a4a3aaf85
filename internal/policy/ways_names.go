package policy

import (
	"maps"
	"regexp"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// vocabulary is what a policy has names for. Each list is in order of discovery and
// without repetition.
type vocabulary struct {
	roles, scopes, subjects []string
	claims, headers         []Change // Name and Value only
}

// read takes what lies under "roles" and "scopes", wherever that is in the data.
func (all *vocabulary) read(v ast.Value) {
	switch v := v.(type) {
	case ast.Object:
		v.Foreach(func(key, value *ast.Term) {
			switch name, _ := key.Value.(ast.String); name {
			case "roles":
				all.roles = note(all.roles, listed(value.Value))
			case "scopes":
				all.scopes = note(all.scopes, listed(value.Value))
			case "prepared": // the same again, worked out
				return
			}
			all.read(value.Value)
		})
	case *ast.Array:
		v.Foreach(func(item *ast.Term) { all.read(item.Value) })
	}
}

func note(list, more []string) []string {
	for _, name := range more {
		if len(list) < maxNames && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

// listed are the texts of a list, or the keys of an object and the texts in it: a
// role hierarchy.
func listed(v ast.Value) []string {
	object, ok := v.(ast.Object)
	if !ok {
		return texts(v)
	}
	var out []string
	object.Foreach(func(key, value *ast.Term) {
		if name, ok := key.Value.(ast.String); ok {
			out = append(out, string(name))
		}
		out = append(out, texts(value.Value)...)
	})
	return out
}

func texts(v ast.Value) []string {
	if v == nil {
		return nil
	}
	list, ok := elements(v)
	if !ok {
		return nil
	}
	var out []string
	for _, item := range list {
		if s, ok := item.Value.(ast.String); ok {
			out = append(out, string(s))
		}
	}
	return out
}

func field(v ast.Value, name string) ast.Value {
	object, ok := v.(ast.Object)
	if !ok {
		return nil
	}
	value := object.Get(ast.StringTerm(name))
	if value == nil {
		return nil
	}
	return value.Value
}

// plainText is "" for what is no text.
func plainText(v ast.Value) string {
	s, _ := v.(ast.String)
	return string(s)
}

// word is what roles, scopes and subjects look like.
var word = regexp.MustCompile(`^[A-Za-z0-9_.:/@-]{1,64}$`)

var (
	rolesRef          = ast.MustParseRef("input.token.roles")
	scopesRef         = ast.MustParseRef("input.token.scopes")
	subjectRef        = ast.MustParseRef("input.token.subject")
	claimsRef         = ast.MustParseRef("input.token.claims")
	requestHeadersRef = ast.MustParseRef("input.attributes.request.http.headers")
)

// readRules takes the words of the rules that look at roles, scopes or the subject,
// and what claims and headers are compared with.
func (all *vocabulary) readRules(compiler *ast.Compiler) {
	for _, name := range slices.Sorted(maps.Keys(compiler.Modules)) {
		ast.WalkRules(compiler.Modules[name], func(rule *ast.Rule) bool {
			all.readRule(rule)
			return false
		})
	}
}

func (all *vocabulary) readRule(rule *ast.Rule) {
	var words []string
	var looksAt [3]bool
	ast.WalkTerms(rule, func(t *ast.Term) bool {
		switch v := t.Value.(type) {
		case ast.String:
			if word.MatchString(string(v)) {
				words = append(words, string(v))
			}
		case ast.Ref:
			for i, ref := range []ast.Ref{rolesRef, scopesRef, subjectRef} {
				looksAt[i] = looksAt[i] || v.HasPrefix(ref)
			}
			return true // the names in a ref are no words
		}
		return false
	})
	for i, list := range []*[]string{&all.roles, &all.scopes, &all.subjects} {
		if looksAt[i] {
			*list = note(*list, words)
		}
	}
	ast.WalkExprs(rule, func(expr *ast.Expr) bool {
		if expr.IsEquality() && !expr.Negated {
			all.compare(expr.Operand(0), expr.Operand(1))
			all.compare(expr.Operand(1), expr.Operand(0))
		}
		return false
	})
}

// compare notes input.token.claims.tenant == "7".
func (all *vocabulary) compare(left, right *ast.Term) {
	ref, isRef := left.Value.(ast.Ref)
	value, isText := right.Value.(ast.String)
	if !isRef || !isText || !ref.IsGround() || len(all.claims)+len(all.headers) >= maxNames {
		return
	}
	switch {
	case ref.HasPrefix(claimsRef) && len(ref) > len(claimsRef):
		path := ""
		for i, t := range ref[len(claimsRef):] {
			if i > 0 {
				path += "."
			}
			path += plainText(t.Value)
		}
		all.claims = append(all.claims, Change{Name: path, Value: string(value)})
	case ref.HasPrefix(requestHeadersRef) && len(ref) == len(requestHeadersRef)+1 && value != "":
		name := plainText(ref[len(ref)-1].Value)
		all.headers = append(all.headers, Change{Name: name, Value: string(value)})
	}
}

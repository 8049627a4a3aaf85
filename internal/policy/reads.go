package policy

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// readings says, for every expression and every rule of a compiled policy, what
// evaluating just it reads of the input. What a rule reads that it refers to is not
// among it: that one is evaluated too, and seen.
type readings struct {
	reads []read         // each once
	index map[string]int // by name; a "?" ends the name of one that asks for the type
	exprs map[any]noted  // by the identity of an expression's terms
	rules map[*ast.Rule]noted
	entry ast.Ref
	// heads are the rules by where their values lie, for finding those that a
	// reference may mean.
	heads []head
	// mirrors are those whose value is no more than another name for a part of the input.
	mirrors []*head
	groups  *groups
	// off says why nothing of this policy may be remembered.
	off string
}

// noted is what one expression or rule head reads, or why a decision that took it
// may not be remembered.
type noted struct {
	reads  []int
	reason string
	// owners are the groups of rules that it is part of, uses those that it refers to.
	owners, uses []int
}

// head is the place of a rule's value and what that value is, where it is no more
// than another name for a part of the input.
type head struct {
	ref    ast.Ref
	alone  bool // no other rule has a value at the same place
	rule   *ast.Rule
	mirror [][]hop // the parts of the input that the links of the rule name
}

// changing are the built-ins whose result is not a function of their arguments
// alone, beside those that OPA says so of: signatures are random, certificates are
// judged by the clock, and zones are files of the host.
var changing = []string{
	"providers.aws.sign_req", "crypto.x509.parse_and_verify_certificates",
	"crypto.x509.parse_and_verify_certificates_with_options",
	"time.add_date", "time.clock", "time.date", "time.diff", "time.format", "time.parse_ns", "time.weekday",
	"http.send", "net.lookup_ip_addr", "opa.runtime", "trace", "print", "internal.print",
}

// newReadings reads a compiled policy once.
func newReadings(compiler *ast.Compiler, entry ast.Ref) *readings {
	d := &readings{index: map[string]int{}, exprs: map[any]noted{}, rules: map[*ast.Rule]noted{}, entry: entry}
	builtins := changingBuiltins(compiler)
	for _, module := range compiler.Modules {
		for _, rule := range module.Rules {
			d.heads = append(d.heads, head{ref: rule.Ref().GroundPrefix(), rule: rule})
		}
	}
	d.groups = newGroups(d.heads, entry)
	aliases := map[*ast.Rule]aliasing{}
	for i := range d.heads {
		h := &d.heads[i]
		h.alone = alone(compiler.RuleTree, h.ref)
		for link := h.rule; link != nil; link = link.Else {
			a := aliasesOf(link, h.alone && isPlain(h.rule))
			aliases[link] = a
			if a.mirror != nil {
				h.mirror = append(h.mirror, a.mirror)
			}
		}
		if len(h.mirror) > 0 {
			d.mirrors = append(d.mirrors, h)
			// Who refers to it is who reads; by itself it asks only whether anything is there.
			d.groups.kept[d.groups.of[i]] = false
		}
		if h.rule.Default && hasClosure(h.rule.Head.Value) {
			d.off = "a default value is worked out"
		}
	}
	d.exprs[entryNote] = d.note(entry, aliasing{}, builtins)
	for i, h := range d.heads {
		owners := []int{d.groups.of[i]}
		for link := h.rule; link != nil; link = link.Else {
			n := d.note(link.Head, aliases[link], builtins)
			n.owners = owners
			d.rules[link] = n
			for _, e := range link.Body {
				d.groups.open[owners[0]] = d.groups.open[owners[0]] || d.groups.isOpen(e)
			}
			ast.WalkExprs(link, func(e *ast.Expr) bool {
				if id := identity(e); id != nil {
					n := d.note(e, aliases[link], builtins)
					n.owners = owners
					if len(e.With) > 0 {
						n.reason = "uses with"
					}
					d.exprs[id] = n.and(d.exprs[id])
				}
				return false
			})
		}
	}
	d.groups.settled()
	d.groups.order(d.rules, d.exprs)
	return d
}

// alone: one rule has a value at the place, and none has one above or below it.
func alone(tree *ast.TreeNode, place ast.Ref) bool {
	for _, t := range place[:len(place)-1] {
		if tree = tree.Child(t.Value); len(tree.Values) > 0 {
			return false
		}
	}
	return tree.Child(place[len(place)-1].Value).Size() == 1
}

// and joins what is noted of an expression that stands in two places.
func (n noted) and(other noted) noted {
	n.reads, n.owners, n.uses = joined(n.reads, other.reads), joined(n.owners, other.owners), joined(n.uses, other.uses)
	if n.reason == "" {
		n.reason = other.reason
	}
	return n
}

// joined never writes into either list: others may hold it.
func joined(a, b []int) []int {
	out := slices.Clone(a)
	for _, i := range b {
		if !slices.Contains(out, i) {
			out = append(out, i)
		}
	}
	return out
}

func changingBuiltins(compiler *ast.Compiler) map[string]bool {
	names := map[string]bool{}
	for _, name := range changing {
		names[name] = true
	}
	for _, b := range ast.Builtins {
		// Schemas are flagged for what they might fetch, which they may not here.
		if b.Nondeterministic && b.Name != ast.JSONMatchSchema.Name && b.Name != ast.JSONSchemaVerify.Name {
			names[b.Name] = true
		}
	}
	if allowed := compiler.Capabilities(); allowed != nil && (allowed.AllowNet == nil || len(allowed.AllowNet) > 0) {
		names[ast.JSONMatchSchema.Name], names[ast.JSONSchemaVerify.Name] = true, true
	}
	return names
}

// identity is the same for an expression and for the copy without its negation that
// OPA evaluates in its place.
func identity(e *ast.Expr) any {
	if terms, ok := e.Terms.([]*ast.Term); ok {
		if len(terms) == 0 {
			return nil
		}
		return &terms[0]
	}
	return e.Terms
}

// isPlain: a rule with one value, no function, no set, no object.
func isPlain(r *ast.Rule) bool {
	return len(r.Head.Args) == 0 && r.Head.Key == nil && r.Head.RuleKind() == ast.SingleValue &&
		r.Ref().IsGround() && !r.Default
}

func hasClosure(t *ast.Term) bool {
	found := false
	ast.WalkClosures(t, func(any) bool { found = true; return true })
	return found
}

// No built-in bears the name of a document: comparing these is cheaper than spelling a
// reference.
var inputName, dataName = ast.InputRootDocument.Value.(ast.Var), ast.DefaultRootDocument.Value.(ast.Var)

// note lists what an expression or a head reads, with everything nested in it.
func (d *readings) note(x any, a aliasing, builtins map[string]bool) noted {
	var n noted
	add := func(reads []read) {
		for _, r := range reads {
			if i := d.intern(r); !slices.Contains(n.reads, i) {
				n.reads = append(n.reads, i)
			}
		}
	}
	ast.WalkRefs(x, func(ref ast.Ref) bool {
		path := constantPath(ref)
		name, _ := ref[0].Value.(ast.Var)
		// The input itself is a path of no steps.
		alias, stands := a.vars[name]
		switch {
		case ref.HasPrefix(ast.InputRootRef):
			if !a.stands[&ref[0]] {
				add(inputReads(path))
			} else {
				reads, _ := typeReads(path)
				add(reads)
			}
		case ref.HasPrefix(ast.DefaultRootRef):
			add(d.mirrored(ref, path))
			n.uses = d.groups.meant(ref, n.uses)
		case stands:
			add(inputReads(append(slices.Clone(alias), path...)))
		}
		if name != inputName && name != dataName && builtins[ref.String()] {
			n.reason = "calls " + ref.String()
		}
		return false
	})
	slices.Sort(n.reads)
	return n
}

// mirrored are the parts of the input that a reference to rules means, where their
// value is no more than such a part.
func (d *readings) mirrored(ref ast.Ref, path []hop) (all []read) {
	prefix := ref[:len(path)+1]
	for _, h := range d.mirrors {
		var rest []hop
		switch {
		case prefix.HasPrefix(h.ref):
			rest = path[len(h.ref)-1:]
		case !h.ref.HasPrefix(prefix):
			continue
		}
		for _, m := range h.mirror {
			all = append(all, inputReads(append(slices.Clone(m), rest...))...)
		}
	}
	return all
}

func (d *readings) intern(r read) int {
	id := r.name
	if r.shallow {
		id += "?"
	}
	if i, ok := d.index[id]; ok {
		return i
	}
	d.reads = append(d.reads, r)
	d.index[id] = len(d.reads) - 1
	return len(d.reads) - 1
}

// constantPath is what follows the head of a reference, up to where it depends on
// anything.
func constantPath(ref ast.Ref) (path []hop) {
	for _, t := range ref[1:] {
		switch v := t.Value.(type) {
		case ast.String:
			path = append(path, hop{string(v), -1})
		case ast.Number:
			i, ok := v.Int()
			if !ok || i < 0 {
				return path
			}
			path = append(path, hop{"", i})
		default:
			return path
		}
	}
	return path
}

// whole leaves out what a read beside it says already.
func (d *readings) whole(list []int) []int {
	return slices.DeleteFunc(slices.Clone(list), func(i int) bool {
		r := &d.reads[i]
		return slices.ContainsFunc(list, func(j int) bool {
			other := &d.reads[j]
			if i == j || other.leaf != r.leaf || other.shallow {
				return false
			}
			return len(other.path) <= len(r.path) && slices.Equal(other.path, r.path[:len(other.path)])
		})
	})
}

package policy

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// groups are the rules of a policy by the places where their values lie: all that
// define one value are one group. Which groups an expression refers to is known
// beforehand, by the letter; a reference that is not all constant means every group
// that it might lead to.
type groups struct {
	root  groupNode
	of    []int // by head: its group
	heads [][]head
	// kept: the group is one value at a constant place and nothing else lies above or
	// below, so that OPA asks for it, and is told of it, as a whole.
	kept []bool
	// plain: the group is one value at a constant place. open: it may have more than one
	// value, and some body of it may end before the last if who asked wants no more.
	plain, open []bool
	// rank numbers them so that each comes after all that it refers to.
	rank, byRank []int
	// circle: there is no such order.
	circle bool
}

// groupNode is one step of a place.
type groupNode struct {
	below map[ast.String]*groupNode
	here  []int // groups
}

func newGroups(heads []head, entry ast.Ref) *groups {
	g := &groups{of: make([]int, len(heads))}
	for i, h := range heads {
		node, all := &g.root, true
		for _, t := range h.ref[1:] {
			name, ok := t.Value.(ast.String)
			if all = ok; !ok {
				break
			}
			if node.below == nil {
				node.below = map[ast.String]*groupNode{}
			}
			next := node.below[name]
			if next == nil {
				next = &groupNode{}
				node.below[name] = next
			}
			node = next
		}
		if len(node.here) == 0 {
			node.here = []int{len(g.heads)}
			g.heads = append(g.heads, nil)
			g.kept = append(g.kept, true)
		}
		n := node.here[0]
		g.of[i] = n
		g.heads[n] = append(g.heads[n], h)
		single := len(h.rule.Head.Args) == 0 && h.rule.Head.Key == nil && h.rule.Head.RuleKind() == ast.SingleValue
		g.kept[n] = g.kept[n] && all && single && h.rule.Ref().IsGround() && !h.ref.Equal(entry)
	}
	g.plain, g.open = slices.Clone(g.kept), make([]bool, len(g.kept))
	g.root.alone(g, false)
	return g
}

// alone takes groups out that have others above or below them.
func (n *groupNode) alone(g *groups, above bool) {
	for _, i := range n.here {
		if above || len(n.below) > 0 {
			g.kept[i] = false
		}
	}
	for _, next := range n.below {
		next.alone(g, above || len(n.here) > 0)
	}
}

// meant adds the groups that a reference may lead to.
func (g *groups) meant(ref ast.Ref, to []int) []int {
	node := &g.root
	add := func(list []int) {
		for _, i := range list {
			if !slices.Contains(to, i) {
				to = append(to, i)
			}
		}
	}
	for _, t := range ref[1:] {
		name, ok := t.Value.(ast.String)
		if !ok {
			break // anything below
		}
		if node = node.below[name]; node == nil {
			return to
		}
		add(node.here)
	}
	node.all(add)
	return to
}

func (n *groupNode) all(visit func([]int)) {
	visit(n.here)
	for _, next := range n.below {
		next.all(visit)
	}
}

// isOpen: OPA, told by who asked that one solution is enough, leaves this expression
// before its last, and never sees that the rest contradict the first. That is so of walk
// and of references that go through several rules; of lists and of what is only data it
// sees them all. What is nested ends by itself, whoever asked.
func (g *groups) isOpen(e *ast.Expr) (open bool) {
	ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension, *ast.Every, *ast.Not, *ast.LogicalAnd, *ast.LogicalOr:
			return true
		case ast.Ref:
			open = open || relations[x.String()] || g.several(x)
		}
		return open
	}).Walk(e)
	return open
}

var relations = func() map[string]bool {
	names := map[string]bool{}
	for _, b := range ast.Builtins {
		if b.Relation {
			names[b.Name] = true
		}
	}
	return names
}()

// settled closes the groups that have but one value, however it is come by.
func (g *groups) settled() {
	for i, heads := range g.heads {
		var one *ast.Term
		same := true
		for _, h := range heads {
			for link := h.rule; link != nil && !link.Default; link = link.Else {
				v := link.Head.Value
				same = same && v != nil && v.IsGround() && (one == nil || one.Equal(v))
				one = v
			}
		}
		g.open[i] = g.open[i] && !same
	}
}

// several: the reference may go through several rules, or the parts of one.
func (g *groups) several(ref ast.Ref) bool {
	if ref.IsGround() || !ref.HasPrefix(ast.DefaultRootRef) {
		return false
	}
	node := &g.root
	for _, t := range ref[1:] {
		name, ok := t.Value.(ast.String)
		if !ok {
			return true
		}
		if node = node.below[name]; node == nil {
			return false // only data
		}
		if len(node.here) > 0 && len(node.below) == 0 {
			return !g.plain[node.here[0]]
		}
	}
	return true
}

// find is the group that is kept at just this place; -1 where there is none.
func (g *groups) find(ref ast.Ref) int {
	if len(ref) < 2 || ref[0].Value.Compare(ast.DefaultRootDocument.Value) != 0 {
		return -1
	}
	node := &g.root
	for _, t := range ref[1:] {
		name, ok := t.Value.(ast.String)
		if !ok {
			return -1
		}
		if node = node.below[name]; node == nil {
			return -1
		}
	}
	if len(node.here) == 0 || !g.kept[node.here[0]] {
		return -1
	}
	return node.here[0]
}

// order ranks the groups. The notes are complete by now.
func (g *groups) order(rules map[*ast.Rule]noted, exprs map[any]noted) {
	uses := make([][]int, len(g.heads))
	collect := func(n noted) {
		for _, owner := range n.owners {
			uses[owner] = joined(uses[owner], n.uses)
		}
	}
	for _, n := range rules {
		collect(n)
	}
	for _, n := range exprs {
		collect(n)
	}
	g.rank = make([]int, len(g.heads))
	state := make([]byte, len(g.heads)) // 1: under way, 2: ranked
	var visit func(i int)
	visit = func(i int) {
		state[i] = 1
		for _, used := range uses[i] {
			switch state[used] {
			case 0:
				visit(used)
			case 1:
				g.circle = true
			}
		}
		state[i] = 2
		g.rank[i] = len(g.byRank)
		g.byRank = append(g.byRank, i)
	}
	for i := range g.heads {
		if state[i] == 0 {
			visit(i)
		}
	}
}

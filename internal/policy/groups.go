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

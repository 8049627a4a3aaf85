package policy

import (
	mathbits "math/bits"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// maxRecorded bounds what recording may cost. An evaluation of more steps is asked
// again without, and its route is left alone.
const maxRecorded = 20_000

// recorder notes what one evaluation read of the input: it is told of every
// expression that OPA evaluates and of every rule it enters, and knows what each of
// them reads. With rule indexing off, nothing else reads anything.
//
// That makes what it noted enough to tell decisions apart. Take a second request
// with the same values at those places: its evaluation begins with the same
// expression, which reads the same values and comes to the same result, so it goes
// on with the same expression, to the end.
type recorder struct {
	of     *readings
	cancel topdown.Cancel
	seen   bits // the reads
	groups []recorded
	events int
	reason string // why this decision may not be remembered
	heavy  bool
	// stranger: something was evaluated that belongs to no group.
	stranger bool
}

// recorded is what one evaluation made of a group of rules.
type recorded struct {
	reads, uses bits
	reason      string
	touched     bool
	exits       int // of its rules, without coming back to look for more
}

// bits is a set of small numbers.
type bits []uint64

func newBits(n int) bits { return make(bits, (n+63)/64) }
func (b bits) add(i int) { b[i/64] |= 1 << (i % 64) }
func (b bits) join(other bits) {
	for i, w := range other {
		b[i] |= w
	}
}

func newRecorder(of *readings, cancel topdown.Cancel) *recorder {
	n := len(of.groups.heads)
	r := &recorder{of: of, cancel: cancel, groups: make([]recorded, n)}
	reads, uses := len(newBits(len(of.reads))), len(newBits(n))
	all := make(bits, reads+n*(reads+uses))
	r.seen, all = all[:reads], all[reads:]
	for i := range r.groups {
		r.groups[i].reads, r.groups[i].uses, all = all[:reads], all[reads:reads+uses], all[reads+uses:]
	}
	r.note(of.exprs[entryNote])
	return r
}

// Enabled implements topdown.QueryTracer.
func (r *recorder) Enabled() bool { return true }

// Config implements topdown.QueryTracer.
func (r *recorder) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

// TraceEvent implements topdown.QueryTracer.
func (r *recorder) TraceEvent(event topdown.Event) {
	if r.events++; r.events == maxRecorded {
		r.heavy = true
		r.cancel.Cancel()
	}
	switch node := event.Node.(type) {
	case *ast.Expr:
		if event.Op != topdown.EvalOp {
			return
		}
		n, known := r.of.exprs[identity(node)]
		if !known && !r.of.isEntry(node) {
			r.reason, r.stranger = "an expression that is in no rule", true
		}
		r.note(n)
	case *ast.Rule:
		n, known := r.of.rules[node]
		switch event.Op {
		case topdown.EnterOp:
		case topdown.ExitOp:
			r.left(n, 1)
			return
		case topdown.RedoOp:
			r.left(n, -1)
			return
		default:
			return
		}
		if !known {
			r.reason, r.stranger = "a rule that is in no module", true
		}
		r.note(n)
	}
}

// unfinished: a rule was left at its first solution that might have others, and what
// contradicts the first was not met. OPA meets it or not by who asks first, and that is
// not the same with rule indexing off, or where other rules are remembered.
func (r *recorder) unfinished() bool {
	for i := range r.groups {
		if r.groups[i].exits != 0 && r.of.groups.open[i] {
			return true
		}
	}
	return false
}

func (r *recorder) left(n noted, times int) {
	for _, owner := range n.owners {
		r.groups[owner].exits += times
	}
}

func (r *recorder) note(n noted) {
	for _, i := range n.reads {
		r.seen.add(i)
	}
	if n.reason != "" {
		r.reason = n.reason
	}
	for _, owner := range n.owners {
		g := &r.groups[owner]
		g.touched = true
		for _, i := range n.reads {
			g.reads.add(i)
		}
		for _, i := range n.uses {
			g.uses.add(i)
		}
		if n.reason != "" {
			g.reason = n.reason
		}
	}
}

// recalled notes a group that was not evaluated, because its value was remembered: what
// it read then is as good as read now.
func (r *recorder) recalled(group int, s shape) {
	r.groups[group].touched = true
	for _, i := range s {
		r.seen.add(i)
		r.groups[group].reads.add(i)
	}
}

// settle adds to each group what those read that it refers to. An expression counts for
// the rule that it is written in, whoever had it evaluated: a value may come from one of
// OPA's own caches, and was worked out on behalf of somebody else.
func (r *recorder) settle() {
	for _, i := range r.of.groups.byRank {
		g := &r.groups[i]
		if !g.touched {
			continue
		}
		for w, word := range g.uses {
			for ; word != 0; word &= word - 1 {
				used := &r.groups[w*64+mathbits.TrailingZeros64(word)]
				if !used.touched {
					continue
				}
				g.reads.join(used.reads)
				if used.reason != "" {
					g.reason = used.reason
				}
			}
		}
	}
}

// reads lists what was noted.
func (r *recorder) reads() []int { return r.list(r.seen) }

func (r *recorder) list(seen bits) []int {
	var list []int
	for w, word := range seen {
		for ; word != 0; word &= word - 1 {
			list = append(list, w*64+mathbits.TrailingZeros64(word))
		}
	}
	return r.of.whole(list)
}

// entryKey names the note on the entry point, which is asked by no rule.
type entryKey struct{}

var entryNote = entryKey{}

// isEntry: the query itself reads nothing but the entry point.
func (d *readings) isEntry(e *ast.Expr) bool {
	clean := len(e.With) == 0
	ast.WalkRefs(e, func(ref ast.Ref) bool {
		clean = clean && (ref.Equal(d.entry) || slices.Contains([]string{"eq", "assign"}, ref.String()))
		return !clean
	})
	return clean
}

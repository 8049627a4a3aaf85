package policy

import (
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
	seen   []uint64 // bits: the reads
	events int
	reason string // why this decision may not be remembered
	heavy  bool
}

func newRecorder(of *readings, cancel topdown.Cancel) *recorder {
	r := &recorder{of: of, cancel: cancel, seen: make([]uint64, (len(of.reads)+63)/64)}
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
			r.reason = "an expression that is in no rule"
		}
		r.note(n)
	case *ast.Rule:
		if event.Op != topdown.EnterOp {
			return
		}
		n, known := r.of.rules[node]
		if !known {
			r.reason = "a rule that is in no module"
		}
		r.note(n)
	}
}

func (r *recorder) note(n noted) {
	for _, i := range n.reads {
		r.seen[i/64] |= 1 << (i % 64)
	}
	if n.reason != "" {
		r.reason = n.reason
	}
}

// reads lists what was noted.
func (r *recorder) reads() []int {
	var list []int
	for i := range r.of.reads {
		if r.seen[i/64]&(1<<(i%64)) != 0 {
			list = append(list, i)
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

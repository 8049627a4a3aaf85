package policy

import (
	"slices"
	"strings"
)

// quotaRef is an element of a quota's key that was a reference into the input. Who
// it names differs from request to request where the decision does not, so a
// remembered decision holds the reference and every request follows it for itself.
type quotaRef struct {
	quota, element int
	path           string
	leaf           *leaf // reads it without the input being built
	below          []hop
}

// bind finds how to follow a reference. Not ok: it can only be followed in the input
// itself, and the decision that holds it is not remembered.
func (q *quotaRef) bind() bool {
	at := inputTree
	names := strings.Split(q.path, ".")
	for i, name := range names {
		if at = at.children[name]; at == nil {
			return false
		}
		if at.leaf == nil {
			continue
		}
		for _, below := range names[i+1:] {
			q.below = append(q.below, hop{below, -1})
		}
		q.leaf, q.path = at.leaf, strings.Clone(q.path)
		return q.leaf.text != nil
	}
	return false
}

// charged is the decision for this request: the remembered one, with the keys of
// its quotas filled in. Not ok: a reference leads nowhere, which is for a full
// evaluation to say.
func (e *entry) charged(s *subject) (*Result, bool) {
	if len(e.quotas) == 0 {
		return e.result, true
	}
	out := *e.result
	out.Quotas = slices.Clone(e.result.Quotas)
	size := 0
	for i := range out.Quotas {
		size += len(out.Quotas[i].Key)
	}
	all := make([]string, 0, size)
	for i := range out.Quotas {
		start := len(all)
		all = append(all, out.Quotas[i].Key...)
		out.Quotas[i].Key = all[start:len(all):len(all)]
	}
	for i := range e.quotas {
		q := &e.quotas[i]
		text, ok := q.leaf.text(s, q.below)
		if !ok {
			return nil, false
		}
		out.Quotas[q.quota].Key[q.element] = text
	}
	return &out, true
}

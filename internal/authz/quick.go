package authz

import (
	"context"

	"authz/internal/check"
	"authz/internal/policy"
	"authz/internal/ratelimit"
)

// Quick decides a request like Decide, if everything that it takes is at hand: a token
// that was verified before, a decision that was made before, quotas that are counted
// in this process. It then also records the decision. Where it says no, nothing was
// charged or recorded, and Decide has to be asked.
//
// It waits for nothing, and it keeps nothing of the request: its text may be gone as
// soon as the caller is done with the decision. The decision's own texts may lie in
// space, which is not to be used again before that.
//
// Of its stages only the quotas are timed: looking up the rest takes about as long as
// asking for the time.
func (a *Authorizer) Quick(r *check.Request, space *Space) (d *Decision, ok bool) {
	if r.Fault != nil {
		return nil, false
	}
	start := a.now()
	token, ok := a.tokens.Known(r.HTTP.Headers, start)
	if !ok || token.Status == check.TokenUnavailable {
		return nil, false
	}
	result, ok := a.policy.Cached(r, token)
	if !ok || !a.countsHere(result) {
		return nil, false
	}
	c := &space.course
	*c = course{Authorizer: a, request: r, start: start}
	if a.audit.On() {
		c.describe()
		c.noteToken(token)
	}
	c.noteResult(result)
	d = &space.decision
	d.take(result)
	d.settle(context.Background(), c, result)
	a.finish(c, d, space.id[:])
	return d, true
}

// Space is memory for a decision, to be used for one after the other.
type Space struct {
	id       [36]byte
	course   course
	decision Decision
}

// Forget lets go of what the decision refers to.
func (s *Space) Forget() { s.course, s.decision = course{}, Decision{} }

// countsHere says that the quotas of a decision can be counted without waiting.
func (a *Authorizer) countsHere(r *policy.Result) bool {
	if len(r.Quotas) == 0 {
		return true
	}
	_, here := a.quotas.(*ratelimit.Memory)
	return here
}

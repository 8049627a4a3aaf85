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
func (a *Authorizer) Quick(r *check.Request, space *Space) (d Decision, ok bool) {
	if r.Fault != nil {
		return Decision{}, false
	}
	c := course{Authorizer: a, request: r, start: a.now()}
	token, ok := a.tokens.Known(r.HTTP.Headers, c.start)
	if !ok || token.Status == check.TokenUnavailable {
		return Decision{}, false
	}
	result, ok := a.policy.Cached(r, token)
	if !ok || !a.countsHere(result) {
		return Decision{}, false
	}
	c.describe()
	c.noteToken(token)
	c.noteResult(result)
	c.stages.Policy = c.lap() - c.stages.Token
	d = fromResult(result)
	d.settle(context.Background(), &c, result)
	return a.finish(&c, d, space.id[:]), true
}

// Space is memory that a decision needs for itself.
type Space struct{ id [36]byte }

// countsHere says that the quotas of a decision can be counted without waiting.
func (a *Authorizer) countsHere(r *policy.Result) bool {
	if len(r.Quotas) == 0 {
		return true
	}
	_, here := a.quotas.(*ratelimit.Memory)
	return here
}

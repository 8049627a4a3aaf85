package authz

import (
	"context"
	"time"

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
	if !ok {
		return nil, false
	}
	quotas, ok := a.ahead(start, result)
	if !ok {
		return nil, false
	}
	c := &space.course
	*c = course{Authorizer: a, request: r, start: start, asks: c.asks, asked: c.asked, states: c.states}
	if a.audit.On() {
		c.describe()
		c.noteToken(token)
	}
	c.noteResult(result)
	d = &space.decision
	d.take(result)
	if quotas.asked != nil {
		d.charge(c, result, quotas.asked, quotas.verdict)
	} else {
		d.settle(context.Background(), c, result)
	}
	a.finish(c, d, space.id[:])
	return d, true
}

// Space is memory for a decision, to be used for one after the other.
type Space struct {
	id       [36]byte
	course   course
	decision Decision
}

// Forget lets go of what the decision refers to, and keeps the room.
func (s *Space) Forget() {
	c := &s.course
	clear(c.asks)
	clear(c.asked)
	clear(c.states)
	*c = course{asks: c.asks[:0], asked: c.asked[:0], states: c.states[:0]}
	s.decision = Decision{}
}

// answered is what quotas have said ahead of the decision.
type answered struct {
	asked   []*policy.Quota
	verdict ratelimit.Verdict
}

// ahead says that the quotas of a decision can be counted without waiting. The store
// that replicas share has to be asked to know, and has then charged them.
func (a *Authorizer) ahead(now time.Time, r *policy.Result) (answered, bool) {
	if len(r.Quotas) == 0 {
		return answered{}, true
	}
	shared, ok := a.quotas.(interface {
		Quick(time.Time, []ratelimit.Ask) (ratelimit.Verdict, bool)
	})
	if !ok {
		_, here := a.quotas.(*ratelimit.Memory)
		return answered{}, here
	}
	for i := range r.Quotas {
		if r.Quotas[i].Shadow { // each would have to be asked as well
			return answered{}, false
		}
	}
	list, asked := asks(r, nil, nil)
	if len(list) == 0 {
		return answered{}, true
	}
	verdict, ok := shared.Quick(now, list)
	return answered{asked, verdict}, ok
}

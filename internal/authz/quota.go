package authz

import (
	"context"
	"errors"
	"time"

	"authz/internal/policy"
	"authz/internal/ratelimit"
)

// settle charges the quotas of a decision and turns it into Limited where one is
// spent. What an allowed request is charged for and what a refused one is charged
// for differs by the quota's charge:
//
//	charge    allowed      refused
//	request   taken        –
//	denied    looked at    taken
//	failed    looked at    –
//
// A quota that is only looked at still refuses when it is spent: that is how five
// failed log-ins close the door on the sixth.
func (d *Decision) settle(ctx context.Context, c *course, result *policy.Result) {
	if len(result.Quotas) == 0 {
		return
	}
	before := c.lap()
	// Counted as of now, not as of when the request came: a lease that has ended while
	// the policy was evaluated is not used any more.
	if d.enforce(ctx, c, c.start.Add(before), result) {
		d.watch(ctx, c, result)
	}
	c.stages.Quota = c.lap() - before
}

// enforce takes the quotas that are not in shadow, together, and says whether the
// request passes them.
func (d *Decision) enforce(ctx context.Context, c *course, now time.Time, result *policy.Result) bool {
	c.asks, c.asked = asks(result, c.asks[:0], c.asked[:0])
	if len(c.asks) == 0 {
		return true
	}
	verdict, err := c.quotas.Take(ctx, now, c.asks)
	if err != nil {
		headers := d.ResponseHeaders
		*d = c.failed("quota_error", err.Error())
		if errors.Is(err, ratelimit.ErrStore) {
			d.Outcome, d.Reasons = Unavailable, []string{"quota_unavailable"}
		}
		d.ResponseHeaders = headers
		return false
	}
	return d.charge(c, result, c.asked, verdict)
}

// charge takes in what the quotas have answered.
func (d *Decision) charge(c *course, result *policy.Result, asked []*policy.Quota, verdict ratelimit.Verdict) bool {
	if verdict.Fallback != "" {
		c.storeAway = true
		defer func() { // after the quota that refused, which is the reason
			d.Reasons = append(d.Reasons[:len(d.Reasons):len(d.Reasons)], "quota_fallback_"+string(verdict.Fallback))
		}()
	}
	c.states = c.states[:0]
	for i, state := range verdict.States { // none where nobody counted
		q := asked[i]
		c.states = append(c.states, QuotaState{
			Name: q.Name, Limit: q.Limit, Window: q.Window,
			Remaining: state.Remaining, Reset: state.Reset, RetryAfter: state.RetryAfter,
		})
	}
	d.Quotas = c.states
	if verdict.Allowed {
		return true
	}
	// What the policy meant for the client (CORS headers above all) goes with the
	// 429 as well: the browser hides an answer without them from its page.
	headers := result.ResponseHeaders
	if !result.Allowed {
		headers = result.Headers
	}
	spent := d.Quotas[verdict.Refused]
	c.record.Quota = spent.Name
	*d = Decision{
		Outcome:         Limited,
		ResponseHeaders: headers,
		Metadata:        d.Metadata,
		Quotas:          d.Quotas,
		Spent:           verdict.Refused,
		Reasons:         append(d.Reasons[:len(d.Reasons):len(d.Reasons)], "quota_"+spent.Name),
	}
	return false
}

// asks appends the questions to the quotas that are enforced, and whose they are.
func asks(result *policy.Result, list []ratelimit.Ask, of []*policy.Quota) ([]ratelimit.Ask, []*policy.Quota) {
	for i := range result.Quotas {
		q := &result.Quotas[i]
		if question, asked := ask(q, result.Allowed); asked && !q.Shadow {
			list, of = append(list, question), append(of, q)
		}
	}
	return list, of
}

// ask is the question to a quota, if this decision is one that it counts or looks at.
func ask(q *policy.Quota, allowed bool) (question ratelimit.Ask, asked bool) {
	if !allowed && q.Charge != policy.ChargeDenied {
		return ratelimit.Ask{}, false
	}
	charged := allowed == (q.Charge == policy.ChargeRequest)
	return ratelimit.Ask{
		Limit: ratelimit.Limit{Name: q.Name, Key: q.Key, Limit: q.Limit, Burst: q.Burst, Cost: q.Cost, Window: q.Window},
		Peek:  !charged,
	}, true
}

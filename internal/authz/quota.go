package authz

import (
	"context"

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
	asks, asked := asks(result)
	if len(asks) == 0 {
		return
	}
	before := c.lap()
	verdict, err := c.quotas.Take(ctx, c.start, asks)
	c.stages.Quota = c.lap() - before
	if err != nil {
		headers := d.ResponseHeaders
		*d = c.failed("quota_error", err.Error())
		d.ResponseHeaders = headers
		return
	}
	d.Quotas = make([]QuotaState, len(asks))
	for i, state := range verdict.States {
		q := asked[i]
		d.Quotas[i] = QuotaState{
			Name: q.Name, Limit: q.Limit, Window: q.Window,
			Remaining: state.Remaining, Reset: state.Reset, RetryAfter: state.RetryAfter,
		}
	}
	if verdict.Allowed {
		return
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
}

func asks(result *policy.Result) ([]ratelimit.Ask, []policy.Quota) {
	if len(result.Quotas) == 0 {
		return nil, nil
	}
	list := make([]ratelimit.Ask, 0, len(result.Quotas))
	of := make([]policy.Quota, 0, len(result.Quotas))
	for _, q := range result.Quotas {
		if !result.Allowed && q.Charge != policy.ChargeDenied {
			continue
		}
		charged := result.Allowed == (q.Charge == policy.ChargeRequest)
		list = append(list, ratelimit.Ask{
			Limit: ratelimit.Limit{Name: q.Name, Key: q.Key, Limit: q.Limit, Burst: q.Burst, Cost: q.Cost, Window: q.Window},
			Peek:  !charged,
		})
		of = append(of, q)
	}
	return list, of
}

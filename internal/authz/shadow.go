package authz

import (
	"context"
	"fmt"

	"authz/internal/policy"
	"authz/internal/ratelimit"
)

// A quota in shadow is one on trial: it is counted as if it were enforced, what it
// would have refused is reported, and the request never feels it. So each is taken by
// itself, after the enforced ones have let the request pass: it neither blocks nor
// consumes with them, and a request that they refuse is charged to neither.

// watch asks the quotas in shadow. What a fallback counts is none of what a trial is
// about, and a store that is away is waited for once, not once a quota.
func (d *Decision) watch(ctx context.Context, c *course, result *policy.Result) {
	for i := range result.Quotas {
		q := &result.Quotas[i]
		question, asked := ask(q, result.Allowed)
		if !q.Shadow || !asked {
			continue
		}
		state := ShadowState{Name: q.Name, Lost: true}
		if !c.storeAway {
			verdict, err := c.quotas.Take(ctx, c.start.Add(c.lap()), []ratelimit.Ask{question})
			state.Lost = err != nil || verdict.Fallback != ""
			state.Passed = verdict.Allowed && !state.Lost
			c.storeAway = state.Lost
			if err != nil {
				c.record.Error = fmt.Sprintf("shadow quota %q was not counted: %v", q.Name, err)
			}
		}
		d.Shadows = append(d.Shadows, state)
	}
}

// recorded is the reasons of a decision as the log has them: after those that made it,
// what quotas in shadow would have added.
func (d *Decision) recorded() []string {
	reasons := d.Reasons[:len(d.Reasons):len(d.Reasons)]
	for i := range d.Shadows {
		if s := &d.Shadows[i]; !s.Passed && !s.Lost {
			reasons = append(reasons, "shadow_quota_"+s.Name)
		}
	}
	return reasons
}

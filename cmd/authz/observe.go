package main

import (
	"authz/internal/authz"
	"authz/internal/ops"
)

// observe hands a decision to the metrics.
func (s *sidecar) observe(o authz.Observation) {
	s.metrics.Observe(ops.Observation{
		Outcome: o.Outcome.String(), Reasons: o.Reasons, Route: o.Route,
		Token: o.Token, Policy: o.Policy, Quota: o.Quota, Total: o.Total,
	})
	quotaOutcomes(&o, s.metrics.Quota)
}

// quotaOutcomes tells what each quota said. Of a request that one refused, the others
// say nothing: they were not charged.
func quotaOutcomes(o *authz.Observation, count func(name string, outcome ops.QuotaOutcome)) {
	if o.Spent != "" {
		count(o.Spent, ops.QuotaLimited)
		return
	}
	for i := range o.Quotas {
		count(o.Quotas[i].Name, ops.QuotaAllowed)
	}
	for i := range o.Shadows {
		switch shadow := &o.Shadows[i]; {
		case shadow.Lost:
			count(shadow.Name, ops.QuotaShadowLost)
		case shadow.Passed:
			count(shadow.Name, ops.QuotaShadowAllowed)
		default:
			count(shadow.Name, ops.QuotaShadowLimited)
		}
	}
}

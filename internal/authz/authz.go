// Package authz answers one question: what becomes of this request?
//
// It owns the order of the questions: is the request itself sound, who is asking,
// what does the policy say, do the quotas hold. Decide asks them, records the
// answer and returns it; nothing else makes a decision, and no decision goes
// unrecorded. It knows neither protobuf, nor HTTP answers, nor OPA.
package authz

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"authz/internal/audit"
	"authz/internal/check"
	"authz/internal/policy"
	"authz/internal/ratelimit"
)

// Verifier says who is asking. It never fails: what went wrong is in the token.
type Verifier interface {
	Verify(ctx context.Context, h check.Headers, now time.Time) *check.Token
	// Known is Verify where the answer is at hand.
	Known(h check.Headers, now time.Time) (*check.Token, bool)
}

// Quotas charges quotas, all of a decision or none.
type Quotas interface {
	Take(ctx context.Context, now time.Time, asks []ratelimit.Ask) (ratelimit.Verdict, error)
}

// Authorizer decides. Its fields are set once, by New.
type Authorizer struct {
	tokens  Verifier
	policy  *policy.Engine
	quotas  Quotas
	audit   *audit.Log
	observe func(Observation)
	log     *slog.Logger
	now     func() time.Time
	path    string
}

// Parts are what an Authorizer asks. Observe may be nil.
type Parts struct {
	Tokens  Verifier
	Policy  *policy.Engine
	Quotas  Quotas
	Audit   *audit.Log
	Observe func(Observation)
	Log     *slog.Logger
	Now     func() time.Time
	// PolicyPath is the policy's entry point, for the record.
	PolicyPath string
}

// New puts the parts together. It starts nothing.
func New(p Parts) *Authorizer {
	a := &Authorizer{
		tokens: p.Tokens, policy: p.Policy, quotas: p.Quotas, audit: p.Audit,
		observe: p.Observe, log: p.Log, now: p.Now, path: p.PolicyPath,
	}
	if a.observe == nil {
		a.observe = func(Observation) {}
	}
	return a
}

// Observation is what metrics learn of a decision.
type Observation struct {
	Outcome Outcome
	Reasons []string
	Route   string
	// Quotas are those that were asked. Spent names the one that refused; empty where
	// none did.
	Quotas []QuotaState
	Spent  string
	// Shadows are those that were asked and are not enforced.
	Shadows []ShadowState
	Stages
}

// Stages are how long each question took; zero where it was not asked.
type Stages struct{ Token, Policy, Quota, Total time.Duration }

// Decide answers a request and records the answer. It never fails: what can't be
// decided is a decision that refuses.
func (a *Authorizer) Decide(ctx context.Context, r *check.Request) (d Decision) {
	c := a.begin(r)
	defer func() {
		if p := recover(); p != nil {
			a.log.Error("panic while deciding", "request_id", r.ID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			d = c.failed("panic", fmt.Sprint(p))
		}
		a.finish(c, &d, make([]byte, 36))
	}()
	return c.decide(ctx)
}

// Fail records that the front door itself could not handle a check (a panic, an
// undecodable message) and returns the refusal. r may be nil.
func (a *Authorizer) Fail(r *check.Request, outcome Outcome, reason, detail string) Decision {
	if r == nil {
		r = &check.Request{}
	}
	c := a.begin(r)
	c.record.Error = detail
	d := Decision{Outcome: outcome, Spent: -1, Reasons: []string{reason}}
	a.finish(c, &d, make([]byte, 36))
	return d
}

// course is one request on its way to a decision.
type course struct {
	*Authorizer
	request *check.Request
	start   time.Time
	stages  Stages
	record  audit.Record
	// Memory for the questions to quotas and their answers, which are the decision's.
	asks   []ratelimit.Ask
	asked  []*policy.Quota
	states []QuotaState
	// storeAway: the shared store did not answer, the fallback did.
	storeAway bool
}

func (c *course) decide(ctx context.Context) Decision {
	if fault := c.request.Fault; fault != nil {
		c.record.Error = fault.Detail
		return Decision{Outcome: Malformed, Spent: -1, Reasons: []string{fault.Code}}
	}
	token := c.tokens.Verify(ctx, c.request.HTTP.Headers, c.start)
	c.stages.Token = c.lap()
	c.noteToken(token)
	result, err := c.policy.Eval(ctx, c.request, token)
	c.stages.Policy = c.lap() - c.stages.Token
	if err != nil {
		return c.undecided(err)
	}
	c.noteResult(result)
	var d Decision
	d.take(result)
	d.settle(ctx, c, result)
	// After the quotas: a token that can't be looked at must not be a way to be refused
	// free of charge.
	if d.Outcome == Denied && needsKeys(result, token) {
		return Decision{Outcome: Unavailable, Spent: -1, Shadows: d.Shadows, Reasons: append(result.Reasons[:len(result.Reasons):len(result.Reasons)], "keys_unavailable")}
	}
	return d
}

// needsKeys tells a refusal for want of an identity that could not be looked at
// (contract: 503 where the keys can't be had and the policy needs them) from one
// that has nothing to do with it, such as an unknown route.
func needsKeys(result *policy.Result, token *check.Token) bool {
	if token.Status != check.TokenUnavailable {
		return false
	}
	return result.Status == 0 || result.Status == 401 || result.Status == 403
}

// take makes a decision of a result.
func (d *Decision) take(r *policy.Result) {
	*d = Decision{
		Outcome:  Denied,
		Headers:  r.Headers,
		Metadata: r.Metadata,
		Reasons:  r.Reasons,
		Status:   r.Status,
		Body:     r.Body,
		Kept:     r.Kept,
		Spent:    -1,
	}
	if r.Allowed {
		d.Outcome, d.Status, d.Body = Allowed, 0, nil
		d.ResponseHeaders = r.ResponseHeaders
		d.RemoveHeaders = r.RemoveHeaders
		d.SetQuery, d.RemoveQuery = r.SetQuery, r.RemoveQuery
	}
}

// undecided turns a failed evaluation into the refusal that the contract names.
func (c *course) undecided(err error) Decision {
	outcome, reason := Failed, "policy_error"
	switch {
	case errors.Is(err, policy.ErrNotLoaded):
		outcome, reason = Unavailable, "policy_not_loaded"
	case errors.Is(err, policy.ErrBusy):
		outcome, reason = Unavailable, "policy_busy"
	case errors.Is(err, policy.ErrDeadline):
		reason = "policy_deadline"
	case errors.Is(err, policy.ErrUndefined):
		reason = "policy_undefined"
	case errors.Is(err, policy.ErrMalformed):
		reason = "policy_malformed"
	}
	d := c.failed(reason, err.Error())
	d.Outcome = outcome
	return d
}

func (c *course) failed(reason, detail string) Decision {
	c.record.Error = detail
	return Decision{Outcome: Failed, Spent: -1, Reasons: []string{reason}}
}

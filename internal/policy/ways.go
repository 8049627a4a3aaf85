package policy

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"authz/internal/check"

	"github.com/open-policy-agent/opa/v1/topdown"
)

// Way is a set of changes under which a refused request would be allowed. It was
// tried: the policy allowed it.
type Way struct {
	Changes []Change `json:"changes"`
}

// Change is one difference to the request that was refused.
type Change struct {
	// Kind is token, role, scope, claim, subject, scheme, header or method.
	Kind string `json:"kind"`
	// Name is the claim's or the header's.
	Name  string `json:"name,omitempty"`
	Value string `json:"value,omitempty"`
}

// String says who, and with which request, would be allowed.
func (w Way) String() string {
	var who, what []string
	for _, c := range w.Changes {
		switch c.Kind {
		case "token":
			who = append(who, "a valid token")
		case "role", "subject":
			who = append(who, "the "+c.Kind+" "+c.Value)
		case "scope":
			if list := strings.Fields(c.Value); len(list) > 1 {
				who = append(who, "the scopes "+strings.Join(list, ", "))
			} else {
				who = append(who, "the scope "+c.Value)
			}
		case "claim":
			who = append(who, fmt.Sprintf("the claim %s = %s", c.Name, c.Value))
		case "scheme":
			what = append(what, "over "+c.Value)
		case "method":
			what = append(what, "with the method "+c.Value)
		case "header":
			if c.Value == "" {
				what = append(what, "without the header "+c.Name)
			} else {
				what = append(what, fmt.Sprintf("with the header %s: %s", c.Name, c.Value))
			}
		}
	}
	var parts []string
	if len(who) > 0 {
		parts = append(parts, "a caller with "+strings.Join(who, " and "))
	}
	if len(what) > 0 {
		parts = append(parts, "the request "+strings.Join(what, " and "))
	}
	return strings.Join(parts, ", ")
}

// Bounds of the search for a way.
const (
	maxTrials = 3000
	maxWays   = 5
)

// Ways finds small changes to a refused request under which it would be allowed,
// the nearest first: up to two, beside a valid token where there is none. It knows
// what to try from the policy's data and text, and says only what the policy said
// when it was tried. None: nothing so small helps, or nothing that it thought of,
// or the request was not refused at all.
func (e *Engine) Ways(ctx context.Context, r *check.Request, token *check.Token) ([]Way, error) {
	policy := e.current.Load()
	if policy == nil {
		return nil, ErrNotLoaded
	}
	s := &search{policy: policy, request: r, token: token, valid: token != nil && token.Status == check.TokenValid}
	if err := s.think(ctx, e.settings.routes); err != nil {
		return nil, err
	}
	if s.trial(ctx, nil); len(s.found) > 0 {
		return nil, nil // nothing was refused
	}
	s.try(ctx)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDeadline, err)
	}
	slices.SortStableFunc(s.found, func(a, b trial) int { return cmp.Compare(a.cost(), b.cost()) })
	var out []Way
	for _, t := range s.found[:min(len(s.found), maxWays)] {
		if t.cost() > s.found[0].cost()+1 { // a detour
			break
		}
		way := Way{}
		for _, c := range t {
			way.Changes = append(way.Changes, c.Change)
		}
		out = append(out, way)
	}
	return out, nil
}

// search is one search for ways.
type search struct {
	policy     *compiled
	request    *check.Request
	token      *check.Token
	valid      bool // the caller has a valid token already
	candidates []*candidate
	trials     int
	found      []trial
}

// candidate is a change and how it is made.
type candidate struct {
	Change
	cost int
	ofID bool // a change to what a valid token says
	make func(r *check.Request, t *check.Token)
}

type trial []*candidate

func (t trial) cost() int {
	sum := 0
	for _, c := range t {
		sum += c.cost
	}
	return sum
}

// try goes from one change to two, and to three where one of them is the token.
func (s *search) try(ctx context.Context) {
	// One change that costs least cannot be bettered.
	if s.each(ctx, 1); slices.ContainsFunc(s.found, func(t trial) bool { return t.cost() == 1 }) {
		return
	}
	if s.each(ctx, 2); len(s.found) > 0 || s.valid {
		return
	}
	s.each(ctx, 3)
}

// each tries every set of n changes that holds no way already found.
func (s *search) each(ctx context.Context, n int) {
	var grow func(from int, t trial)
	grow = func(from int, t trial) {
		if len(t) == n {
			s.trial(ctx, slices.Clone(t))
			return
		}
		for i := from; i < len(s.candidates); i++ {
			c := s.candidates[i]
			if s.possible(t, c, n) {
				grow(i+1, append(t, c))
			}
		}
	}
	grow(0, nil)
}

// possible: candidates come in order, the token first.
func (s *search) possible(t trial, c *candidate, n int) bool {
	if len(t) == 0 {
		return s.valid || c.Kind == "token" || !c.ofID && n < 3
	}
	if c.ofID && !s.valid && t[0].Kind != "token" {
		return false
	}
	return !slices.ContainsFunc(t, func(other *candidate) bool {
		return other.Kind == c.Kind && other.Name == c.Name && c.Kind != "role" && c.Kind != "scope"
	})
}

func (s *search) trial(ctx context.Context, t trial) {
	if s.trials >= maxTrials || ctx.Err() != nil {
		return
	}
	for _, way := range s.found {
		if !slices.ContainsFunc(way, func(c *candidate) bool { return !slices.Contains(t, c) }) {
			return
		}
	}
	s.trials++
	r, token := *s.request, check.Token{Status: check.TokenAbsent}
	if s.token != nil {
		token = *s.token
	}
	r.HTTP.Headers = slices.Clone(r.HTTP.Headers)
	token.Roles, token.Scopes, token.Claims = slices.Clone(token.Roles), slices.Clone(token.Scopes), maps.Clone(token.Claims)
	for _, c := range t {
		c.make(&r, &token)
	}
	result, err := s.policy.decide(ctx, topdown.NewCancel(), &r, &token)
	if err == nil && result.Allowed {
		s.found = append(s.found, t)
	}
}

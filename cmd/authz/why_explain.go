package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"authz/internal/audit"
	"authz/internal/authz"
	"authz/internal/check"
	"authz/internal/extauthz"
	"authz/internal/policy"
	"authz/internal/ratelimit"
)

// explained is everything that `authz why` has to say, as -o json writes it.
type explained struct {
	Method string `json:"method"`
	URL    string `json:"url"`
	Caller string `json:"caller"`
	Route  string `json:"route,omitempty"`

	Outcome string          `json:"outcome"`
	Status  int             `json:"status,omitempty"`
	Reasons []policy.Reason `json:"reasons,omitempty"`
	// Detail is what only the log would say of a failure.
	Detail   string        `json:"detail,omitempty"`
	Revision string        `json:"policy_revision,omitempty"`
	Rules    []policy.Step `json:"rules,omitempty"`
	Ways     []way         `json:"ways,omitempty"`
	Notes    []string      `json:"notes,omitempty"`

	refused bool // by a policy that could decide
}

type way struct {
	policy.Way
	Text string `json:"text"`
}

// settled verifies nothing: who calls is known.
type settled struct{ token *check.Token }

func (s settled) Verify(context.Context, check.Headers, time.Time) *check.Token { return s.token }

func (s settled) Known(check.Headers, time.Time) (*check.Token, bool) { return s.token, true }

// explain decides as the sidecar would, with quotas that nobody has used yet, and
// takes the decision apart.
func explain(ctx context.Context, c *Config, engine *policy.Engine, s *specimen) (*explained, error) {
	r := s.request
	x := &explained{
		Method: r.HTTP.Method, URL: r.Client.Scheme + "://" + r.HTTP.Host + r.HTTP.Path,
		Caller: describe(s.token), Notes: s.notes, Revision: engine.Status().Revision,
	}
	// Explained first: the decision then finds warm what it needs.
	if r.Fault == nil {
		if err := x.takeApart(ctx, engine, s); err != nil {
			return nil, err
		}
	}
	quiet := slog.New(slog.DiscardHandler)
	d := authz.New(authz.Parts{
		Tokens: settled{s.token}, Policy: engine, Quotas: ratelimit.NewMemory(ratelimit.MemoryConfig{MaxKeys: c.Quotas.MaxKeys}),
		Audit: audit.New(io.Discard, 1), Log: quiet, Now: time.Now, PolicyPath: c.Policy.Decision,
	}).Decide(ctx, r)
	x.Outcome, x.Status = d.Outcome.String(), extauthz.Status(&d)
	for _, code := range d.Reasons {
		if !slices.ContainsFunc(x.Reasons, func(known policy.Reason) bool { return known.Code == code }) {
			x.Reasons = append(x.Reasons, policy.Reason{Code: code})
		}
	}
	if r.Fault != nil {
		x.Detail = "no policy is asked about such a request (strict mode): " + r.Fault.Detail
		return x, nil
	}
	if !x.refused {
		return x, nil
	}
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	ways, err := engine.Ways(ctx, r, s.token)
	switch {
	case errors.Is(err, policy.ErrDeadline):
		x.Notes = append(x.Notes, "the search for a way to an allow was given up: the policies are slow")
	case err != nil:
		return nil, err
	}
	for _, w := range ways {
		x.Ways = append(x.Ways, way{w, w.String()})
	}
	return x, nil
}

func (x *explained) takeApart(ctx context.Context, engine *policy.Engine, s *specimen) error {
	e, err := engine.Explain(ctx, s.request, s.token)
	if err != nil {
		return err
	}
	x.Rules, x.Reasons = e.Rules, e.Reasons
	if e.Err != nil {
		x.Detail = e.Err.Error()
	} else {
		x.Route, x.refused = e.Result.Route, !e.Result.Allowed
	}
	if e.Cut {
		x.Notes = append(x.Notes, "the evaluation was too long to be told whole")
	}
	return nil
}

// verdict is the outcome in a few words.
func (x *explained) verdict() string {
	text := x.Outcome
	if x.Status != 0 {
		text += fmt.Sprintf(", %d", x.Status)
	}
	var codes []string
	for _, reason := range x.Reasons {
		codes = append(codes, reason.Code)
	}
	if len(codes) > 0 {
		text += " (" + strings.Join(codes, ", ") + ")"
	}
	return text
}

// writeTest writes the case as a Rego test, without its credentials.
func writeTest(ctx context.Context, w io.Writer, engine *policy.Engine, s *specimen, x *explained) error {
	if s.request.Fault != nil {
		return fmt.Errorf("no test: no policy sees this request, strict mode refuses it (%w)", s.request.Fault)
	}
	where := x.Route
	if where == "" {
		where, _, _ = strings.Cut(s.request.HTTP.Path, "?")
	}
	name := strings.Join([]string{x.Method, where, x.Outcome}, " ")
	for _, reason := range x.Reasons {
		name += " " + reason.Code
	}
	about := fmt.Sprintf("%s %s by %s: %s", x.Method, x.URL, x.Caller, x.verdict())
	text, err := engine.RegoTest(ctx, name, about, withoutCredentials(s.request), s.token)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, text)
	return err
}

// withoutCredentials keeps the scheme of Authorization and the names of cookies:
// rules may look at them, and a test is committed.
func withoutCredentials(r *check.Request) *check.Request {
	out := *r
	out.HTTP.Headers = slices.Clone(r.HTTP.Headers)
	for i, h := range out.HTTP.Headers {
		out.HTTP.Headers[i].Value = veiled(h.Name, h.Value)
	}
	out.HTTP.HeaderMap = slices.Clone(r.HTTP.HeaderMap)
	for i, h := range out.HTTP.HeaderMap {
		out.HTTP.HeaderMap[i].Value = veiled(strings.ToLower(h.Key), h.Value)
		out.HTTP.HeaderMap[i].RawValue = []byte(veiled(strings.ToLower(h.Key), string(h.RawValue)))
	}
	return &out
}

func veiled(name, value string) string {
	const veil = "redacted"
	switch name {
	case "authorization", "proxy-authorization":
		if scheme, _, found := strings.Cut(value, " "); found {
			return scheme + " " + veil
		}
		if value != "" {
			return veil
		}
	case "cookie":
		pairs := strings.Split(value, ";")
		for i, pair := range pairs {
			if name, _, found := strings.Cut(pair, "="); found {
				pairs[i] = name + "=" + veil
			}
		}
		return strings.Join(pairs, ";")
	}
	return value
}

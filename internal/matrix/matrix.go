// Package matrix answers one question: who may do what? It puts callers beside the
// operations of the route table, lets the policy decide every pair of them, and
// shows the answers: as a table, or as the difference to another one, so that a
// change of the policies can be reviewed by what it opens and closes.
//
// Nothing is guessed. Every cell is one evaluation by internal/policy of a whole
// request, with the caller's token as the sidecar would have verified it. What a
// cell does not say is what happens around the policy: no quota is charged and no
// signature is checked, and a policy that looks at more than the caller and the
// route (the body, the time) has been asked about one sample of it.
//
// Requests are the same at every run, their time included, so that the same
// policies give the same matrix.
package matrix

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"authz/internal/policy"
)

// Matrix is callers × operations: Cells[i][j] is what becomes of Operations[i]
// asked by Callers[j].
type Matrix struct {
	Callers    []Caller
	Operations []Operation
	Cells      [][]Cell
}

// Cell is one decision. The zero value refuses.
type Cell struct {
	Allowed bool `json:"allowed"`
	// Status is what the client gets where the request is not allowed.
	Status int `json:"status,omitempty"`
	// Reasons are the policy's codes, sorted.
	Reasons []string `json:"reasons,omitempty"`
	// Error is why the policy could not decide, for people. It is not compared.
	Error string `json:"-"`
}

// String is the cell in short: "allow", or "403 role_missing".
func (c Cell) String() string {
	if c.Allowed {
		return "allow"
	}
	return strings.TrimSpace(strconv.Itoa(c.Status) + " " + c.reasons())
}

func (c Cell) reasons() string { return strings.Join(c.Reasons, ", ") }

func (c Cell) equal(other Cell) bool { return c.String() == other.String() }

// Evaluate asks the engine about every operation of every caller.
func Evaluate(ctx context.Context, e *policy.Engine, callers []Caller, operations []Operation) (*Matrix, error) {
	m := &Matrix{Callers: callers, Operations: operations}
	for _, o := range operations {
		row := make([]Cell, 0, len(callers))
		for _, c := range callers {
			cell, err := decide(ctx, e, &c, &o)
			if err != nil {
				return nil, err
			}
			row = append(row, cell)
		}
		m.Cells = append(m.Cells, row)
	}
	return m, nil
}

// decide evaluates one cell. That the policy can't decide is an answer too, the
// one that the client would get; only what keeps the matrix from being made is
// an error.
func decide(ctx context.Context, e *policy.Engine, c *Caller, o *Operation) (Cell, error) {
	r := o.request(c)
	if r.Fault != nil {
		return Cell{Status: 400, Reasons: []string{r.Fault.Code}, Error: r.Fault.Detail}, nil
	}
	result, err := e.Eval(ctx, r, c.token())
	switch {
	case ctx.Err() != nil:
		return Cell{}, ctx.Err()
	case errors.Is(err, policy.ErrNotLoaded):
		return Cell{}, err
	case err != nil:
		return Cell{Status: 500, Reasons: []string{undecided(err)}, Error: err.Error()}, nil
	}
	reasons := slices.Compact(slices.Sorted(slices.Values(result.Reasons)))
	if result.Allowed {
		return Cell{Allowed: true, Reasons: reasons}, nil
	}
	return Cell{Status: cmp.Or(result.Status, 403), Reasons: reasons}, nil
}

// undecided is the code under which the decision log has such a failure.
func undecided(err error) string {
	switch {
	case errors.Is(err, policy.ErrUndefined):
		return "policy_undefined"
	case errors.Is(err, policy.ErrMalformed):
		return "policy_malformed"
	case errors.Is(err, policy.ErrDeadline):
		return "policy_deadline"
	}
	return "policy_error"
}

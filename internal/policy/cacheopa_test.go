package policy

import (
	"errors"
	"io/fs"
	"reflect"
	"strings"
	"testing"

	"authz/internal/check"
	"authz/policies"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// opa is the third opinion of the comparison: the policy files given to OPA as anyone
// would, without this package's compiling, preparing, recording or remembering. Only
// the input and the reading of the decision are shared.
type opa struct{ query rego.PreparedEvalQuery }

func newOPA(t *testing.T, dir string, library bool) opa {
	t.Helper()
	options := []func(*rego.Rego){rego.Query("data.authz.decision"), rego.Load([]string{dir}, nil)}
	if library {
		err := fs.WalkDir(policies.Library, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".rego") || strings.HasSuffix(path, "_test.rego") {
				return err
			}
			text, err := policies.Library.ReadFile(path)
			options = append(options, rego.Module(path, string(text)))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	query, err := rego.New(options...).PrepareForEval(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return opa{query}
}

// decide returns the sentinel that Eval would wrap.
func (o opa) decide(t *testing.T, r *check.Request, token *check.Token, routes *RouteTable) (*Result, error) {
	t.Helper()
	input, route, err := newInput(r, token, routes)
	if err != nil {
		t.Fatal(err)
	}
	results, err := o.query.Eval(t.Context(), rego.EvalParsedInput(input))
	switch {
	case err != nil:
		return nil, ErrEvaluation
	case len(results) == 0:
		return nil, ErrUndefined
	}
	value, err := ast.InterfaceToValue(results[0].Expressions[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	result, err := decode(value, input)
	if err != nil {
		return nil, ErrMalformed
	}
	result.Route = route
	return result, nil
}

// unkept is a result without the place where something may be kept beside it.
func unkept(r *Result) *Result {
	if r == nil {
		return nil
	}
	out := *r
	out.Kept = nil
	return &out
}

// alike: the same decision; OPA alone knows no revision.
func alike(got, alone *Result) bool {
	if got == nil || alone == nil {
		return got == alone
	}
	got = unkept(got)
	got.Revision = ""
	return reflect.DeepEqual(got, alone)
}

// failing is which of the package's errors an error is.
func failing(err error) error {
	for _, known := range []error{ErrUndefined, ErrMalformed, ErrDeadline, ErrBusy, ErrEvaluation} {
		if errors.Is(err, known) {
			return known
		}
	}
	return err
}

package policy

import (
	"bytes"
	"encoding/json"
	"fmt"

	"authz/internal/check"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Document is the input that a policy would read for a request, as JSON: the one
// that an evaluation is given, not another like it.
func Document(r *check.Request, token *check.Token, routes *RouteTable) (json.RawMessage, error) {
	input, _, err := newInput(r, token, routes)
	if err != nil {
		return nil, fmt.Errorf("building the input: %w", err)
	}
	return valueJSON(input)
}

// Document is the input under the route table in force.
func (e *Engine) Document(r *check.Request, token *check.Token) (json.RawMessage, error) {
	policy := e.current.Load()
	if policy == nil {
		return nil, ErrNotLoaded
	}
	return Document(r, token, policy.routes)
}

// valueJSON writes a value for people too: "<" and "&" as they are.
func valueJSON(v ast.Value) (json.RawMessage, error) {
	plain, err := ast.JSON(v)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	err = e.Encode(plain)
	return bytes.TrimSpace(out.Bytes()), err
}

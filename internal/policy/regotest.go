package policy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"authz/internal/check"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
)

// expected are the keys of a decision that a test made of one case holds it to. The
// others (security headers, quotas) are of a whole API, and have tests of their own.
var expected = []string{"allowed", "http_status", "reason"}

// RegoTest writes the case as a test for a stock `opa test`: the input, and what
// the policy in force says of it. Name becomes a part of the rule's name, and about
// a comment. The error is ErrEvaluation where there is no decision that a test
// could expect.
func (e *Engine) RegoTest(ctx context.Context, name, about string, r *check.Request, token *check.Token) (string, error) {
	policy := e.current.Load()
	if policy == nil {
		return "", ErrNotLoaded
	}
	input, _, err := newInput(r, token, policy.routes)
	if err != nil {
		return "", fmt.Errorf("building the input: %w", err)
	}
	value, err := policy.traced(ctx, newTracer(), input)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrEvaluation, err)
	}
	document, err := valueJSON(input)
	if err != nil {
		return "", err
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, document, "", "\t"); err != nil {
		return "", err
	}
	entry := e.settings.decision.String()
	var b strings.Builder
	fmt.Fprintf(&b, "package why_test\n\n# %s\n", oneLine(about))
	fmt.Fprintf(&b, "test_%s if {\n%s}\n\n_input := %s\n", ruleWord(name), expectation(entry, value), &indented)
	out, err := format.Source("why_test.rego", []byte(b.String()))
	if err != nil {
		return "", fmt.Errorf("writing the test: %w", err)
	}
	return string(out), nil
}

func expectation(entry string, value ast.Value) string {
	object, isObject := value.(ast.Object)
	switch {
	case value == nil:
		return fmt.Sprintf("\tnot %s with input as _input\n", entry)
	case !isObject:
		return fmt.Sprintf("\tdecision := %s with input as _input\n\tdecision == %s\n", entry, value)
	}
	text := fmt.Sprintf("\tdecision := %s with input as _input\n", entry)
	for _, key := range expected {
		if v := object.Get(ast.StringTerm(key)); v != nil {
			text += fmt.Sprintf("\tdecision.%s == %s\n", key, v)
		}
	}
	return text
}

// ruleWord makes a part of a rule's name: lower case, digits and "_".
func ruleWord(text string) string {
	var b strings.Builder
	gap := false
	for _, r := range strings.ToLower(text) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			if gap && b.Len() > 0 {
				b.WriteByte('_')
			}
			gap = false
			b.WriteRune(r)
		} else {
			gap = true
		}
	}
	if b.Len() == 0 {
		return "case"
	}
	return b.String()
}

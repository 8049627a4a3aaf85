package policy

import (
	"errors"
	"fmt"

	"authz/internal/check"

	"github.com/open-policy-agent/opa/v1/ast"
)

// decoders say how each key of a decision is read into the Result (contract:
// Result). A key that is not here is reported, never obeyed.
var decoders = map[string]func(d *decoder, v ast.Value) error{
	"allowed":                    (*decoder).allowed,
	"headers":                    (*decoder).headers,
	"response_headers_to_add":    (*decoder).responseHeaders,
	"request_headers_to_remove":  (*decoder).removeHeaders,
	"query_parameters_to_set":    (*decoder).setQuery,
	"query_parameters_to_remove": (*decoder).removeQuery,
	"body":                       (*decoder).body,
	"http_status":                (*decoder).status,
	"dynamic_metadata":           (*decoder).metadata,
	"reason":                     (*decoder).reason,
	"quotas":                     (*decoder).quotas,
	"response":                   (*decoder).response,
}

// decoder fills one Result. The input is what references in quota keys point to;
// refs notes them, for who keeps the Result for another input.
type decoder struct {
	input  ast.Value
	result Result
	refs   []quotaRef
}

// decode reads a decision document strictly: one wrong type anywhere makes the
// whole of it ErrMalformed, so that half a decision is never carried out.
func decode(decision, input ast.Value) (*Result, error) {
	result, _, err := decodeRefs(decision, input)
	return result, err
}

// decodeRefs also tells which elements of quota keys were references.
func decodeRefs(decision, input ast.Value) (*Result, []quotaRef, error) {
	d := &decoder{input: input}
	if err := d.decision(decision); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return &d.result, d.refs, nil
}

func (d *decoder) decision(v ast.Value) error {
	switch v := v.(type) {
	case ast.Boolean:
		return d.allowed(v)
	case ast.Object:
		if v.Get(ast.InternedTerm("allowed")) == nil {
			return errors.New("allowed: missing")
		}
		return eachField(v, func(name string, value ast.Value) error {
			read := decoders[name]
			if read == nil {
				d.unknown(name)
				return nil
			}
			if err := read(d, value); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	return wrongType(v, "an object or a boolean")
}

func (d *decoder) unknown(name string) { d.result.Unknown = append(d.result.Unknown, name) }

func (d *decoder) allowed(v ast.Value) (err error) {
	d.result.Allowed, err = boolean(v)
	return err
}

func (d *decoder) headers(v ast.Value) (err error) {
	d.result.Headers, err = headerList(v)
	return err
}

func (d *decoder) responseHeaders(v ast.Value) (err error) {
	d.result.ResponseHeaders, err = headerList(v)
	return err
}

func (d *decoder) removeHeaders(v ast.Value) (err error) {
	if d.result.RemoveHeaders, err = textsOf(v); err != nil {
		return err
	}
	for i, name := range d.result.RemoveHeaders {
		if d.result.RemoveHeaders[i], err = removableName(name); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) setQuery(v ast.Value) error {
	return eachValue(v, func(name, value string) error {
		if err := errors.Join(queryText(name), queryText(value)); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
		d.result.SetQuery = append(d.result.SetQuery, check.Header{Name: name, Value: value})
		return nil
	})
}

func (d *decoder) removeQuery(v ast.Value) (err error) {
	if d.result.RemoveQuery, err = textsOf(v); err != nil {
		return err
	}
	for _, name := range d.result.RemoveQuery {
		if err := queryText(name); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	return nil
}

// body: null leaves the body to the sidecar, as no body does; a decision that has
// every key needs a way to say so.
func (d *decoder) body(v ast.Value) error {
	if _, ok := v.(ast.Null); ok {
		return nil
	}
	body, err := text(v)
	d.result.Body = &body
	return err
}

// status excludes 1xx: an interim answer would leave the client waiting for the
// final one (RFC 9110, 15.2).
func (d *decoder) status(v ast.Value) error {
	n, err := integer(v, 200, 599)
	d.result.Status = int(n)
	return err
}

func (d *decoder) metadata(v ast.Value) error {
	object, ok := v.(ast.Object)
	if !ok {
		return wrongType(v, "an object")
	}
	plain, err := plainValue(object)
	if err != nil {
		return err
	}
	d.result.Metadata = plain.(map[string]any)
	return nil
}

func (d *decoder) reason(v ast.Value) (err error) {
	if code, ok := v.(ast.String); ok {
		d.result.Reasons = []string{string(code)}
		return nil
	}
	d.result.Reasons, err = textsOf(v)
	return err
}

func (d *decoder) response(v ast.Value) error {
	object, ok := v.(ast.Object)
	if !ok {
		return wrongType(v, "an object")
	}
	rules := &ResponseRules{}
	d.result.Response = rules
	return eachField(object, func(name string, value ast.Value) (err error) {
		switch name {
		case "mask_errors":
			rules.MaskErrors, err = boolean(value)
		case "sanitize":
			rules.Sanitize, err = plainValue(value)
		default:
			d.unknown("response." + name)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}

package policy

import (
	"encoding/base64"
	"fmt"
	"math"

	"authz/internal/check"

	"github.com/open-policy-agent/opa/v1/ast"
)

// The input document (contract: Input), built straight as OPA's own values: a
// round trip through JSON would cost more than the evaluation. Keys of the
// CheckRequest follow protobuf's JSON names and are present only when populated;
// what the sidecar adds has one shape at all times.

// The names of the input's own keys are made once for the process.
func init() {
	ast.InternStringTerm("attributes", "version", "parsed_path", "parsed_query", "parsed_body",
		"truncated_body", "source_principal", "token", "route", "client",
		"source", "destination", "request", "contextExtensions", "metadataContext",
		"routeMetadataContext", "tlsSession", "filterMetadata", "sni",
		"address", "socketAddress", "portValue", "service", "labels", "principal", "certificate",
		"time", "seconds", "nanos", "http", "id", "method", "headers", "headerMap", "path", "host",
		"scheme", "query", "fragment", "size", "protocol", "body", "rawBody", "key", "value", "rawValue",
		"status", "via", "error", "issuer", "subject", "scopes", "roles", "claims", "header",
		"params", "ip", "ip_block")
}

// fields collects the keys of one object; the put methods leave out what is not
// populated.
type fields [][2]*ast.Term

func (f *fields) put(name string, v *ast.Term) {
	*f = append(*f, ast.Item(ast.InternedTerm(name), v))
}

func (f *fields) text(name, s string) {
	if s != "" {
		f.put(name, ast.StringTerm(s))
	}
}

func (f *fields) number(name string, n int64) {
	if n != 0 {
		f.put(name, integerTerm(n))
	}
}

func (f *fields) texts(name string, m map[string]string) {
	if len(m) > 0 {
		f.put(name, textMap(m))
	}
}

func (f *fields) object(name string, o fields) {
	if len(o) > 0 {
		f.put(name, o.term())
	}
}

func (f fields) term() *ast.Term { return ast.ObjectTerm(f...) }

// newInput builds the input document. Routes is nil where there is no table. It
// also returns the id of the matched route, or "".
func newInput(r *check.Request, token *check.Token, routes *RouteTable) (ast.Value, string, error) {
	attributes, err := attributeFields(r)
	if err != nil {
		return nil, "", err
	}
	in := make(fields, 0, 11)
	in.put("attributes", attributes.term())
	in.put("version", versionTerm)
	in.put("parsed_path", textList(r.Path))
	in.put("parsed_query", queryTerm(r.Query))
	if err := in.body(&r.Body); err != nil {
		return nil, "", err
	}
	in.text("source_principal", r.Source.Principal)
	tokenObject, err := tokenFields(token)
	if err != nil {
		return nil, "", err
	}
	in.put("token", tokenObject.term())
	id := in.route(r, routes)
	client := make(fields, 0, 3)
	client.text("ip", r.Client.IP)
	client.text("ip_block", r.Client.IPBlock)
	client.text("scheme", r.Client.Scheme)
	in.put("client", client.term())
	return ast.NewObject(in...), id, nil
}

var versionTerm = ast.ObjectTerm(
	ast.Item(ast.StringTerm("ext_authz"), ast.StringTerm("v3")),
	ast.Item(ast.StringTerm("encoding"), ast.StringTerm("protojson")),
)

func (f *fields) body(b *check.Body) error {
	if b.Skipped {
		return nil
	}
	value := ast.NullTerm()
	if b.Parsed && !b.Truncated {
		var err error
		if value, err = plainTerm(b.Value); err != nil {
			return fmt.Errorf("parsed_body: %w", err)
		}
	}
	f.put("parsed_body", value)
	f.put("truncated_body", ast.InternedTerm(b.Truncated))
	return nil
}

func (f *fields) route(r *check.Request, routes *RouteTable) string {
	if routes == nil {
		return ""
	}
	id, params, ok := routes.Match(r.HTTP.Method, r.Path)
	if !ok {
		f.put("route", ast.NullTerm())
		return ""
	}
	f.put("route", fields{
		ast.Item(ast.InternedTerm("id"), ast.StringTerm(id)),
		ast.Item(ast.InternedTerm("params"), textMap(params)),
	}.term())
	return id
}

// tokenFields is the contract's `token`. Who calls without a verdict on the
// token gets the one that grants nothing.
func tokenFields(t *check.Token) (fields, error) {
	if t == nil || t.Status == "" {
		t = &check.Token{Status: check.TokenInvalid, Error: "malformed"}
	}
	out := make(fields, 0, 8)
	out.put("status", ast.InternedTerm(string(t.Status)))
	out.text("via", t.Via)
	if t.Status != check.TokenValid {
		out.text("error", t.Error)
		return out, nil
	}
	claims, err := plainObject(t.Claims)
	if err != nil {
		return nil, fmt.Errorf("token.claims: %w", err)
	}
	header, err := plainObject(t.Header)
	if err != nil {
		return nil, fmt.Errorf("token.header: %w", err)
	}
	out.put("issuer", ast.StringTerm(t.Issuer))
	out.put("subject", ast.StringTerm(t.Subject))
	out.put("scopes", textList(t.Scopes))
	out.put("roles", textList(t.Roles))
	out.put("claims", claims)
	out.put("header", header)
	return out, nil
}

func integerTerm(n int64) *ast.Term {
	if n == int64(int(n)) {
		return ast.InternedTerm(int(n))
	}
	return ast.NewTerm(ast.Number(fmt.Sprint(n)))
}

func bytesTerm(b []byte) *ast.Term {
	return ast.StringTerm(base64.StdEncoding.EncodeToString(b))
}

func textList(list []string) *ast.Term {
	terms := make([]*ast.Term, len(list))
	for i, s := range list {
		terms[i] = ast.InternedTerm(s)
	}
	return ast.ArrayTerm(terms...)
}

func textMap(m map[string]string) *ast.Term {
	out := make(fields, 0, len(m))
	for name, value := range m {
		out.put(name, ast.StringTerm(value))
	}
	return out.term()
}

func queryTerm(query map[string][]string) *ast.Term {
	out := make(fields, 0, len(query))
	for name, values := range query {
		out.put(name, textList(values))
	}
	return out.term()
}

// plainTerm converts JSON-like Go values. A number that JSON cannot write is
// refused rather than passed on as something else.
func plainTerm(x any) (*ast.Term, error) {
	if err := finite(x); err != nil {
		return nil, err
	}
	v, err := ast.InterfaceToValue(x)
	if err != nil {
		return nil, err
	}
	return ast.NewTerm(v), nil
}

// plainObject is plainTerm for an object that is {} when nil.
func plainObject(m map[string]any) (*ast.Term, error) {
	if m == nil {
		return ast.ObjectTerm(), nil
	}
	return plainTerm(m)
}

func finite(x any) error {
	switch x := x.(type) {
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("number %v has no JSON form", x)
		}
	case []any:
		for _, item := range x {
			if err := finite(item); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, item := range x {
			if err := finite(item); err != nil {
				return err
			}
		}
	}
	return nil
}

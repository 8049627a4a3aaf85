package extauthz

import (
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"

	"authz/internal/authz"
	"authz/internal/check"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// template is the part of an answer that every request of the same decision gets. A
// remembered decision keeps it (authz.Decision.Kept), so that a hit appends bytes and
// looks at nothing twice. What depends on the request is added by append. Nothing in
// it changes once it is made.
type template struct {
	of   *writer
	code int // 0 for an allow
	// answer is an OkHttpResponse or a DeniedHttpResponse.
	answer []byte
	// problem: a generic body, which names the request, follows.
	problem bool
	// metadata is the policy's own, a google.protobuf.Struct without the decision's id.
	metadata []byte
	twins    twins
	// ratePolicy is a RateLimit-Policy for that many quotas.
	ratePolicy string
	quotas     int
}

// template is that of a decision: the one it keeps, or a new one.
func (w *writer) template(d *authz.Decision) (*template, error) {
	code := 0
	if d.Outcome != authz.Allowed {
		code = httpStatus(d)
	}
	if d.Kept != nil {
		if t, ok := d.Kept.Load().(*template); ok && t.of == w && t.code == code {
			return t, nil
		}
	}
	t := &template{of: w, code: code}
	var err error
	if code == 0 {
		err = t.allow(d)
	} else {
		err = t.deny(d)
	}
	if err != nil {
		return nil, err
	}
	if t.metadata, err = metadataOf(d.Metadata); err != nil {
		return nil, err
	}
	keep(d.Kept, t)
	return t, nil
}

// keep is not called with anything but a template, as atomic.Value wants it.
func keep(place *atomic.Value, t *template) {
	if place != nil {
		t.answer, t.metadata = slices.Clone(t.answer), slices.Clone(t.metadata) // without spare room
		place.Store(t)
	}
}

// allow makes an OkHttpResponse.
func (t *template) allow(d *authz.Decision) (err error) {
	b := make([]byte, 0, usualReply)
	if b, err = requestHeaders(b, 2, d.Headers); err != nil {
		return fmt.Errorf("headers: %w", err)
	}
	if t.twins, err = t.of.owned.twins(d); err != nil {
		return fmt.Errorf("request_headers_to_remove: %w", err)
	}
	for _, name := range t.twins.removed {
		b = appendItem(b, 5, name)
	}
	if b, err = responseHeaders(b, 6, d.ResponseHeaders); err != nil {
		return fmt.Errorf("response_headers_to_add: %w", err)
	}
	t.answer = b
	t.ratePolicy, t.quotas = ratePolicy(d.Quotas), len(d.Quotas)
	return nil
}

// deny makes a DeniedHttpResponse.
func (t *template) deny(d *authz.Decision) (err error) {
	if t.code < 200 || t.code > 599 {
		// 1xx is not an answer (the client waits on), and beyond lies nothing.
		return fmt.Errorf("http_status: %d is not the status of an answer", t.code)
	}
	list := d.Headers
	if d.Outcome != authz.Denied {
		// What the policy meant for the app's answer, CORS headers above all; but
		// this is another answer, so it says itself what it is and not to keep it.
		list = without(d.ResponseHeaders, "content-type", "cache-control", "retry-after")
	}
	body := ""
	switch {
	case bodyless(t.code):
		list = without(list, "content-type")
	case d.Outcome == authz.Denied && d.Body != nil:
		body = *d.Body
	case t.code >= 400:
		t.problem = true
		list = append(without(list, "content-type"), check.Header{Name: "content-type", Value: "application/problem+json"})
	}
	if !bodyless(t.code) && !has(list, "cache-control") {
		list = append(list[:len(list):len(list)], check.Header{Name: "cache-control", Value: "no-store"})
	}
	if (body != "" || t.problem) && !has(list, "x-content-type-options") {
		list = append(list[:len(list):len(list)], check.Header{Name: "x-content-type-options", Value: "nosniff"})
	}
	if d.Outcome == authz.Limited {
		list = append(list[:len(list):len(list)], t.of.quotaHeaders(list, d)...)
	}
	b := appendMessage(make([]byte, 0, usualReply), 1, 1+protowire.SizeVarint(uint64(t.code))) // HttpStatus
	b = appendNumber(b, 1, uint64(t.code))
	if b, err = deniedHeaders(b, 2, list); err != nil {
		return fmt.Errorf("headers: %w", err)
	}
	if err := text(body); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	t.answer = appendText(b, 3, body)
	return nil
}

// append appends the answer: a CheckResponse.
func (t *template) append(out []byte, d *authz.Decision, r *check.Request) ([]byte, error) {
	var space [256]byte
	if t.code == 0 {
		more, err := t.more(space[:0], d, r)
		if err != nil {
			return nil, err
		}
		out = appendMessage(out, 1, 0) // status OK is an empty one, and is there
		out = appendMessage(out, 3, len(t.answer)+len(more))
		return t.name(append(append(out, t.answer...), more...), d)
	}
	var body []byte
	if t.problem {
		body = appendProblem(space[:0], t.code, d.RequestID)
	}
	status := codes.PermissionDenied
	if t.code == http.StatusUnauthorized {
		status = codes.Unauthenticated
	}
	size := len(t.answer)
	if t.problem {
		size += 1 + protowire.SizeBytes(len(body))
	}
	out = appendMessage(out, 1, 2)
	out = appendNumber(out, 1, uint64(status))
	out = append(appendMessage(out, 2, size), t.answer...)
	if t.problem {
		out = append(appendMessage(out, 3, len(body)), body...)
	}
	return t.name(out, d)
}

// more appends the fields of an OkHttpResponse that depend on the request.
func (t *template) more(b []byte, d *authz.Decision, r *check.Request) (_ []byte, err error) {
	if r != nil {
		b = t.twins.append(b, 5, d, r.HTTP.Headers)
	}
	if len(d.Quotas) > 0 {
		if b, err = t.rates(b, d); err != nil {
			return nil, fmt.Errorf("response_headers_to_add: %w", err)
		}
	}
	set, removed := query(d, r)
	for _, p := range set {
		b = appendPair(b, 7, p.Name, p.Value)
	}
	for _, name := range removed {
		b = appendItem(b, 8, name)
	}
	return b, nil
}

// rates appends what the client is told of the quotas of a request that they let pass.
func (t *template) rates(b []byte, d *authz.Decision) (_ []byte, err error) {
	if t.of.legacyQuotas || len(d.Quotas) != t.quotas {
		for _, h := range t.of.quotaHeaders(d.ResponseHeaders, d) {
			if b, err = header(b, 6, h.Name, h.Value, overwrite); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	if !has(d.ResponseHeaders, ratePolicyHeader) {
		b = appendOption(b, 6, ratePolicyHeader, t.ratePolicy, overwrite)
	}
	if !has(d.ResponseHeaders, rateHeader) {
		var space [128]byte
		left := appendRate(space[:0], &d.Quotas[tightest(d)])
		b = appendOption(b, 6, rateHeader, textOf(left), overwrite)
	}
	return b, nil
}

// name appends what Envoy is told beside the answer: the policy's own words, which
// may be anything, and under which id the decision is recorded.
func (t *template) name(b []byte, d *authz.Decision) ([]byte, error) {
	if err := text(d.ID); err != nil {
		return nil, fmt.Errorf("decision_id: %w", err)
	}
	return appendDecisionID(b, 4, t.metadata, d.ID), nil
}

// metadataOf is a google.protobuf.Struct. A decision_id of the policy's is left out.
func metadataOf(m map[string]any) ([]byte, error) {
	if len(m) == 0 {
		return nil, nil
	}
	out := &structpb.Struct{Fields: make(map[string]*structpb.Value, len(m))}
	for name, v := range m {
		if err := text(name); err != nil {
			return nil, fmt.Errorf("dynamic_metadata: %w", err)
		}
		value, err := structpb.NewValue(v)
		if err != nil {
			return nil, fmt.Errorf("dynamic_metadata.%s: %w", name, err)
		}
		if name != decisionID {
			out.Fields[name] = value
		}
	}
	return proto.Marshal(out)
}

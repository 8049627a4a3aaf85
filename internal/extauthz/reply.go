package extauthz

import (
	"fmt"
	"net/http"

	"authz/internal/authz"
	"authz/internal/check"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// Rules of this file, each because of what Envoy 1.40 was seen to do:
//
//   - Status and response always agree and are always both there. An empty
//     CheckResponse allows, and status OK with a denied_response allows too.
//   - A denial is a denied_response, never a gRPC error and never an
//     error_response: failure_mode_allow turns those into an allow.
//   - Nothing that Envoy could not write as one HTTP message is sent to it
//     (see sound.go): a CR in a header splits the client's answer, a body on a 204
//     becomes the start of the next answer on the connection.

// writer turns decisions into answers. It is the only place where an outcome
// becomes an HTTP status. Its fields are set once.
type writer struct {
	owned        owned
	legacyQuotas bool // Config.LegacyQuotaHeaders
}

// codeTooLarge is the reason of a check that is over the door's own size limit.
const codeTooLarge = "message_too_large"

// httpStatus is the HTTP status of everything but an allow.
func httpStatus(d *authz.Decision) int {
	switch d.Outcome {
	case authz.Denied:
		if d.Status != 0 {
			return d.Status
		}
		return http.StatusForbidden
	case authz.Limited:
		return http.StatusTooManyRequests
	case authz.Malformed:
		if len(d.Reasons) > 0 && d.Reasons[0] == codeTooLarge {
			return http.StatusRequestEntityTooLarge
		}
		return http.StatusBadRequest
	case authz.Unavailable:
		return http.StatusServiceUnavailable
	default: // Failed, and whatever a later version may add
		return http.StatusInternalServerError
	}
}

// append appends the answer to a decision about r, which may be nil where the request
// could not be read: a CheckResponse. An error means that the decision cannot be put
// on the wire as it is; nothing of it may be sent then.
func (w *writer) append(out []byte, d *authz.Decision, r *check.Request) ([]byte, error) {
	var space [1024]byte
	if d.Outcome == authz.Allowed {
		ok, err := w.allow(space[:0], d, r)
		if err != nil {
			return nil, err
		}
		out = appendMessage(out, 1, 0) // status OK is an empty one, and is there
		out = appendMessage(out, 3, len(ok))
		return dynamicMetadata(append(out, ok...), d)
	}
	code := httpStatus(d)
	denied, err := w.deny(space[:0], code, d)
	if err != nil {
		return nil, err
	}
	status := codes.PermissionDenied
	if code == http.StatusUnauthorized {
		status = codes.Unauthenticated
	}
	out = appendMessage(out, 1, 2)
	out = appendNumber(out, 1, uint64(status))
	out = appendMessage(out, 2, len(denied))
	return dynamicMetadata(append(out, denied...), d)
}

// allow appends the fields of an OkHttpResponse.
func (w *writer) allow(b []byte, d *authz.Decision, r *check.Request) ([]byte, error) {
	b, err := requestHeaders(b, 2, d.Headers)
	if err != nil {
		return nil, fmt.Errorf("headers: %w", err)
	}
	if b, err = w.owned.removals(b, 5, d, r); err != nil {
		return nil, fmt.Errorf("request_headers_to_remove: %w", err)
	}
	if b, err = responseHeaders(b, 6, w.withQuotas(d.ResponseHeaders, d)); err != nil {
		return nil, fmt.Errorf("response_headers_to_add: %w", err)
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

// deny appends the fields of a DeniedHttpResponse.
func (w *writer) deny(b []byte, code int, d *authz.Decision) ([]byte, error) {
	if code < 200 || code > 599 {
		// 1xx is not an answer (the client waits on), and beyond lies nothing.
		return nil, fmt.Errorf("http_status: %d is not the status of an answer", code)
	}
	list := d.Headers
	if d.Outcome != authz.Denied {
		// What the policy meant for the app's answer, CORS headers above all; but
		// this is another answer, so it says itself what it is and not to keep it.
		list = without(d.ResponseHeaders, "content-type", "cache-control", "retry-after")
	}
	body := ""
	switch {
	case bodyless(code):
		list = without(list, "content-type")
	case d.Outcome == authz.Denied && d.Body != nil:
		body = *d.Body
	case code >= 400:
		body = problem(code, d.RequestID)
		list = append(without(list, "content-type"), check.Header{Name: "content-type", Value: "application/problem+json"})
	}
	if !bodyless(code) && !has(list, "cache-control") {
		list = append(list[:len(list):len(list)], check.Header{Name: "cache-control", Value: "no-store"})
	}
	if body != "" && !has(list, "x-content-type-options") {
		list = append(list[:len(list):len(list)], check.Header{Name: "x-content-type-options", Value: "nosniff"})
	}
	if d.Outcome == authz.Limited {
		list = w.withQuotas(list, d)
	}
	b = appendMessage(b, 1, 1+protowire.SizeVarint(uint64(code))) // HttpStatus
	b = appendNumber(b, 1, uint64(code))
	b, err := deniedHeaders(b, 2, list)
	if err != nil {
		return nil, fmt.Errorf("headers: %w", err)
	}
	if err := text(body); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	return appendText(b, 3, body), nil
}

// bodyless statuses have no content (RFC 9110, 15.3.5, 15.3.6 and 15.4.5).
func bodyless(code int) bool {
	return code == http.StatusNoContent || code == http.StatusResetContent || code == http.StatusNotModified
}

// dynamicMetadata appends what Envoy is told beside the answer: the policy's own
// words, which may be anything, and under which id the decision is recorded.
func dynamicMetadata(b []byte, d *authz.Decision) ([]byte, error) {
	if err := text(d.ID); err != nil {
		return nil, fmt.Errorf("decision_id: %w", err)
	}
	if len(d.Metadata) == 0 {
		return appendDecisionID(b, 4, d.ID), nil
	}
	out := &structpb.Struct{Fields: make(map[string]*structpb.Value, len(d.Metadata)+1)}
	for name, v := range d.Metadata {
		if err := text(name); err != nil {
			return nil, fmt.Errorf("dynamic_metadata: %w", err)
		}
		value, err := structpb.NewValue(v)
		if err != nil {
			return nil, fmt.Errorf("dynamic_metadata.%s: %w", name, err)
		}
		out.Fields[name] = value
	}
	out.Fields["decision_id"] = structpb.NewStringValue(d.ID)
	b = appendMessage(b, 4, proto.Size(out))
	return proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(b, out)
}

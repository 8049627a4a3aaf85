package extauthz

import (
	"fmt"
	"net/http"

	"authz/internal/authz"
	"authz/internal/check"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
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
	owned owned
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

// reply is the answer to a decision about r, which may be nil where the request
// could not be read. An error means that the decision cannot be put on the wire
// as it is; nothing of it may be sent then.
func (w *writer) reply(d *authz.Decision, r *check.Request) (*authv3.CheckResponse, error) {
	metadata, err := dynamicMetadata(d)
	if err != nil {
		return nil, err
	}
	if d.Outcome == authz.Allowed {
		ok, err := w.allow(d, r)
		if err != nil {
			return nil, err
		}
		return &authv3.CheckResponse{
			Status:          &rpcstatus.Status{Code: int32(codes.OK)},
			HttpResponse:    &authv3.CheckResponse_OkResponse{OkResponse: ok},
			DynamicMetadata: metadata,
		}, nil
	}
	denied, err := deny(d)
	if err != nil {
		return nil, err
	}
	code := codes.PermissionDenied
	if denied.Status.Code == http.StatusUnauthorized {
		code = codes.Unauthenticated
	}
	return &authv3.CheckResponse{
		Status:          &rpcstatus.Status{Code: int32(code)},
		HttpResponse:    &authv3.CheckResponse_DeniedResponse{DeniedResponse: denied},
		DynamicMetadata: metadata,
	}, nil
}

func (w *writer) allow(d *authz.Decision, r *check.Request) (*authv3.OkHttpResponse, error) {
	headers, err := requestHeaders(d.Headers)
	if err != nil {
		return nil, fmt.Errorf("headers: %w", err)
	}
	added, err := responseHeaders(withQuotas(d.ResponseHeaders, d))
	if err != nil {
		return nil, fmt.Errorf("response_headers_to_add: %w", err)
	}
	setQuery, removeQuery := query(d, r)
	removed, err := w.owned.removals(d, r)
	if err != nil {
		return nil, fmt.Errorf("request_headers_to_remove: %w", err)
	}
	return &authv3.OkHttpResponse{
		Headers:                 headers,
		HeadersToRemove:         removed,
		ResponseHeadersToAdd:    added,
		QueryParametersToSet:    setQuery,
		QueryParametersToRemove: removeQuery,
	}, nil
}

func deny(d *authz.Decision) (*authv3.DeniedHttpResponse, error) {
	code := httpStatus(d)
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
		list = withQuotas(list, d)
	}
	headers, err := deniedHeaders(list)
	if err != nil {
		return nil, fmt.Errorf("headers: %w", err)
	}
	if err := text(body); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	return &authv3.DeniedHttpResponse{
		Status:  &typev3.HttpStatus{Code: typev3.StatusCode(code)},
		Headers: headers,
		Body:    body,
	}, nil
}

// bodyless statuses have no content (RFC 9110, 15.3.5, 15.3.6 and 15.4.5).
func bodyless(code int) bool {
	return code == http.StatusNoContent || code == http.StatusResetContent || code == http.StatusNotModified
}

func dynamicMetadata(d *authz.Decision) (*structpb.Struct, error) {
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
	return out, nil
}

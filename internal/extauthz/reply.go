package extauthz

import (
	"net/http"

	"authz/internal/authz"
	"authz/internal/check"
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
	t, err := w.template(d)
	if err != nil {
		return nil, err
	}
	return t.append(out, d, r)
}

// bodyless statuses have no content (RFC 9110, 15.3.5, 15.3.6 and 15.4.5).
func bodyless(code int) bool {
	return code == http.StatusNoContent || code == http.StatusResetContent || code == http.StatusNotModified
}

package extauthz

import (
	"fmt"

	"authz/internal/authz"
	"authz/internal/check"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/encoding/protojson"
)

// What tools need that look at a request without serving one. They go through the
// reader and the writer that a check goes through, so that they cannot disagree
// with the sidecar.

// ReadJSON reads a CheckRequest in protobuf's JSON form as the server would read it
// under this configuration. The error means that it is no CheckRequest; what is
// wrong with the request itself is its Fault.
func ReadJSON(c Config, text []byte) (*check.Request, error) {
	var in authv3.CheckRequest
	if err := protojson.Unmarshal(text, &in); err != nil {
		return nil, fmt.Errorf("not a CheckRequest: %w", err)
	}
	c = c.withDefaults()
	rd := newReader(&c)
	return rd.request(&in), nil
}

// Status is the HTTP status by which the client learns of a refusal. An allowed
// request has none: the answer is the app's.
func Status(d *authz.Decision) int {
	if d.Outcome == authz.Allowed {
		return 0
	}
	return httpStatus(d)
}

package extauthz

import (
	"slices"
	"strings"

	"authz/internal/authz"
	"authz/internal/check"

	"google.golang.org/protobuf/encoding/protowire"
)

// overrides let a client name another method than the one that was checked.
var overrides = []string{"x-http-method-override", "x-http-method", "x-method-override"}

// owned are the headers that only the sidecar may tell the app. A client's own copy
// never passes, whether or not the policy speaks of the header.
type owned struct {
	names     []string        // lower case, in the order they are removed
	canonical map[string]bool // of names
}

func newOwned(identity []string) owned {
	o := owned{canonical: map[string]bool{}}
	for _, name := range append(slices.Clone(identity), overrides...) {
		if name = lower(name); !slices.Contains(o.names, name) {
			o.names = append(o.names, name)
			o.canonical[check.Canonical(name)] = true
		}
	}
	return o
}

// removals are the headers of the request that must not reach the app: the owned
// ones, what the policy removes, and every twin, that is a header which the app may
// take for an owned, set or removed one because only '-' and '_' tell them apart.
// A header that is set is not removed: Envoy removes last, and it would be lost.
func (o *owned) removals(b []byte, number protowire.Number, d *authz.Decision, r *check.Request) ([]byte, error) {
	var space [16]string
	out := space[:0]
	for _, name := range o.names {
		if !has(d.Headers, name) {
			out = append(out, name)
		}
	}
	for _, name := range d.RemoveHeaders {
		name = lower(name)
		if strings.HasPrefix(name, ":") || name == "host" {
			continue // Envoy ignores these, and the request needs them
		}
		if err := removableName(name); err != nil {
			return nil, err
		}
		if !has(d.Headers, name) && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	if r != nil {
		for i := range r.HTTP.Headers {
			name := r.HTTP.Headers[i].Name
			if o.twin(name, d) && headerName(name) == nil && !has(d.Headers, name) && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	for _, name := range out {
		b = appendItem(b, number, name)
	}
	return b, nil
}

// twin reports whether a header of the request reads as one of the owned, set or
// removed ones, itself included.
func (o *owned) twin(name string, d *authz.Decision) bool {
	canonical := check.Canonical(name)
	if o.canonical[canonical] {
		return true
	}
	for i := range d.Headers {
		if check.Canonical(d.Headers[i].Name) == canonical {
			return true
		}
	}
	for _, removed := range d.RemoveHeaders {
		if check.Canonical(removed) == canonical {
			return true
		}
	}
	return false
}

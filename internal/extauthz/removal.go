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
type owned struct{ names []string } // lower case, in the order they are removed

func newOwned(identity []string) owned {
	var o owned
	for _, name := range append(slices.Clone(identity), overrides...) {
		if name = lower(name); !slices.Contains(o.names, name) {
			o.names = append(o.names, name)
		}
	}
	return o
}

// twins are the headers of a request that must not reach the app: the owned ones, what
// the policy removes, and every twin, that is a header which the app may take for an
// owned, set or removed one because only '-' and '_' tell them apart. A header that is
// set is not removed: Envoy removes last, and it would be lost.
type twins struct {
	removed   []string        // whatever the request holds
	canonical map[string]bool // of all names that may have a twin
	marks     uint64          // of the same; most headers of a request have none of them
}

func (o *owned) twins(d *authz.Decision) (twins, error) {
	t := twins{canonical: make(map[string]bool, len(o.names)+len(d.Headers)+len(d.RemoveHeaders))}
	see := func(name string) {
		name = check.Canonical(name)
		t.canonical[name] = true
		t.marks |= markOf(name)
	}
	for _, name := range o.names {
		see(name)
		if !has(d.Headers, name) {
			t.removed = append(t.removed, name)
		}
	}
	for i := range d.Headers {
		see(d.Headers[i].Name)
	}
	for _, name := range d.RemoveHeaders {
		see(name)
		name = lower(name)
		if strings.HasPrefix(name, ":") || name == "host" {
			continue // Envoy ignores these, and the request needs them
		}
		if err := removableName(name); err != nil {
			return t, err
		}
		if !has(d.Headers, name) && !slices.Contains(t.removed, name) {
			t.removed = append(t.removed, name)
		}
	}
	return t, nil
}

// append appends the twins that a request holds beside the names that are removed anyway.
func (t *twins) append(b []byte, number protowire.Number, d *authz.Decision, headers check.Headers) []byte {
	for i := range headers {
		name := headers[i].Name
		if t.marks&markOf(name) == 0 || !t.canonical[check.Canonical(name)] {
			continue
		}
		if headerName(name) == nil && !has(d.Headers, name) && !slices.Contains(t.removed, name) {
			b = appendItem(b, number, name)
		}
	}
	return b
}

// markOf is one bit, the same for a name and its twins.
func markOf(name string) uint64 {
	if name == "" {
		return 1
	}
	first, last := name[0], name[len(name)-1]
	if first == '_' {
		first = '-'
	}
	if last == '_' {
		last = '-'
	}
	return 1 << ((len(name) + 7*int(first) + 13*int(last)) % 64)
}

package extauthz

import (
	"fmt"
	"strings"

	"authz/internal/check"

	"google.golang.org/protobuf/encoding/protowire"
)

// requestHeaders are headers for the app. In ok_response.headers Envoy ignores
// append_action and keeps only the last entry of a name, so a list of values
// travels as one value, joined as the recipient would join it
// (RFC 9110, 5.3; RFC 9113, 8.2.3 for cookie).
func requestHeaders(b []byte, number protowire.Number, list []check.Header) (_ []byte, err error) {
	for i := range list {
		if has(list[:i], list[i].Name) {
			continue
		}
		separator := ","
		if lower(list[i].Name) == "cookie" {
			separator = "; "
		}
		if b, err = header(b, number, list[i].Name, joined(list[i:], separator), overwrite); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// responseHeaders are headers added to the app's answer. Envoy first adds what is
// to be appended and then overwrites, so that an entry that overwrites takes with
// it every other entry of its name: a list is one joined value here as well.
// Two names add to what the app says instead of replacing it: set-cookie, whose
// values cannot be joined (RFC 6265, 3) and of which the app has its own, and vary,
// where leaving out what the app varies by would poison caches.
func responseHeaders(b []byte, number protowire.Number, list []check.Header) (_ []byte, err error) {
	for i := range list {
		name, value, action := lower(list[i].Name), list[i].Value, overwrite
		switch {
		case name == "set-cookie":
			action = add
		case has(list[:i], name):
			continue
		default:
			value = joined(list[i:], ", ")
			if name == "vary" {
				action = add
			}
		}
		if b, err = header(b, number, name, value, action); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// deniedHeaders are headers of an answer that Envoy makes: there the first entry
// replaces what Envoy would write, and the following ones stay beside it.
func deniedHeaders(b []byte, number protowire.Number, list []check.Header) (_ []byte, err error) {
	for i := range list {
		action := overwrite
		if has(list[:i], list[i].Name) {
			action = add
		}
		if b, err = header(b, number, list[i].Name, list[i].Value, action); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func header(b []byte, number protowire.Number, name, value string, a action) ([]byte, error) {
	name = lower(name)
	if err := headerName(name); err != nil {
		return nil, err
	}
	if err := headerValue(value); err != nil {
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	return appendOption(b, number, name, value, a), nil
}

// joined is every value in list of the name of its first entry.
func joined(list []check.Header, separator string) string {
	name, value := list[0].Name, list[0].Value
	for _, h := range list[1:] {
		if strings.EqualFold(h.Name, name) {
			value += separator + h.Value
		}
	}
	return value
}

func has(list []check.Header, name string) bool {
	for i := range list {
		if strings.EqualFold(list[i].Name, name) {
			return true
		}
	}
	return false
}

// without is list with no entry of these names; list itself is left alone.
func without(list []check.Header, names ...string) []check.Header {
	out := make([]check.Header, 0, len(list)+3)
next:
	for _, h := range list {
		for _, name := range names {
			if strings.EqualFold(h.Name, name) {
				continue next
			}
		}
		out = append(out, h)
	}
	return out
}

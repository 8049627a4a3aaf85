package extauthz

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The second wall. The policy room refuses such names and values where they are
// made; here they are refused again, because what passes this line is written
// into an HTTP message as it is. No error shows a value.

// Framing headers frame the message or name its target, hop-by-hop ones belong to the
// connection (RFC 9110, 7.6.1): Envoy writes what it is told, and the connection
// hangs or the request goes elsewhere. The latter may be taken away.
var (
	framing  = names("host content-length transfer-encoding")
	hopByHop = names("connection keep-alive proxy-connection te trailer upgrade")
)

func names(list string) map[string]bool {
	out := map[string]bool{}
	for _, name := range strings.Fields(list) {
		out[name] = true
	}
	return out
}

// headerName wants the name of a header that may be set.
func headerName(name string) error {
	if hopByHop[name] {
		return fmt.Errorf("%q is not to be changed", name)
	}
	return removableName(name)
}

// removableName wants a lower-case token (RFC 9110, 5.6.2). A pseudo-header is none.
func removableName(name string) error {
	if framing[name] {
		return fmt.Errorf("%q is not to be changed", name)
	}
	if name == "" {
		return errors.New("a header without a name")
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return fmt.Errorf("%q is not a header name", name)
		}
	}
	return nil
}

// headerValue refuses control bytes (RFC 9110, 5.5) and what protobuf cannot carry.
func headerValue(value string) error {
	for i := range len(value) {
		if c := value[i]; c < 0x20 && c != '\t' || c == 0x7f {
			return fmt.Errorf("the value holds the control byte 0x%02x", c)
		}
	}
	return text(value)
}

// text refuses what a protobuf string cannot hold: the answer could not be sent.
func text(s string) error {
	if !utf8.ValidString(s) {
		return errors.New("not valid UTF-8")
	}
	return nil
}

// lower is strings.ToLower for names, which are nearly always lower case already.
func lower(name string) string {
	for i := range len(name) {
		if c := name[i]; c >= 'A' && c <= 'Z' {
			return strings.ToLower(name)
		}
	}
	return name
}

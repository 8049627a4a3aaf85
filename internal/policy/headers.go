package policy

import (
	"errors"
	"fmt"
	"strings"

	"authz/internal/check"

	"github.com/open-policy-agent/opa/v1/ast"
)

// What a policy may not set. Envoy owns the first group; the second is about one
// connection and not the message (RFC 9110, 7.6.1), and setting it from outside
// breaks framing or the next request on the connection.
var (
	framingNames  = names("host content-length transfer-encoding")
	hopByHopNames = names("connection keep-alive proxy-connection te trailer upgrade")
)

func names(list string) map[string]bool {
	out := map[string]bool{}
	for _, name := range strings.Fields(list) {
		out[name] = true
	}
	return out
}

// headerList reads an object of name to string or list of strings, or a list of
// such objects, into entries in order. Names become lower case, as on HTTP/2.
func headerList(v ast.Value) ([]check.Header, error) {
	var out []check.Header
	add := func(name, value string) error {
		name, err := settableName(name)
		if err != nil {
			return err
		}
		if err := fieldValue(value); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
		out = append(out, check.Header{Name: name, Value: value})
		return nil
	}
	list, ok := elements(v)
	if !ok {
		if _, ok := v.(ast.Object); !ok {
			return nil, wrongType(v, "an object or a list of objects")
		}
		return out, eachValue(v, add)
	}
	for i, item := range list {
		if err := eachValue(item.Value, add); err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return out, nil
}

func settableName(name string) (string, error) {
	lower, err := removableName(name)
	if err == nil && hopByHopNames[lower] {
		err = fmt.Errorf("%q belongs to the connection, not to the message", lower)
	}
	return lower, err
}

func removableName(name string) (string, error) {
	lower := strings.ToLower(name)
	switch {
	case strings.HasPrefix(name, ":"):
		return "", fmt.Errorf("%q is a pseudo-header", name)
	case !isToken(name):
		return "", fmt.Errorf("%q is not a header name", name)
	case framingNames[lower]:
		return "", fmt.Errorf("%q is not a policy's to change", lower)
	}
	return lower, nil
}

// isToken is RFC 9110, 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && !isDigit(c) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// fieldValue refuses what would split a message or what proxies disagree about
// (RFC 9110, 5.5): control bytes other than tab, and a space or tab at either end,
// which whoever reads the message drops: the subject "admin " would be "admin" to the
// app. The value is not shown.
func fieldValue(s string) error {
	if strings.Trim(s, " \t") != s {
		return errors.New("the value begins or ends with a space or tab")
	}
	for i := range len(s) {
		if c := s[i]; c < 0x20 && c != '\t' || c == 0x7f {
			return fmt.Errorf("the value holds the control byte 0x%02x", c)
		}
	}
	return nil
}

// queryText refuses control bytes, which would reach the request line.
func queryText(s string) error {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f {
			return errors.New("holds a control byte")
		}
	}
	return nil
}

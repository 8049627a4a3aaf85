package check

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxParameters bounds the parameters of a query and the fields of a form, so
// that a request of many tiny ones stays as cheap as any other of its size.
const MaxParameters = 1000

// ParsePath is the contract's parsed_path: the target up to the first '?',
// percent-decoded, leading '/' trimmed, split at '/'. The query never takes part.
//
// Only origin-form is a path (RFC 9112, 3.2.1): an empty target, `*` and
// `http://host/path` are faults, as are a bad escape, a raw control byte and
// what is not UTF-8 once decoded. Which readable paths are too ambiguous to be
// judged is for Strict to say.
func ParsePath(raw string) ([]string, *Fault) { return AppendPath(nil, raw) }

// AppendPath is ParsePath into a list that is empty and may have room.
func AppendPath(out []string, raw string) ([]string, *Fault) {
	path, _, _ := strings.Cut(raw, "?")
	if fault := originForm(path); fault != nil {
		return nil, fault
	}
	escaped, wide := false, false
	for i := range len(path) {
		switch c := path[i]; {
		case c == '%':
			escaped = true
		case isControl(c):
			return nil, &Fault{"path_control", fmt.Sprintf("control byte 0x%02x at byte %d", c, i)}
		case c >= utf8.RuneSelf:
			wide = true
		}
	}
	if escaped {
		var ok bool
		if path, ok = unescape(path, false); !ok {
			return nil, &Fault{"path_escape", "a '%' without two hexadecimal digits"}
		}
	}
	if (escaped || wide) && !utf8.ValidString(path) {
		return nil, &Fault{"path_utf8", "not UTF-8 once decoded"}
	}
	path = strings.TrimLeft(path, "/")
	if n := strings.Count(path, "/") + 1; cap(out) < n {
		out = make([]string, 0, n)
	}
	for {
		segment, rest, more := strings.Cut(path, "/")
		out = append(out, segment)
		if !more {
			return out, nil
		}
		path = rest
	}
}

func originForm(path string) *Fault {
	switch {
	case path == "":
		return &Fault{"path_missing", "the request has no path"}
	case path[0] != '/':
		return &Fault{"path_form", "the path does not begin with '/'"}
	}
	return nil
}

// ParseQuery is the contract's parsed_query, of what follows the first '?': a
// name to its values in order, decoded as a form is. It is nil where there is no
// parameter.
//
// A ';' is a fault because some apps separate parameters with it and others do
// not (CVE-2021-23336); so is a bad escape, which apps drop, keep or refuse.
func ParseQuery(raw string) (map[string][]string, *Fault) {
	for i := range len(raw) {
		if isControl(raw[i]) {
			return nil, &Fault{"query_control", fmt.Sprintf("control byte 0x%02x at byte %d", raw[i], i)}
		}
	}
	var out map[string][]string
	fault := eachParameter(raw, "query", func(name, value string) *Fault {
		if out == nil {
			out = make(map[string][]string)
		}
		out[name] = append(out[name], value)
		return nil
	})
	if fault != nil {
		return nil, fault
	}
	return out, nil
}

// eachParameter reads application/x-www-form-urlencoded text (WHATWG URL, 5.1),
// which queries and form bodies share. Codes are prefixed with what was read.
func eachParameter(text, what string, visit func(name, value string) *Fault) *Fault {
	for count := 0; text != ""; {
		var pair string
		pair, text, _ = strings.Cut(text, "&")
		if pair == "" {
			continue
		}
		if count++; count > MaxParameters {
			return &Fault{what + "_parameters", fmt.Sprintf("more than %d parameters", MaxParameters)}
		}
		if strings.IndexByte(pair, ';') >= 0 {
			return &Fault{what + "_semicolon", "a ';' that is not escaped"}
		}
		name, value, _ := strings.Cut(pair, "=")
		name, okName := unescape(name, true)
		value, okValue := unescape(value, true)
		switch {
		case !okName || !okValue:
			return &Fault{what + "_escape", "a '%' without two hexadecimal digits"}
		case !utf8.ValidString(name) || !utf8.ValidString(value):
			return &Fault{what + "_utf8", "not UTF-8 once decoded"}
		}
		if fault := visit(name, value); fault != nil {
			return fault
		}
	}
	return nil
}

// unescape undoes percent-encoding, once, and in forms reads '+' as a space. It
// returns text without escapes as it is, without allocating.
func unescape(s string, form bool) (string, bool) {
	i := 0
	for i < len(s) && s[i] != '%' && (s[i] != '+' || !form) {
		i++
	}
	if i == len(s) {
		return s, true
	}
	out := append(make([]byte, 0, len(s)), s[:i]...)
	for ; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '%':
			b, ok := escapedByte(s[i:])
			if !ok {
				return "", false
			}
			c, i = b, i+2
		case c == '+' && form:
			c = ' '
		}
		out = append(out, c)
	}
	return string(out), true
}

// escapedByte reads the escape ("%41…") that s begins with.
func escapedByte(s string) (byte, bool) {
	if len(s) < 3 {
		return 0, false
	}
	high, low := hexDigit[s[1]], hexDigit[s[2]]
	if high < 0 || low < 0 {
		return 0, false
	}
	return byte(high)<<4 | byte(low), true
}

// hexDigit maps a byte to the value of the hexadecimal digit it is, or to -1.
var hexDigit = func() (table [256]int8) {
	for i := range table {
		table[i] = -1
	}
	for i, c := range "0123456789abcdef" {
		table[c] = int8(i)
	}
	for i, c := range "ABCDEF" {
		table[c] = int8(10 + i)
	}
	return table
}()

// isControl is C0 and DEL.
func isControl(c byte) bool { return c < 0x20 || c == 0x7f }

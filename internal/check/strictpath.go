package check

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// strictPath judges a path without its query (codes: strict.go).
//
// The bytes are judged as sent; then, only where there are escapes, once more
// decoded. A second decoding must find nothing left to decode, so what is said of
// the decoded path holds for every reader that decodes once or more.
func strictPath(path string) *Fault {
	if fault := originForm(path); fault != nil {
		return fault
	}
	escaped := false
	for i := range len(path) {
		c := path[i]
		if !suspect[c] {
			continue
		}
		switch {
		case c == '%':
			b, ok := escapedByte(path[i:])
			if !ok {
				return &Fault{"path_escape", "a '%' without two hexadecimal digits"}
			}
			if b == '/' {
				return &Fault{"path_slash", "an escaped '/'"}
			}
			escaped = true
		case c == ' ' || c >= utf8.RuneSelf:
			return &Fault{"path_raw", fmt.Sprintf("byte 0x%02x in the path, not escaped", c)}
		default:
			return suspectFault(c)
		}
	}
	if !escaped {
		return strictSegments(path)
	}
	decoded, _ := unescape(path, false)
	if !utf8.ValidString(decoded) {
		return &Fault{"path_utf8", "not UTF-8 once decoded"}
	}
	for i, c := range decoded {
		switch {
		case c == '%':
			if _, again := escapedByte(decoded[i:]); again {
				return &Fault{"path_double", "an escape within an escape"}
			}
		case c < utf8.RuneSelf && c != ' ' && suspect[c]:
			return suspectFault(byte(c))
		case c >= 0x80 && c < 0xa0:
			return &Fault{"path_control", fmt.Sprintf("control character %U", c)}
		case c >= utf8.RuneSelf && lookalike(c):
			return &Fault{"path_lookalike", fmt.Sprintf("%U, which may become a path's punctuation", c)}
		}
	}
	return strictSegments(decoded)
}

// suspect are the bytes that no plain path has.
var suspect = func() (table [256]bool) {
	for c := range table {
		table[c] = c <= ' ' || c >= 0x7f
	}
	for _, c := range []byte(`%#?\;`) {
		table[c] = true
	}
	return table
}()

func suspectFault(c byte) *Fault {
	switch c {
	case '#':
		return &Fault{"path_fragment", "a '#' in the path"}
	case '?':
		return &Fault{"path_query", "an escaped '?' in the path"}
	case '\\':
		return &Fault{"path_backslash", "a backslash in the path"}
	case ';':
		return &Fault{"path_parameter", "a ';' in the path"}
	}
	return &Fault{"path_control", fmt.Sprintf("control byte 0x%02x in the path", c)}
}

// strictSegments looks for `//` and for segments of dots. Windows also drops dots
// and spaces at the end of a name, so that `.. ` and `...` count. The one empty
// segment that is plain is the last: `/a/` and `/`.
func strictSegments(path string) *Fault {
	for start := 1; start < len(path); {
		switch path[start] {
		case '/':
			return &Fault{"path_empty_segment", "an empty segment in the path"}
		case '.', ' ':
			segment, _, _ := strings.Cut(path[start:], "/")
			if strings.IndexByte(segment, '.') >= 0 && strings.Trim(segment, ". ") == "" {
				return &Fault{"path_dot_segment", "a segment of dots in the path"}
			}
		}
		next := strings.IndexByte(path[start:], '/')
		if next < 0 {
			return nil
		}
		start += next + 1
	}
	return nil
}

// lookalike are the characters whose compatibility form (NFKC, Unicode 15 and
// later) holds one of / \ . % ; ? #, and the slashes of mathematics, for which
// Windows code pages have a plain slash as best fit.
func lookalike(c rune) bool {
	switch {
	case c >= 0x2024 && c <= 0x2026, // leaders and the ellipsis: . .. ...
		c >= 0x2047 && c <= 0x2049, // ?? ?! !?
		c >= 0x2488 && c <= 0x249b, // digits with a full stop
		c == 0x1f100:               // the same, zero
		return true
	}
	switch c {
	case 0xff0f, 0xff3c, 0xff0e, 0xff05, 0xff1b, 0xff1f, 0xff03, // fullwidth
		0xfe68, 0xfe52, 0xfe6a, 0xfe54, 0xfe56, 0xfe5f, // small
		0xfe16, 0xfe14, 0xfe19, 0xfe30, // vertical
		0x037e,                         // the Greek question mark is a ';'
		0x2100, 0x2101, 0x2105, 0x2106, // a/c a/s c/o c/u
		0x33c2, 0x33c7, 0x33d8, // a.m. Co. p.m.
		0x2044, 0x2215, 0x2216, 0x29f8, 0x29f9: // fraction, division, set minus, big
		return true
	}
	return false
}

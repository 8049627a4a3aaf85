package check

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The JSON reader. Two readers of one document must come to the same value, or a
// rule judges something else than the app acts on. So, beyond RFC 8259:
//
//	json_syntax     not JSON, or anything after the value   always refused
//	json_utf8       not UTF-8: UTF-16, raw bytes            always
//	json_bom        a byte order mark (RFC 8259, 8.1)       always
//	json_number     infinite or zero as a float64 though    always
//	                written as neither, or very long
//	json_depth      deeper than maxDepth                    strict; else laxDepth
//	json_duplicate  a name twice in an object               strict; else the last wins
//	                (CVE-2017-12635)
//	json_case       names of an object equal but for case   strict; else both are kept
//	json_nul        U+0000 in a string                      strict; else kept
//	json_surrogate  half of a UTF-16 pair, escaped          strict; else U+FFFD
//
// What strict mode accepts, encoding/json decodes to the same value (FuzzJSON).
// Values are nil, bool, json.Number, string, []any and map[string]any. Memory is
// proportional to the input, strings without escapes share it.
const (
	maxDepth  = 64
	laxDepth  = 512
	maxNumber = 128
	// Above so many names an object's names are compared by hash.
	maxPairwise = 16
)

// ParseJSON reads one document. See the table above for what strict adds.
func ParseJSON(text string, strict bool) (any, *Fault) {
	if strings.HasPrefix(text, "\ufeff") {
		return nil, &Fault{"json_bom", "a byte order mark"}
	}
	if !utf8.ValidString(text) {
		return nil, &Fault{"json_utf8", "not UTF-8"}
	}
	r := jsonReader{text: text, strict: strict, depth: laxDepth}
	if strict {
		r.depth = maxDepth
	}
	r.space()
	value, ok := r.value()
	if r.space(); ok && r.at < len(text) {
		ok = r.fail("json_syntax", "text after the value")
	}
	if !ok {
		return nil, r.fault
	}
	return value, nil
}

// jsonReader is a recursive descent over text. Its methods report false once
// fault is set, and the reader is then of no further use.
type jsonReader struct {
	text   string
	at     int
	depth  int // how much deeper it may go
	strict bool
	names  []string // of the objects that are open, innermost last
	fault  *Fault
}

func (r *jsonReader) fail(code, detail string) bool {
	r.fault = &Fault{code, fmt.Sprintf("%s, at byte %d", detail, r.at)}
	return false
}

func (r *jsonReader) space() {
	for r.at < len(r.text) {
		switch r.text[r.at] {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return
		}
	}
}

// peek is the next byte; 0, which begins nothing in JSON, at the end.
func (r *jsonReader) peek() byte {
	if r.at == len(r.text) {
		return 0
	}
	return r.text[r.at]
}

func (r *jsonReader) value() (any, bool) {
	switch c := r.peek(); c {
	case '{':
		return r.nested((*jsonReader).object)
	case '[':
		return r.nested((*jsonReader).array)
	case '"':
		return boxed(r.str())
	case 't':
		return true, r.word("true")
	case 'f':
		return false, r.word("false")
	case 'n':
		return nil, r.word("null")
	default:
		return r.number()
	}
}

func boxed(s string, ok bool) (any, bool) { return s, ok }

func (r *jsonReader) word(w string) bool {
	if !strings.HasPrefix(r.text[r.at:], w) {
		return r.fail("json_syntax", "no value")
	}
	r.at += len(w)
	return true
}

// nested reads an object or an array, the opening byte included.
func (r *jsonReader) nested(read func(*jsonReader) (any, bool)) (any, bool) {
	if r.depth == 0 {
		return nil, r.fail("json_depth", "nested too deeply")
	}
	r.depth--
	r.at++
	r.space()
	out, ok := read(r)
	r.depth++
	return out, ok
}

func (r *jsonReader) array() (any, bool) {
	if r.peek() == ']' {
		r.at++
		return []any{}, true
	}
	var out []any
	for {
		item, ok := r.value()
		if !ok {
			return nil, false
		}
		out = append(out, item)
		if more, ok := r.next(']'); !more {
			return out, ok
		}
	}
}

func (r *jsonReader) object() (any, bool) {
	out := map[string]any{}
	if r.peek() == '}' {
		r.at++
		return out, true
	}
	first := len(r.names)
	for {
		if r.peek() != '"' {
			return nil, r.fail("json_syntax", "no name")
		}
		name, ok := r.str()
		if !ok {
			return nil, false
		}
		if r.space(); r.peek() != ':' {
			return nil, r.fail("json_syntax", "no ':' after a name")
		}
		r.at++
		r.space()
		if r.strict {
			r.names = append(r.names, name)
		}
		item, ok := r.value()
		if !ok {
			return nil, false
		}
		out[name] = item
		if more, ok := r.next('}'); !more {
			return out, ok && r.distinct(first)
		}
	}
}

// next reads what stands between two items, or the end of them.
func (r *jsonReader) next(end byte) (more, ok bool) {
	r.space()
	switch r.peek() {
	case ',':
		r.at++
		r.space()
		return true, true
	case end:
		r.at++
		return false, true
	}
	return false, r.fail("json_syntax", "neither ',' nor the end of the list")
}

// distinct checks and then drops the names from first on: those of the object
// that just ended. In lax mode there are none.
func (r *jsonReader) distinct(first int) bool {
	names := r.names[first:]
	r.names = r.names[:first]
	if len(names) <= maxPairwise {
		for i, a := range names {
			for _, b := range names[:i] {
				if strings.EqualFold(a, b) {
					return r.twice(a, b)
				}
			}
		}
		return true
	}
	seen := make(map[string]string, len(names))
	for _, a := range names {
		folded := fold(a)
		if b, ok := seen[folded]; ok {
			return r.twice(a, b)
		}
		seen[folded] = a
	}
	return true
}

func (r *jsonReader) twice(a, b string) bool {
	if a == b {
		return r.fail("json_duplicate", "an object has the same name twice")
	}
	return r.fail("json_case", "an object has names equal but for case")
}

// fold maps strings that strings.EqualFold calls equal, and only those, to one:
// each letter becomes the least of those it is folded with.
func fold(s string) string {
	return strings.Map(func(c rune) rune {
		if c < utf8.RuneSelf {
			if c >= 'a' && c <= 'z' {
				c -= 'a' - 'A'
			}
			return c
		}
		least := c
		for next := unicode.SimpleFold(c); next != c; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		return least
	}, s)
}

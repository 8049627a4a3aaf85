package check

import (
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Strings and numbers of the JSON reader.

// str reads a string, from quote to quote. The text is known to be UTF-8.
func (r *jsonReader) str() (string, bool) {
	start := r.at + 1
	for i := start; i < len(r.text); i++ {
		switch c := r.text[i]; {
		case c == '"':
			r.at = i + 1
			return r.text[start:i], true
		case c == '\\':
			return r.escaped(start, i)
		case c < 0x20:
			r.at = i
			return "", r.fail("json_syntax", "a control byte in a string")
		}
	}
	r.at = len(r.text)
	return "", r.fail("json_syntax", "a string without end")
}

// escaped reads a string that begins at start and whose first escape is at i.
func (r *jsonReader) escaped(start, i int) (string, bool) {
	out := append(make([]byte, 0, i-start+32), r.text[start:i]...)
	for r.at = i; r.at < len(r.text); {
		c := r.text[r.at]
		switch {
		case c == '"':
			r.at++
			return string(out), true
		case c < 0x20:
			return "", r.fail("json_syntax", "a control byte in a string")
		case c != '\\':
			out = append(out, c)
			r.at++
			continue
		}
		char, ok := r.escape()
		if !ok {
			return "", false
		}
		out = utf8.AppendRune(out, char)
	}
	return "", r.fail("json_syntax", "a string without end")
}

// escape reads one escape, or the two of a surrogate pair (RFC 8259, 7).
func (r *jsonReader) escape() (rune, bool) {
	const letters, meanings = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if r.at+1 == len(r.text) {
		return 0, r.fail("json_syntax", "a string without end")
	}
	for i := range len(letters) {
		if letters[i] == r.text[r.at+1] {
			r.at += 2
			return rune(meanings[i]), true
		}
	}
	char, ok := unicodeEscape(r.text[r.at:])
	switch {
	case !ok:
		return 0, r.fail("json_syntax", "an unknown escape")
	case char == 0 && r.strict:
		return 0, r.fail("json_nul", "U+0000 in a string")
	case !utf16.IsSurrogate(char):
		r.at += 6
		return char, true
	}
	low, _ := unicodeEscape(r.text[r.at+6:])
	if pair := utf16.DecodeRune(char, low); pair != utf8.RuneError {
		r.at += 12
		return pair, true
	}
	if r.strict {
		return 0, r.fail("json_surrogate", "half of a surrogate pair")
	}
	r.at += 6
	return utf8.RuneError, true
}

// unicodeEscape reads the \uXXXX that s begins with.
func unicodeEscape(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	var char rune
	for i := 2; i < 6; i++ {
		digit := hexDigit[s[i]]
		if digit < 0 {
			return 0, false
		}
		char = char<<4 | rune(digit)
	}
	return char, true
}

// number reads RFC 8259's number and keeps its text.
func (r *jsonReader) number() (any, bool) {
	start := r.at
	if r.peek() == '-' {
		r.at++
	}
	if r.peek() == '0' {
		r.at++
	} else if !r.digits() {
		return nil, r.fail("json_syntax", "no value")
	}
	plain := true
	if r.peek() == '.' {
		plain = false
		if r.at++; !r.digits() {
			return nil, r.fail("json_syntax", "no digit after '.'")
		}
	}
	if r.peek()|0x20 == 'e' {
		plain = false
		if r.at++; r.peek() == '+' || r.peek() == '-' {
			r.at++
		}
		if !r.digits() {
			return nil, r.fail("json_syntax", "no digit in an exponent")
		}
	}
	text := r.text[start:r.at]
	if len(text) > maxNumber || !plain && !finite(text) {
		return nil, r.fail("json_number", "a number out of range")
	}
	return json.Number(text), true
}

func (r *jsonReader) digits() bool {
	start := r.at
	for r.peek()-'0' <= 9 {
		r.at++
	}
	return r.at > start
}

// finite refuses what float64 turns into an infinity, and also what it turns into
// zero though it is none: to an exact reader 1e-999999999 is a very long number.
func finite(text string) bool {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		return false
	}
	if f != 0 {
		return true
	}
	for i := range len(text) {
		switch c := text[i]; {
		case c|0x20 == 'e':
			return true
		case c >= '1' && c <= '9':
			return false
		}
	}
	return true
}

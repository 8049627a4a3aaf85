package check

import (
	"fmt"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// Canonical gives the one spelling shared by a header and its twins: lower case,
// with '_' as '-'. Apps behind CGI or WSGI cannot tell `X_Forwarded_User` from
// `X-Forwarded-User` (CVE-2025-64484), so who removes one must remove both.
func Canonical(name string) string {
	name = lower(name)
	if strings.IndexByte(name, '_') < 0 {
		return name
	}
	return strings.ReplaceAll(name, "_", "-")
}

// JoinHeaders makes of Envoy's raw headers (encode_raw_headers) what it would have
// sent without them: lower-case names, a repeated one joined with ',', in order of
// first appearance. Raw values are bytes; those that are not UTF-8 are a fault, for
// every string of a Request is (CVE-2023-27488).
func JoinHeaders(raw []RawHeader) (Headers, *Fault) {
	if len(raw) == 0 {
		return nil, nil
	}
	return AppendJoined(make(Headers, 0, len(raw)), raw)
}

// AppendJoined is JoinHeaders into a list that is empty and may have room.
func AppendJoined(out Headers, raw []RawHeader) (Headers, *Fault) {
next:
	for i := range raw {
		name, value := lower(raw[i].Key), raw[i].text()
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return nil, &Fault{"header_utf8", fmt.Sprintf("header %d is not UTF-8", i)}
		}
		for at := range out { // a short list, cheaper than a map
			if out[at].Name == name {
				out[at].Value += "," + value
				continue next
			}
		}
		out = append(out, Header{name, value})
	}
	return out, nil
}

// text is the value in either form. Nobody changes a request, so the bytes need no
// copy.
func (h *RawHeader) text() string {
	if len(h.RawValue) > 0 {
		return unsafe.String(unsafe.SliceData(h.RawValue), len(h.RawValue)) //nolint:gosec // read only
	}
	return h.Value
}

// isToken is RFC 9110, 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if tokenByte[s[i]] == 0 {
			return false
		}
	}
	return s != ""
}

// isLowerToken is a header name as HTTP/2 writes it (RFC 9113, 8.2.1).
func isLowerToken(s string) bool {
	for i := range len(s) {
		if tokenByte[s[i]] != isLower {
			return false
		}
	}
	return s != ""
}

const (
	isUpper = 1 + iota
	isLower // and what has no case
)

var tokenByte = func() (table [256]byte) {
	for _, c := range "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz" {
		table[c] = isLower
	}
	for c := 'A'; c <= 'Z'; c++ {
		table[c] = isUpper
	}
	return table
}()

// isFieldText says that a header value has nothing on which two readers could
// disagree: visible ASCII, spaces and tabs (RFC 9110, 5.5). Values are most of
// the bytes of a request, so eight are looked at together.
func isFieldText(s string) bool {
	const (
		ones = 0x0101010101010101
		tops = 0x80 * ones
	)
	i := 0
	for ; i+8 <= len(s); i += 8 {
		w := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
			uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		// The top bit of a byte is set if it was set already, if the byte is
		// below 0x20 (the subtraction borrows) or if it is 0x7f (the addition
		// carries). A borrow out of a byte only ever adds suspicion.
		if (w|(w-0x20*ones)|(w+ones))&tops != 0 && !isFieldBytes(s[i:i+8]) {
			return false
		}
	}
	return isFieldBytes(s[i:])
}

func isFieldBytes(s string) bool {
	for i := range len(s) {
		if c := s[i]; c >= 0x7f || c < 0x20 && c != '\t' {
			return false
		}
	}
	return true
}

package check

import (
	"fmt"
	"math"
	"strings"
)

// The headers' part of Strict (codes: strict.go). Details name a header by its
// position or its known name, never by its value.

func strictHeaders(h *HTTP, headers Headers, vetted bool) *Fault {
	if len(headers) > MaxHeaders {
		return &Fault{"header_count", fmt.Sprintf("more than %d headers", MaxHeaders)}
	}
	var seen nameSet
	for i := range headers {
		header := &headers[i]
		switch {
		case strings.HasPrefix(header.Name, ":"):
			if fault := strictPseudo(h, header); fault != nil {
				return fault
			}
		case !vetted && !isLowerToken(header.Name):
			return &Fault{"header_name", fmt.Sprintf("the name of header %d is not a lower-case token", i)}
		}
		if !vetted && !isFieldText(header.Value) {
			return &Fault{"header_value", fmt.Sprintf("header %d has a byte that no value may have", i)}
		}
		if seen.add(header.Name) {
			for j := range i {
				if headers[j].Name == header.Name {
					return &Fault{"header_repeated", fmt.Sprintf("headers %d and %d have the same name", j, i)}
				}
			}
		}
		if fault := strictKnown(h, headers, header); fault != nil {
			return fault
		}
	}
	return nil
}

// strictRaw judges raw headers as sent, and joined. The names in Headers that a
// door made of them are lower case already, so case is looked at here.
func strictRaw(h *HTTP) *Fault {
	if len(h.HeaderMap) == 0 {
		return nil
	}
	if len(h.HeaderMap) > MaxHeaders {
		return &Fault{"header_count", fmt.Sprintf("more than %d headers", MaxHeaders)}
	}
	for i := range h.HeaderMap {
		name := h.HeaderMap[i].Key
		if !isLowerToken(strings.TrimPrefix(name, ":")) {
			return &Fault{"header_name", fmt.Sprintf("the name of header %d is not a lower-case token", i)}
		}
	}
	if h.Joined { // judged already
		return nil
	}
	joined, fault := JoinHeaders(h.HeaderMap)
	if fault != nil {
		return fault
	}
	return strictHeaders(h, joined, false)
}

// nameSet remembers names by a few of their bytes, so that names that differ are mostly told apart without comparing
// each with each.
type nameSet [4]uint64

// add says whether a name that looks the same is in the set already.
func (s *nameSet) add(name string) (met bool) {
	mark := uint(len(name))
	if n := len(name); n > 0 {
		mark += 31*uint(name[0]) + 7*uint(name[n/2]) + 131*uint(name[n-1]) + 17*uint(name[n/4])
	}
	word, bit := &s[mark>>6%4], uint64(1)<<(mark%64)
	met = *word&bit != 0
	*word |= bit
	return met
}

// strictPseudo holds the pseudo-headers, which Envoy sends among the headers, to
// the fields that a policy reads beside them.
func strictPseudo(h *HTTP, header *Header) *Fault {
	var want string
	switch header.Name {
	case ":method":
		want = h.Method
	case ":path":
		want = h.Path
	case ":authority":
		want = h.Host
	case ":scheme":
		want = h.Scheme
	case ":protocol": // extended CONNECT (RFC 8441)
		return nil
	default:
		return &Fault{"header_name", "an unknown pseudo-header"}
	}
	if header.Value != want {
		return &Fault{"pseudo_mismatch", header.Name + " differs from the request's own"}
	}
	return nil
}

// strictKnown is what single headers owe.
func strictKnown(h *HTTP, headers Headers, header *Header) *Fault {
	switch header.Name {
	case "authorization", "proxy-authorization":
		if severalCredentials(header.Value) {
			return severalValues(header.Name)
		}
	case "content-type":
		if commaOutsideQuotes(header.Value) {
			return severalValues(header.Name)
		}
	case "host":
		if strings.IndexByte(header.Value, ',') >= 0 {
			return severalValues(header.Name)
		}
		if NormalizeHost(header.Value, h.Scheme) != NormalizeHost(h.Host, h.Scheme) {
			return &Fault{"host_mismatch", "the host header names another host"}
		}
	case "content-length":
		if _, ok := decimal(header.Value, math.MaxInt); !ok {
			return &Fault{"header_framing", "content-length is not one number"}
		}
	case "transfer-encoding":
		if _, both := headers.Lookup("content-length"); both || lower(header.Value) != "chunked" {
			return &Fault{"header_framing", "transfer-encoding beside content-length, or not chunked"}
		}
	case "connection":
		for option := range strings.SplitSeq(header.Value, ",") {
			switch lower(strings.Trim(option, " \t")) {
			case "", "close", "keep-alive", "upgrade", "te":
			default:
				return &Fault{"header_connection", "connection names a header of the message"}
			}
		}
	}
	return nil
}

// severalCredentials tells a list of credentials from one whose parameters are a
// list (RFC 9110, 11.4: Digest, AWS4-HMAC-SHA256). Schemes known to carry a single
// token have no comma at all; else each item after the first must be a parameter.
func severalCredentials(value string) bool {
	if strings.IndexByte(value, ',') < 0 {
		return false
	}
	value = skipSpace(value)
	switch lower(value[:strings.IndexAny(value, " \t,")]) {
	case "bearer", "basic", "dpop", "negotiate", "ntlm", "token":
		return true
	}
	_, rest, list := cutOutsideQuotes(value)
	for list {
		var item string
		item, rest, list = cutOutsideQuotes(rest)
		name, value, assigned := strings.Cut(strings.Trim(item, " \t"), "=")
		value = skipSpace(value)
		quoted := len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"'
		if !assigned || !isToken(strings.TrimRight(name, " \t")) || value == "" ||
			!quoted && strings.ContainsAny(value, " \t=\"") {
			return true
		}
	}
	return false
}

func commaOutsideQuotes(s string) bool {
	_, _, found := cutOutsideQuotes(s)
	return found
}

// cutOutsideQuotes splits at the first ',' that is not in a quoted string. A quote
// without end hides none.
func cutOutsideQuotes(s string) (before, after string, found bool) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '\\' && quoted:
			i++
		case s[i] == ',' && !quoted:
			return s[:i], s[i+1:], true
		}
	}
	if quoted {
		return strings.Cut(s, ",")
	}
	return s, "", false
}

func severalValues(name string) *Fault {
	return &Fault{"header_repeated", name + " has several values"}
}

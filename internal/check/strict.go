package check

import (
	"fmt"
	"slices"
	"strings"
)

// Strict mode refuses the requests that an edge, a policy and an app could read
// differently. Each code, what it refuses, and the failure that taught it:
//
//	method              none, not a token, or GET and its like in another case
//	scheme              neither http nor https
//	host_missing        no host
//	host_malformed      user info, a path, a list ("a,b"), a port that is none, any
//	                    byte that no host name has        (CVE-2021-39155)
//	host_mismatch       a `host` header that names another host
//	pseudo_mismatch     `:path` and its like differ from what Envoy says beside them
//
//	path_missing        no path at all                     (CVE-2026-73547)
//	path_form           `*`, `http://…`: no leading '/'
//	path_control        control bytes, raw or escaped, NUL among them
//	path_raw            a space or a byte above 0x7e, raw  (RFC 3986, 2)
//	path_escape         a '%' without two hexadecimal digits
//	path_utf8           not UTF-8 once decoded: overlong forms of '/' and '.'
//	path_fragment       '#', raw or escaped                (CVE-2021-39156)
//	path_query          '?', escaped                       (CVE-2026-32811)
//	path_backslash      '\', raw or escaped                (ISTIO-SECURITY-2021-005)
//	path_slash          an escaped '/'                     (CVE-2021-29492)
//	path_double         an escape within an escape: %252e  (CVE-2026-33494)
//	path_parameter      ';', raw or escaped: `/admin;x=y`, `/..;/` (CVE-2026-73553)
//	path_empty_segment  `//`                               (CVE-2026-26205)
//	path_dot_segment    '.', '..' or only dots and spaces, raw or escaped (CVE-2026-33494)
//	path_lookalike      U+FF0F and other characters that become one of / \ . % ; ? #
//	                    when an app normalizes (NFKC) or a code page finds a best fit
//	query_raw           control bytes, spaces, '#' or bytes above 0x7e, raw
//	query_nul           an escaped NUL
//
//	header_count        more than MaxHeaders
//	header_name         not a lower-case token; a pseudo-header that HTTP has not
//	header_value        CR, LF, NUL and other controls, bytes above 0x7e (CVE-2023-27488)
//	header_utf8         raw headers that are not UTF-8
//	header_repeated     the same name twice; a list where one value is meant, as in
//	                    "Bearer a,Bearer b" (CVE-2021-32777, CVE-2026-26308)
//	header_framing      transfer-encoding beside content-length, or not `chunked`; a
//	                    content-length that is not one number (RFC 9112, 6.1)
//	header_connection   `Connection` names a header of the message (CVE-2025-48865)
//
// What the query and the body can have wrong is found by ParseQuery and ParseBody.
// Names with '_' are no fault: the twins of headers that matter are removed from the
// request on its way to the app (see Canonical).

// MaxHeaders bounds the headers of a request; Envoy's own default is 100.
const MaxHeaders = 200

// Strict returns the first fault of a request, or nil. It looks at r.HTTP only.
func Strict(r *Request) *Fault { return strict(r, false) }

// StrictVetted is Strict for a request of whose Headers each was Vetted.
func StrictVetted(r *Request) *Fault { return strict(r, true) }

// Vetted says that there is nothing wrong with the bytes of a header: its name is that of a field (or of a pseudo-header)
// in lower case, its value visible ASCII, spaces and tabs. Such a header is UTF-8 as well.
func Vetted(name, value string) bool {
	return isLowerToken(strings.TrimPrefix(name, ":")) && isFieldText(value)
}

func strict(r *Request, vetted bool) *Fault {
	h := &r.HTTP
	if fault := strictMethod(h.Method); fault != nil {
		return fault
	}
	if h.Scheme != "" && h.Scheme != "http" && h.Scheme != "https" {
		return &Fault{"scheme", "neither http nor https"}
	}
	if fault := strictHost(h.Host); fault != nil {
		return fault
	}
	path, query, _ := strings.Cut(h.Path, "?")
	if fault := strictPath(path); fault != nil {
		return fault
	}
	if fault := strictQuery(query); fault != nil {
		return fault
	}
	if h.Fragment != "" {
		return &Fault{"path_fragment", "the request has a fragment"}
	}
	if fault := strictHeaders(h, h.Headers, vetted); fault != nil {
		return fault
	}
	return strictRaw(h)
}

var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"}

// strictMethod takes any method for what it is, for methods are case-sensitive
// (RFC 9110, 9.1), but not "get", which rules and apps may or may not take for GET.
func strictMethod(method string) *Fault {
	if !isToken(method) {
		return &Fault{"method", "not a token"}
	}
	for _, known := range methods {
		if method == known {
			return nil
		}
	}
	if slices.ContainsFunc(methods, func(known string) bool { return strings.EqualFold(method, known) }) {
		return &Fault{"method", "a known method in another case"}
	}
	return nil
}

// strictQuery looks at the bytes only; ParseQuery knows what is in them.
func strictQuery(query string) *Fault {
	for i := range len(query) {
		switch c := query[i]; {
		case c <= ' ' || c == '#' || c >= 0x7f:
			return &Fault{"query_raw", fmt.Sprintf("byte 0x%02x in the query, not escaped", c)}
		case c == '%' && strings.HasPrefix(query[i:], "%00"):
			return &Fault{"query_nul", "an escaped NUL in the query"}
		}
	}
	return nil
}

package check

import (
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
)

// plain is a request that nobody could read in two ways, as Envoy describes it.
func plain() *Request {
	return &Request{HTTP: HTTP{
		Method: "GET", Path: "/orders/12?page=2", Host: "api.example.com", Scheme: "https", Protocol: "HTTP/2", Size: -1,
		Headers: headers(
			":authority", "api.example.com", ":method", "GET", ":path", "/orders/12?page=2", ":scheme", "https",
			"accept", "*/*", "accept-language", "de;q=0.8, en", "user-agent", "Mozilla/5.0 (X11)\tx",
			"authorization", "Bearer aaa.bbb.ccc", "cookie", "a=1; b=2", "x-forwarded-for", "203.0.113.7,10.0.0.1",
			"x-request-id", "6f1c", "x_user", "twin", "te", "trailers"),
	}}
}

func TestStrictAcceptsAPlainRequest(t *testing.T) {
	if fault := Strict(plain()); fault != nil {
		t.Error(fault)
	}
}

func TestStrictRefusesTheZeroRequest(t *testing.T) {
	if fault := Strict(&Request{}); code(fault) != "method" {
		t.Errorf("%v", fault)
	}
}

func TestStrictPath(t *testing.T) {
	for _, row := range []struct{ about, path, fault string }{
		{"root", "/", ""},
		{"root with a query", "/?", ""},
		{"plain", "/a/b-c_d~e.f/", ""},
		{"escaped space", "/a%20b", ""},
		{"escaped letters", "/%61dmin", ""},
		{"escaped UTF-8", "/caf%C3%A9/%E6%97%A5", ""},
		{"a percent sign", "/100%25", ""},
		{"a percent sign and one digit", "/%251", ""},
		{"dots within a name", "/a..b/.hidden/v1.2/a.", ""},
		{"CVE-2025-46821: wildcards are text", "/{x}/*", ""},
		{"sub-delims", "/a!$&'()+,:@=b", ""},
		{"dots in the query", "/a?x=/../b//c;%2f%5c", ""},

		{"CVE-2026-73547: no path", "", "path_missing"},
		{"a query only", "?a", "path_missing"},
		{"OPTIONS *", "*", "path_form"},
		{"absolute-form", "http://evil.test/", "path_form"},
		{"authority-form", "evil.test:443", "path_form"},
		{"backslash instead of a slash", `\admin`, "path_form"},
		{"CVE-2026-26205", "//admin/x", "path_empty_segment"},
		{"slashes within", "/a//b", "path_empty_segment"},
		{"slashes at the end", "/a//", "path_empty_segment"},
		{"dot segment", "/public/../admin", "path_dot_segment"},
		{"dot segment at the end", "/public/..", "path_dot_segment"},
		{"single dot", "/./admin", "path_dot_segment"},
		{"single dot at the end", "/admin/.", "path_dot_segment"},
		{"CVE-2026-33494: escaped dots", "/public/%2e%2e/admin", "path_dot_segment"},
		{"half escaped", "/public/.%2E/admin", "path_dot_segment"},
		{"three dots", "/.../admin", "path_dot_segment"},
		{"dots and a space", "/..%20/admin", "path_dot_segment"},
		{"a space and dots", "/%20../admin", "path_dot_segment"},
		{"CVE-2021-29492: escaped slash", "/public%2fadmin", "path_slash"},
		{"upper case", "/public%2Fadmin", "path_slash"},
		{"after escaped dots", "/..%2fadmin", "path_slash"},
		{"ISTIO-SECURITY-2021-005: escaped backslash", "/public%5cadmin", "path_backslash"},
		{"upper case", "/public%5Cadmin", "path_backslash"},
		{"raw backslash", `/public\..\admin`, "path_backslash"},
		{"NUL", "/admin%00.html", "path_control"},
		{"raw NUL", "/admin\x00", "path_control"},
		{"newline", "/a%0ab", "path_control"},
		{"raw newline", "/a\nb", "path_control"},
		{"DEL", "/a%7f", "path_control"},
		{"C1 control", "/a%C2%85", "path_control"},
		{"raw space", "/a b", "path_raw"},
		{"raw UTF-8", "/é", "path_raw"},
		{"raw byte", "/\xff", "path_raw"},
		{"CVE-2026-73553: parameter", "/admin;x=y", "path_parameter"},
		{"parameter after dots", "/public/..;/admin", "path_parameter"},
		{"escaped parameter", "/admin%3bx", "path_parameter"},
		{"CVE-2021-39156: fragment", "/admin#x", "path_fragment"},
		{"escaped fragment", "/a%23b", "path_fragment"},
		{"CVE-2026-32811: escaped '?'", "/admin%3fx", "path_query"},
		{"double encoding", "/%252e%252e/admin", "path_double"},
		{"double encoding of a letter", "/%2561dmin", "path_double"},
		{"escape put together", "/%25%32%65", "path_double"},
		{"bad escape", "/%zz", "path_escape"},
		{"cut escape", "/a%2", "path_escape"},
		{"IIS escape", "/%u002e", "path_escape"},
		{"overlong '.'", "/%c0%ae%c0%ae/", "path_utf8"},
		{"overlong '/'", "/%c0%af", "path_utf8"},
		{"surrogate", "/%ed%a0%80", "path_utf8"},
		{"fullwidth slash", "/public%ef%bc%8fadmin", "path_lookalike"},
		{"fullwidth dots", "/%ef%bc%8e%ef%bc%8e/admin", "path_lookalike"},
		{"two dot leader", "/%e2%80%a5/admin", "path_lookalike"},
		{"division slash", "/public%e2%88%95admin", "path_lookalike"},

		{"raw '#' in the query", "/a?b#c", "query_raw"},
		{"space in the query", "/a?b c", "query_raw"},
		{"newline in the query", "/a?b\nc", "query_raw"},
		{"raw UTF-8 in the query", "/a?é", "query_raw"},
		{"NUL in the query", "/a?b=%00", "query_nul"},
	} {
		r := plain()
		r.HTTP.Path, r.HTTP.Headers = row.path, nil
		if fault := Strict(r); code(fault) != row.fault {
			t.Errorf("%s: %q: %v, want %q", row.about, row.path, fault, row.fault)
		}
	}
	r := plain()
	r.HTTP.Fragment = "x"
	if fault := Strict(r); code(fault) != "path_fragment" {
		t.Errorf("fragment beside the path: %v", fault)
	}
}

// The list of look-alikes is what Unicode's own tables say it is.
func TestLookalikesAreNFKC(t *testing.T) {
	bestFit := "\u2044\u2215\u2216\u29f8\u29f9"
	for c := rune(0x80); c <= 0x10ffff; c++ {
		if c >= 0xd800 && c < 0xe000 {
			continue
		}
		want := strings.ContainsRune(bestFit, c) || strings.ContainsAny(norm.NFKC.String(string(c)), `/\.%;?#`)
		if lookalike(c) != want {
			t.Errorf("%U: %v, want %v (NFKC %q)", c, !want, want, norm.NFKC.String(string(c)))
		}
	}
}

func TestStrictRequestLine(t *testing.T) {
	for _, row := range []struct {
		about, fault string
		change       func(*HTTP)
	}{
		{"a method of one's own", "", func(h *HTTP) { h.Method = "PROPFIND" }},
		{"no method", "method", func(h *HTTP) { h.Method = "" }},
		{"not a token", "method", func(h *HTTP) { h.Method = "GET /" }},
		{"lower case", "method", func(h *HTTP) { h.Method = "delete" }},
		{"mixed case", "method", func(h *HTTP) { h.Method = "Get" }},
		{"no scheme said", "", func(h *HTTP) { h.Scheme = "" }},
		{"another scheme", "scheme", func(h *HTTP) { h.Scheme = "javascript" }},
		{"scheme in upper case", "scheme", func(h *HTTP) { h.Scheme = "HTTPS" }},

		{"CVE-2021-39155: upper case is a spelling", "", func(h *HTTP) { h.Host = "API.Example.com:443" }},
		{"trailing dot", "", func(h *HTTP) { h.Host = "example.com." }},
		{"IPv4", "", func(h *HTTP) { h.Host = "192.0.2.1:8080" }},
		{"IPv6", "", func(h *HTTP) { h.Host = "[2001:db8::1]:8080" }},
		{"underscore", "", func(h *HTTP) { h.Host = "my_service" }},
		{"no host", "host_missing", func(h *HTTP) { h.Host = "" }},
		{"repeated", "host_malformed", func(h *HTTP) { h.Host = "a,b" }},
		{"user info", "host_malformed", func(h *HTTP) { h.Host = "api.example.com@evil.test" }},
		{"path", "host_malformed", func(h *HTTP) { h.Host = "example.com/x" }},
		{"backslash", "host_malformed", func(h *HTTP) { h.Host = `example.com\x` }},
		{"space", "host_malformed", func(h *HTTP) { h.Host = "example.com x" }},
		{"newline", "host_malformed", func(h *HTTP) { h.Host = "example.com\nx" }},
		{"raw UTF-8", "host_malformed", func(h *HTTP) { h.Host = "exämple.com" }},
		{"escape", "host_malformed", func(h *HTTP) { h.Host = "example%2ecom" }},
		{"empty label", "host_malformed", func(h *HTTP) { h.Host = "example..com" }},
		{"only a dot", "host_malformed", func(h *HTTP) { h.Host = "." }},
		{"only a port", "host_malformed", func(h *HTTP) { h.Host = ":80" }},
		{"empty port", "host_malformed", func(h *HTTP) { h.Host = "example.com:" }},
		{"two ports", "host_malformed", func(h *HTTP) { h.Host = "example.com:80:443" }},
		{"no port", "host_malformed", func(h *HTTP) { h.Host = "example.com:x" }},
		{"port out of range", "host_malformed", func(h *HTTP) { h.Host = "example.com:65536" }},
		{"IPv6 without brackets", "host_malformed", func(h *HTTP) { h.Host = "2001:db8::1" }},
		{"IPv6 without end", "host_malformed", func(h *HTTP) { h.Host = "[::1" }},
		{"IPv6 and a name", "host_malformed", func(h *HTTP) { h.Host = "[::1]x" }},
		{"IPv6 with a zone", "host_malformed", func(h *HTTP) { h.Host = "[fe80::1%eth0]" }},
		{"IPv4 in brackets", "host_malformed", func(h *HTTP) { h.Host = "[192.0.2.1]" }},
	} {
		r := plain()
		r.HTTP.Headers = nil
		row.change(&r.HTTP)
		if fault := Strict(r); code(fault) != row.fault {
			t.Errorf("%s: %v, want %q", row.about, fault, row.fault)
		}
	}
}

func TestStrictAllocatesNothing(t *testing.T) {
	r := plain()
	if allocs := testing.AllocsPerRun(100, func() { Strict(r) }); allocs != 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}

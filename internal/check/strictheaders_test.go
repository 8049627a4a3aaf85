package check

import (
	"fmt"
	"strings"
	"testing"
)

func TestStrictHeaders(t *testing.T) {
	const digest = `Digest username="a, b", realm="x\",y" , nonce=z, qop=auth`
	for _, row := range []struct{ about, name, value, fault string }{
		{"tab and visible ASCII", "x-a", "\t ~!\"", ""},
		{"empty value", "x-a", "", ""},
		{"CVE-2025-64484: twins are removed, not refused", "x_forwarded_user", "root", ""},
		{"upper case", "X-A", "1", "header_name"},
		{"empty name", "", "1", "header_name"},
		{"space in a name", "x a", "1", "header_name"},
		{"name that is not ASCII", "x-é", "1", "header_name"},
		{"unknown pseudo-header", ":x", "1", "header_name"},
		{"CVE-2023-27488: byte 0x80", "x-a", "12345678\x80", "header_value"},
		{"UTF-8", "x-a", "é", "header_value"},
		{"CR", "x-a", "1\r", "header_value"},
		{"LF deep in a long value", "x-a", strings.Repeat("x", 77) + "\n" + strings.Repeat("x", 77), "header_value"},
		{"NUL", "x-a", "\x00", "header_value"},
		{"DEL", "x-a", "1234567\x7f", "header_value"},

		{"one bearer", "authorization", "Bearer a.b.c", ""},
		{"parameters are a list", "authorization", digest, ""},
		{"AWS signature", "authorization", "AWS4-HMAC-SHA256 Credential=AK/2026/us/s3/aws4_request, SignedHeaders=host;range, Signature=fe5f", ""},
		{"CVE-2021-32777: two bearers", "authorization", "Bearer a,Bearer b", "header_repeated"},
		{"two bearers, one disguised", "authorization", "Bearer a,b=c", "header_repeated"},
		{"scheme in another case, tab", "authorization", "bEARER\ta, b=c", "header_repeated"},
		{"leading space", "authorization", " Bearer a, b=c", "header_repeated"},
		{"empty and bearer", "authorization", ",Bearer b", "header_repeated"},
		{"basic", "authorization", "Basic YTpi,Basic YTpi", "header_repeated"},
		{"a digest and a bearer", "authorization", digest + ",Bearer b", "header_repeated"},
		{"a digest and a padded bearer", "authorization", digest + ",Bearer b==", "header_repeated"},
		{"a quote without end", "authorization", `X a="b,Bearer c`, "header_repeated"},
		{"proxies' own", "proxy-authorization", "Bearer a,Bearer b", "header_repeated"},

		{"one type", "content-type", `multipart/form-data; boundary="a,b"`, ""},
		{"two types", "content-type", "application/json,text/plain", "header_repeated"},
		{"a quote without end", "content-type", `text/plain; a="b,application/json`, "header_repeated"},
		{"length", "content-length", "12", ""},
		{"two lengths", "content-length", "12,12", "header_framing"},
		{"signed length", "content-length", "-1", "header_framing"},
		{"no length", "content-length", "", "header_framing"},
		{"chunked", "transfer-encoding", "chunked", ""},
		{"not only chunked", "transfer-encoding", "gzip, chunked", "header_framing"},
		{"nearly chunked", "transfer-encoding", "xchunked", "header_framing"},
		{"connection", "connection", "Keep-Alive, Upgrade, TE, close", ""},
		{"CVE-2025-48865: it names our header", "connection", "close, x-user", "header_connection"},
		{"the same host", "host", "API.example.com:443", ""},
		{"another host", "host", "evil.test", "host_mismatch"},
		{"two hosts", "host", "api.example.com,evil.test", "header_repeated"},
		{"another path", ":path", "/public", "pseudo_mismatch"},
		{"another method", ":method", "HEAD", "pseudo_mismatch"},
		{"another authority", ":authority", "evil.test", "pseudo_mismatch"},
		{"another scheme", ":scheme", "http", "pseudo_mismatch"},
		{"extended CONNECT", ":protocol", "websocket", ""},
	} {
		r := plain()
		r.HTTP.Headers = headers("x-first", "1", row.name, row.value)
		if fault := Strict(r); code(fault) != row.fault {
			t.Errorf("%s: %v, want %q", row.about, fault, row.fault)
		}
		r.HTTP.Headers = nil
		r.HTTP.HeaderMap = []RawHeader{{Key: "x-first", Value: "1"}, {Key: row.name, RawValue: []byte(row.value)}}
		want := row.fault
		if row.about == "CVE-2023-27488: byte 0x80" {
			want = "header_utf8"
		}
		if fault := Strict(r); code(fault) != want {
			t.Errorf("%s, raw: %v, want %q", row.about, fault, want)
		}
	}
}

func TestStrictHeaderLists(t *testing.T) {
	numbered := func(n int) (out Headers) {
		for i := range n {
			out = append(out, Header{fmt.Sprintf("x-%d", i), "1"})
		}
		return out
	}
	raw := func(h Headers) (out []RawHeader) {
		for _, header := range h {
			out = append(out, RawHeader{Key: header.Name, RawValue: []byte(header.Value)})
		}
		return out
	}
	for _, row := range []struct {
		about           string
		headers         Headers
		fault, rawFault string
	}{
		{"as many as may be", numbered(MaxHeaders), "", ""},
		{"one more", numbered(MaxHeaders + 1), "header_count", "header_count"},
		{"smuggling", headers("content-length", "1", "transfer-encoding", "chunked"), "header_framing", "header_framing"},
		{"the same name twice", headers("x-role", "user", "x-b", "", "x-role", "admin"), "header_repeated", ""},
		{"CVE-2026-26308: two bearers apart", headers("authorization", "Bearer a", "authorization", "Bearer b"), "header_repeated", "header_repeated"},
		{"two types apart", headers("content-type", "text/plain", "content-type", "application/json"), "header_repeated", "header_repeated"},
		{"two hosts apart", headers("host", "api.example.com", "host", "api.example.com"), "header_repeated", "header_repeated"},
	} {
		r := plain()
		r.HTTP.Headers = row.headers
		if fault := Strict(r); code(fault) != row.fault {
			t.Errorf("%s: %v, want %q", row.about, fault, row.fault)
		}
		r.HTTP.Headers, r.HTTP.HeaderMap = nil, raw(row.headers)
		if fault := Strict(r); code(fault) != row.rawFault {
			t.Errorf("%s, raw: %v, want %q", row.about, fault, row.rawFault)
		}
	}
}

// A fault goes to the log, and a header's value may be a credential.
func TestFaultsKeepSecrets(t *testing.T) {
	for _, h := range []Header{
		{"authorization", "Bearer s3cret,Bearer s3cret"}, {"x-a", "s3cret\x00"}, {"content-type", "s3cret,s3cret"},
		{"content-length", "s3cret"}, {"connection", "s3cret"}, {"host", "s3cret"}, {":path", "s3cret"}, {"S3cret s3cret", ""},
	} {
		r := plain()
		r.HTTP.Headers = Headers{h}
		fault := Strict(r)
		if fault == nil || strings.Contains(strings.ToLower(fault.Error()), "s3cret") {
			t.Errorf("%s: %v", h.Name, fault)
		}
	}
}

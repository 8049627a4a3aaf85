package check

import (
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/", "/a/%2e%2e/b?c", "//x", "/%ff", "*", "", "/%252e", "/a%", "/é#;\\", "/%ef%bc%8f"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, fault := ParsePath(raw)
		strict := strictPath(strings.SplitN(raw, "?", 2)[0])
		if fault != nil {
			if got != nil || strict == nil {
				t.Fatalf("%q: unreadable (%v) with %q, and strict says %v", raw, fault, got, strict)
			}
			return
		}
		for _, segment := range got {
			if !utf8.ValidString(segment) {
				t.Fatalf("%q: %q is not UTF-8", raw, segment)
			}
		}
		// net/url, asked as opa-envoy-plugin asks it, reads the same; a '#', which
		// it cuts, and a host after "//" aside.
		path, _, _ := strings.Cut(raw, "?")
		u, err := url.Parse("http://h" + strings.ReplaceAll(path, "#", "%23"))
		if err != nil {
			t.Fatalf("%q: net/url: %v", raw, err)
		}
		if want := strings.Split(strings.TrimLeft(u.Path, "/"), "/"); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: %q, net/url says %q", raw, got, want)
		}
		if strict != nil {
			return
		}
		// What strict mode lets through is stable: decoding it again changes
		// nothing, and so does cleaning it.
		joined := "/" + strings.Join(got, "/")
		if again, _ := unescapeLeniently(joined); again != joined {
			t.Fatalf("%q: decodes again to %q", raw, again)
		}
		if strings.ContainsAny(joined, "\\;#?\x00") || strings.Contains(joined, "//") || strings.Contains(joined+"/", "/../") || strings.Contains(joined+"/", "/./") {
			t.Fatalf("%q: passed as %q", raw, joined)
		}
	})
}

// unescapeLeniently decodes the escapes that are ones, as lenient apps do.
func unescapeLeniently(s string) (string, bool) {
	var out []byte
	for i := 0; i < len(s); i++ {
		if b, ok := escapedByte(s[i:]); ok && s[i] == '%' {
			out, i = append(out, b), i+2
			continue
		}
		out = append(out, s[i])
	}
	return string(out), true
}

func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"", "a=1&b=%20+&a", "a;b", "%", "=&=", "a=%ff", "a\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, fault := ParseQuery(raw)
		want, err := url.ParseQuery(raw)
		switch {
		case fault == nil && err != nil:
			t.Fatalf("%q: accepted, net/url says %v", raw, err)
		case fault == nil && len(got)+len(want) > 0 && !reflect.DeepEqual(got, map[string][]string(want)):
			t.Fatalf("%q: %q, net/url says %q", raw, got, want)
		case fault != nil && got != nil:
			t.Fatalf("%q: %v and %q", raw, fault, got)
		case fault != nil && err == nil:
			switch fault.Code {
			case "query_control", "query_utf8", "query_parameters":
			default:
				t.Fatalf("%q: %v, which net/url accepts as %q", raw, fault, want)
			}
		}
	})
}

func FuzzJSON(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,-2.5e3,true,null,"\u00e9\ud83d\ude00"]}`, `{"a":1,"A":2}`, `{"a":1,"a":{}}`, `"\ud800x"`, `1e309`, `1e-400`, "\ufeff1",
		"\xff", nest(70), `[1,]`, "1 2", `"\u0000"`, keys(manyNames("k", "\u212a")...), `[[],{},""]`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var want any
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		err := d.Decode(&want)
		if err == nil {
			if _, trailing := d.Token(); !errors.Is(trailing, io.EOF) {
				err = errors.New("trailing data")
			}
		}
		strict, strictFault := ParseJSON(text, true)
		lax, laxFault := ParseJSON(text, false)
		switch {
		case laxFault == nil && (err != nil || !reflect.DeepEqual(lax, want)):
			t.Fatalf("%q: %#v, encoding/json says %#v, %v", text, lax, want, err)
		case laxFault != nil && err == nil:
			switch laxFault.Code {
			case "json_utf8", "json_number", "json_depth":
			default:
				t.Fatalf("%q: %v, which encoding/json accepts as %#v", text, laxFault, want)
			}
		}
		switch {
		case strictFault == nil && (laxFault != nil || !reflect.DeepEqual(strict, lax)):
			t.Fatalf("%q: strict %#v, lax %#v, %v", text, strict, lax, laxFault)
		case strictFault != nil && strict != nil:
			t.Fatalf("%q: %v and %#v", text, strictFault, strict)
		}
	})
}

func FuzzBody(f *testing.F) {
	for _, seed := range []struct{ contentType, body string }{
		{"application/json", `{"a":1}`}, {formType, "a=1&b=%20"}, {"application/grpc", "\x00\x00\x00\x00\x01x"},
		{multipartType, partOf(named("a"), "1") + "--B--\r\n"},
		{multipartType, partOf(named("a")+"\r\nContent-Type: application/json", "[1]") + "--B--"},
		{`multipart/form-data; boundary="B"`, partOf(named("a")+`; filename="x"`, "\xff") + "--B--"},
		{"application/json; charset=utf-8, text/plain", "1"},
	} {
		f.Add(seed.contentType, "", []byte(seed.body))
	}
	f.Add("application/json", "8", []byte(`{"a":1}`))
	f.Fuzz(func(t *testing.T, contentType, length string, body []byte) {
		in := BodyInput{Headers: ofType(contentType), RawBody: body, Strict: true, Path: "/svc/Read",
			GRPC: func(string, []byte) (any, error) { return nil, nil }}
		if length != "" {
			in.Headers = append(in.Headers, Header{"content-length", length})
		}
		strict, strictFault := ParseBody(in)
		in.Strict = false
		lax, laxFault := ParseBody(in)
		if strictFault == nil && (laxFault != nil || !reflect.DeepEqual(strict, lax)) {
			t.Fatalf("strict %#v, lax %#v, %v", strict, lax, laxFault)
		}
		for _, got := range []Body{strict, lax} {
			if got.Value != nil && !got.Parsed || got.Truncated && got.Parsed {
				t.Fatalf("%#v", got)
			}
			if written, err := json.Marshal(got.Value); err != nil || !utf8.Valid(written) {
				t.Fatalf("%#v cannot be written: %v", got, err)
			}
		}
	})
}

func FuzzStrict(f *testing.F) {
	r := plain().HTTP
	f.Add(r.Method, r.Path, r.Host, r.Scheme, "authorization", "Bearer a,Bearer b")
	f.Add("", "", "", "", "", "")
	f.Add("OPTIONS", "*", "[::1]:443", "https", "connection", "x")
	f.Add("GET", "/%2e", "a,b", "http", "host", "A,B")
	f.Add("GET", "/a", "a", "http", "proxy-authorization", `x "a,b`)
	f.Fuzz(func(t *testing.T, method, path, host, scheme, name, value string) {
		request := &Request{HTTP: HTTP{Method: method, Path: path, Host: host, Scheme: scheme, Headers: headers(name, value)}}
		fault := Strict(request)
		if again := Strict(request); !reflect.DeepEqual(fault, again) {
			t.Fatalf("%v, then %v", fault, again)
		}
		if normal := NormalizeHost(host, scheme); NormalizeHost(normal, scheme) != normal {
			t.Fatalf("host %q: %q, then %q", host, normal, NormalizeHost(normal, scheme))
		}
		if fault != nil {
			return
		}
		// What strict mode lets through is printable ASCII and readable.
		for _, s := range []string{method, path, host, scheme, name, value} {
			if strings.ContainsFunc(s, func(c rune) bool { return c > 0x7e || c < 0x20 && c != '\t' }) {
				t.Fatalf("%q passed", s)
			}
		}
		if _, fault := ParsePath(path); fault != nil {
			t.Fatalf("strict passed %q: %v", path, fault)
		}
		if _, err := url.Parse("http://" + host + "/"); err != nil {
			t.Fatalf("strict passed host %q: %v", host, err)
		}
	})
}

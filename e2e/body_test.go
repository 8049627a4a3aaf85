package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"authz/internal/testbed"
)

func post(target, contentType, body string, headers ...string) request {
	if contentType != "" {
		headers = append(headers, "Content-Type: "+contentType)
	}
	return request{method: "POST", target: target, headers: headers, body: body}
}

// The rule behind /body wants {"name": "pen"}: it denies what was not parsed.
func TestBodyRule(t *testing.T) {
	for _, c := range []struct {
		name, contentType, body string
		want                    int
	}{
		{"JSON", "application/json", `{"name":"pen"}`, 200},
		{"JSON with a charset", "application/json; charset=utf-8", `{"name":"pen"}`, 200},
		{"type in another case", "Application/JSON", `{"name":"pen"}`, 200},
		{"another name", "application/json", `{"name":"gun"}`, 403},
		{"no body", "application/json", ``, 403},
		{"content-type dodge", "application/vnd.api+json", `{"name":"pen"}`, 403},
		{"text", "text/plain", `{"name":"pen"}`, 403},
		{"no content type", "", `{"name":"pen"}`, 403},
		{"a type that begins like JSON", "application/jsonx", `{"name":"pen"}`, 403},
		{"two types in one header", "text/plain, application/json", `{"name":"pen"}`, 400},
		{"a form is not that JSON", "application/x-www-form-urlencoded", "name=pen", 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			envoys(t, func(t *testing.T, e *testbed.Envoy) {
				got := send(t, e, post("/body", c.contentType, c.body))
				if got.Status != c.want {
					t.Errorf("got %d, want %d: %.200s", got.Status, c.want, got.Body)
				}
				if c.want == 200 && got.seen(t).Body != c.body {
					t.Errorf("the app got %q", got.seen(t).Body)
				}
			})
		})
	}
}

// Bodies that two parsers could read differently, or that cost more than they weigh.
func TestAmbiguousBodies(t *testing.T) {
	utf16le := new(bytes.Buffer)
	for _, u := range utf16.Encode([]rune(`{"name":"pen"}`)) {
		utf16le.Write([]byte{byte(u), byte(u >> 8)})
	}
	zipped := new(bytes.Buffer)
	z := gzip.NewWriter(zipped)
	fmt.Fprint(z, `{"name":"pen"}`)
	z.Close()
	for _, c := range []struct {
		name, body string
		headers    []string
	}{
		{"duplicate keys", `{"name":"gun","name":"pen"}`, nil},
		{"duplicate keys deep inside", `{"name":"pen","x":[{"a":1,"a":2}]}`, nil},
		{"keys that differ in case only", `{"name":"pen","Name":"gun"}`, nil},
		{"depth 10,000", `{"name":"pen","x":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`, nil},
		{"a number beyond every float", `{"name":"pen","x":1e309}`, nil},
		{"a NUL octet", "{\"name\":\"pen\x00\"}", nil},
		{"an escaped NUL", `{"name":"pen","x":"\u0000"}`, nil},
		{"a byte order mark", "\xef\xbb\xbf" + `{"name":"pen"}`, nil},
		{"trailing data", `{"name":"pen"}{"name":"gun"}`, nil},
		{"trailing text", `{"name":"pen"} x`, nil},
		{"UTF-16", utf16le.String(), nil},
		{"invalid UTF-8", "{\"name\":\"pen\",\"x\":\"\xff\"}", nil},
		{"a lone surrogate", `{"name":"pen","x":"\ud800"}`, nil},
		{"compressed", zipped.String(), []string{"Content-Encoding: gzip"}},
		{"cut off", `{"name":"pen"`, nil},
		{"single quotes", `{'name':'pen'}`, nil},
		{"a comment", `{"name":"pen"/**/}`, nil},
		{"NaN", `{"name":"pen","x":NaN}`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			envoys(t, func(t *testing.T, e *testbed.Envoy) {
				if e == world.plain && c.name == "invalid UTF-8" {
					return // without pack_as_bytes Envoy puts a '!' in its place: lint-envoy says so
				}
				world.app.Forget()
				wantRefused(t, send(t, e, post("/body", "application/json", c.body, c.headers...)), 400)
				if len(world.app.Seen()) != 0 {
					t.Error("the app was reached")
				}
			})
		})
	}
}

// Padding past the buffer limit, so that the check sees a part only: a rule that
// reads the body denies. The hardened Envoy refuses before it asks.
func TestTruncatedBodies(t *testing.T) {
	padded := func(size int) string { return `{"name":"pen","pad":"` + strings.Repeat("x", size) + `"}` }
	if got := send(t, world.plain, post("/body", "application/json", padded(100_000))); got.Status != 403 {
		t.Errorf("plain, a cut body: got %d, want 403: %.200s", got.Status, got.Body)
	}
	got := send(t, world.plain, post("/saw", "application/json", padded(100_000)))
	if saw := wantApp(t, got).Headers.Get("X-Saw"); !strings.Contains(saw, `"parsed_body":null`) || !strings.Contains(saw, `"truncated_body":true`) {
		t.Errorf("the policy saw %s", saw)
	}
	if got := send(t, world.hardened, post("/body", "application/json", padded(2<<20))); got.Status != 413 {
		t.Errorf("hardened: got %d, want 413", got.Status)
	}
	// A client can't claim that its body is a part, nor that it is whole.
	if got := send(t, world.hardened, post("/body", "application/json", `{"name":"gun"}`, "x-envoy-auth-partial-body: true")); got.Status != 403 {
		t.Errorf("client-sent x-envoy-auth-partial-body: got %d, want 403", got.Status)
	}
	if got := send(t, world.plain, post("/body", "application/json", padded(100_000), "x-envoy-auth-partial-body: false")); got.Status != 403 {
		t.Errorf("client-sent x-envoy-auth-partial-body: false: got %d, want 403", got.Status)
	}
}

// What the policy sees of each kind of body.
func TestBodyKinds(t *testing.T) {
	multipart := "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n" +
		"--b\r\nContent-Disposition: form-data; name=\"j\"\r\nContent-Type: application/json\r\n\r\n{\"k\":[1]}\r\n--b--\r\n"
	for name, c := range map[string]struct{ contentType, body, want string }{
		"JSON":      {"application/json", `{"a":[1,2.5,null,true,"x"]}`, `{"a":[1,2.5,null,true,"x"]}`},
		"a scalar":  {"application/json", `"x"`, `"x"`},
		"form":      {"application/x-www-form-urlencoded", "a=1&a=2&b=%20x+y", `{"a":["1","2"],"b":[" x y"]}`},
		"multipart": {"multipart/form-data; boundary=b", multipart, `{"a":["1"],"j":[{"k":[1]}]}`},
		"none":      {"", "", "null"},
	} {
		t.Run(name, func(t *testing.T) {
			envoys(t, func(t *testing.T, e *testbed.Envoy) {
				saw := wantApp(t, send(t, e, post("/saw", c.contentType, c.body))).Headers.Get("X-Saw")
				if want := `"parsed_body":` + c.want; !strings.Contains(saw, want) {
					t.Errorf("the policy saw %s, want %s", saw, want)
				}
			})
		})
	}
}

// A hundred thousand parts are bounded work.
func TestManyParts(t *testing.T) {
	var b strings.Builder
	for range 10_000 {
		b.WriteString("--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n")
	}
	b.WriteString("--b--\r\n")
	got := send(t, world.hardened, post("/saw", "multipart/form-data; boundary=b", b.String()))
	if got.Status != 400 {
		t.Errorf("got %d, want 400: %.200s", got.Status, got.Body)
	}
}

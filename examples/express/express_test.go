package express

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// check is one request, what becomes of it behind Envoy, and what the bare app
// answers to the same: what is refused only for show proves nothing.
type check struct {
	name    string
	method  string // GET unless given
	path    string
	as      string // whose token is in the Authorization header
	cookie  string // whose token is in the cookie
	headers []string
	json    string
	form    string
	plain   bool // over plain HTTP

	want   int
	header map[string]string // of the answer; "-" is none
	text   string            // a part of the answer's body
	bare   int               // the status without the sidecar; 0: as behind it
}

const (
	foreign   = "Origin: https://evil.example"
	partner   = "Origin: https://partner.example.com"
	bobsOrder = "/orders/5f3c9a52-7f2e-4a53-8a65-2f1f7f0e9b11"
)

func TestTheAppBehindTheSidecar(t *testing.T) {
	w := example(t)
	for i, c := range []check{
		{name: "HTTPS: a plain GET is redirected", path: "/comments?page=2", plain: true, want: 308, bare: 200,
			header: map[string]string{"Location": "https://shop.example.com/comments?page=2"}},
		{name: "HTTPS: a plain POST is refused", method: "POST", path: "/orders", as: "alice", json: `{"item":"ink"}`, plain: true, want: 403, bare: 201},
		{name: "a public page", path: "/", want: 200, text: "Hello visitor"},
		{name: "headers: the app's answer has what Helmet sets", path: "/health", want: 200, text: `{"status":"ok"}`,
			header: map[string]string{"Strict-Transport-Security": "max-age=31536000; includeSubDomains", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
				"Cross-Origin-Opener-Policy": "same-origin", "X-Powered-By": "-", "Server": "-"}},
		{name: "headers: a refusal has them too", path: "/orders", want: 401, bare: 200, header: map[string]string{"X-Frame-Options": "DENY"}},

		{name: "authentication: no token", path: "/orders", want: 401, bare: 200, header: map[string]string{"Www-Authenticate": `Bearer realm="api"`}, text: `"title":"Unauthorized"`},
		{name: "authentication: what is no token", path: "/orders", headers: []string{"Authorization: Bearer abc"}, want: 401, bare: 200},
		{name: "authentication: a good token", path: "/orders", as: "alice", want: 200, text: `"owner":"alice"`},
		{name: "authentication: the same in the cookie", path: "/orders", cookie: "alice", want: 200, text: `"owner":"alice"`},
		{name: "authentication: x-user-id is the sidecar's to say", path: "/orders", as: "alice", headers: []string{"X-User-Id: bob"}, want: 200, text: `"owner":"alice"`},

		{name: "roles: the wrong one", path: "/admin", as: "alice", want: 403, bare: 200},
		{name: "roles: the right one", path: "/admin", as: "ada", want: 200, text: "3 users"},
		{name: "roles: an admin may do what a clerk may", path: bobsOrder, as: "ada", want: 200, text: `"owner":"bob"`},
		{name: "roles: a customer is no clerk", path: "/orders", as: "bob", want: 403, bare: 200},
		{name: "ownership: one's own page", path: "/users/alice", as: "alice", want: 200, text: "alice@shop.example"},
		{name: "ownership: somebody else's", path: "/users/bob", as: "alice", want: 403, bare: 200},
		{name: "ownership: an admin's way round", path: "/users/bob", as: "ada", want: 200, text: "bob@shop.example"},

		{name: "routes: one that is not described", path: "/internal", as: "ada", want: 404},
		{name: "routes: a method that is not", method: "PUT", path: "/orders", as: "ada", json: `{}`, want: 405, bare: 404, header: map[string]string{"Allow": "GET, HEAD, POST"}},
		{name: "UUIDs: a counted id", path: "/orders/1", as: "alice", want: 404},
		{name: "paths: an encoded slash", path: "/health/..%2fadmin", want: 400, bare: 404},

		{name: "input: a good order", method: "POST", path: "/orders", as: "alice", json: `{"item":"ink","amount":2}`, want: 201, text: `"owner":"alice"`},
		{name: "input: a short name and an unknown field", method: "POST", path: "/orders", as: "alice", json: `{"item":"x","price":0}`, want: 422, bare: 201,
			header: map[string]string{"Content-Type": "application/problem+json"}, text: `[{"field":"body.item","rule":"minLength"},{"field":"body.price","rule":"additionalProperties"}]`},
		{name: "input: no JSON", method: "POST", path: "/orders", as: "alice", json: `{"item":`, want: 400},
		{name: "input: another media type", method: "POST", path: "/orders", as: "alice", headers: []string{"Content-Type: text/csv"}, json: `item`, want: 415, bare: 201},

		{name: "script: in a comment", method: "POST", path: "/comments", as: "alice", form: "text=%3Cscript%3Ealert(1)%3C/script%3E", want: 400, bare: 303, text: `"rule":"xss"`},
		{name: "script: text that only looks odd", method: "POST", path: "/comments", as: "alice", form: "text=a+%3C+b+%26+c", want: 303},

		{name: "CORS: a preflight is answered before any token is asked for", method: "OPTIONS", path: "/orders", headers: []string{partner, "Access-Control-Request-Method: POST"}, want: 204, bare: 200,
			header: map[string]string{"Access-Control-Allow-Origin": "https://partner.example.com", "Access-Control-Allow-Credentials": "true"}},
		{name: "CORS: a preflight of another origin", method: "OPTIONS", path: "/orders", headers: []string{foreign, "Access-Control-Request-Method: POST"}, want: 403, bare: 200,
			header: map[string]string{"Access-Control-Allow-Origin": "-"}},
		{name: "CORS: an answer", path: "/health", headers: []string{partner}, want: 200, header: map[string]string{"Access-Control-Allow-Origin": "https://partner.example.com"}},

		{name: "CSRF: the cookie, from a foreign page", method: "POST", path: "/orders", cookie: "alice", headers: []string{foreign}, json: `{"item":"ink"}`, want: 403, bare: 201},
		{name: "CSRF: the cookie, from a neighbour's", method: "POST", path: "/orders", cookie: "alice", headers: []string{"Sec-Fetch-Site: same-site"}, json: `{"item":"ink"}`, want: 403, bare: 201},
		{name: "CSRF: the cookie, from the shop's own", method: "POST", path: "/orders", cookie: "alice", headers: []string{"Sec-Fetch-Site: same-origin"}, json: `{"item":"ink"}`, want: 201},
		{name: "CSRF: a foreign page logs its visitor in", method: "POST", path: "/login", headers: []string{foreign}, form: "user=alice&password=correct-horse", want: 403, bare: 303},
		{name: "logging in", method: "POST", path: "/login", form: "user=alice&password=correct-horse", want: 303, header: map[string]string{"Location": "/"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			from := fmt.Sprintf("192.0.2.%d", i+1) // each its own quotas
			status, header, body := w.send(t, w.envoy.URL, from, c)
			if status != c.want || !strings.Contains(body, c.text) {
				t.Errorf("got %d %.300s\nwant %d %s", status, body, c.want, c.text)
			}
			for name, want := range c.header {
				if got := header.Get(name); got != strings.TrimPrefix(want, "-") {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			if header.Get("X-Powered-By") != "" || header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("every answer says nosniff, and none what made it: got %v", header)
			}
			want := c.want
			if c.bare != 0 {
				want = c.bare
			}
			status, header, body = w.send(t, w.app, from, c)
			if status != want || header.Get("X-Powered-By") != "Express" || header.Get("Strict-Transport-Security") != "" {
				t.Errorf("bare: got %d %v %.300s\nwant %d", status, header, body, want)
			}
		})
	}
}

// Whoever counts through ids learns nothing: an id of the wrong kind, a path that
// nobody described, known or not known who asks, all are one answer.
func TestACountedIDLooksLikeAnUnknownRoute(t *testing.T) {
	w := example(t)
	id := regexp.MustCompile(`"request_id":"[^"]*"`)
	var first string
	for _, c := range []check{
		{path: "/nowhere"}, {path: "/orders/1"}, {path: "/orders/1", as: "alice"}, {path: "/orders/2", as: "ada"}, {path: "/orders/1", method: "DELETE", as: "ada"},
	} {
		status, header, body := w.send(t, w.envoy.URL, "192.0.2.200", c)
		header.Del("X-Request-Id")
		header.Del("Date")
		got := fmt.Sprint(status, header, id.ReplaceAllString(body, ""))
		if first == "" {
			first = got
		}
		if status != http.StatusNotFound || got != first {
			t.Errorf("%s %s by %q: got\n%s\nwant\n%s", c.method, c.path, c.as, got, first)
		}
	}
}

// Five tries to log in, the right password or not; the app is not asked a sixth time.
func TestLoggingInIsLimited(t *testing.T) {
	w := example(t)
	try := check{method: "POST", path: "/login", form: "user=alice&password=guess"}
	for i := range 5 {
		if status, _, body := w.send(t, w.envoy.URL, "192.0.2.201", try); status != http.StatusForbidden || !strings.Contains(body, "Wrong name or password") {
			t.Errorf("try %d: got %d %s", i+1, status, body)
		}
	}
	try.form = "user=alice&password=correct-horse"
	status, header, body := w.send(t, w.envoy.URL, "192.0.2.201", try)
	if status != http.StatusTooManyRequests || header.Get("Retry-After") == "" || header.Get("Set-Cookie") != "" {
		t.Errorf("a sixth time: got %d %v %s", status, header, body)
	}
	if status, header, _ := w.send(t, w.envoy.URL, "192.0.2.202", try); status != http.StatusSeeOther || !strings.HasPrefix(header.Get("Set-Cookie"), "session=ey") {
		t.Errorf("from another address: got %d %v", status, header)
	}
	if status, _, _ := w.send(t, w.app, "192.0.2.201", try); status != http.StatusSeeOther {
		t.Errorf("bare: got %d", status)
	}
}

// send plays the proxy that ends TLS in front of Envoy.
func (w *world) send(t *testing.T, base, from string, c check) (int, http.Header, string) {
	t.Helper()
	method, body := c.method, c.json+c.form
	if method == "" {
		method = http.MethodGet
	}
	r, err := http.NewRequestWithContext(t.Context(), method, base+c.path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Forwarded-For", from)
	r.Header.Set("X-Forwarded-Proto", "https")
	if c.plain {
		r.Header.Set("X-Forwarded-Proto", "http")
	}
	if c.as != "" {
		r.Header.Set("Authorization", "Bearer "+w.token(t, c.as))
	}
	if c.cookie != "" {
		r.Header.Set("Cookie", "session="+w.token(t, c.cookie))
	}
	if c.json != "" {
		r.Header.Set("Content-Type", "application/json")
	} else if c.form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, h := range c.headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	client := http.Client{Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(answer)
}

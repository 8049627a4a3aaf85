package shop

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// The shop does what it is asked, whoever asks: that is its point.
func TestShop(t *testing.T) {
	s := New()
	s.Login = func(user, password string) (string, bool) { return "token-of-" + user, password == "secret" }
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	asAlice := http.Header{"Content-Type": {"application/json"}, "X-User-Id": {"alice"}}
	for _, c := range []struct {
		name, method, target, body string
		header                     http.Header
		status                     int
		want                       string // the whole body, or a /pattern/ in it
		sets                       string // Set-Cookie
	}{
		{name: "home", target: "/", status: 200, want: `/<title>Shop</title>/`},
		{name: "no other page", target: "/nothing", status: 404, want: "404 page not found\n"},
		{name: "health", target: "/health", status: 200, want: `{"status":"ok"}` + "\n"},
		{name: "the caller's orders", target: "/orders", header: asAlice, status: 200,
			want: `[{"id":"0b0e7b9a-6a5d-4b0e-9d5c-0f6c1b2a3d4e","owner":"alice","item":"pen"}]` + "\n"},
		{name: "nobody's orders", target: "/orders", status: 200, want: "[]\n"},
		{name: "anybody's order", target: "/orders/5f3c9a52-7f2e-4a53-8a65-2f1f7f0e9b11", status: 200, want: `/"owner":"bob"/`},
		{name: "no order", target: "/orders/1", status: 404, want: "404 page not found\n"},
		{name: "an order as JSON", method: "POST", target: "/orders", header: asAlice, body: `{"item":"ink","owner":"bob"}`, status: 201,
			want: `/^{"id":"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}","owner":"alice","item":"ink"}\n$/`},
		{name: "no JSON", method: "POST", target: "/orders", header: asAlice, body: `{`, status: 400, want: `/unexpected EOF/`},
		{name: "an order from a page", method: "POST", target: "/orders", header: form, body: "item=ink", status: 201, want: `/"item":"ink"/`},
		{name: "cancelled", method: "DELETE", target: "/orders/5f3c9a52-7f2e-4a53-8a65-2f1f7f0e9b11", status: 204},
		{name: "gone", target: "/orders/5f3c9a52-7f2e-4a53-8a65-2f1f7f0e9b11", status: 404, want: "404 page not found\n"},
		{name: "a user", target: "/users/ada", status: 200, want: `{"name":"ada","email":"ada@shop.example"}` + "\n"},
		{name: "no user", target: "/users/eve", status: 404, want: "404 page not found\n"},
		{name: "logging in", method: "POST", target: "/login", header: form, body: "user=bob&password=secret", status: 303,
			sets: "session=token-of-bob; Path=/; HttpOnly; Secure; SameSite=None"},
		{name: "a wrong password", method: "POST", target: "/login", header: form, body: "user=bob&password=x", status: 403, want: `/Wrong name or password/`},
		{name: "logging out", method: "POST", target: "/logout", status: 303, sets: "session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=None"},
		{name: "a comment", method: "POST", target: "/comments", header: form, body: "text=<b>hi</b>", status: 303},
		{name: "as it was written", target: "/comments", status: 200, want: `/<li>: <b>hi</b></li>/`},
		{name: "admin", target: "/admin", status: 200, want: `/3 users, 3 orders, 2 comments/`},
		{name: "no comments any more", method: "POST", target: "/admin/comments", status: 303},
		{name: "an empty list", target: "/comments", status: 200, want: `/<ul></ul>/`},
		{name: "a failure", target: "/report", status: 500, want: `/panic: dial tcp 10.0.3.7:5432(.|\n)*shop\.go/`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.method == "" {
				c.method = "GET"
			}
			r := httptest.NewRequest(c.method, c.target, strings.NewReader(c.body))
			for name, values := range c.header {
				r.Header[name] = values
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			matched := w.Body.String() == c.want
			if len(c.want) > 1 && c.want[0] == '/' {
				matched = regexp.MustCompile(c.want[1 : len(c.want)-1]).MatchString(w.Body.String())
			}
			if w.Code != c.status || !matched || w.Header().Get("Set-Cookie") != c.sets {
				t.Errorf("got %d %q %q\nwant %d %q %q", w.Code, w.Body, w.Header().Get("Set-Cookie"), c.status, c.want, c.sets)
			}
		})
	}
}

func TestAnEmptyShopLetsNobodyIn(t *testing.T) {
	w := httptest.NewRecorder()
	new(Shop).ServeHTTP(w, httptest.NewRequest("POST", "/login", strings.NewReader("user=bob&password=secret")))
	if w.Code != http.StatusForbidden || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("got %d %q", w.Code, w.Header().Get("Set-Cookie"))
	}
}

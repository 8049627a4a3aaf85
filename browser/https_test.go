package browser

import (
	"net/http"
	"reflect"
	"testing"
)

// Plain HTTP leads to the configured host over TLS, whatever name was used to ask.
func TestPlainHTTPIsRedirected(t *testing.T) {
	for _, c := range []struct {
		name, url, to string
		status        int64
	}{
		{"the shop", "http://shop.example.test/", api + "/", http.StatusOK},
		{"with path and query", "http://shop.example.test/comments?page=2&q=a%20b", api + "/comments?page=2&q=a%20b", http.StatusOK},
		{"where a log-in is needed", "http://shop.example.test/admin", api + "/admin", http.StatusUnauthorized},
		{"another name for it", "http://shop.old.test/comments", api + "/comments", http.StatusOK},
		{"a path that looks like a host", "http://shop.old.test/evil.test", api + "/evil.test", http.StatusNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			world.shop.serve(newShop())
			p := open(t, "")
			p.visit(c.url)
			want := []hop{{c.url, http.StatusPermanentRedirect, c.to}, {c.to, c.status, ""}}
			if got := p.answers(); !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// A body that crossed the network in clear is not sent again over TLS as if nothing
// had happened.
func TestPlainPostIsRefused(t *testing.T) {
	world.shop.serve(newShop())
	p := open(t, "http://evil.test/")
	const url = "http://shop.old.test/login"
	p.leave(formTo(url))
	want := []hop{{"http://evil.test/", http.StatusOK, ""}, {url, http.StatusForbidden, ""}}
	if got := p.answers(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if seen := world.shop.seen(posts); len(seen) > 0 {
		t.Errorf("%q reached the shop", seen)
	}
}

// Who has been here over TLS once never asks in clear again: the browser redirects
// by itself (RFC 6797, 8.3), which it reports as a 307.
func TestStrictTransportSecurity(t *testing.T) {
	world.shop.serve(newShop())
	p := open(t, api+"/")
	p.visit("http://shop.example.test/comments")
	want := []hop{{api + "/", http.StatusOK, ""}, {"http://shop.example.test/comments", http.StatusTemporaryRedirect, api + "/comments"}, {api + "/comments", http.StatusOK, ""}}
	if got := p.answers(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

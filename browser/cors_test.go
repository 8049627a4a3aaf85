package browser

import (
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

const api = "https://shop.example.test"

// A page reads an answer across origins only if its own origin is listed.
func TestCrossOriginRead(t *testing.T) {
	blocked := fetched{Error: "TypeError", Headers: map[string]string{}}
	read := fetched{Status: http.StatusOK, Headers: map[string]string{"ratelimit": `"address"`}}
	for _, c := range []struct {
		name, page string
		want       fetched
	}{
		{"the shop itself", api, read},
		{"a listed origin", "https://partner.example.test", read},
		{"a sub-domain of the pattern", "https://pr-7.preview.example.test", read},
		{"two sub-domains", "https://a.b.preview.example.test", blocked},
		{"the pattern's own domain", "https://preview.example.test", blocked},
		{"a neighbour", "https://blog.example.test", blocked},
		{"a stranger", "https://evil.test", blocked},
		{"the listed name with another ending", "https://partner.example.test.evil.test", blocked},
		{"the listed name with another beginning", "https://evil-partner.example.test", blocked},
		{"the listed name on another port", "https://partner.example.test:8443", blocked},
		{"the listed name without TLS", "http://partner.example.test", blocked},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := open(t, c.page+"/")
			got := p.fetch(api+"/catalogue", nil, "ratelimit")
			if v, ok := got.Headers["ratelimit"]; ok {
				got.Headers["ratelimit"] = v[:min(len(v), len(`"address"`))]
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("the page got %+v, want %+v", got, c.want)
			}
		})
	}
}

// The session cookie goes along with a fetch that asks for it, and only a listed origin
// reads what it opens.
func TestCrossOriginReadWithCookie(t *testing.T) {
	for _, c := range []struct {
		name, page string
		want       fetched
	}{
		{"the shop itself", api, fetched{Status: http.StatusOK, Headers: map[string]string{}}},
		{"a listed origin", "https://partner.example.test", fetched{Status: http.StatusOK, Headers: map[string]string{}}},
		{"a neighbour", "https://blog.example.test", fetched{Error: "TypeError", Headers: map[string]string{}}},
		{"a stranger", "https://evil.test", fetched{Error: "TypeError", Headers: map[string]string{}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			world.shop.serve(newShop())
			p := open(t, "")
			p.logIn("alice")
			p.visit(c.page + "/")
			status := p.wire("GET", api+"/orders")
			if got := p.fetch(api+"/orders", map[string]any{"credentials": "include"}); !reflect.DeepEqual(got, c.want) {
				t.Errorf("the page got %+v, want %+v", got, c.want)
			}
			if got := status(); got != http.StatusOK {
				t.Errorf("the browser was answered %d: the cookie did not go along", got)
			}
		})
	}
}

// Whoever may read from everywhere may do so without credentials only.
func TestOpenRoute(t *testing.T) {
	p := open(t, "https://evil.test/")
	for _, c := range []struct {
		name        string
		credentials string
		want        fetched
	}{
		{"without credentials", "omit", fetched{Status: http.StatusOK, Headers: map[string]string{}}},
		{"with credentials", "include", fetched{Error: "TypeError", Headers: map[string]string{}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := p.fetch(api+"/health", map[string]any{"credentials": c.credentials}); !reflect.DeepEqual(got, c.want) {
				t.Errorf("the page got %+v, want %+v", got, c.want)
			}
		})
	}
}

// A preflight is answered by the sidecar: the shop, which would answer 405, sees the
// request itself or nothing.
func TestPreflight(t *testing.T) {
	token := "Bearer " + world.issuer.Token(map[string]any{"sub": "alice"})
	bearer := map[string]string{"authorization": token}
	const order = "/orders/5f3c9a52-7f2e-4a53-8a65-2f1f7f0e9b11"
	for _, c := range []struct {
		name, page, method, path string
		headers                  map[string]string
		status                   int    // what the page reads; 0: nothing
		preflight                int64  // what the browser was answered before
		reached                  string // what came to the shop
	}{
		{"a bearer token", "https://partner.example.test", "GET", "/orders", bearer, 200, 204, "GET /orders alice"},
		{"a method", "https://partner.example.test", "DELETE", order, bearer, 204, 204, "DELETE " + order + " alice"},
		{"nothing to ask", "https://partner.example.test", "GET", "/catalogue", map[string]string{}, 200, 0, "GET /catalogue"},
		{"a header that is not listed", "https://partner.example.test", "GET", "/catalogue", map[string]string{"x-other": "1"}, 0, 403, ""},
		{"a method that the route has not", "https://partner.example.test", "PUT", "/orders", bearer, 0, 405, ""},
		{"a neighbour", "https://blog.example.test", "GET", "/orders", bearer, 0, 403, ""},
		{"a stranger", "https://evil.test", "DELETE", order, bearer, 0, 403, ""},
		{"the shop itself asks nobody", api, "GET", "/orders", bearer, 200, 0, "GET /orders alice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := open(t, c.page+"/")
			world.shop.serve(newShop())
			preflight := p.wire("OPTIONS", api+c.path)
			got := p.fetch(api+c.path, map[string]any{"method": c.method, "headers": c.headers})
			reached := strings.Join(world.shop.seen(func(visit) bool { return true }), ", ")
			if got.Status != c.status || reached != c.reached {
				t.Errorf("the page read %d and %q reached the shop, want %d and %q", got.Status, reached, c.status, c.reached)
			}
			if asked := p.sent("OPTIONS", api+c.path); asked != (c.preflight != 0) {
				t.Errorf("the browser asked before: %v", asked)
			} else if asked {
				if got := preflight(); got != c.preflight {
					t.Errorf("the preflight was answered %d, want %d", got, c.preflight)
				}
			}
		})
	}
}

// A page that may read answers may read refusals, or its users see "network error".
func TestRefusalsAreReadable(t *testing.T) {
	as := func(subject string) map[string]string {
		return map[string]string{"authorization": "Bearer " + world.issuer.Token(map[string]any{"sub": subject, "roles": []string{"clerk"}})}
	}
	none := map[string]string{}
	spent := open(t, api+"/")
	for range 2 {
		spent.fetch(api+"/users/alice", map[string]any{"headers": as("frank")})
	}
	for _, c := range []struct {
		name, page, path string
		headers          map[string]string
		ask              string
		want             fetched
	}{
		{"401", "https://partner.example.test", "/orders", none, "www-authenticate", fetched{Status: 401, Headers: map[string]string{"www-authenticate": `Bearer realm="api"`}}},
		{"401 for a bad token", "https://partner.example.test", "/orders", map[string]string{"authorization": "Bearer junk"}, "www-authenticate",
			fetched{Status: 401, Headers: map[string]string{"www-authenticate": `Bearer realm="api", error="invalid_token"`}}},
		{"403", "https://partner.example.test", "/admin", as("carol"), "x-frame-options", fetched{Status: 403, Headers: none}},
		{"404", "https://partner.example.test", "/nothing", none, "x-frame-options", fetched{Status: 404, Headers: none}},
		{"429", "https://partner.example.test", "/users/alice", as("frank"), "retry-after", fetched{Status: 429, Headers: map[string]string{"retry-after": "3600"}}},
		{"401 for a stranger", "https://evil.test", "/orders", none, "www-authenticate", fetched{Error: "TypeError", Headers: none}},
		{"404 for a stranger", "https://evil.test", "/nothing", none, "www-authenticate", fetched{Error: "TypeError", Headers: none}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := open(t, c.page+"/")
			got := p.fetch(api+c.path, map[string]any{"headers": c.headers}, c.ask)
			if wait, ok := got.Headers["retry-after"]; ok { // the clock runs
				if seconds, err := strconv.Atoi(wait); err == nil && seconds > 3300 && seconds <= 3600 {
					got.Headers["retry-after"] = "3600"
				}
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("the page got %+v, want %+v", got, c.want)
			}
		})
	}
}

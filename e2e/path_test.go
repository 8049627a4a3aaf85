package e2e

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"authz/internal/testbed"
)

// Paths that two readers could understand differently. Both Envoys are asked: the
// hardened one may refuse by itself or normalise, so that the policy sees what the
// app would; the plain one passes everything on, and the sidecar alone must refuse.
// In every case the request must not reach the app as an allowed one.
func TestAmbiguousPaths(t *testing.T) {
	for _, c := range []struct{ name, target, normal string }{
		{"doubled slash before a protected path (CVE-2026-26205)", "//admin/x", ""},
		{"doubled slash inside", "/public//admin", "/public/admin"},
		{"dot segments out of a public folder", "/public/../admin", ""},
		{"a single dot segment", "/public/./x", "/public/x"},
		{"dot segment at the end", "/public/..", ""},
		{"encoded dots (CVE-2026-33494)", "/public/%2e%2e/admin", ""},
		{"half encoded dots", "/public/.%2e/admin", ""},
		{"encoded slash (CVE-2021-29492)", "/public%2fadmin", ""},
		{"encoded slash in upper case", "/public%2Fadmin", ""},
		{"encoded backslash", "/public%5c..%5cadmin", ""},
		{"backslash", `/public\..\admin`, ""},
		{"double encoding", "/public/%252e%252e/admin", ""},
		{"double encoded slash", "/public%252fadmin", ""},
		{"path parameter (CVE-2026-73553)", "/admin;x=y", ""},
		{"path parameter in a dot segment", "/public/..;/admin", ""},
		{"encoded path parameter", "/admin%3bx=y", ""},
		{"fragment", "/admin#x", ""},
		{"encoded fragment (CVE-2021-39156)", "/public%23b", ""},
		{"NUL", "/public%00/x", ""},
		{"encoded line feed", "/public%0a", ""},
		{"encoded tab", "/public%09", ""},
		{"encoded DEL", "/public%7f", ""},
		{"overlong UTF-8 slash", "/public%c0%afadmin", ""},
		{"overlong UTF-8 dot", "/public/%c0%ae%c0%ae/admin", ""},
		{"invalid UTF-8", "/public/%ff", ""},
		{"bad escape", "/public/%zz", ""},
		{"cut escape", "/public/%2", ""},
		{"full-width slash", "/public%ef%bc%8fadmin", ""},
		{"asterisk form", "*", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			envoys(t, func(t *testing.T, e *testbed.Envoy) {
				world.app.Forget()
				got := send(t, e, request{target: c.target, headers: []string{bearer(world.main.Token(nil))}})
				if e == world.plain {
					if got.Status != 400 {
						t.Errorf("got %d, want 400: %.200s", got.Status, got.Body)
					}
				}
				for _, seen := range world.app.Seen() {
					// Normalised, it is another path, which the policy decided on and the app got.
					if e == world.plain || seen.Path != c.normal {
						t.Errorf("the app was reached at %s", seen.Path)
					}
				}
			})
		})
	}
}

// What is refused for its path is refused with a generic body.
func TestAmbiguousPathAnswer(t *testing.T) {
	wantRefused(t, send(t, world.plain, request{target: "//admin"}), 400)
}

// The query never takes part in path matching (CVE-2026-32811, CVE-2025-54576).
func TestQueryIsNotPath(t *testing.T) {
	for _, c := range []struct {
		name, target string
		want         int
	}{
		{"public path in the query of a protected one", "/admin?x=/public", 401},
		{"query that begins like a path", "/admin?/public", 401},
		{"a second question mark", "/admin?a?/public", 401},
		{"encoded question mark", "/public%3fx", 400},
		{"ampersand in the path", "/public&x=1", 404},
		{"protected path in the query of a public one", "/public?next=/admin", 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			envoys(t, func(t *testing.T, e *testbed.Envoy) {
				if got := send(t, e, request{target: c.target}); got.Status != c.want {
					t.Errorf("got %d, want %d: %.200s", got.Status, c.want, got.Body)
				}
			})
		})
	}
}

// A query that can be read in two ways is a bad request.
func TestAmbiguousQuery(t *testing.T) {
	for name, target := range map[string]string{
		"semicolon as separator": "/public?a=1;b=2",
		"bad escape":             "/public?a=%zz",
	} {
		t.Run(name, func(t *testing.T) {
			envoys(t, func(t *testing.T, e *testbed.Envoy) {
				if got := send(t, e, request{target: target}); got.Status != 400 {
					t.Errorf("got %d, want 400", got.Status)
				}
			})
		})
	}
}

// Characters that mean something in a route table are literal in a request
// (CVE-2025-46821); letters in another case are another path.
func TestLiteralPaths(t *testing.T) {
	for name, target := range map[string]string{
		"asterisk":              "/*",
		"braces":                "/%7bid%7d",
		"double asterisk":       "/public/**/x",
		"a route's own pattern": "/orders/%7Bid:uuid%7D",
		"another case":          "/PUBLIC",
		"a trailing slash":      "/public/",
		"a trailing dot":        "/public.",
	} {
		t.Run(name, func(t *testing.T) {
			envoys(t, func(t *testing.T, e *testbed.Envoy) {
				if got := send(t, e, request{target: target, headers: []string{bearer(world.main.Token(nil))}}); got.Status != 404 {
					t.Errorf("got %d, want 404: %.200s", got.Status, got.Body)
				}
			})
		})
	}
	// An encoded letter is that letter, here as in the app.
	if got := send(t, world.plain, request{target: "/%61dmin"}); got.Status != 401 {
		t.Errorf("encoded letter: got %d, want 401 as for /admin", got.Status)
	}
}

// A sequential id looks like a route that does not exist.
func TestTypedSegments(t *testing.T) {
	token := bearer(world.main.Token(nil))
	for target, want := range map[string]int{
		"/orders/0b0e7b9a-6a5d-4b0e-9d5c-0f6c1b2a3d4e": 200,
		"/orders/0B0E7B9A-6A5D-4B0E-9D5C-0F6C1B2A3D4E": 200,
		"/orders/1": 404,
		"/orders/0b0e7b9a-6a5d-4b0e-9d5c-0f6c1b2a3d4":   404,
		"/orders/0b0e7b9a-6a5d-4b0e-9d5c-0f6c1b2a3d4eg": 404,
		"/orders/{0b0e7b9a-6a5d-4b0e-9d5c-0f6c1b2a3d4}": 404,
	} {
		if got := send(t, world.hardened, request{target: target, headers: []string{token}}); got.Status != want {
			t.Errorf("%s: got %d, want %d", target, got.Status, want)
		}
	}
}

// A request in absolute form is for the same path; its host is not believed.
func TestAbsoluteForm(t *testing.T) {
	envoys(t, func(t *testing.T, e *testbed.Envoy) {
		for target, want := range map[string]int{"http://evil.test/public": 200, "http://evil.test/admin": 401, "http://evil.test//admin": 400} {
			got := send(t, e, request{target: target})
			if e == world.hardened && want == 400 {
				want = 401 // normalised to /admin
			}
			if got.Status != want {
				t.Errorf("%s: got %d, want %d", target, got.Status, want)
			}
		}
	})
}

// What the policy reads of the path and the query is what was sent.
func TestParsedTarget(t *testing.T) {
	got := wantApp(t, send(t, world.plain, request{target: "/saw/a%20b/c?x=1&x=2&y="}))
	saw := got.Headers.Get("X-Saw")
	for _, want := range []string{`"parsed_path":["saw","a b","c"]`, `"parsed_query":{"x":["1","2"],"y":[""]}`} {
		if !strings.Contains(saw, want) {
			t.Errorf("the policy saw %s, want %s", saw, want)
		}
	}
}

// Headers that make an app take the request for another one never reach it.
func TestMethodOverride(t *testing.T) {
	headers := []string{"X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "X-Method-Override: DELETE"}
	envoys(t, func(t *testing.T, e *testbed.Envoy) {
		got := wantApp(t, send(t, e, request{method: "POST", target: "/public", headers: headers}))
		for _, h := range headers {
			name, _, _ := strings.Cut(h, ":")
			if v := got.Headers.Values(name); v != nil {
				t.Errorf("%s reached the app: %v", name, v)
			}
		}
	})
}

// The query is changed as the policy says, and nothing else of it.
func TestQueryChanges(t *testing.T) {
	got := wantApp(t, send(t, world.hardened, request{target: "/changes?debug=1&keep=a%20b&keep=c"}))
	path, query, _ := strings.Cut(got.Path, "?")
	parts := strings.Split(query, "&")
	slices.Sort(parts) // Envoy orders them by name
	if path != "/changes" || !reflect.DeepEqual(parts, []string{"added=yes", "keep=a%20b", "keep=c"}) {
		t.Errorf("the app got %s", got.Path)
	}
}

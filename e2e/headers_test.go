package e2e

import (
	"reflect"
	"strings"
	"testing"

	"authz/internal/testbed"
)

// Headers that carry more than one meaning are refused (CVE-2021-32777,
// CVE-2026-26308, CVE-2023-27488).
func TestAmbiguousHeaders(t *testing.T) {
	good := world.main.Token(nil)
	for _, c := range []struct {
		name    string
		headers []string
		octets  bool // not visible through a plain Envoy
	}{
		{"two Authorization headers", []string{bearer(good), bearer(good)}, false},
		{"a good one behind a bad one", []string{"Authorization: Bearer junk", bearer(good)}, false},
		{"Authorization joined by a comma", []string{bearer(good) + ",Bearer junk"}, false},
		{"a byte above 0x7f", []string{bearer(good), "X-Note: caf\xe9"}, true},
		{"invalid UTF-8", []string{bearer(good), "X-Note: \xff\xfe"}, true},
		{"UTF-8 that is valid", []string{bearer(good), "X-Note: caf\u00e9"}, false},
		{"two content types", []string{bearer(good), "Content-Type: text/plain", "Content-Type: application/json"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			envoys(t, func(t *testing.T, e *testbed.Envoy) {
				if e == world.plain && c.octets {
					// Without encode_raw_headers Envoy puts a '!' in the place of such octets,
					// so that no sidecar can see them: authz lint-envoy says so.
					return
				}
				world.app.Forget()
				got := send(t, e, request{target: "/whoami", headers: c.headers})
				if got.Status != 400 && got.Status != 401 {
					t.Errorf("got %d, want a refusal: %.200s", got.Status, got.Body)
				}
				if seen := world.app.Seen(); len(seen) != 0 {
					t.Error("the app was reached")
				}
			})
		})
	}
	t.Run("two hosts", func(t *testing.T) {
		got := send(t, world.plain, request{target: "/public", headers: []string{"Host: evil.test"}})
		if got.Status != 400 {
			t.Errorf("got %d, want 400", got.Status)
		}
	})
}

// A client can't say who it is: identity headers and their underscore twins
// (CVE-2025-64484, CVE-2026-49231) are the sidecar's, on public routes too.
func TestIdentityHeadersAreOurs(t *testing.T) {
	t.Run("a client's own never arrive", func(t *testing.T) {
		got := wantApp(t, send(t, world.hardened, request{target: "/public", headers: []string{"X-User-Id: admin", "X-User-Roles: admin"}}))
		for _, name := range []string{"X-User-Id", "X-User-Roles"} {
			if v := got.Headers.Values(name); v != nil {
				t.Errorf("%s reached the app: %v", name, v)
			}
		}
	})
	t.Run("nor do their twins", func(t *testing.T) {
		got := wantApp(t, send(t, world.plain, request{target: "/public", headers: []string{"X_User_Id: admin", "X-User_Roles: admin", "x_auth_subject: admin"}}))
		for name, v := range got.Headers {
			if strings.Contains(strings.ToLower(name), "user") || strings.Contains(strings.ToLower(name), "subject") {
				t.Errorf("%s reached the app: %v", name, v)
			}
		}
	})
	t.Run("the hardened Envoy refuses underscores", func(t *testing.T) {
		if got := send(t, world.hardened, request{target: "/public", headers: []string{"X_User_Id: admin"}}); got.Status != 400 {
			t.Errorf("got %d, want 400", got.Status)
		}
	})
	t.Run("what the policy says replaces the client's", func(t *testing.T) {
		envoys(t, func(t *testing.T, e *testbed.Envoy) {
			got := wantApp(t, send(t, e, request{target: "/whoami", headers: []string{bearer(world.main.Token(nil)), "X-User-Id: admin", "X-User-Id: root"}}))
			if v := got.Headers.Values("X-User-Id"); !reflect.DeepEqual(v, []string{"alice"}) {
				t.Errorf("the app got %v, want alice", v)
			}
		})
	})
	t.Run("Connection can't strip them (CVE-2025-48865)", func(t *testing.T) {
		raw := strings.Replace(request{target: "/whoami", headers: []string{bearer(world.main.Token(nil))}}.String(),
			"Connection: close", "Connection: close, x-user-id", 1)
		envoys(t, func(t *testing.T, e *testbed.Envoy) {
			got := sendRaw(t, e, "GET", raw)
			if got.Status == 400 {
				return // refused is as good
			}
			if v := wantApp(t, got).Headers.Values("X-User-Id"); !reflect.DeepEqual(v, []string{"alice"}) {
				t.Errorf("the app got %v, want alice", v)
			}
		})
	})
	t.Run("x-envoy-original-path is not read (CVE-2023-27487)", func(t *testing.T) {
		if got := send(t, world.plain, request{target: "/admin", headers: []string{"X-Envoy-Original-Path: /public"}}); got.Status != 401 {
			t.Errorf("got %d, want 401 as for /admin", got.Status)
		}
	})
}

// The client's address and scheme are the edge's word, never the client's.
func TestForwardedHeaders(t *testing.T) {
	got := wantApp(t, send(t, world.hardened, request{target: "/saw", headers: []string{
		"X-Forwarded-For: 198.51.100.1", "X-Real-IP: 198.51.100.1", "Forwarded: for=198.51.100.1", "X-Forwarded-Proto: https"}}))
	if saw, want := got.Headers.Get("X-Saw"), `"client":{"ip":"127.0.0.1","ip_block":"127.0.0.1","scheme":"http"}`; !strings.Contains(saw, want) {
		t.Errorf("the policy saw %s, want %s", saw, want)
	}
}

// A list of values reaches the wire whole (envoy#40255), a header that the app sends
// too is replaced, and a header that the policy removes is gone.
func TestHeaderChanges(t *testing.T) {
	world.app.Forget()
	got := send(t, world.hardened, request{target: "/changes", headers: []string{"X-Secret: s", "X-Many: client", "X-Kept: k"}})
	if got.Status != 200 {
		t.Fatalf("got %d: %s", got.Status, got.Body)
	}
	headers := world.app.Seen()[0].Headers
	many := strings.Split(strings.ReplaceAll(strings.Join(headers.Values("X-Many"), ","), " ", ""), ",")
	if !reflect.DeepEqual(many, []string{"a", "b", "c"}) {
		t.Errorf("x-many: the app got %v", headers.Values("X-Many"))
	}
	for name, want := range map[string][]string{"X-One": {"1"}, "X-Secret": nil, "X-Kept": {"k"}} {
		if v := headers.Values(name); !reflect.DeepEqual(v, want) {
			t.Errorf("%s: the app got %v, want %v", name, v, want)
		}
	}
	for name, want := range map[string][]string{"X-Answer": {"policy"}, "Set-Cookie": {"a=1", "b=2"}, "Server": nil} {
		if v := got.Header.Values(name); !reflect.DeepEqual(v, want) {
			t.Errorf("%s: the client got %v, want %v", name, v, want)
		}
	}
}

// A refusal is what the policy makes of it, lists of values included.
func TestRefusalHeaders(t *testing.T) {
	envoys(t, func(t *testing.T, e *testbed.Envoy) {
		got := send(t, e, request{target: "/teapot"})
		if got.Status != 418 || got.Body != "short and stout" || !reflect.DeepEqual(got.Header.Values("X-Refusal"), []string{"one", "two"}) ||
			got.Header.Get("Content-Type") != "text/plain" {
			t.Errorf("got %d %q %v", got.Status, got.Body, got.Header)
		}
		got = send(t, e, request{method: "OPTIONS", target: "/preflight"})
		if got.Status != 204 || got.Body != "" || got.Header.Get("Access-Control-Allow-Methods") != "GET" {
			t.Errorf("preflight: got %d %q %v", got.Status, got.Body, got.Header)
		}
	})
}

// CR and LF in a header value that a policy made are refused at the source.
func TestHeaderSplitting(t *testing.T) {
	envoys(t, func(t *testing.T, e *testbed.Envoy) {
		world.app.Forget()
		wantRefused(t, send(t, e, request{target: "/splitting"}), 500)
		if len(world.app.Seen()) != 0 {
			t.Error("the app was reached")
		}
	})
	t.Run("in a subject", func(t *testing.T) {
		got := send(t, world.plain, request{target: "/whoami", headers: []string{bearer(world.main.Token(map[string]any{"sub": "alice\r\nX-User-Roles: admin"}))}})
		wantRefused(t, got, 500)
	})
}

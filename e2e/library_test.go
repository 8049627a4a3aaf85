package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"authz/internal/testbed"
)

// shop is the policy library over testdata/library, behind an Envoy with one trusted
// proxy in front: the test plays the proxy, and so says over which scheme and from
// which address a request came.
var shop = sync.OnceValues(func() (*testbed.Envoy, error) {
	config := strings.NewReplacer("e2e/testdata/policy", "e2e/testdata/library", "library: false", "library: true",
		"decision: e2e/decision", "decision: authz/decision", "routes: e2e/routes", "routes: authz/config/routes").Replace(config("e2e/testdata/policy"))
	sidecar, err := testbed.StartSidecar(ctx, testbed.SidecarOptions{Config: config, Env: []string{"E2E_SECRET=" + hmacSecret}})
	if err != nil {
		return nil, err
	}
	envoy, err := testbed.StartEnvoy(ctx, testbed.EnvoyOptions{Sidecar: sidecar.Socket, App: world.app.Addr, FailureModeAllow: true,
		Edits: append(patience(), testbed.Edit{Path: testbed.HCM + ".xff_num_trusted_hops", Value: 1})})
	if err != nil {
		return nil, err
	}
	atEnd = append(atEnd, envoy.Stop, sidecar.Stop)
	return envoy, nil
})

// row is one case of a row of the library: a request, and what becomes of it. In an
// expected header "-" means that it must not be there.
type row struct {
	name    string
	method  string
	target  string
	host    string
	as      string // subject and roles of a good token: "alice clerk"
	scopes  string
	headers []string
	body    string // JSON, unless headers say otherwise
	plain   bool   // over plain HTTP
	from    string // client address
	want    int
	header  map[string]string
	errors  string // what the problem says of fields, as JSON
}

func checkRows(t *testing.T, rows []row) {
	envoy, err := shop()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range rows {
		t.Run(c.name, func(t *testing.T) {
			scheme := "https"
			if c.plain {
				scheme = "http"
			}
			if c.from == "" {
				c.from = "192.0.2.1"
			}
			r := request{method: c.method, target: c.target, host: c.host,
				headers: append([]string{"X-Forwarded-Proto: " + scheme, "X-Forwarded-For: " + c.from}, c.headers...), body: c.body}
			if c.body != "" && !strings.Contains(strings.Join(c.headers, ""), "Content-Type") {
				r.headers = append(r.headers, "Content-Type: application/json")
			}
			if c.as != "" {
				subject, roles, _ := strings.Cut(c.as, " ")
				r.headers = append(r.headers, bearer(world.main.Token(map[string]any{"sub": subject, "roles": strings.Fields(roles), "scope": c.scopes})))
			}
			world.app.Forget()
			got := send(t, envoy, r)
			if got.Status != c.want {
				t.Errorf("got %d, want %d: %.300s", got.Status, c.want, got.Body)
			}
			if reached := len(world.app.Seen()) > 0; reached != (c.want == 200) {
				t.Errorf("the app was reached: %v", reached)
			}
			switch {
			case c.errors != "":
				wantProblem(t, got, c.want, c.errors)
			case c.want >= 400:
				wantRefused(t, got, c.want)
			}
			for name, want := range c.header {
				have := strings.Join(got.Header.Values(name), ", ")
				if want == "-" && have != "" || want != "-" && have != want {
					t.Errorf("%s: %q, want %q", name, have, want)
				}
			}
		})
	}
}

func TestLibraryHTTPS(t *testing.T) {
	const to = "https://api.example.com"
	checkRows(t, []row{
		{name: "GET is redirected", plain: true, target: "/orders", want: 308, header: map[string]string{"Location": to + "/orders"}},
		{name: "HEAD is redirected", plain: true, method: "HEAD", target: "/orders", want: 308, header: map[string]string{"Location": to + "/orders"}},
		{name: "with its query", plain: true, target: "/orders?page=2&q=a%20b", want: 308, header: map[string]string{"Location": to + "/orders?page=2&q=a%20b"}},
		{name: "never to the request's host", plain: true, target: "/orders", host: "evil.test", want: 308, header: map[string]string{"Location": to + "/orders"}},
		{name: "nor to a host in the path", plain: true, target: "/evil.test", want: 308, header: map[string]string{"Location": to + "/evil.test"}},
		{name: "POST is refused", plain: true, method: "POST", target: "/public", want: 403, header: map[string]string{"Location": "-"}},
		{name: "DELETE is refused", plain: true, method: "DELETE", target: "/admin", as: "ada admin", want: 403},
		{name: "a token does not help", plain: true, target: "/orders", as: "ada admin", want: 308},
		{name: "an exempt route", plain: true, target: "/health", want: 200, header: map[string]string{"Strict-Transport-Security": "-"}},
		{name: "HTTPS passes, with HSTS", target: "/public", want: 200, header: map[string]string{"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}},
		{name: "HSTS on refusals as well", target: "/orders", want: 401, header: map[string]string{"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}},
		{name: "no HSTS over plain HTTP", plain: true, target: "/orders", want: 308, header: map[string]string{"Strict-Transport-Security": "-"}},
	})
}

func TestLibraryAuthentication(t *testing.T) {
	invalid := map[string]string{"Www-Authenticate": `Bearer realm="shop", error="invalid_token"`}
	expired := bearer(world.main.Token(map[string]any{"exp": 1_700_000_000}))
	checkRows(t, []row{
		{name: "no token", target: "/me", want: 401, header: map[string]string{"Www-Authenticate": `Bearer realm="shop"`}},
		{name: "a good token", target: "/me", as: "alice", want: 200},
		{name: "junk", target: "/me", headers: []string{"Authorization: Bearer junk"}, want: 401, header: invalid},
		{name: "an expired one", target: "/me", headers: []string{expired}, want: 401, header: invalid},
		{name: "a stranger's", target: "/me", headers: []string{bearer(world.other.Token(map[string]any{"aud": "api"}))}, want: 401, header: invalid},
		{name: "another scheme", target: "/me", headers: []string{"Authorization: Basic YTpi"}, want: 401, header: map[string]string{"Www-Authenticate": `Bearer realm="shop"`}},
		{name: "a public route", target: "/public", want: 200},
		{name: "a public route with a good token", target: "/public", as: "alice", want: 200},
		{name: "a public route with a bad token", target: "/public", headers: []string{"Authorization: Bearer junk"}, want: 401, header: invalid},
		{name: "a public route with an expired token", target: "/public", headers: []string{expired}, want: 401, header: invalid},
		{name: "a token in the cookie", target: "/me", headers: []string{"Cookie: session=" + world.main.Token(nil)}, want: 200},
		{name: "two tokens in cookies", target: "/me", headers: []string{"Cookie: session=a; session=b"}, want: 401, header: invalid},
	})
}

func TestLibraryRoles(t *testing.T) {
	checkRows(t, []row{
		{name: "the role itself", target: "/orders", as: "v viewer", want: 200},
		{name: "a role that includes it", target: "/orders", as: "c clerk", want: 200},
		{name: "a role that includes it over another", target: "/orders", as: "a admin", want: 200},
		{name: "another role", target: "/orders", as: "x guest", want: 403},
		{name: "no role", target: "/orders", as: "x", want: 403},
		{name: "a role in another case", target: "/orders", as: "x VIEWER", want: 403},
		{name: "the included role does not include", target: "/admin", as: "c clerk", want: 403},
		{name: "admin only", target: "/admin", as: "a admin", want: 200},
		{name: "role and scope", method: "POST", target: "/orders", as: "c clerk", scopes: "orders:read orders:write", want: 200},
		{name: "the scope is missing", method: "POST", target: "/orders", as: "c clerk", scopes: "orders:read", want: 403,
			header: map[string]string{"Www-Authenticate": `Bearer realm="shop", error="insufficient_scope", scope="orders:write"`}},
		{name: "the role is missing", method: "POST", target: "/orders", as: "v viewer", scopes: "orders:write", want: 403},
		{name: "the owner", target: "/users/alice", as: "alice", want: 200},
		{name: "not the owner", target: "/users/alice", as: "bob", want: 403},
		{name: "not the owner, but admin", target: "/users/alice", as: "bob admin", want: 200},
		{name: "a route that says nothing is closed", target: "/unguarded", as: "a admin", want: 403},
		{name: "an unknown route", target: "/nothing", as: "a admin", want: 404},
		{name: "a known route, another method", method: "PUT", target: "/orders", as: "a admin", want: 405, header: map[string]string{"Allow": "GET, HEAD, POST"}},
		{name: "HEAD is GET without a body", method: "HEAD", target: "/orders", as: "v viewer", want: 200},
	})
}

func TestLibraryUUIDs(t *testing.T) {
	rows := []row{{name: "a UUID", target: "/orders/0b0e7b9a-6a5d-4b0e-9d5c-0f6c1b2a3d4e", as: "c clerk", want: 200}}
	for _, id := range []string{"1", "2", "0", "-1", "1e3", "0x1f", "abc", "0b0e7b9a6a5d4b0e9d5c0f6c1b2a3d4e", "0b0e7b9a-6a5d-4b0e-9d5c", "0b0e7b9a-6a5d-4b0e-9d5c-0f6c1b2a3d4e/"} {
		rows = append(rows, row{name: "id " + id, target: "/orders/" + id, as: "c clerk", want: 404})
	}
	checkRows(t, rows)
}

func TestLibraryHeaders(t *testing.T) {
	helmet := map[string]string{
		"Content-Security-Policy": "base-uri 'self'; default-src 'self'; font-src 'self' https: data:; form-action 'self'; frame-ancestors 'none'; " +
			"img-src 'self' https://img.example.com; object-src 'none'; script-src 'self'; script-src-attr 'none'; style-src 'self' https: 'unsafe-inline'; upgrade-insecure-requests",
		"Cross-Origin-Opener-Policy":        "same-origin",
		"Cross-Origin-Resource-Policy":      "same-origin",
		"Cross-Origin-Embedder-Policy":      "-",
		"Origin-Agent-Cluster":              "?1",
		"Referrer-Policy":                   "no-referrer",
		"X-Content-Type-Options":            "nosniff",
		"X-Dns-Prefetch-Control":            "-", // switched off in the data
		"X-Download-Options":                "noopen",
		"X-Frame-Options":                   "DENY",
		"X-Permitted-Cross-Domain-Policies": "none",
		"X-Xss-Protection":                  "0",
		"Permissions-Policy":                "camera=()", // added in the data
		"Server":                            "-",
		"X-Powered-By":                      "-",
	}
	checkRows(t, []row{
		{name: "on answers", target: "/public", want: 200, header: helmet},
		{name: "on POST", method: "POST", target: "/public", want: 200, header: helmet},
		{name: "on 401", target: "/me", want: 401, header: helmet},
		{name: "on 403", target: "/admin", as: "c clerk", want: 403, header: helmet},
		{name: "on 404", target: "/nothing", as: "c clerk", want: 404, header: helmet},
		{name: "on 405", method: "PUT", target: "/me", as: "c clerk", want: 405, header: helmet},
		{name: "on redirects", plain: true, target: "/me", want: 308, header: helmet},
	})
	t.Run("over the app's own", func(t *testing.T) {
		envoy, err := shop()
		if err != nil {
			t.Fatal(err)
		}
		defer world.app.Answer(nil)
		world.app.Answer(appHeaders)
		got := send(t, envoy, request{target: "/public", headers: []string{"X-Forwarded-Proto: https"}})
		for name, want := range map[string]string{"X-Frame-Options": "DENY", "Content-Security-Policy": helmet["Content-Security-Policy"], "Server": "", "X-Powered-By": ""} {
			if have := got.Header.Values(name); strings.Join(have, ", ") != want {
				t.Errorf("%s: %q, want %q", name, have, want)
			}
		}
	})
}

func TestLibraryCORS(t *testing.T) {
	const listed = "https://shop.example.com"
	origin := func(o string) []string { return []string{"Origin: " + o} }
	preflight := func(o, method, headers string) []string {
		h := []string{"Origin: " + o, "Access-Control-Request-Method: " + method}
		if headers != "" {
			h = append(h, "Access-Control-Request-Headers: "+headers)
		}
		return h
	}
	readable := map[string]string{"Access-Control-Allow-Origin": listed, "Access-Control-Allow-Credentials": "true", "Access-Control-Expose-Headers": "x-total", "Vary": "Origin"}
	closed := map[string]string{"Access-Control-Allow-Origin": "-", "Access-Control-Allow-Credentials": "-", "Vary": "Origin"}
	rows := []row{
		{name: "a listed origin", target: "/public", headers: origin(listed), want: 200, header: readable},
		{name: "on 401", target: "/me", headers: origin(listed), want: 401, header: readable},
		{name: "on 403", target: "/admin", as: "c clerk", headers: origin(listed), want: 403, header: readable},
		{name: "on 404", target: "/nothing", headers: origin(listed), want: 404, header: readable},
		{name: "no origin", target: "/public", want: 200, header: closed},
		{name: "a sub-domain of the pattern", target: "/public", headers: origin("https://pr-7.preview.example.com"), want: 200,
			header: map[string]string{"Access-Control-Allow-Origin": "https://pr-7.preview.example.com", "Vary": "Origin"}},
		{name: "everybody, without credentials", target: "/open", headers: origin("https://who.test"), want: 200,
			header: map[string]string{"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "-"}},
		{name: "preflight, answered before authentication", method: "OPTIONS", target: "/orders", headers: preflight(listed, "POST", "content-type, X-Trace"), want: 204,
			header: map[string]string{"Access-Control-Allow-Origin": listed, "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
				"Access-Control-Allow-Headers": "authorization, content-type, x-trace", "Access-Control-Max-Age": "600", "Vary": "Origin"}},
		{name: "preflight with a header that is not listed", method: "OPTIONS", target: "/orders", headers: preflight(listed, "POST", "x-evil"), want: 403},
		{name: "preflight for a method that the route does not have", method: "OPTIONS", target: "/orders", headers: preflight(listed, "TRACE", ""), want: 405},
		{name: "preflight from a stranger", method: "OPTIONS", target: "/orders", headers: preflight("https://evil.test", "POST", ""), want: 403, header: closed},
	}
	for _, o := range []string{"https://evil.test", "null", "https://evil-shop.example.com", "https://shop.example.com.evil.test", "http://shop.example.com", "https://shop.example.com:8443",
		"https://SHOP.example.com", "https://a.b.preview.example.com", "https://preview.example.com", "https://evil.test/.preview.example.com", "https://.preview.example.com"} {
		rows = append(rows, row{name: "look-alike " + o, target: "/public", headers: origin(o), want: 200, header: closed})
	}
	checkRows(t, rows)
}

func TestLibraryCSRF(t *testing.T) {
	cookie := "Cookie: session=" + world.main.Token(nil)
	post := func(want int, name string, headers ...string) row {
		return row{name: name, method: "POST", target: "/me", headers: headers, want: want}
	}
	checkRows(t, []row{
		post(200, "our own page", cookie, "Sec-Fetch-Site: same-origin", "Origin: https://api.example.com"),
		post(200, "typed into the browser", cookie, "Sec-Fetch-Site: none"),
		post(403, "a foreign page", cookie, "Sec-Fetch-Site: cross-site", "Origin: https://evil.test"),
		post(403, "a neighbour's page", cookie, "Sec-Fetch-Site: same-site", "Origin: https://blog.example.com"),
		post(403, "a foreign page that claims our origin", cookie, "Sec-Fetch-Site: cross-site", "Origin: https://api.example.com"),
		post(200, "an old browser, our origin", cookie, "Origin: https://api.example.com"),
		post(200, "an old browser, an origin with a port", cookie, "Origin: https://shop.example.com:8443"),
		post(403, "an old browser, the same host without TLS", cookie, "Origin: http://api.example.com"),
		post(403, "an old browser, another port", cookie, "Origin: https://api.example.com:8443"),
		post(403, "an old browser, a sandboxed page", cookie, "Origin: null"),
		post(200, "no browser", cookie),
		post(401, "a junk bearer does not switch it off", cookie, "Authorization: Bearer junk", "Sec-Fetch-Site: cross-site"),
		{name: "a good bearer needs no check", method: "POST", target: "/me", as: "alice", headers: []string{"Sec-Fetch-Site: cross-site"}, want: 200},
		{name: "safe methods need none", target: "/me", headers: []string{cookie, "Sec-Fetch-Site: cross-site"}, want: 200},
		{name: "log-in is checked without any cookie", method: "POST", target: "/login", headers: []string{"Sec-Fetch-Site: cross-site"}, from: "192.0.2.77", want: 403},
	})
}

func TestLibraryQuotas(t *testing.T) {
	var rows []row
	for i := range 3 {
		rows = append(rows, row{name: fmt.Sprintf("log-in %d", i+1), method: "POST", target: "/login", from: "203.0.113.7", want: 200,
			header: map[string]string{"Ratelimit-Policy": `"address";q=1000;w=900, "login.attempts";q=3;w=900`}})
	}
	rows = append(rows,
		row{name: "log-in 4", method: "POST", target: "/login", from: "203.0.113.7", want: 429, header: map[string]string{"X-Frame-Options": "DENY"}},
		row{name: "another address", method: "POST", target: "/login", from: "203.0.113.8", want: 200},
		row{name: "another entry before it in X-Forwarded-For", method: "POST", target: "/login", from: "198.51.100.1, 203.0.113.7", want: 429},
		row{name: "another route", target: "/public", from: "203.0.113.7", want: 200},
	)
	for i := range 3 {
		rows = append(rows, row{name: fmt.Sprintf("IPv6 block, address %d", i+1), method: "POST", target: "/login", from: fmt.Sprintf("2001:db8:1:2::%d", i), want: 200})
	}
	rows = append(rows,
		row{name: "IPv6 block, one more", method: "POST", target: "/login", from: "2001:db8:1:2:ffff::1", want: 429},
		row{name: "another block", method: "POST", target: "/login", from: "2001:db8:1:3::1", want: 200})
	for i := range 6 {
		rows = append(rows, row{name: fmt.Sprintf("a user's %d", i+1), target: "/limited", as: "alice", from: fmt.Sprintf("198.51.100.%d", i), want: 200})
	}
	rows = append(rows,
		row{name: "a user's seventh, wherever from", target: "/limited", as: "alice", from: "198.51.100.99", want: 429},
		row{name: "another user", target: "/limited", as: "bob", want: 200})
	for i := range 8 {
		rows = append(rows, row{name: fmt.Sprintf("the skip list, %d", i+1), target: "/limited", as: "probe", want: 200, header: map[string]string{"Ratelimit": "-"}})
	}
	checkRows(t, rows)
}

// appHeaders is an app that sets security headers of its own, worse ones.
func appHeaders(w http.ResponseWriter, _ *http.Request) {
	for name, value := range map[string]string{"X-Frame-Options": "ALLOWALL", "Content-Security-Policy": "default-src *", "Server": "acme", "X-Powered-By": "acme"} {
		w.Header().Set(name, value)
	}
}

// wantProblem holds an answer to be a problem document (RFC 9457) that names fields
// and rules, and nothing of what was sent.
func wantProblem(t *testing.T, a answer, status int, errors string) {
	t.Helper()
	var body struct {
		refusal
		Errors json.RawMessage `json:"errors"`
	}
	d := json.NewDecoder(strings.NewReader(a.Body))
	d.DisallowUnknownFields()
	if err := d.Decode(&body); err != nil {
		t.Fatalf("%v: %s", err, a.Body)
	}
	if a.Header.Get("Content-Type") != "application/problem+json" || body.Status != status || body.RequestID == "" || string(body.Errors) != errors {
		t.Errorf("got %s %s, want errors %s", a.Header.Get("Content-Type"), a.Body, errors)
	}
}

func TestLibraryConstraints(t *testing.T) {
	create := func(name, body string, want int, errors string, headers ...string) row {
		return row{name: name, method: "POST", target: "/users", body: body, headers: headers, want: want, errors: errors}
	}
	fault := func(pairs ...string) string {
		var list []string
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, fmt.Sprintf(`{"field":%q,"rule":%q}`, pairs[i], pairs[i+1]))
		}
		return "[" + strings.Join(list, ",") + "]"
	}
	search := func(target string, want int, errors string) row {
		return row{name: target, target: target, want: want, errors: errors}
	}
	checkRows(t, []row{
		create("as it must be", `{"name":"Ada","email":"ada@example.com","password":"secret1"}`, 200, ""),
		create("name too short", `{"name":"Al","email":"ada@example.com","password":"secret1"}`, 422, fault("body.name", "minLength")),
		create("no e-mail address", `{"name":"Ada","email":"ada@","password":"secret1"}`, 422, fault("body.email", "format")),
		create("password too short", `{"name":"Ada","email":"ada@example.com","password":"12345"}`, 422, fault("body.password", "minLength")),
		create("a field is missing", `{"name":"Ada","password":"secret1"}`, 422, fault("body.email", "required")),
		create("all of them", `{}`, 422, fault("body.email", "required", "body.name", "required", "body.password", "required")),
		create("a number for text", `{"name":123,"email":"ada@example.com","password":"secret1"}`, 422, fault("body.name", "type")),
		create("an unknown field", `{"name":"Ada","email":"ada@example.com","password":"secret1","role":"admin"}`, 422, fault("body.role", "additionalProperties")),
		create("a list", `[]`, 422, fault("body", "type")),
		create("another content type", `name=Ada`, 415, "", "Content-Type: application/x-www-form-urlencoded"),
		create("no body", "", 400, "", "Content-Type: application/json"),
		create("too large", `{"name":"`+strings.Repeat("a", 70_000)+`"}`, 413, ""),
		create("not JSON", `{"name":`, 400, ""),
		search("/search/orders?page=2&q=pen", 200, ""),
		search("/search/orders", 200, ""),
		search("/search/orders?page=0", 422, fault("query.page", "minimum")),
		search("/search/orders?page=two", 422, fault("query.page", "type")),
		search("/search/orders?page=1&page=2", 422, fault("query.page", "type")),
		search("/search/orders?since=yesterday", 422, fault("query.since", "format")),
		search("/search/orders?since=2026-01-02T03:04:05Z", 200, ""),
		search("/search/orders?debug=1", 422, fault("query.debug", "additionalProperties")),
		search("/search/orders?q="+strings.Repeat("x", 21), 422, fault("query.q", "maxLength")),
		search("/search/secrets", 422, fault("params.kind", "enum")),
	})
}

func TestLibraryXSS(t *testing.T) {
	comment := func(field, text string, want int) row {
		body, err := json.Marshal(map[string]string{field: text})
		if err != nil {
			t.Fatal(err)
		}
		r := row{name: field + " " + text, method: "POST", target: "/comments", body: string(body), want: want}
		if want == 400 {
			r.errors = fmt.Sprintf(`[{"field":"body.%s","rule":"xss"}]`, field)
		}
		return r
	}
	var rows []row
	for _, text := range []string{
		`<script>alert(1)</script>`, `<ScRiPt src=//evil.test>`, `<img src=x onerror=alert(1)>`, `<svg/onload=alert(1)>`, `<iframe src="javascript:alert(1)">`,
		`<a href="java	script:alert(1)">x</a>`, `javascript:alert(1)`, `<body onpageshow=alert(1)>`, `<base href="//evil.test/">`, `<style>@import '//evil.test'</style>`,
	} {
		rows = append(rows, comment("text", text, 400), comment("html", text, 200), comment("note", text, 200))
	}
	for _, text := range []string{
		`1 < 2 && 3 > 2`, `Tom & Jerry`, `"quoted" and 'single'`, `if (a < b) { return "<"; }`, `x <- c(1, 2)`, `List<String> names = new ArrayList<>();`,
		`the <b>bold</b> one`, `<p>fine</p>`, `How do I use JavaScript: a guide`, `on click = good`, `SELECT * FROM t WHERE a<>b`, `日本語 <3`,
	} {
		rows = append(rows, comment("text", text, 200))
	}
	rows = append(rows, row{name: "in the query", target: "/public?q=%3Cscript%3E", want: 400, errors: `[{"field":"query.q.0","rule":"xss"}]`})
	checkRows(t, rows)
}

package e2e

import (
	"net/http"
)

func headersRows() []row {
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
	return []row{
		{name: "on answers", target: "/public", want: 200, header: helmet},
		{name: "on POST", method: "POST", target: "/public", want: 200, header: helmet},
		{name: "on 401", target: "/me", want: 401, header: helmet},
		{name: "on 403", target: "/admin", as: "c clerk", want: 403, header: helmet},
		{name: "on 404", target: "/nothing", as: "c clerk", want: 404, header: helmet},
		{name: "on 405", method: "PUT", target: "/me", as: "c clerk", want: 405, header: helmet},
		{name: "on redirects", plain: true, target: "/me", want: 308, header: helmet},
		{name: "on HEAD", method: "HEAD", target: "/public", want: 200, header: helmet},
		{name: "on what no policy sees", target: "/a%2fb", edge: true, want: 400, header: map[string]string{"X-Content-Type-Options": "nosniff", "Server": "-"}},
		{name: "on what the schema refuses", method: "POST", target: "/users", body: `[]`, want: 422, errors: `[{"field":"body","rule":"type"}]`, header: helmet},
		{name: "on a foreign page's form", method: "POST", target: "/login", headers: []string{"Sec-Fetch-Site: cross-site"}, from: "192.0.2.78", want: 403, header: helmet},
		{name: "over the app's own", target: "/public", answer: boastful(200), want: 200, header: helmet},
		{name: "over those of the app's failures", target: "/public", answer: boastful(503), want: 503, header: helmet},
	}
}

// boastful is an app that sets security headers of its own, worse ones.
func boastful(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range map[string]string{"X-Frame-Options": "ALLOWALL", "Content-Security-Policy": "default-src *", "Server": "acme", "X-Powered-By": "acme"} {
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
	}
}

func corsRows() []row {
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
	return rows
}

func csrfRows() []row {
	cookie := "Cookie: session=" + world.main.Token(nil)
	post := func(want int, name string, headers ...string) row {
		return row{name: name, method: "POST", target: "/me", headers: headers, want: want}
	}
	return []row{
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
	}
}

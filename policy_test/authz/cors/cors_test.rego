package authz.cors_test

import data.authz.cors
import data.kit

table := {
	"cors": {
		"origins": ["https://app.example.com", "https://*.example.org", "http://localhost:3000"],
		"methods": ["GET", "PUT"],
		"request_headers": ["Authorization", "x-trace"],
		"expose": ["x-total", "ratelimit"],
		"credentials": true,
		"max_age": 60,
	},
	"routes": {
		"orders": {"methods": ["GET", "PUT", "DELETE"], "path": "/orders", "roles": ["clerk"]},
		"open": {"methods": ["GET"], "path": "/open", "public": true, "cors": {"origins": ["*"], "credentials": false, "expose": []}},
	},
}

shared := {
	"vary": "Origin",
	"access-control-allow-credentials": "true",
	"access-control-expose-headers": "x-total, ratelimit",
}

test_headers[note] if {
	some note, [target, origin, want] in {
		"listed": ["/orders", "https://app.example.com", {"access-control-allow-origin": "https://app.example.com"}],
		"listed, with a port": ["/orders", "http://localhost:3000", {"access-control-allow-origin": "http://localhost:3000"}],
		"a sub-domain": ["/orders", "https://shop.example.org", {"access-control-allow-origin": "https://shop.example.org"}],
		"on a route that does not exist": ["/nothing", "https://app.example.com", {"access-control-allow-origin": "https://app.example.com"}],
	}
	kit.same(cors.headers, object.union(shared, want)) with data.authz.config as table
		with input as kit.header(kit.request("GET", target), "origin", origin)
}

test_not_allowed[origin] if {
	some origin in [
		"https://evil.example",
		"https://evil-app.example.com",
		"https://app.example.com.evil.example",
		"http://app.example.com",
		"https://app.example.com:8443",
		"https://APP.example.com",
		"https://example.org",
		"https://a.b.example.org",
		"https://evilexample.org",
		"https://.example.org",
		"https://a@evil.example/.example.org",
		"https://-.example.org",
		"http://shop.example.org",
		"null",
		"",
		"https://app.example.com, https://evil.example",
	]
	kit.same(cors.headers, {"vary": "Origin"}) with data.authz.config as table
		with input as kit.header(kit.request("GET", "/orders"), "origin", origin)
}

test_no_origin_varies_all_the_same if {
	kit.same(cors.headers, {"vary": "Origin"}) with data.authz.config as table with input as kit.request("GET", "/orders")
}

test_everybody if {
	want := {"vary": "Origin", "access-control-allow-origin": "*"}
	req := kit.request("GET", "/open")
	kit.same(cors.headers, want) with data.authz.config as table with input as kit.header(req, "origin", "https://evil.example")
	kit.same(cors.headers, {"vary": "Origin"}) with data.authz.config as table with input as req
}

test_off_by_default if {
	req := kit.header(kit.request("GET", "/orders"), "origin", "https://app.example.com")
	kit.same(cors.headers, {}) with input as req
	kit.same(cors.headers, {}) with input as {}
	not cors.is_preflight with input as preflight("/orders", "https://app.example.com", "GET", {})
}

test_null_is_nobody_even_if_listed if {
	kit.same(cors.headers, {"vary": "Origin"}) with data.authz.config as {"cors": {"origins": ["null"]}}
		with input as kit.header(kit.request("GET", "/"), "origin", "null")
}

preflight(target, origin, method, headers) := object.union(
	kit.request("OPTIONS", target),
	{"attributes": {"request": {"http": {"headers": object.union(headers, {
		"origin": origin,
		"access-control-request-method": method,
	})}}}},
)

test_preflight_allowed[note] if {
	some note, headers in {
		"no headers": {},
		"listed headers in any case": {"access-control-request-headers": "authorization, X-Trace,accept"},
	}
	want := {"status": 204, "reason": {"cors_preflight"}, "answer": true, "headers": {
		"access-control-allow-methods": "GET, PUT",
		"access-control-allow-headers": "Authorization, x-trace",
		"access-control-max-age": "60",
	}}
	req := preflight("/orders", "https://app.example.com", "PUT", headers)
	kit.same(cors.preflight, want) with data.authz.config as table with input as req
	kit.same(cors.headers["access-control-allow-origin"], "https://app.example.com") with data.authz.config as table with input as req
}

test_preflight_refused[note] if {
	some note, [origin, method, headers, want] in {
		"origin": ["https://evil.example", "GET", {}, {"cors_origin"}],
		"method": ["https://app.example.com", "DELETE", {}, {"cors_method"}],
		"header": ["https://app.example.com", "GET", {"access-control-request-headers": "x-trace, x-other"}, {"cors_headers"}],
		"everything": ["null", "DELETE", {"access-control-request-headers": "*"}, {"cors_origin", "cors_method", "cors_headers"}],
	}
	kit.same(cors.preflight, {"status": 403, "reason": want, "headers": {}, "answer": true}) with data.authz.config as table
		with input as preflight("/orders", origin, method, headers)
}

test_preflight_by_the_route_to_come if {
	req := preflight("/open", "https://evil.example", "GET", {})
	kit.same(cors.preflight.status, 204) with data.authz.config as table with input as req
	kit.same(cors.headers, {"vary": "Origin", "access-control-allow-origin": "*"}) with data.authz.config as table with input as req
}

test_no_preflight[note] if {
	some note, req in {
		"a route that does not exist": preflight("/nothing", "https://app.example.com", "GET", {}),
		"a method that the route has not": preflight("/open", "https://app.example.com", "PUT", {}),
		"another method than OPTIONS": object.union(
			preflight("/orders", "https://app.example.com", "GET", {}),
			{"attributes": {"request": {"http": {"method": "GET"}}}},
		),
		"no requested method": kit.header(kit.request("OPTIONS", "/orders"), "origin", "https://app.example.com"),
	}
	kit.same([p | p := cors.preflight], []) with data.authz.config as table with input as req
}

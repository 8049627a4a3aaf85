package authz.csrf_test

import data.authz.csrf
import data.kit

table := {
	"csrf": {"origins": ["https://api.example.com", "https://api.example.com:8443"], "trusted": ["https://partner.example.org"]},
	"routes": {
		"orders": {"methods": ["POST"], "path": "/orders", "roles": ["clerk"]},
		"hook": {"methods": ["POST"], "path": "/hook", "public": true, "csrf": false},
		"login": {"methods": ["POST"], "path": "/login", "public": true, "csrf": true},
	},
}

browser(target, headers) := object.union(
	kit.by_cookie(kit.by(kit.request("POST", target), "alice", ["clerk"])),
	{"attributes": {"request": {"http": {"headers": headers}}}},
)

test_pass[note] if {
	some note, req in {
		"a safe method": kit.by_cookie(kit.header(kit.request("GET", "/orders"), "sec-fetch-site", "cross-site")),
		"same origin": browser("/orders", {"sec-fetch-site": "same-origin"}),
		"typed by the user": browser("/orders", {"sec-fetch-site": "none"}),
		"old browser, own origin": browser("/orders", {"origin": "https://api.example.com"}),
		"old browser, own origin with a port": browser("/orders", {"origin": "https://api.example.com:8443"}),
		"trusted": browser("/orders", {"sec-fetch-site": "cross-site", "origin": "https://partner.example.org"}),
		"no browser": browser("/orders", {}),
		"no cookie": kit.header(kit.request("POST", "/orders"), "sec-fetch-site", "cross-site"),
		"a valid bearer": kit.header(kit.header(kit.by(kit.request("POST", "/orders"), "a", []), "cookie", "b=c"), "sec-fetch-site", "cross-site"),
		"a route left out": browser("/hook", {"sec-fetch-site": "cross-site"}),
	}
	csrf.pass with data.authz.config as table with input as req
}

test_refusal[note] if {
	some note, req in {
		"cross-site": browser("/orders", {"sec-fetch-site": "cross-site"}),
		"same-site is another site": browser("/orders", {"sec-fetch-site": "same-site", "origin": "https://api.example.com"}),
		"junk": browser("/orders", {"sec-fetch-site": "Same-Origin"}),
		"another origin": browser("/orders", {"origin": "https://evil.example"}),
		"another scheme": browser("/orders", {"origin": "http://api.example.com"}),
		"another port": browser("/orders", {"origin": "https://api.example.com:444"}),
		"a look-alike before": browser("/orders", {"origin": "https://evil-api.example.com"}),
		"a look-alike behind": browser("/orders", {"origin": "https://api.example.com.evil.example"}),
		"null": browser("/orders", {"origin": "null"}),
		"two origins": browser("/orders", {"origin": "https://api.example.com, https://evil.example"}),
		"a junk bearer does not switch it off": kit.header(
			kit.header(
				kit.presenting(kit.request("POST", "/orders"), "invalid"),
				"cookie", "session=1",
			),
			"sec-fetch-site", "cross-site",
		),
		"a route checked without a cookie": kit.header(kit.request("POST", "/login"), "sec-fetch-site", "cross-site"),
		"and with a bearer": kit.header(kit.by(kit.request("POST", "/login"), "a", []), "sec-fetch-site", "cross-site"),
	}
	kit.same(csrf.refusal, {"status": 403, "reason": {"csrf"}, "headers": {}}) with data.authz.config as table with input as req
}

test_own_origin_by_default[note] if {
	some note, [scheme, host, origin, want] in {
		"the same": ["https", "API.example.com", "https://api.example.com", true],
		"the scheme's own port": ["https", "api.example.com:443", "https://api.example.com", true],
		"over http": ["http", "api.example.com:80", "http://api.example.com", true],
		"another port": ["http", "api.example.com:8080", "http://api.example.com:8080", true],
		"another scheme": ["https", "api.example.com", "http://api.example.com", false],
		"another host": ["https", "api.example.com", "https://evil.example", false],
	}
	req := object.union(browser("/orders", {"origin": origin}), {
		"attributes": {"request": {"http": {"host": host}}},
		"client": {"scheme": scheme},
	})
	kit.same(passes(req, {}), want)
}

passes(req, config) if csrf.pass with data.authz.config as config with input as req

else := false

test_switched_off if passes(browser("/orders", {"sec-fetch-site": "cross-site"}), {"csrf": {"enabled": false}})

test_nothing_known if {
	kit.same(passes({}, {}), false)
	kit.same(passes(object.remove(browser("/orders", {}), ["attributes"]), {}), false)
	kit.same(passes(browser("/orders", {"sec-fetch-site": "cross-site"}), {"csrf": 1}), false)
}

package kit_test

import data.kit

test_a_request_is_what_the_sidecar_shows if {
	req := kit.request("GET", "/a%20b/c+d?x=1&y=2&x=3+4&z")
	kit.same(
		object.filter(req, ["parsed_path", "parsed_query", "parsed_body", "truncated_body", "token", "client"]),
		{
			"parsed_path": ["a b", "c+d"],
			"parsed_query": {"x": ["1", "3 4"], "y": ["2"], "z": [""]},
			"parsed_body": null,
			"truncated_body": false,
			"token": {"status": "absent"},
			"client": {"ip": "192.0.2.1", "ip_block": "192.0.2.1", "scheme": "https"},
		},
	)
	kit.same(kit.request("GET", "/").parsed_path, [""])
	kit.same(kit.request("GET", "/").parsed_query, {})
}

test_callers if {
	req := kit.by(kit.request("GET", "/"), "alice", ["clerk"])
	kit.same(req.token.roles, ["clerk"])
	kit.same(kit.scoped(req, ["read"]).token.scopes, ["read"])
	kit.same(kit.claiming(req, {"org": 7}).token.claims, {"iss": "https://issuer.example.com", "sub": "alice", "org": 7})
	kit.same(kit.by_cookie(req).token.via, "cookie")
	kit.same(kit.presenting(kit.request("GET", "/"), "expired").token, {"status": "expired", "via": "header", "error": "signature"})
	kit.same(kit.plainly(req).client.scheme, "http")
	kit.same(kit.from(req, "192.0.2.9").client, {"ip": "192.0.2.9", "ip_block": "192.0.2.9", "scheme": "https"})
}

test_bodies if {
	req := kit.body(kit.request("POST", "/"), {"a": 1})
	kit.same([req.parsed_body, req.attributes.request.http.size], [{"a": 1}, 7])
	kit.same(kit.form(kit.request("POST", "/"), {"a": ["1"]}).attributes.request.http.headers["content-type"], "application/x-www-form-urlencoded")
}

test_expectations_fail if {
	kit.same(kit.same(1, 2), false)
	kit.same(kit.allows({"allowed": false}), false)
	kit.same(kit.refuses({"allowed": false, "http_status": 403, "reason": ["a"]}, 403, "b"), false)
	kit.same(kit.refuses({"allowed": true, "http_status": 200, "reason": ["a"]}, 200, "a"), false)
}

test_expectations_hold if {
	kit.same(1, 1)
	kit.allows({"allowed": true})
	kit.refuses({"allowed": false, "http_status": 403, "reason": ["a"]}, 403, "a")
}

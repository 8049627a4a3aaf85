package authz_test

import data.authz
import data.kit

config := {
	"https": {"host": "api.example.com"},
	"cors": {"origins": ["https://app.example.com"], "credentials": true},
	"roles": {"admin": ["clerk"]},
	"xss": {"fields": {"body.note": "flag"}},
	"routes": {
		"health": {"methods": ["GET"], "path": "/health", "public": true, "quotas": false},
		"orders.list": {"methods": ["GET"], "path": "/orders", "roles": ["clerk"]},
		"orders.add": {"methods": ["POST"], "path": "/orders", "roles": ["clerk"], "body": {"type": "object", "properties": {"item": {"type": "string"}, "note": {"type": "string"}}}},
	},
}

keys := {
	"allowed", "http_status", "headers", "response_headers_to_add", "request_headers_to_remove", "query_parameters_to_set",
	"query_parameters_to_remove", "body", "dynamic_metadata", "reason", "quotas", "response",
}

secure := object.union(data.authz.prepared.security_headers.https, {"vary": "Origin"})

quota := {"name": "address", "key": ["address", {"ref": "client.ip_block"}], "limit": 100, "window": "15m"}

alice := kit.by(kit.request("GET", "/orders"), "alice", ["clerk"])

test_allowed if {
	decision := authz.decision with data.authz.config as config with input as alice
	kit.same(decision, {
		"allowed": true,
		"http_status": 200,
		"headers": {"x-user-id": "alice", "x-user-roles": "clerk", "x-user-scopes": ""},
		"response_headers_to_add": secure,
		"request_headers_to_remove": [],
		"query_parameters_to_set": {},
		"query_parameters_to_remove": [],
		"body": null,
		"dynamic_metadata": {"route": "orders.list"},
		"reason": [],
		"quotas": [quota],
		"response": {"mask_errors": true},
	})
}

test_refused if {
	decision := authz.decision with data.authz.config as config
		with input as kit.header(kit.request("GET", "/orders"), "origin", "https://app.example.com")
	kit.same(decision, {
		"allowed": false,
		"http_status": 401,
		"headers": object.union(secure, {
			"www-authenticate": `Bearer realm="api"`,
			"access-control-allow-origin": "https://app.example.com",
			"access-control-allow-credentials": "true",
		}),
		"response_headers_to_add": {},
		"request_headers_to_remove": [],
		"query_parameters_to_set": {},
		"query_parameters_to_remove": [],
		"body": null,
		"dynamic_metadata": {"route": "orders.list"},
		"reason": {"token_absent"},
		"quotas": [quota],
		"response": {},
	})
}

preflight := object.union(kit.request("OPTIONS", "/orders"), {"attributes": {"request": {"http": {"headers": {
	"origin": "https://app.example.com",
	"access-control-request-method": "POST",
}}}}})

# One row of the library after the other; the first that does not pass answers.
test_order[note] if {
	some note, [req, status, code] in {
		"1 https": [kit.plainly(kit.request("GET", "/nothing")), 308, "https_redirect"],
		"2 preflight": [preflight, 204, "cors_preflight"],
		"3 route": [kit.presenting(kit.request("GET", "/nothing"), "invalid"), 404, "route_unknown"],
		"4 method": [kit.request("PUT", "/orders"), 405, "method_unknown"],
		"5 token": [kit.presenting(kit.request("GET", "/orders"), "invalid"), 401, "token_invalid"],
		"6 another site's page": [
			kit.header(kit.by_cookie(kit.by(kit.request("POST", "/orders"), "bob", [])), "sec-fetch-site", "cross-site"),
			403, "csrf",
		],
		"7 role": [kit.body(kit.by(kit.request("POST", "/orders"), "bob", []), {"item": 1}), 403, "role_missing"],
		"8 input": [kit.body(kit.by(kit.request("POST", "/orders"), "bob", ["clerk"]), {"item": 1}), 422, "input_type"],
		"9 script": [kit.body(kit.by(kit.request("POST", "/orders"), "bob", ["clerk"]), {"item": "<script>"}), 400, "xss"],
	}
	kit.refuses(authz.decision, status, code) with data.authz.config as config with input as req
}

test_answers_are_not_counted if {
	kit.same(authz.decision.quotas, []) with data.authz.config as config with input as preflight
	kit.same(authz.decision.quotas, []) with data.authz.config as config with input as kit.plainly(alice)
}

test_flagged_text_is_told if {
	decision := authz.decision with data.authz.config as config
		with input as kit.body(kit.by(kit.request("POST", "/orders"), "bob", ["clerk"]), {"note": "<script>"})
	kit.allows(decision)
	kit.same(decision.reason, ["xss_flagged"])
	kit.same(decision.dynamic_metadata, {"route": "orders.add", "xss": ["body.note"]})
}

# What a team adds in package app.
test_app_denies if {
	kit.refuses(authz.decision, 403, "too_late") with data.authz.config as config
		with data.app.deny as {"too_late"}
		with input as alice
	kit.allows(authz.decision) with data.authz.config as config with data.app.deny as set() with input as alice
}

test_app_denies_with_a_status_of_its_own if {
	kit.refuses(authz.decision, 409, "too_late") with data.authz.config as config
		with data.app.deny as {"too_late"}
		with data.app.http_status as 409
		with input as alice
}

test_app_of_the_wrong_type_refuses[note] if {
	some note, deny in {"true": true, "text": "code", "number": 1, "list": ["code"]}
	kit.same(authz.decision.allowed, false) with data.authz.config as config with data.app.deny as deny with input as alice
}

test_app_adds if {
	decision := authz.decision with data.authz.config as config
		with data.app.response_headers as {"x-frame-options": "SAMEORIGIN", "x-a": "b"}
		with data.app.request_headers as {"x-tenant": "acme"}
		with data.app.metadata as {"tenant": "acme"}
		with data.app.quotas as [{"name": "own", "key": ["x"], "limit": 1, "window": 1}]
		with input as alice
	kit.same(decision.response_headers_to_add, object.union(secure, {"x-frame-options": "SAMEORIGIN", "x-a": "b"}))
	kit.same(decision.headers["x-tenant"], "acme")
	kit.same(decision.dynamic_metadata, {"route": "orders.list", "tenant": "acme"})
	kit.same(decision.quotas, [quota, {"name": "own", "key": ["x"], "limit": 1, "window": 1}])
}

test_total[note] if {
	some note, [data_, req] in {
		"nothing known": [config, {}],
		"no data": [{}, alice],
		"no data, nothing known": [{}, {}],
		"data of the wrong type": [[], alice],
		"sections of the wrong type": [{name: 1 | some name, _ in data.authz.defaults.config}, alice],
		"a row of the wrong type": [{"routes": {"a": 1}}, alice],
		"an input of the wrong type": [config, "alice"],
		"parts of the wrong type": [config, {name: 1 | some name, _ in alice}],
	}
	decision := authz.decision with data.authz.config as data_ with input as req
	kit.same(object.keys(decision), keys)
	kit.same(decision.allowed, false)
}

test_config_errors if {
	bad := {"cors": {"origins": ["*"], "credentials": true}}
	kit.same(authz.config_errors, {{"section": "cors", "path": "cors", "fault": "an origin of * cannot go with credentials"}}) with data.authz.config as bad
	kit.refuses(authz.decision, 500, "config_cors") with data.authz.config as bad with input as alice
	kit.same(authz.config_errors, set()) with data.authz.config as config
}

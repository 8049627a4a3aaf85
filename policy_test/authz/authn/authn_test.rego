package authz.authn_test

import data.authz.authn
import data.kit

table := {
	"authn": {"realm": "orders"},
	"routes": {
		"open": {"methods": ["GET"], "path": "/open", "public": true},
		"closed": {"methods": ["GET"], "path": "/closed", "roles": ["clerk"]},
	},
}

test_pass[note] if {
	some note, req in {
		"valid": kit.by(kit.request("GET", "/closed"), "alice", []),
		"public, nobody": kit.request("GET", "/open"),
		"public, somebody": kit.by(kit.request("GET", "/open"), "alice", []),
	}
	authn.pass with data.authz.config as table with input as req
}

test_refusal[note] if {
	bad := {"www-authenticate": `Bearer realm="orders", error="invalid_token"`}
	some note, [req, want] in {
		"no token: the realm alone": [
			kit.request("GET", "/closed"),
			{"status": 401, "reason": {"token_absent"}, "headers": {"www-authenticate": `Bearer realm="orders"`}},
		],
		"a bad token": [
			kit.presenting(kit.request("GET", "/closed"), "invalid"),
			{"status": 401, "reason": {"token_invalid"}, "headers": bad},
		],
		"an expired one": [
			kit.presenting(kit.request("GET", "/closed"), "expired"),
			{"status": 401, "reason": {"token_expired"}, "headers": bad},
		],
		"a bad token on a public route": [
			kit.presenting(kit.request("GET", "/open"), "invalid"),
			{"status": 401, "reason": {"token_invalid"}, "headers": bad},
		],
		"no keys": [
			kit.presenting(kit.request("GET", "/closed"), "unavailable"),
			{"status": 503, "reason": {"token_unavailable"}, "headers": {"retry-after": "5"}},
		],
		"no keys on a public route": [
			kit.presenting(kit.request("GET", "/open"), "unavailable"),
			{"status": 503, "reason": {"token_unavailable"}, "headers": {"retry-after": "5"}},
		],
		"a status that is not known": [
			kit.presenting(kit.request("GET", "/open"), "splendid"),
			{"status": 401, "reason": {"token_invalid"}, "headers": bad},
		],
		"nothing known": [{}, {"status": 401, "reason": {"token_invalid"}, "headers": bad}],
	}
	kit.same(authn.refusal, want) with data.authz.config as table with input as req
}

package authz.lint_test

import data.authz.lint
import data.kit

test_sound[note] if {
	some note, config in {
		"nothing": {},
		"everything": {
			"https": {"enabled": true, "host": "api.example.com:8443", "exempt": ["health"], "hsts": {"max_age": 1, "include_subdomains": false, "preload": true}},
			"cors": {"origins": ["https://app.example.com", "https://*.example.com", "http://localhost:3000"], "credentials": true},
			"authn": {"realm": "orders and more"},
			"csrf": {"enabled": true, "origins": ["https://api.example.com"], "trusted": []},
			"roles": {"admin": ["clerk"]},
			"quotas": {
				"limits": {"address": null, "all": {"by": "everybody", "limit": 1, "window": "1h30m", "burst": 1, "cost": 1, "charge": "denied", "shadow": true, "routes": ["health"]}},
				"skip": {"routes": ["health"], "roles": [], "subjects": [], "addresses": ["10.0.0.0/8"]},
			},
			"headers": {"set": {"x-frame-options": false}, "permissions_policy": true, "csp": {"enabled": true, "report_only": false, "directives": {"img-src": ["*"], "font-src": null}}},
			"identity": {"headers": {"x-user-id": "claims.email"}},
			"constraints": {"status": 400, "max_bytes": 1, "max_depth": 1, "max_errors": 1, "content_types": ["application/json"]},
			"xss": {"mode": "flag", "fields": {"body.a": "off"}},
			"response": {"mask_errors": false},
			"schemas": {"thing": {"type": "object"}},
			"routes": {
				"health": {"methods": ["GET"], "path": "/health", "public": true, "title": "Health", "description": "Is it up?", "quotas": false},
				"things": {
					"methods": ["PUT"], "path": "/things/{id:uuid}", "authenticated": true, "roles": ["a"], "scopes": ["b"],
					"owner": {"param": "id", "claim": "sub", "bypass": ["admin"]},
					"params": {}, "query": {}, "headers": {}, "body": "thing", "limits": {"max_bytes": 2},
					"quotas": {"own": {"limit": 1, "window": 60}}, "csrf": false,
					"cors": {"origins": ["*"], "credentials": false}, "xss": {"mode": "off"}, "app": {"anything": 1},
				},
				"files": {"methods": ["GET"], "path": "/files/{name...}", "owner": {"param": "name", "claim": "sub"}},
			},
		},
	}
	kit.same(lint.faults, set()) with data.authz.config as config
}

row(fields) := {"routes": {"a": object.union({"methods": ["GET"], "path": "/a/{id}"}, fields)}}

test_fault[note] if {
	some note, [config, section, path] in {
		"no object": [[], "shape", ""],
		"an unknown section": [{"quota": {}}, "shape", "(Root)"],
		"a section of the wrong type": [{"https": 1}, "shape", "https"],
		"an unknown key": [row({"role": ["clerk"]}), "shape", "routes.a"],
		"a role that is no list": [row({"roles": "clerk"}), "shape", "routes.a.roles"],
		"a quota that is a shadow of something": [{"quotas": {"limits": {"a": {"limit": 1, "window": 1, "shadow": "b"}}}}, "shape", "quotas.limits.a"],
		"a quota without a window": [{"quotas": {"limits": {"a": {"limit": 1}}}}, "shape", "quotas.limits.a"],
		"a header's value with a line break": [{"headers": {"set": {"x-a": "b\r\nset-cookie: c"}}}, "shape", "headers.set.x-a"],
		"a directive that ends early": [{"headers": {"csp": {"directives": {"img-src": ["*; script-src *"]}}}}, "shape", "headers.csp.directives.img-src"],
		"a realm that ends early": [{"authn": {"realm": `a", error="b`}}, "shape", "authn.realm"],
		"null as an origin": [{"cors": {"origins": ["null"]}}, "shape", "cors.origins.0"],
		"a pattern for a whole top-level domain": [{"cors": {"origins": ["https://*.com"]}}, "shape", "cors.origins.0"],
		"a pattern within a label": [{"cors": {"origins": ["https://app*.example.com"]}}, "shape", "cors.origins.0"],
		"an origin with a path": [{"cors": {"origins": ["https://example.com/"]}}, "shape", "cors.origins.0"],
		"everybody with credentials": [{"cors": {"origins": ["*"], "credentials": true}}, "cors", "cors"],
		"everybody with credentials, on a route": [
			object.union(row({"public": true, "cors": {"origins": ["*"]}}), {"cors": {"credentials": true, "origins": ["https://app.example.com"]}}),
			"cors", "routes.a.cors",
		],
		"a schema that is none": [{"schemas": {"a": {"type": "nonsense"}}}, "schemas", "schemas.a"],
		"a schema that is none, in a route": [row({"query": {"type": "nonsense"}}), "schemas", "routes.a.query"],
		"a schema that does not exist": [row({"body": "gone"}), "schemas", "routes.a.body"],
		"public and not": [row({"public": true, "roles": ["clerk"]}), "routes", "routes.a"],
		"an owner without a parameter": [row({"owner": {"param": "i", "claim": "sub"}}), "routes", "routes.a.owner.param"],
		"a route that does not exist, exempt": [{"https": {"exempt": ["a"]}}, "https.exempt", "https.exempt"],
		"a route that does not exist, left out": [{"quotas": {"skip": {"routes": ["a"]}}}, "quotas.skip.routes", "quotas.skip.routes"],
		"a route that does not exist, limited": [{"quotas": {"limits": {"b": {"limit": 1, "window": 1, "routes": ["a"]}}}}, "quotas.limits", "quotas.limits"],
		"no address block": [{"quotas": {"skip": {"addresses": ["10.0.0.0/33"]}}}, "quotas", "quotas.skip.addresses"],
	}
	faults := lint.faults with data.authz.config as config
	kit.same([section, path] in {[fault.section, fault.path] | some fault in faults}, true)
}

package authz.prepared_test

import data.authz.defaults
import data.authz.prepared
import data.kit

test_defaults if {
	kit.same(prepared.config, defaults.config)
	kit.same(prepared.rows, {})
	kit.same(prepared.skips, false)
	kit.same(prepared.identity_headers, {
		"facts": {"x-user-id": "subject", "x-user-roles": "roles", "x-user-scopes": "scopes"},
		"claims": {},
	})
}

test_key_by_key if {
	config := {"cors": {"origins": ["https://app.example.com"]}, "csrf": {"enabled": false}}
	kit.same(prepared.config.cors, object.union(defaults.cors, config.cors)) with data.authz.config as config
	kit.same(prepared.config.csrf, {"enabled": false, "origins": [], "trusted": []}) with data.authz.config as config
}

test_a_row if {
	config := {
		"roles": {"admin": ["clerk"], "boss": ["admin"], "clerk": []},
		"schemas": {"thing": {"type": "object"}},
		"routes": {"a": {
			"methods": ["POST"],
			"path": "/a",
			"roles": ["clerk"],
			"body": "thing",
			"query": {"type": "object"},
			"limits": {"max_bytes": 1},
			"csrf": true,
			"quotas": false,
			"xss": {"mode": "off"},
		}},
	}
	row := prepared.rows.a with data.authz.config as config
	kit.same(object.remove(row, ["cors"]), {
		"public": false,
		"needs": {"something": true, "roles": ["admin", "boss", "clerk"]},
		"csrf": true,
		"quotas": {"known": [], "anonymous": []},
		"constraints": {
			"limits": object.union(defaults.constraints, {"max_bytes": 1}),
			"schemas": {"body": {"type": "object"}, "query": {"type": "object"}},
			"bounded": [],
			"formatted": [],
			"loose": [],
		},
		"xss": {"mode": "off", "fields": {}, "flags": false, "on": false},
	})
}

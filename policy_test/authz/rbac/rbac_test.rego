package authz.rbac_test

import data.authz.rbac
import data.kit

table := {
	"roles": {"admin": ["clerk"], "clerk": ["customer", "reader"], "circle": ["circle"]},
	"routes": {
		"open": {"methods": ["GET"], "path": "/open", "public": true},
		"known": {"methods": ["GET"], "path": "/known", "authenticated": true},
		"closed": {"methods": ["GET"], "path": "/closed"},
		"closed.empty": {"methods": ["GET"], "path": "/closed/empty", "scopes": []},
		"nobody": {"methods": ["GET"], "path": "/nobody", "roles": []},
		"customers": {"methods": ["GET"], "path": "/customers", "roles": ["customer"]},
		"circle": {"methods": ["GET"], "path": "/circle", "roles": ["circle"]},
		"scoped": {"methods": ["GET"], "path": "/scoped", "scopes": ["orders:read", "orders:list"]},
		"own": {"methods": ["GET"], "path": "/users/{id}", "owner": {"param": "id", "claim": "sub", "bypass": ["clerk"]}},
		"own.org": {"methods": ["GET"], "path": "/orgs/{org:int}", "owner": {"param": "org", "claim": "app.orgs"}},
		"both": {"methods": ["GET"], "path": "/both", "roles": ["admin"], "scopes": ["all"]},
	},
}

test_pass[note] if {
	some note, [target, roles] in {
		"public": ["/open", []],
		"anybody known": ["/known", []],
		"the role itself": ["/customers", ["customer"]],
		"one of several": ["/customers", ["other", "customer"]],
		"an including role": ["/customers", ["clerk"]],
		"included twice over": ["/customers", ["admin"]],
		"a role that includes itself": ["/circle", ["circle"]],
		"the owner": ["/users/alice", []],
		"a bypassing role": ["/users/bob", ["clerk"]],
		"a role that includes a bypassing one": ["/users/bob", ["admin"]],
	}
	rbac.pass with data.authz.config as table with input as kit.by(kit.request("GET", target), "alice", roles)
}

test_scopes_and_claims if {
	alice := kit.by(kit.request("GET", "/scoped"), "alice", [])
	rbac.pass with data.authz.config as table with input as kit.scoped(alice, ["orders:list", "x", "orders:read"])
	rbac.pass with data.authz.config as table
		with input as kit.claiming(kit.by(kit.request("GET", "/orgs/7"), "alice", []), {"app": {"orgs": [6, 7]}})
}

test_deny[note] if {
	some note, [target, roles, want] in {
		"nothing said of the route": ["/closed", ["admin"], {"route_unguarded"}],
		"no scope is no guard": ["/closed/empty", ["admin"], {"route_unguarded"}],
		"no role suffices": ["/nobody", ["admin"], {"role_missing"}],
		"no role": ["/customers", [], {"role_missing"}],
		"another role": ["/customers", ["reader", "Customer"], {"role_missing"}],
		"an included role is less": ["/both", ["clerk"], {"role_missing", "scope_missing"}],
		"scopes": ["/scoped", ["admin"], {"scope_missing"}],
		"another's": ["/users/bob", ["customer"], {"not_owner"}],
		"no such claim": ["/orgs/7", ["admin"], {"not_owner"}],
	}
	kit.same(rbac.deny, want) with data.authz.config as table with input as kit.by(kit.request("GET", target), "alice", roles)
}

test_claims_that_own_nothing[note] if {
	some note, claim in {"null": null, "another": 8, "within an object": {"7": 7}, "nothing": []}
	kit.same(rbac.deny, {"not_owner"}) with data.authz.config as table
		with input as kit.claiming(kit.by(kit.request("GET", "/orgs/7"), "alice", []), {"app": {"orgs": claim}})
}

test_refusal if {
	alice := kit.by(kit.request("GET", "/scoped"), "alice", [])
	kit.same(rbac.refusal, {"status": 403, "reason": {"scope_missing"}, "headers": {"www-authenticate": `Bearer realm="api", error="insufficient_scope", scope="orders:read orders:list"`}}) with data.authz.config as table
		with input as kit.scoped(alice, ["orders:read"])
	kit.same(rbac.refusal, {"status": 403, "reason": {"role_missing"}, "headers": {}}) with data.authz.config as table
		with input as kit.by(kit.request("GET", "/customers"), "alice", [])
}

test_nobody_has_nothing[note] if {
	some note, want in {"/customers": {"role_missing"}, "/scoped": {"scope_missing"}, "/users/bob": {"not_owner"}}
	kit.same(rbac.deny, want) with data.authz.config as table with input as kit.request("GET", note)
}

test_nothing_known if kit.same(rbac.deny, {"route_unguarded"}) with input as {}

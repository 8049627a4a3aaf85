package authz.identity_test

import data.authz.identity
import data.kit

alice := kit.claiming(kit.scoped(kit.by(kit.request("GET", "/"), "alice", ["clerk", "reader"]), ["a", "b"]), {"org": {"id": 7, "name": null}})

test_by_default if {
	kit.same(identity.headers, {"x-user-id": "alice", "x-user-roles": "clerk,reader", "x-user-scopes": "a b"}) with input as alice
}

test_configured if {
	config := {"identity": {"headers": {
		"x-user-scopes": "nothing",
		"x-user-roles": "issuer",
		"x-org": "claims.org.id",
		"x-org-name": "claims.org.name",
		"x-team": "claims.team",
	}}}
	kit.same(identity.headers, {"x-user-id": "alice", "x-user-roles": "https://issuer.example.com", "x-org": "7"}) with data.authz.config as config
		with input as alice
}

test_nobody[note] if {
	some note, req in {
		"no token": kit.request("GET", "/"),
		"a bad one that speaks": object.union(alice, {"token": {"status": "invalid"}}),
		"nothing known": {},
	}
	kit.same(identity.headers, {}) with input as req
}

# A name that holds the separator would reach the app as two.
test_names_that_hold_the_separator if {
	sent := kit.scoped(kit.by(kit.request("GET", "/"), "alice", ["user,admin", "clerk"]), ["read write", "list"])
	kit.same(identity.headers, {"x-user-id": "alice", "x-user-roles": "clerk", "x-user-scopes": "list"}) with input as sent
}

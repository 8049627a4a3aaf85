# METADATA
# title: Roles, scopes and ownership
# description: |
#   Whether the caller may use the route. A route says what it needs: `roles` (any of
#   them, inherited ones too), `scopes` (all of them), `owner` (a path parameter equals
#   a claim), `authenticated: true` (anybody known), or `public: true`. Everything it
#   says must hold; a route that says nothing is closed.
package authz.rbac

import data.authz.authn
import data.authz.route

# METADATA
# description: Every requirement of the route holds.
pass if count(deny) == 0

# METADATA
# description: The requirements that do not hold.
deny contains "route_unguarded" if not _guarded

deny contains "role_missing" if {
	_requires("roles")
	not _has_role
}

deny contains "scope_missing" if {
	_requires("scopes")
	not _has_scopes
}

deny contains "not_owner" if {
	_requires("owner")
	not _owns
}

# METADATA
# description: 403; a missing scope is named, so that the client can ask for it (RFC 6750, 3.1).
refusal := {"status": 403, "reason": deny, "headers": {"www-authenticate": authn.challenge([
	`error="insufficient_scope"`,
	sprintf("scope=%q", [concat(" ", route.row.scopes)]),
])}} if {
	"scope_missing" in deny
}

else := {"status": 403, "reason": deny, "headers": {}} if not pass

# METADATA
# description: The caller's roles and all that they include.
roles contains role if some role in input.token.roles

roles contains role if {
	some holder in graph.reachable(_hierarchy, input.token.roles)
	some role in _hierarchy[holder]
}

_hierarchy := data.authz.config.roles

_requires(what) if _ = route.row[what]

_guarded if route.row.public == true

_guarded if route.row.authenticated == true

_guarded if _requires("roles")

_guarded if count(route.row.scopes) > 0

_guarded if _requires("owner")

# The caller's own roles first: most requests need no hierarchy.
_has_role if {
	some role in input.token.roles
	role in route.row.roles
} else if {
	some role in roles
	role in route.row.roles
}

_has_scopes if {
	is_array(route.row.scopes)
	every scope in route.row.scopes {
		scope in input.token.scopes
	}
}

_owns if {
	value := route.params[route.row.owner.param]
	value in _owned
}

_owns if {
	some role in route.row.owner.bypass
	role in roles
}

# What the claim says: one value, or a list of them. Path parameters are text.
_owned contains sprintf("%v", [value]) if {
	claim := object.get(input.token.claims, split(route.row.owner.claim, "."), null)
	some value in _listed(claim)
	not is_null(value)
}

_listed(claim) := claim if is_array(claim)

else := [claim]

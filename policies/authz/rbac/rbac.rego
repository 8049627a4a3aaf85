# METADATA
# title: Roles, scopes and ownership
# description: |
#   Whether the caller may use the route. A route says what it needs: `roles` (any of
#   them, or a role that includes one), `scopes` (all of them), `owner` (a path parameter
#   equals a claim), `authenticated: true` (anybody known), or `public: true`. Everything
#   it says must hold; a route that says nothing is closed.
package authz.rbac

import data.authz.authn
import data.authz.route

# METADATA
# description: Every requirement of the route holds.
pass if count(deny) == 0

# METADATA
# description: The requirements that do not hold.
deny contains "route_unguarded" if not route.row.needs.something

deny contains "role_missing" if {
	route.row.needs.roles
	not _has_role
}

deny contains "scope_missing" if {
	route.row.needs.scopes
	not _has_scopes
}

deny contains "not_owner" if {
	route.row.needs.owner
	not _owns
}

# METADATA
# description: 403; a missing scope is named, so that the client can ask for it (RFC 6750, 3.1).
refusal := {"status": 403, "reason": deny, "headers": {"www-authenticate": authn.challenge([
	`error="insufficient_scope"`,
	sprintf("scope=%q", [concat(" ", route.row.needs.scopes)]),
])}} if {
	"scope_missing" in deny
}

else := {"status": 403, "reason": deny, "headers": {}} if not pass

# METADATA
# description: |
#   What a row of the table needs, its roles closed under the hierarchy: whoever has
#   a role that includes a needed one has the needed one.
needs(hierarchy, row) := object.union_n([
	{"something": _something(row)},
	{name: closed(hierarchy, roles) | some name, roles in object.filter(row, ["roles"])},
	object.filter(row, ["scopes"]),
	{name: object.union(owner, {"bypass": closed(hierarchy, object.get(owner, "bypass", []))}) |
		some name, owner in object.filter(row, ["owner"])
	},
])

# METADATA
# description: These roles and every role that includes one of them, however far.
closed(hierarchy, roles) := [role |
	some role in ({r | some r in roles} | {r | some r, _ in hierarchy})
	some needed in roles
	needed in _included(hierarchy, role)
]

# A role's whole offspring. A role that includes none need not be in the hierarchy.
_included(hierarchy, role) := {role} | {below |
	some reached in graph.reachable(hierarchy, {role})
	some below in hierarchy[reached]
}

_something(row) if row.public == true

_something(row) if row.authenticated == true

_something(row) if is_array(row.roles)

_something(row) if count(row.scopes) > 0

_something(row) if is_object(row.owner)

default _something(_) := false

_has_role if {
	some role in input.token.roles
	role in route.row.needs.roles
}

_has_scopes if {
	every scope in route.row.needs.scopes {
		scope in input.token.scopes
	}
}

_owns if {
	some role in input.token.roles
	role in route.row.needs.owner.bypass
}

_owns if {
	some value in _listed(_owner)
	not is_null(value)
	sprintf("%v", [value]) == route.params[route.row.needs.owner.param]
}

# The usual claim is read by its name: a decision that looks at all claims is never the
# same for two tokens, whose jti and iat differ.
_owner := input.token.claims.sub if route.row.needs.owner.claim == "sub"

else := object.get(input.token.claims, split(route.row.needs.owner.claim, "."), null)

# A claim is one value, or a list of them; path parameters are text.
_listed(claim) := claim if is_array(claim)

else := [claim]

# METADATA
# title: Prepared data
# description: |
#   What the team's data comes to before there is any request: its sections laid over
#   the defaults, the roles closed under their hierarchy, the headers rendered, the
#   quotas of each route gathered. Nothing here reads the input, so the sidecar works
#   it out once, when it loads the policies, and puts the values in its place; under a
#   stock opa the rules are evaluated where they are asked.
package authz.prepared

import data.authz.constraints
import data.authz.cors
import data.authz.defaults
import data.authz.headers
import data.authz.identity
import data.authz.lint
import data.authz.quotas as quota
import data.authz.rbac
import data.authz.xss

# METADATA
# description: Every section of data.authz.config over its defaults.
config := object.union(defaults.config, data.authz.config) if data.authz.config

else := defaults.config

# METADATA
# description: What is wrong with the data; while it is, every request is refused.
faults := [fault | some fault in lint.faults]

# METADATA
# description: The security headers of answers over https and over http.
security_headers := {"https": headers.rendered(config, true), "http": headers.rendered(config, false)}

# METADATA
# description: The origins of requests that match no route.
origins := cors.compiled(config.cors)

# METADATA
# description: The quotas of requests that match no route.
quotas := quota.compiled(config.quotas, null, {})

# METADATA
# description: Whether somebody is left out of the quotas.
skips := ((count(config.quotas.skip.roles) + count(config.quotas.skip.subjects)) + count(config.quotas.skip.addresses)) > 0

# METADATA
# description: Where the values of the identity headers are found.
identity_headers := identity.sources(config.identity.headers)

# METADATA
# description: What the table says of each route, ready to be asked.
rows[id] := {
	"public": object.get(row, "public", false),
	"needs": rbac.needs(config.roles, row),
	"csrf": object.get(row, "csrf", "cookie"),
	"cors": cors.compiled(object.union(config.cors, object.get(row, "cors", {}))),
	"quotas": quota.compiled(config.quotas, id, row),
	"constraints": _constraints(row),
	"xss": xss.compiled(object.union(config.xss, object.get(row, "xss", {}))),
} if {
	some id, row in data.authz.config.routes
}

# Limits are the route's over the general ones. Only with schemas is there anything
# to match.
_constraints(row) := object.union({"limits": limits}, _schemas(row, limits)) if {
	limits := object.union(config.constraints, object.get(row, "limits", {}))
}

_schemas(row, limits) := {
	"schemas": {place: constraints.compiled(place, schema) | some place, schema in given},
	"loose": [place | some place, schema in given; constraints.loose(place, schema)],
	"formatted": [place | some place, schema in given; constraints.formatted(schema)],
	"bounded": [place | some place, schema in given; constraints.bounded(schema, limits.max_depth)],
} if {
	given := {place: _schema(asked) | some place, asked in object.filter(row, ["params", "query", "headers", "body"])}
	count(given) > 0
} else := {}

# A schema is written in place or named.
_schema(given) := config.schemas[given] if is_string(given)

else := given

# METADATA
# title: Quotas
# description: |
#   Which quotas the request counts against. Every route is held to the limits of
#   data.authz.config.quotas.limits; a route may have its own beside them in
#   `quotas`, or none at all with `quotas: false`. Counting is the sidecar's: a key
#   is a list of references, so that the decision does not depend on who asks.
package authz.quotas

import data.authz.prepared
import data.authz.route

# METADATA
# description: The quotas of this request.
asked := [] if {
	prepared.skips
	_skipped
}

else := route.row.quotas.known if input.token.status == "valid"

else := route.row.quotas.anonymous if route.row

else := prepared.quotas.known if input.token.status == "valid"

else := prepared.quotas.anonymous

# METADATA
# description: |
#   The quotas of a row of the table, for callers with a valid token and for others. A
#   limit by user falls back to the address where there is no user.
compiled(config, id, row) := {"known": _all(config, id, row, true), "anonymous": _all(config, id, row, false)}

_all(config, id, row, known) := [] if row.quotas == false

else := [] if id in config.skip.routes

else := array.concat(
	[quota |
		some name, limit in config.limits
		not _off(limit)
		_applies(limit, id)
		quota := _quota(name, limit, known)
	],
	[quota |
		some name, limit in object.get(row, "quotas", {})
		quota := _quota(sprintf("%s.%s", [id, name]), limit, known)
	],
)

_off(null)

_off(false)

# A limit with `routes` holds for those only.
_applies(limit, _) if not limit.routes

_applies(limit, id) if id in limit.routes

_quota(name, limit, known) := object.union(
	{"name": name, "key": _key(object.get(limit, "by", "address"), known)},
	object.remove(limit, ["by", "routes"]),
)

_key("address", _) := ["address", {"ref": "client.ip_block"}]

_key("everybody", _) := ["everybody"]

_key("user", true) := ["user", {"ref": "token.issuer"}, {"ref": "token.subject"}]

_key("user", false) := ["address", {"ref": "client.ip_block"}]

_skipped if {
	some role in input.token.roles
	role in prepared.config.quotas.skip.roles
}

_skipped if {
	input.token.subject in prepared.config.quotas.skip.subjects
}

_skipped if {
	some block in prepared.config.quotas.skip.addresses
	net.cidr_contains(block, input.client.ip)
}

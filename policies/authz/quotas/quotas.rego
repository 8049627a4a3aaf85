# METADATA
# title: Quotas
# description: |
#   Which quotas the request counts against. Every route is held to the limits of
#   data.authz.config.quotas.limits; a route may have its own beside them in
#   `quotas`, or none at all with `quotas: false`. Counting is the sidecar's: a key
#   is a list of references, so that the decision does not depend on who asks.
package authz.quotas

import data.authz.rbac
import data.authz.route
import data.authz.settings

# METADATA
# description: The quotas of this request.
asked := [] if _skipped

else := array.concat(_general, _own)

_general := [quota |
	some name, limit in settings.quotas.limits
	is_object(limit)
	_applies(limit)
	quota := _quota(name, limit)
]

_own := [quota |
	some name, limit in route.row.quotas
	is_object(limit)
	quota := _quota(concat(".", [route.id, name]), limit)
]

# A limit with `routes` holds for those only.
_applies(limit) if not limit.routes

_applies(limit) if route.id in limit.routes

_quota(name, limit) := object.union({"name": name, "key": key}, object.remove(limit, ["by", "routes"])) if {
	key := _key(object.get(limit, "by", "address"))
}

_key("address") := [{"ref": "client.ip_block"}]

_key("everybody") := ["everybody"]

_key("user") := _caller

_caller := ["user", {"ref": "token.issuer"}, {"ref": "token.subject"}] if input.token.status == "valid"

else := ["address", {"ref": "client.ip_block"}]

_skipped if route.row.quotas == false

_skipped if route.id in settings.quotas.skip.routes

_skipped if {
	some role in settings.quotas.skip.roles
	role in rbac.roles
}

_skipped if input.token.subject in settings.quotas.skip.subjects

_skipped if {
	some block in settings.quotas.skip.addresses
	net.cidr_contains(block, input.client.ip)
}

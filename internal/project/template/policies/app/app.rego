# METADATA
# title: Our own rules
# description: |
#   What no table of routes and roles can say. A request that the library would let
#   through is refused with the codes in deny; the codes are for the log, the client
#   sees a plain 403. Missing input denies, because each condition is a helper that
#   must hold.
package app

import data.authz.route

# METADATA
# description: A clerk refunds small amounts; a larger one takes a manager.
deny contains "refund_too_large" if {
	route.id == "refunds.create"
	not _may_refund
}

_may_refund if {
	is_number(input.parsed_body.amount)
	input.parsed_body.amount <= data.shop.refund_limit
}

_may_refund if "manager" in input.token.roles

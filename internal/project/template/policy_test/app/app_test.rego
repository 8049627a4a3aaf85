package app_test

import data.authz
import data.kit

test_a_clerk_refunds_small_amounts if {
	kit.allows(authz.decision) with input as kit.by(_refund(100), "alice", ["clerk"])
}

test_a_large_refund_takes_a_manager if {
	kit.refuses(authz.decision, 403, "refund_too_large") with input as kit.by(_refund(101), "alice", ["clerk"])
	kit.allows(authz.decision) with input as kit.by(_refund(101), "bob", ["manager"])
}

test_no_amount_is_no_small_amount if {
	kit.refuses(authz.decision, 422, "input_type") with input as kit.by(_refund("1"), "alice", ["clerk"])
}

_refund(amount) := kit.body(
	kit.request("POST", "/orders/7d444840-9dc0-11d1-b245-5ffdce74fad2/refunds"),
	{"amount": amount},
)

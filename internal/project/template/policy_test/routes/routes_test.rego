package routes_test

import data.authz
import data.kit

ann := "7d444840-9dc0-11d1-b245-5ffdce74fad2"

bob := "00000000-0000-4000-8000-000000000001"

test_health_is_public if {
	kit.allows(authz.decision) with input as kit.request("GET", "/health")
}

test_orders_are_for_clerks if {
	kit.refuses(authz.decision, 401, "token_absent") with input as kit.request("GET", "/orders")
	kit.refuses(authz.decision, 403, "role_missing") with input as kit.by(kit.request("GET", "/orders"), ann, ["customer"])
	kit.allows(authz.decision) with input as kit.by(kit.request("GET", "/orders"), ann, ["clerk"])
}

test_a_manager_may_do_what_a_clerk_may if {
	kit.allows(authz.decision) with input as kit.by(kit.request("GET", "/orders"), ann, ["manager"])
}

test_a_profile_is_its_owners_and_a_managers if {
	kit.allows(authz.decision) with input as kit.by(_profile(ann), ann, [])
	kit.refuses(authz.decision, 403, "not_owner") with input as kit.by(_profile(bob), ann, ["clerk"])
	kit.allows(authz.decision) with input as kit.by(_profile(bob), ann, ["manager"])
}

test_a_number_is_no_order if {
	kit.refuses(authz.decision, 404, "route_unknown") with input as kit.by(kit.request("GET", "/orders/17"), ann, ["clerk"])
}

test_a_bad_token_is_refused_everywhere if {
	kit.refuses(authz.decision, 401, "token_expired") with input as kit.presenting(kit.request("GET", "/health"), "expired")
}

_profile(id) := kit.request("GET", concat("/", ["/users", id]))

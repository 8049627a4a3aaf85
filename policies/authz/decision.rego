# METADATA
# title: Decision
# description: |
#   The entry point. It asks each row of the library in turn and puts their answers
#   together; it decides nothing itself. Every row must pass; the first that does not
#   says what the client gets. What no row can explain is refused too.
#
#   A team adds rules of its own in package app: `deny contains "code"`, and where it
#   needs them `response_headers`, `request_headers`, `metadata` and `quotas`.
package authz

import data.authz.authn
import data.authz.constraints
import data.authz.cors
import data.authz.csrf
import data.authz.headers
import data.authz.https
import data.authz.identity
import data.authz.prepared
import data.authz.quotas
import data.authz.rbac
import data.authz.route
import data.authz.xss

# METADATA
# title: The decision
# description: Defined for every input, with every key; see the contract.
# entrypoint: true
decision := {
	"allowed": true,
	"http_status": 200,
	"headers": _request_headers,
	"response_headers_to_add": _response_headers,
	"request_headers_to_remove": [],
	"query_parameters_to_set": {},
	"query_parameters_to_remove": [],
	"body": null,
	"dynamic_metadata": _metadata,
	"reason": _remarks,
	"quotas": _quotas,
	"response": prepared.config.response,
} if {
	allowed
} else := {
	"allowed": false,
	"http_status": refusal.status,
	"headers": object.union(_response_headers, refusal.headers),
	"response_headers_to_add": {},
	"request_headers_to_remove": [],
	"query_parameters_to_set": {},
	"query_parameters_to_remove": [],
	"body": object.get(refusal, "body", null),
	"dynamic_metadata": _metadata,
	"reason": refusal.reason,
	"quotas": _charged,
	"response": {},
}

# METADATA
# description: Every row passes.
allowed if {
	prepared.faults == []
	https.pass
	not cors.is_preflight
	route.pass
	authn.pass
	csrf.pass
	rbac.pass
	constraints.pass
	xss.pass
	_app_pass
}

# METADATA
# description: What the first row that does not pass says.
refusal := {"status": 500, "reason": {sprintf("config_%s", [split(fault.section, ".")[0]]) | some fault in prepared.faults}, "headers": {}} if {
	not prepared.faults == []
}

else := https.refusal if https.refusal

else := cors.preflight if cors.preflight

else := route.refusal if route.refusal

else := authn.refusal if authn.refusal

else := csrf.refusal if csrf.refusal

else := rbac.refusal if rbac.refusal

else := constraints.refusal if constraints.refusal

else := xss.refusal if xss.refusal

else := {"status": _app_status, "reason": data.app.deny, "headers": {}} if is_set(data.app.deny)

else := {"status": 403, "reason": {"unexplained"}, "headers": {}}

_app_status := data.app.http_status if is_number(data.app.http_status)

else := 403

# A team's rules pass when there are none, or when none of them denies.
_app_pass if not data.app.deny

_app_pass if data.app.deny == set()

_response_headers := object.union(_library_headers, data.app.response_headers) if is_object(data.app.response_headers)

else := _library_headers

_library_headers := headers.values if cors.headers == {}

else := object.union(headers.values, cors.headers)

_request_headers := object.union(identity.headers, data.app.request_headers) if is_object(data.app.request_headers)

else := identity.headers

_metadata := object.union(_usage, data.app.metadata) if is_object(data.app.metadata)

else := _usage

# The route's id says what was done, for metrics and logs; what was flagged goes on
# to the app's log by way of Envoy.
_usage := {"route": route.id, "xss": [field | some field in xss.flagged]} if _flagged

else := {"route": route.id} if route.id

else := {}

_flagged if {
	route.row.xss.flags
	count(xss.flagged) > 0
}

# An allowed request can still have something remarkable.
_remarks := ["xss_flagged"] if _flagged

else := []

# METADATA
# title: Faults of the configuration
# description: |
#   Objects with a section, a path and what is wrong there. The sidecar refuses to load
#   data that has any; where it is loaded all the same, every request is refused.
config_errors contains fault if some fault in prepared.faults

_quotas := array.concat(quotas.asked, data.app.quotas) if is_array(data.app.quotas)

else := quotas.asked if quotas.asked

else := []

# A redirect or an answer to a preflight is no refusal: nothing is counted.
_charged := [] if refusal.answer == true

else := _quotas

# The policy of the end-to-end tests: one small rule for each thing that a test asks.
package e2e

import data.settings

identity := {"x-user-id": input.token.subject} if input.token.status == "valid"

else := {}

answer_headers := {"x-policy-version": sprintf("%d", [settings.version])}

# Anybody, but a presented token must be good.
decision := {"allowed": true, "headers": identity, "response_headers_to_add": answer_headers} if {
	input.route.id in {"public", "public.below"}
	input.token.status in {"absent", "valid"}
}

decision := refused(401, "authentication") if {
	input.route.id in {"public", "public.below"}
	not input.token.status in {"absent", "valid"}
}

decision := {"allowed": true, "headers": identity, "response_headers_to_add": answer_headers} if {
	input.route.id in {"whoami", "orders.read"}
	input.token.status == "valid"
}

decision := refused(401, "authentication") if {
	input.route.id in {"whoami", "orders.read", "admin", "admin.all"}
	input.token.status != "valid"
}

decision := {"allowed": true, "headers": identity} if {
	input.route.id in {"admin", "admin.all"}
	"admin" in input.token.roles
}

decision := refused(403, "role_missing") if {
	input.route.id in {"admin", "admin.all"}
	input.token.status == "valid"
	not "admin" in input.token.roles
}

# Reads the body: what was not parsed is refused.
decision := {"allowed": true} if {
	input.route.id == "body"
	input.parsed_body.name == "pen"
	input.truncated_body == false
}

decision := refused(403, "body") if {
	input.route.id == "body"
	not input.parsed_body.name == "pen"
}

# Shows the app and the client what the policy saw.
decision := {
	"allowed": true,
	"headers": {"x-saw": json.marshal(object.filter(input, ["client", "parsed_path", "parsed_query", "parsed_body", "truncated_body"]))},
} if {
	input.route.id in {"saw", "saw.below", "grpc"}
}

# Every kind of change to the request and the answer.
decision := {
	"allowed": true,
	"headers": {"x-one": "1", "x-many": ["a", "b", "c"]},
	"response_headers_to_add": {"x-answer": "policy", "x-powered-by": "nothing", "set-cookie": ["a=1", "b=2"]},
	"request_headers_to_remove": ["x-secret"],
	"query_parameters_to_set": {"added": "yes"},
	"query_parameters_to_remove": ["debug"],
	"dynamic_metadata": {"tenant": "acme"},
} if {
	input.route.id == "changes"
}

decision := {
	"allowed": false,
	"http_status": 418,
	"headers": {"x-refusal": ["one", "two"], "content-type": "text/plain"},
	"body": "short and stout",
} if {
	input.route.id == "teapot"
}

decision := {"allowed": false, "http_status": 204, "headers": {"access-control-allow-methods": "GET"}} if input.route.id == "preflight"

# What goes wrong inside a policy.
decision := {"allowed": true, "headers": {"x-user-id": sprintf("alice\r\nx-user-roles: admin", [])}} if input.route.id == "splitting"

decision := {"allowed": "yes"} if input.route.id == "wrong-type"

decision := "yes" if input.route.id == "text"

decision := {"allowed": true, "headers": {"x-n": 1}} if input.route.id == "wrong-value"

decision := {"allowed": true, "x": conflicting} if input.route.id == "conflict"

conflicting := 1

conflicting := 2 if input.route.id == "conflict"

decision := {"allowed": true, "x": count([1 | some i in numbers.range(1, 100000); some j in numbers.range(1, 100000); i + j == 0])} if {
	input.route.id == "loop"
}

decision := {"allowed": true, "x": count(numbers.range(1, 1000000000))} if input.route.id == "allocate"

# Quotas.
decision := {"allowed": true, "quotas": [{"name": "few", "key": [{"ref": "client.ip_block"}], "limit": 3, "window": "1h"}], "response_headers_to_add": {"x-after": "allow"}} if {
	input.route.id == "few"
}

decision := {"allowed": true, "quotas": [{"name": "trial", "key": [{"ref": "client.ip_block"}], "limit": 2, "window": "1h", "shadow": true}]} if {
	input.route.id == "trial"
}

decision := {"allowed": input.parsed_query.good == ["yes"], "http_status": 401, "quotas": [{
	"name": "login",
	"key": [{"ref": "client.ip_block"}],
	"limit": 3,
	"window": "1h",
	"charge": "denied",
}]} if {
	input.route.id == "login"
	input.parsed_query.good
}

# Undefined on purpose, as every unknown route is.
decision := undefined_for_everybody if input.route.id == "undefined"

undefined_for_everybody if input.attributes.request.http.method == "NEVER"

refused(status, reason) := {"allowed": false, "http_status": status, "reason": reason}

# An unknown route looks like nothing.
decision := refused(404, "route_unknown") if is_null(input.route)

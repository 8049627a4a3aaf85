package authz.errors_test

import data.authz.errors
import data.kit

test_problem if {
	kit.same(
		json.unmarshal(errors.problem(422, "Invalid input", {"errors": [{"field": "body.name", "rule": "minLength"}], "status": 1})),
		{
			"type": "about:blank",
			"title": "Invalid input",
			"status": 422,
			"request_id": "test-1",
			"errors": [{"field": "body.name", "rule": "minLength"}],
		},
	) with input as kit.request("GET", "/")
}

test_request_id[note] if {
	some note, [http, want] in {
		"the header": [{"id": "2", "headers": {"x-request-id": "1"}}, "1"],
		"Envoy's own": [{"id": "2", "headers": {}}, "2"],
		"Envoy's own, the header being no token": [{"id": "2", "headers": {"x-request-id": "a b"}}, "2"],
		"too long": [{"headers": {"x-request-id": concat("", [x | some _ in numbers.range(1, 129); x := "a"])}}, ""],
		"neither": [{}, ""],
	}
	kit.same(errors.request_id, want) with input as {"attributes": {"request": {"http": http}}}
}

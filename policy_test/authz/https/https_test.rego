package authz.https_test

import data.authz.https
import data.kit

config := {"https": {"host": "www.example.com", "exempt": ["health"]}}

test_pass if {
	https.pass with input as kit.request("GET", "/")
	https.pass with input as kit.plainly(kit.request("GET", "/")) with data.authz.config as {"https": {"enabled": false}}
	https.pass with data.authz.config as object.union(config, {"routes": {"health": {"methods": ["GET"], "path": "/health"}}})
		with input as kit.plainly(kit.request("GET", "/health"))
}

test_refusal[note] if {
	redirect := {"status": 308, "reason": {"https_redirect"}, "answer": true}
	refused := {"status": 403, "reason": {"https_required"}, "headers": {}}
	some note, [data_, req, want] in {
		"to the configured host": [
			config, kit.request("GET", "/a%20b?c=d"),
			object.union(redirect, {"headers": {"location": "https://www.example.com/a%20b?c=d"}}),
		],
		"never to the request's own": [
			config, object.union(kit.request("HEAD", "//evil.example"), {"attributes": {"request": {"http": {"host": "evil.example"}}}}),
			object.union(redirect, {"headers": {"location": "https://www.example.com//evil.example"}}),
		],
		"another method": [config, kit.request("POST", "/"), refused],
		"no host": [{}, kit.request("GET", "/"), refused],
		"not a path": [config, kit.request("GET", "@evil.example"), refused],
		"a control byte": [config, kit.request("GET", "/\r\nset-cookie: a=b"), refused],
		"a section of the wrong type": [{"https": 1}, kit.request("GET", "/"), refused],
	}
	kit.same(https.refusal, want) with data.authz.config as data_ with input as kit.plainly(req)
}

test_nothing_known if kit.same(https.refusal.status, 403) with input as {}

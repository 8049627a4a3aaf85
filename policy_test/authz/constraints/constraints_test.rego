package authz.constraints_test

import data.authz.constraints
import data.kit

user := {
	"type": "object",
	"required": ["name", "email", "password"],
	"properties": {
		"name": {"type": "string", "minLength": 3},
		"email": {"type": "string", "format": "email"},
		"password": {"type": "string", "minLength": 6},
		"age": {"type": "integer", "minimum": 18},
		"tags": {"type": "array", "maxItems": 2, "items": {"type": "string", "format": "uuid"}},
		"address": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}},
		"extra": {"type": "object", "properties": {"a": {}}, "additionalProperties": true},
		"closed": {"type": "object", "properties": {"a": {}}, "additionalProperties": false},
		"role": {"enum": ["user", "admin"]},
		"code": {"type": "string", "pattern": "^[a-z]+$"},
	},
}

table := {
	"schemas": {"user": user},
	"routes": {
		"users.add": {"methods": ["POST"], "path": "/users", "public": true, "body": "user"},
		"users.form": {
			"methods": ["POST"], "path": "/form", "public": true,
			"limits": {"content_types": ["application/x-www-form-urlencoded"], "status": 400},
			"body": {"type": "object", "required": ["name"], "properties": {
				"name": {"type": "string"},
				"age": {"type": "integer"},
				"rate": {"type": "number"},
				"yes": {"type": "boolean"},
				"no": {"type": "boolean"},
				"ids": {"type": "array", "items": {"type": "integer"}},
			}},
		},
		"users.list": {
			"methods": ["GET"], "path": "/users", "public": true,
			"query": {"type": "object", "properties": {"page": {"type": "integer", "minimum": 1}, "sort": {"enum": ["name", "age"]}, "since": {"type": "string", "format": "date"}}},
			"headers": {"type": "object", "required": ["x-tenant"], "properties": {"x-tenant": {"type": "string", "pattern": "^[a-z]{2,8}$"}}},
		},
		"users.read": {"methods": ["GET"], "path": "/users/{n:int}/{what}", "public": true, "params": {"type": "object", "properties": {"n": {"type": "integer", "maximum": 100}}}},
		"none": {"methods": ["POST"], "path": "/none", "public": true, "body": false},
		"anything": {"methods": ["POST"], "path": "/anything", "public": true},
		"text": {"methods": ["POST"], "path": "/text", "public": true, "body": {"type": "string", "maxLength": 3}},
		"either": {"methods": ["POST"], "path": "/either", "public": true, "body": {"anyOf": [{"required": ["a"]}, {"required": ["b"]}], "properties": {"a": {}}}},
		"small": {"methods": ["POST"], "path": "/small", "public": true, "limits": {"max_bytes": 10, "max_depth": 2, "max_errors": 1}, "body": {}},
		"optional": {"methods": ["POST"], "path": "/optional", "public": true, "limits": {"body_required": false}, "body": user, "query": {"properties": {"n": {"type": "integer"}}}},
		"broken": {"methods": ["POST"], "path": "/broken", "public": true, "body": {"type": "nonsense"}},
	},
}

ann := {"name": "Ann", "email": "ann@example.com", "password": "secret"}

unseen(field, value) := object.union(kit.request("POST", "/optional"), {"attributes": {"request": {"http": {field: value}}}})

posted(target, value) := kit.body(kit.request("POST", target), value)

test_pass[note] if {
	some note, req in {
		"all that is needed": posted("/users", ann),
		"all that there is": posted("/users", object.union(ann, {
			"age": 18,
			"tags": ["0b0e7b9a-6a5d-4b0e-9d5c-0f6c1b2a3d4e"],
			"address": {"city": "x"},
			"extra": {"b": 1},
			"role": "user",
			"code": "abc",
		})),
		"a media type with parameters": kit.header(posted("/users", ann), "content-type", "Application/JSON; charset=utf-8"),
		"a form": kit.form(kit.request("POST", "/form"), {
			"name": ["1"], "age": ["-7"], "rate": ["1.5"], "yes": ["true"], "no": ["false"], "ids": ["1", "2"],
		}),
		"a query and a header": kit.header(kit.request("GET", "/users?page=2&sort=age&since=2026-01-31"), "x-tenant", "acme"),
		"a path": kit.request("GET", "/users/100/x"),
		"no body where there must be none": kit.request("POST", "/none"),
		"a route without schemas": posted("/anything", {"what": "ever"}),
		"text": posted("/text", "abc"),
		"composed": posted("/either", {"b": 1}),
		"a body that need not be there": kit.request("POST", "/optional"),
		"nor one that is announced as nothing": kit.header(kit.header(kit.request("POST", "/optional"), "content-length", "0"), "content-type", "application/json"),
		"an optional body": posted("/optional", ann),
		"small": posted("/small", [[1]]),
	}
	constraints.pass with data.authz.config as table with input as req
}

test_violations[note] if {
	some note, [req, want] in {
		"missing": [posted("/users", {}), {["body.email", "required"], ["body.name", "required"], ["body.password", "required"]}],
		"too short": [posted("/users", object.union(ann, {"name": "An", "password": "12345"})), {["body.name", "minLength"], ["body.password", "minLength"]}],
		"no e-mail": [posted("/users", object.union(ann, {"email": "Ann <ann@example.com>"})), {["body.email", "format"]}],
		"another type": [posted("/users", object.union(ann, {"age": "18"})), {["body.age", "type"]}],
		"too young": [posted("/users", object.union(ann, {"age": 17})), {["body.age", "minimum"]}],
		"unknown": [posted("/users", object.union(ann, {"admin": true})), {["body.admin", "additionalProperties"]}],
		"unknown within": [posted("/users", object.union(ann, {"address": {"city": "x", "zip": 1}})), {["body.address.zip", "additionalProperties"]}],
		"unknown where the schema says so": [posted("/users", object.union(ann, {"closed": {"b": 1}})), {["body.closed.b", "additionalProperties"]}],
		"a body of unknown size where there must be none": [object.union(kit.request("POST", "/none"), {"parsed_body": []}), {["body", "forbidden"]}],
		"a body that was not parsed where there must be none": [object.remove(kit.request("POST", "/none"), ["parsed_body"]), {["body", "forbidden"]}],
		"missing within": [posted("/users", object.union(ann, {"address": {}})), {["body.address.city", "required"]}],
		"in a list": [posted("/users", object.union(ann, {"tags": ["0b0e7b9a-6a5d-4b0e-9d5c-0f6c1b2a3d4e", "1"]})), {["body.tags.1", "format"]}],
		"too many": [posted("/users", object.union(ann, {"tags": [u, u, u]})), {["body.tags", "maxItems"]}],
		"none of the values": [posted("/users", object.union(ann, {"role": "root"})), {["body.role", "enum"]}],
		"another pattern": [posted("/users", object.union(ann, {"code": "A"})), {["body.code", "pattern"]}],
		"no object": [posted("/users", [ann]), {["body", "type"]}],
		"text that is JSON": [posted("/users", json.marshal(ann)), {["body", "type"]}],
		"a form of text": [kit.form(kit.request("POST", "/form"), {"age": ["x"], "yes": ["1"], "ids": ["1", "b"], "more": ["x"]}), {
			["body.name", "required"], ["body.age", "type"], ["body.yes", "type"], ["body.ids.1", "type"], ["body.more", "additionalProperties"],
		}],
		"repeated": [kit.form(kit.request("POST", "/form"), {"name": ["a", "b"]}), {["body.name", "type"]}],
		"query and header": [kit.request("GET", "/users?page=0&x=1&since=2026-02-30"), {
			["query.page", "minimum"], ["query.x", "additionalProperties"], ["query.since", "format"], ["headers.x-tenant", "required"],
		}],
		"header": [kit.header(kit.request("GET", "/users"), "x-tenant", "A"), {["headers.x-tenant", "pattern"]}],
		"path": [kit.request("GET", "/users/101/x"), {["params.n", "maximum"]}],
		"a body where there must be none": [posted("/none", {}), {["body", "forbidden"]}],
		"composed": [posted("/either", {"c": 1}), {["body", "anyOf"], ["body.a", "required"]}],
		"an optional body that is wrong": [posted("/optional", object.union(ann, {"name": "A"})), {["body.name", "minLength"]}],
		"a wrong query without the body": [kit.request("POST", "/optional?n=x"), {["query.n", "type"]}],
		"too deep": [posted("/small", [[[1]]]), {["body", "maxDepth"]}],
		"a schema that is none": [posted("/broken", {}), {["body", "schema"]}],
	}
	kit.same({[v.field, v.rule] | some v in constraints.violations}, want) with data.authz.config as table with input as req
}

u := "0b0e7b9a-6a5d-4b0e-9d5c-0f6c1b2a3d4e"

test_refusal[note] if {
	some note, [req, status, reason] in {
		"too large": [posted("/small", "0123456789"), 413, {"body_too_large"}],
		"larger than it says": [kit.header(posted("/small", 1), "content-length", "11"), 413, {"body_too_large"}],
		"cut short": [object.union(posted("/users", null), {"truncated_body": true}), 413, {"body_truncated"}],
		"another content type": [kit.header(posted("/users", ann), "content-type", "text/plain"), 415, {"content_type"}],
		"a near one": [kit.header(posted("/users", ann), "content-type", "application/vnd.api+json"), 415, {"content_type"}],
		"no content type": [kit.request("POST", "/users"), 400, {"body_missing"}],
		"null": [posted("/users", null), 400, {"body_unread"}],
		"an optional body that is null": [posted("/optional", null), 400, {"body_unread"}],
		"an optional body of an unknown kind": [kit.header(unseen("size", 3), "content-type", "text/plain"), 415, {"content_type"}],
		"an optional body without a kind": [unseen("size", 3), 400, {"body_missing"}],
		"octets as text": [unseen("body", "abc"), 400, {"body_missing"}],
		"octets": [unseen("rawBody", "YWJj"), 400, {"body_missing"}],
		"an optional body that was announced": [kit.header(kit.request("POST", "/optional"), "content-length", "3"), 400, {"body_missing"}],
		"one that comes in pieces": [kit.header(kit.request("POST", "/optional"), "transfer-encoding", "chunked"), 400, {"body_missing"}],
		"one of a kind that was announced": [kit.header(kit.request("POST", "/optional"), "content-type", "application/json"), 400, {"body_unread"}],
		"an optional body that was not parsed at all": [object.remove(kit.request("POST", "/optional"), ["parsed_body"]), 400, {"body_missing"}],
		"not parsed at all": [object.remove(posted("/users", ann), ["parsed_body", "truncated_body"]), 400, {"body_unread"}],
	}
	kit.same(constraints.refusal, {"status": status, "reason": reason, "headers": {}}) with data.authz.config as table
		with input as req
	not constraints.pass with data.authz.config as table with input as req
}

test_refusal_names_fields_and_no_values if {
	refusal := constraints.refusal with data.authz.config as table with input as posted("/users", object.union(ann, {"email": "<secret>"}))
	kit.same(
		object.union(refusal, {"body": json.unmarshal(refusal.body)}),
		{
			"status": 422,
			"reason": {"input_format"},
			"headers": {"content-type": "application/problem+json"},
			"body": {
				"type": "about:blank",
				"title": "Invalid input",
				"status": 422,
				"request_id": "test-1",
				"errors": [{"field": "body.email", "rule": "format"}],
			},
		},
	)
	not contains(refusal.body, "secret")
}

test_refusal_as_the_route_says if {
	refusal := constraints.refusal with data.authz.config as table with input as kit.form(kit.request("POST", "/form"), {})
	kit.same(refusal.status, 400)
}

test_no_query_at_all if {
	kit.same(constraints.violations, {{"field": "headers.x-tenant", "rule": "required"}}) with data.authz.config as table
		with input as object.remove(kit.request("GET", "/users"), ["parsed_query"])
}

package authz.constraints_test

import data.authz.constraints
import data.authz.formats
import data.kit

# A list of comments with answers to them, an author who is shared, and parts that are
# put together.
comment := {
	"type": "object",
	"properties": {"text": {"type": "string"}, "by": {"$ref": "#/definitions/author"}, "answers": {"type": "array", "items": {"$ref": "#"}}},
	"definitions": {"author": {"type": "object", "properties": {"email": {"type": "string", "format": "email"}}}},
}

parts := {
	"allOf": [{"$ref": "#/$defs/a~1b"}, {"properties": {"n": {"type": "integer"}}}],
	"properties": {"alias": {"$ref": "#/definitions/alias"}},
	"$defs": {"a/b": {"properties": {"when": {"format": "date"}}}},
	"definitions": {"alias": {"$ref": "#/definitions/whole"}, "whole": {"properties": {"x": {}}}},
}

either := {"anyOf": [{"format": "email"}, {"type": "string", "format": "uuid", "pattern": "^a"}, {"const": {"format": "email"}}]}

# A part refers to the whole, which can't be closed for that.
circle := {
	"properties": {"a": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}, "b": {"properties": {"c": {}}}},
}

shared := {"routes": {
	"circle": {"methods": ["POST"], "path": "/circle", "public": true, "body": circle},
	"comment": {"methods": ["POST"], "path": "/comment", "public": true, "body": comment},
	"parts": {"methods": ["POST"], "path": "/parts", "public": true, "body": parts},
	"either": {"methods": ["POST"], "path": "/either", "public": true, "body": {"type": "object", "properties": {"id": either}}},
	"item": {"methods": ["GET"], "path": "/item/{id}", "public": true, "params": {"properties": {"other": {"$ref": "#/definitions/id"}}, "definitions": {"id": {"format": "uuid"}}}},
}}

test_shared_pass[note] if {
	some note, req in {
		"answers to answers": posted("/comment", {"text": "a", "by": {"email": "a@b.co"}, "answers": [{"answers": [{"by": {"email": "a@b.co"}}]}]}),
		"parts have each other's fields": posted("/parts", {"when": "2026-01-31", "n": 1, "more": 1}),
		"what an alias leads to is open": posted("/parts", {"alias": {"y": 1}}),
		"one of two formats": posted("/either", {"id": "a@b.co"}),
		"a circle": posted("/circle", {"a": {"a": null}, "b": {"c": 1}}),
		"the other": posted("/either", {"id": "ab0e7b9a-6a5d-4b0e-9d5c-0f6c1b2a3d4e"}),
		"a constant that looks like a schema": posted("/either", {"id": {"format": "email"}}),
		"a parameter without a name in the schema": kit.request("GET", "/item/1"),
	}
	constraints.pass with data.authz.config as shared with input as req
}

test_shared_violations[note] if {
	some note, [req, want] in {
		"unknown in an answer": [posted("/comment", {"answers": [{"admin": true}]}), {["body.answers.0.admin", "additionalProperties"]}],
		"unknown beside a part of the whole": [posted("/circle", {"d": 1}), {["body.d", "additionalProperties"]}],
		"unknown within": [posted("/circle", {"b": {"d": 1}}), {["body.b.d", "additionalProperties"]}],
		"unknown in what is shared": [posted("/comment", {"by": {"admin": true}}), {["body.by.admin", "additionalProperties"]}],
		"a format in what is shared": [posted("/comment", {"by": {"email": "Ann <a@b.co>"}}), {["body.by.email", "format"]}],
		"a format deep in it": [posted("/comment", {"answers": [{"by": {"email": "Ann <a@b.co>"}}]}), {["body.answers.0.by.email", "format"]}],
		"a format of a part": [posted("/parts", {"when": "today"}), {["body", "allOf"], ["body.when", "format"]}],
		"none of two formats": [posted("/either", {"id": "Ann <a@b.co>"}), {["body.id", "anyOf"], ["body.id", "format"]}],
	}
	kit.same({[v.field, v.rule] | some v in constraints.violations}, want) with data.authz.config as shared with input as req
}

test_compiled[note] if {
	some note, [given, want] in {
		"nothing to do": [{"type": "string"}, {"type": "string"}],
		"no schema": [false, false],
		"a format where it is looked for": [{"items": {"properties": {"a": {"format": "email"}}}}, {"items": {"properties": {"a": {"format": "email"}}, "additionalProperties": false}}],
		"a format": [{"not": {"format": "email"}}, {"not": {"format": "email", "pattern": formats.patterns.email}}],
		"in a list of items": [{"items": [{"format": "email"}]}, {"items": [{"format": "email", "pattern": formats.patterns.email}]}],
		"a format that is not known": [{"not": {"format": "colour"}}, {"not": {"format": "colour"}}],
		"a format and a pattern": [{"not": {"format": "date", "pattern": "x"}}, {"not": {"format": "date", "pattern": "x", "allOf": [{"pattern": formats.patterns.date}]}}],
		"and parts": [{"not": {"format": "date", "pattern": "x", "allOf": [{}]}}, {"not": {"format": "date", "pattern": "x", "allOf": [{}, {"pattern": formats.patterns.date}]}}],
		"values": [{"enum": [{"format": "email"}], "default": {"format": "email"}}, {"enum": [{"format": "email"}], "default": {"format": "email"}}],
		"fields with the names of keywords": [
			{"not": {"properties": {"enum": {"format": "date"}, "format": {}}}},
			{"not": {"properties": {"enum": {"format": "date", "pattern": formats.patterns.date}, "format": {}}}},
		],
		"names with quotes": [{"properties": {"a\"],[\\": {"format": "date"}}}, {"properties": {"a\"],[\\": {"format": "date"}}, "additionalProperties": false}],
	}
	kit.same(constraints.compiled("body", given), want)
}

test_loose if {
	constraints.loose("body", circle)
	not constraints.loose("params", circle)
	not constraints.loose("body", comment)
	not constraints.loose("body", parts)
	not constraints.loose("body", false)
}

test_formatted if {
	constraints.formatted(comment)
	constraints.formatted(parts)
	not constraints.formatted(circle)
	not constraints.formatted({"properties": {"format": {"type": "string"}}})
}

test_bounded[note] if {
	flat := {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "array", "items": {"type": "integer"}}}}
	some note, [schema, limit, want] in {
		"named fields of values and lists": [flat, 3, true],
		"deeper than the limit": [flat, 2, false],
		"text": [{"type": "string"}, 0, true],
		"no schema": [false, 9, false],
		"any type": [{}, 9, false],
		"one of two types": [{"type": ["null", "object"], "properties": {}}, 9, false],
		"an object of anything": [{"type": "object"}, 9, false],
		"an object that is open": [{"type": "object", "properties": {}, "additionalProperties": true}, 9, false],
		"a list of anything": [{"type": "array"}, 9, false],
		"a list of two": [{"type": "array", "items": [{"type": "string"}, {"type": "string"}]}, 9, false],
		"what is referred to": [{"type": "object", "properties": {"a": {"type": "string", "$ref": "#"}}}, 9, false],
		"a circle": [circle, 9, false],
	}
	kit.same(_is_bounded(schema, limit), want)
}

_is_bounded(schema, limit) if constraints.bounded(schema, limit)

else := false

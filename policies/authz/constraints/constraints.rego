# METADATA
# title: Input constraints
# description: |
#   What a request may carry, by a JSON Schema for each place of a route: `params` (of
#   the path), `query`, `headers`, `body`. Text of the path, the query, the headers and
#   of forms becomes a number or a boolean where the schema says so. A field that the
#   schema does not name is refused unless the schema speaks of additional properties
#   itself. The answer names each field and the rule it breaks, never the value.
package authz.constraints

import data.authz.errors
import data.authz.formats
import data.authz.route

# METADATA
# description: The request is within its bounds and matches every schema of its route.
pass if {
	not _schemas
	not _large
} else if {
	not _large
	_readable
	count(violations) == 0
}

# METADATA
# description: |
#   413 for too much, 415 for another content type, 400 for a body that could not be
#   read, else the configured status with the fields.
refusal := {"status": 413, "reason": {"body_too_large"}, "headers": {}} if _large

else := {"status": _unread[0], "reason": {_unread[1]}, "headers": {}} if _unread

else := {
	"status": _limits.status,
	"reason": {sprintf("input_%s", [violation.rule]) | some violation in violations},
	"headers": {"content-type": "application/problem+json"},
	"body": errors.problem(
		_limits.status, "Invalid input",
		{"errors": array.slice([violation | some violation in violations], 0, _limits.max_errors)},
	),
} if {
	count(violations) > 0
}

# METADATA
# description: Every field that breaks a rule, and the rule.
violations contains {"field": place, "rule": "schema"} if {
	some place, schema in _asked
	not _matched(place, schema)
}

violations contains violation if {
	some place, schema in _asked
	some violation in _matched(place, schema)
}

violations contains {"field": "body", "rule": "maxDepth"} if {
	_reads_body
	not "body" in route.row.constraints.bounded
	some path, _ in _walked(_document("body"))
	count(path) > _limits.max_depth
}

_limits := route.row.constraints.limits

_schemas := route.row.constraints.schemas

# An optional body that is not there breaks no rule.
_asked := object.remove(_schemas, ["body"]) if _left_out

else := _schemas

_reads_body if is_object(_asked.body)

# No octet of it was seen, and none was announced: under an Envoy that sends no bodies
# only what is announced can be seen.
_left_out if {
	_limits.body_required == false
	input.parsed_body == null
	input.truncated_body == false
	not _some_octets
	_nothing_announced
}

_some_octets if input.attributes.request.http.size > 0

_some_octets if count(input.attributes.request.http.body) > 0

_some_octets if count(input.attributes.request.http.rawBody) > 0

_nothing_announced if _headers["content-length"] == "0"

_nothing_announced if {
	not _headers["content-length"]
	not _headers["content-type"]
	not _headers["transfer-encoding"]
}

_headers := input.attributes.request.http.headers

# By the size that Envoy counted, or the one that the client declared. Envoy says -1
# where it does not know; it has bounded the body all the same.
_large if input.attributes.request.http.size > _limits.max_bytes

_large if to_number(_headers["content-length"]) > _limits.max_bytes

# What was not read cannot be judged. A body cut short is read by nobody.
_readable if not _unread

_unread := [413, "body_truncated"] if {
	_reads_body
	input.truncated_body == true
} else := [400, "body_missing"] if {
	_reads_body
	not _headers["content-type"]
} else := [415, "content_type"] if {
	_reads_body
	not _media_type in _limits.content_types
} else := [400, "body_unread"] if {
	_reads_body
	not _parsed
}

_parsed if {
	input.truncated_body == false
	not is_null(input.parsed_body)
}

_media_type := lower(trim_space(split(_headers["content-type"], ";")[0]))

# A body where there must be none: declared, or read.
_matched("body", false) := {{"field": "body", "rule": "forbidden"} | _some_body}

_matched(place, schema) := (_schema_faults(place, schema, document) | _format_faults(place, schema, document)) | _unknown(place, schema, document) if {
	is_object(schema)
	document := _document(place)
}

_some_body if input.attributes.request.http.size > 0

_some_body if not input.parsed_body == null

_document("params") := {name: _as(_property("params", name), [value]) | some name, value in route.params}

_document("query") := {name: _as(_property("query", name), values) | some name, values in input.parsed_query}

_document("headers") := {name: _as(schema, [value]) |
	some name, schema in _schemas.headers.properties
	value := _headers[name]
}

_document("body") := {name: _as(_property("body", name), values) | some name, values in input.parsed_body} if {
	_media_type in {"application/x-www-form-urlencoded", "multipart/form-data"}
} else := input.parsed_body

_property(place, name) := object.get(_schemas[place], ["properties", name], {})

# Text as the schema's type. What cannot be converted stays text and breaks `type`;
# what is repeated and no array stays a list and does so too.
_as(schema, values) := [_one(object.get(schema, "items", {}), value) | some value in values] if schema.type == "array"

else := _one(schema, values[0]) if count(values) == 1

else := values

_one(schema, value) := to_number(value) if {
	schema.type in {"integer", "number"}
	regex.match(`^-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?$`, value)
} else if {
	schema.type == "boolean"
	value == "true"
} else := false if {
	schema.type == "boolean"
	value == "false"
} else := value

# The built-in reads text as JSON, so a document that is not an object or a list
# is given as the text that it is in JSON.
_schema_faults(place, schema, document) := {{"field": _field(place, fault), "rule": _rule(fault)} |
	some fault in result[1]
} if {
	result := json.match_schema(_structured(document), schema)
	is_boolean(result[0])
}

_structured(document) := document if is_object(document)

else := document if is_array(document)

else := json.marshal(document)

_format_faults(place, schema, document) := {{"field": _named(place, path), "rule": "format"} |
	some path, value in _walked(document)
	is_string(value)
	not formats.valid(object.get(_at(schema, path), "format", ""), value)
} if {
	place in route.row.constraints.formatted
} else := set()

# Where the schema itself is not closed.
_unknown(place, schema, document) := {{"field": _named(place, array.concat(path, [name])), "rule": "additionalProperties"} |
	some path, value in _walked(document)
	is_object(value)
	node := _at(schema, path)
	_closed(node)
	some name, _ in value
	not name in object.keys(node.properties)
} if {
	place in route.row.constraints.loose
} else := set()

# Composed schemas say for themselves what else there may be.
_closed(node) if {
	is_object(node.properties)
	count(object.filter(node, _open_keywords)) == 0
}

_open_keywords := ["additionalProperties", "patternProperties", "allOf", "anyOf", "oneOf", "$ref"]

_walked(document) := {path: value | walk(document, [path, value])}

# Where the schema speaks of what lies at a path of the document.
_at(schema, path) := object.get(schema, [step | some key in path; some step in _steps(key)], {})

_steps(key) := ["properties", key] if is_string(key)

else := ["items"]

_named(place, path) := concat(".", [sprintf("%v", [name]) | some name in array.concat([place], path)])

# The built-in names the object that lacks a field or has one too many, and the
# field only in its sentence.
_field(place, fault) := concat(".", [name |
	some name in [place, trim_prefix(trim_prefix(fault.field, "(Root)"), "."), _member(fault)]
	name != ""
])

_member(fault) := trim_suffix(fault.desc, " is required") if fault.type == "required"

else := trim_suffix(trim_prefix(fault.desc, "Additional property "), " is not allowed") if {
	fault.type == "additional_property_not_allowed"
} else := ""

# Keywords of JSON Schema, where the built-in has names of its own.
_rule(fault) := "format" if {
	fault.type == "pattern"
	some pattern in formats.patterns
	fault.desc == sprintf("Does not match pattern '%s'", [pattern])
} else := object.get(_keywords, fault.type, fault.type)

_keywords := {
	"additional_property_not_allowed": "additionalProperties",
	"array_max_items": "maxItems",
	"array_max_properties": "maxProperties",
	"array_min_items": "minItems",
	"array_min_properties": "minProperties",
	"array_no_additional_items": "additionalItems",
	"invalid_property_name": "propertyNames",
	"invalid_property_pattern": "patternProperties",
	"invalid_type": "type",
	"missing_dependency": "dependencies",
	"multiple_of": "multipleOf",
	"number_all_of": "allOf",
	"number_any_of": "anyOf",
	"number_gt": "exclusiveMinimum",
	"number_gte": "minimum",
	"number_lt": "exclusiveMaximum",
	"number_lte": "maximum",
	"number_not": "not",
	"number_one_of": "oneOf",
	"string_gte": "minLength",
	"string_lte": "maxLength",
	"unique": "uniqueItems",
}

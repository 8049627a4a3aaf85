package authz.constraints

import data.authz.formats

# METADATA
# description: |
#   A schema of one of the places, with what holds where the built-in alone looks: in
#   definitions and composed parts. A format gets its pattern there, and what properties
#   and items refer to refuses unknown fields as if it were written in their place.
compiled(place, schema) := json.patch(schema, array.concat(_with_patterns(schema), _closing(place, schema))) if is_object(schema)

else := schema

_with_patterns(schema) := [patch |
	walk(schema, [path, node])
	pattern := formats.patterns[node.format]
	not _direct(path)
	not _literal(path)
	patch := _with_pattern(path, node, pattern)
]

_with_pattern(path, node, pattern) := {"op": "add", "path": array.concat(path, ["pattern"]), "value": pattern} if not node.pattern

else := {"op": "add", "path": array.concat(path, ["allOf"]), "value": array.concat(object.get(node, "allOf", []), [{"pattern": pattern}])}

# Values that look like schemas are none.
_literal(path) if {
	some i, name in path
	name in {"const", "default", "enum", "examples"}
	not _is_name(path, i)
}

_is_name(path, i) if path[i - 1] in {"$defs", "definitions", "patternProperties", "properties"}

# What some composed part refers to stays open: the parts of an allOf would refuse
# each other's fields. The path's own root is open where parameters need not be named.
_closing(place, schema) := [{"op": "add", "path": array.concat(path, ["additionalProperties"]), "value": false} |
	open := _composed_targets(schema) | {root | root := []; place == "params"}
	walk(schema, [path, node])
	_closed(node)
	_plain(path)
	not _root(path) in open
]

_composed_targets(schema) := {_target(ref) | some [path, ref] in _references(schema); _composed(path)}

# METADATA
# description: The root stays open in the schema, and what it does not name is looked for apart.
loose(place, schema) if {
	place != "params"
	[] in _composed_targets(schema)
}

# METADATA
# description: Some text has a format to be judged beyond its pattern.
formatted(schema) if {
	walk(schema, [_, node])
	is_string(node.format)
}

# METADATA
# description: |
#   No document that the schema lets pass is deeper than the limit: each of its places is
#   a value, an object of named fields or a list.
bounded(schema, limit) if {
	is_object(schema)
	count([path |
		walk(schema, [path, node])
		not _shallow(path, node, limit)
		_plain(path)
	]) == 0
}

_shallow(path, node, limit) if {
	count(path) <= limit
	not node["$ref"]
	_flat(node)
}

_flat(node) if node.type in {"boolean", "integer", "null", "number", "string"}

_flat(node) if {
	node.type == "object"
	_closed(node)
}

_flat(node) if {
	node.type == "array"
	is_object(node.items)
}

_references(schema) := {[path, ref] |
	walk(schema, [path, node])
	ref := node["$ref"]
	is_string(ref)
}

_composed(path) if not _plain(path)

_composed([section, _]) if section in _definitions

# Where the rules for formats and unknown fields look by themselves: below the root by
# properties and items only.
_direct(path) if regex.match(`^\[(("properties","([^"\\]|\\.)*"|"items"),?)*\]$`, json.marshal(path))

# There, or so below a definition.
_plain(path) if regex.match(`^\[("(definitions|\$defs)","([^"\\]|\\.)*",?)?(("properties","([^"\\]|\\.)*"|"items"),?)*\]$`, json.marshal(path))

# A definition by its section and name, or the root by nothing.
_root(path) := array.slice(path, 0, 2) if path[0] in _definitions

else := []

_target(ref) := _root([name |
	some step in split(trim_prefix(ref, "#/"), "/")
	name := replace(replace(urlquery.decode(replace(step, "+", "%2B")), "~1", "/"), "~0", "~")
])

_definitions := {"definitions", "$defs"}

# METADATA
# title: Route
# description: |
#   Which row of data.authz.config.routes the request matches. The sidecar says so
#   in input.route; where it does not, under a plain `opa test` say, the same
#   matching is done here. Typed segments make a sequential id look like a route
#   that does not exist: /orders/1 does not match /orders/{id:uuid}.
package authz.route

import data.authz.prepared

# METADATA
# description: The matched row's id and parameters; null where none matches.
match := input.route if is_object(input.route)

else := null if is_null(input.route)

else := matched(input.attributes.request.http.method, input.parsed_path)

# METADATA
# description: The id of the matched row.
id := match.id

# METADATA
# description: The values of the path's parameters.
params := match.params

# METADATA
# description: What the table says of the route, prepared.
row := prepared.rows[match.id]

# METADATA
# description: The request is for a route of the table.
pass if is_object(row)

# METADATA
# description: |
#   An unknown path is 404; a known one with another method is 405, with the methods
#   that it has (RFC 9110, 15.5.6).
refusal := {
	"status": 405,
	"reason": {"method_unknown"},
	"headers": {"allow": concat(", ", known)},
} if {
	not pass
	known := methods(input.parsed_path)
	count(known) > 0
}

else := {"status": 404, "reason": {"route_unknown"}, "headers": {}} if not pass

# METADATA
# description: The methods for which some row matches a path.
methods(path) := {method |
	some candidate in data.authz.config.routes
	_ranks(candidate.path, path)
	some method in _methods(candidate)
}

# METADATA
# description: The row that a method and a path match. Of several the most specific wins.
matched(method, path) := {"id": best[2], "params": _values(data.authz.config.routes[best[2]].path, path)} if {
	best := min([[ranks, preference, candidate] |
		some candidate, fields in data.authz.config.routes
		preference := _preference(fields.methods, method)
		ranks := _ranks(fields.path, path)
	])
}

# A row that lists GET also matches HEAD (RFC 9110, 9.3.2), after one that lists HEAD.
_preference(methods, method) := 0 if method in methods

else := 1 if {
	method == "HEAD"
	"GET" in methods
}

_methods(fields) := array.concat(fields.methods, ["HEAD"]) if "GET" in fields.methods

else := fields.methods

# How specific a match is, segment by segment; undefined where there is no match.
# Arrays compare from the left, so the lowest is the most specific:
# literal 0, uuid 1, int 2, slug 3, string 4, rest 5.
_ranks(pattern, path) := ranks if {
	not endswith(pattern, "...}")
	patterns := _segments(pattern)
	count(patterns) == count(path)
	ranks := _each_rank(patterns, path)
}

else := array.concat(ranks, [5]) if {
	endswith(pattern, "...}")
	patterns := _segments(pattern)
	before := count(patterns) - 1
	count(path) > before
	not "" in array.slice(path, before, count(path))
	ranks := _each_rank(array.slice(patterns, 0, before), path)
}

_segments(pattern) := split(substring(pattern, 1, -1), "/")

_each_rank(patterns, path) := ranks if {
	ranks := [rank |
		some i, pattern in patterns
		rank := _rank(pattern, path[i])
	]
	count(ranks) == count(patterns)
}

_rank(pattern, segment) := 0 if {
	not startswith(pattern, "{")
	pattern == segment
}

else := rank if {
	startswith(pattern, "{")
	[_, type] := split(trim_suffix(pattern, "}"), ":")
	[rank, text] := _types[type]
	regex.match(text, segment)
}

else := 4 if {
	startswith(pattern, "{")
	not contains(pattern, ":")
	segment != ""
}

_types := {
	"uuid": [1, `^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$`],
	"int": [2, `^(0|[1-9][0-9]{0,17})$`],
	"slug": [3, `^[a-z0-9-]+$`],
}

_values(pattern, path) := {name: value |
	some i, text in _segments(pattern)
	startswith(text, "{")
	[name, value] := _value(trim_suffix(trim_prefix(text, "{"), "}"), i, path)
}

_value(text, i, path) := [name, concat("/", array.slice(path, i, count(path)))] if {
	endswith(text, "...")
	name := trim_suffix(text, "...")
}

else := [split(text, ":")[0], path[i]]

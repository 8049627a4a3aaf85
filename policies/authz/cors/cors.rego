# METADATA
# title: Cross-origin resource sharing
# description: |
#   Which pages of other origins may read the API's answers. An origin is compared
#   whole: scheme, host and port. `https://*.example.com` stands for one label and
#   nothing more. A preflight carries no credentials, so it is answered before
#   authentication, and the app never sees it. A route's own `cors` is laid over the
#   general one.
package authz.cors

import data.authz.prepared
import data.authz.route

# METADATA
# description: The request asks whether another one may be sent (Fetch, 4.8).
is_preflight if {
	input.attributes.request.http.method == "OPTIONS"
	_origin
	_requested_method
	_preflight_options.enabled
}

# METADATA
# description: The answer to a preflight; it is a 204 or a 403, never the app's.
preflight := {"status": 204, "reason": {"cors_preflight"}, "headers": _preflight_options.preflight, "answer": true} if {
	is_preflight
	count(deny) == 0
}

else := {"status": 403, "reason": deny, "headers": {}, "answer": true} if is_preflight

# METADATA
# description: What a preflight asks for and does not get.
deny contains "cors_origin" if not _allowed(_preflight_options, _origin)

deny contains "cors_method" if not _requested_method in _preflight_options.methods

deny contains "cors_headers" if {
	asked := {lower(trim_space(name)) |
		some name in split(input.attributes.request.http.headers["access-control-request-headers"], ",")
	}
	count(asked - {name | some name in _preflight_options.request_headers}) > 0
}

# METADATA
# description: |
#   Response headers, on allowed and refused answers alike. Vary is there whenever
#   answers differ by origin, whether or not this one does.
headers := _sharing(_options) if _options.enabled

else := {}

# METADATA
# description: Options of the configuration, worked out as far as no request is needed.
compiled(options) := {
	"enabled": count(options.origins) > 0,
	"any": "*" in options.origins,
	"origins": [origin | some origin in options.origins; not contains(origin, "*")],
	"patterns": [[scheme, parent] |
		some origin in options.origins
		contains(origin, "://*.")
		[scheme, parent] := split(origin, "*")
	],
	"methods": options.methods,
	"request_headers": array.concat(_safe_headers, [lower(name) | some name in options.request_headers]),
	"headers": object.union_n([{"vary": "Origin"}, _credentials(options), _exposed(options)]),
	"preflight": {
		"access-control-allow-methods": concat(", ", options.methods),
		"access-control-allow-headers": concat(", ", options.request_headers),
		"access-control-max-age": sprintf("%d", [options.max_age]),
	},
}

# Fetch, 2.2.2: names a page may always send.
_safe_headers := ["accept", "accept-language", "content-language"]

_credentials(options) := {"access-control-allow-credentials": "true"} if options.credentials == true

else := {}

_exposed(options) := {"access-control-expose-headers": concat(", ", options.expose)} if count(options.expose) > 0

else := {}

_origin := input.attributes.request.http.headers.origin

_requested_method := input.attributes.request.http.headers["access-control-request-method"]

# A preflight is about the route that the request to come will match.
_options := _preflight_options if is_preflight

else := route.row.cors if route.row

else := prepared.origins

_preflight_options := prepared.rows[matched.id].cors if {
	matched := route.matched(_requested_method, input.parsed_path)
}

_sharing(options) := object.union(options.headers, {"access-control-allow-origin": "*"}) if {
	options.any
	_origin
} else := object.union(options.headers, {"access-control-allow-origin": _origin}) if {
	_allowed(options, _origin)
} else := {"vary": "Origin"}

# "null" is what every sandboxed frame and local file calls itself: never an origin.
_allowed(options, origin) if {
	origin in options.origins
	origin != "null"
}

_allowed(options, _) if options.any

_allowed(options, origin) if {
	some [scheme, parent] in options.patterns
	startswith(origin, scheme)
	endswith(origin, parent)
	label := trim_suffix(trim_prefix(origin, scheme), parent)
	regex.match(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`, label)
}

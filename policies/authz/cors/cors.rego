# METADATA
# title: Cross-origin resource sharing
# description: |
#   Which pages of other origins may read the API's answers. An origin is compared
#   whole: scheme, host and port. `https://*.example.com` stands for one label and
#   nothing more. A preflight carries no credentials, so it is answered before
#   authentication, and the app never sees it. A route's own `cors` is laid over the
#   general one.
package authz.cors

import data.authz.route
import data.authz.settings

# METADATA
# description: |
#   Answers with credentials cannot be for everybody (Fetch, 3.3.3); a page that may
#   use them must be named.
pass if {
	_sound(settings.cors)
	_sound(_options)
}

# METADATA
# description: The data itself is wrong, which no request can mend.
refusal := {"status": 500, "reason": {"config_cors"}, "headers": {}} if not pass

# METADATA
# description: The request asks whether another one may be sent (Fetch, 4.8).
is_preflight if {
	input.attributes.request.http.method == "OPTIONS"
	_origin
	_requested_method
	count(_preflight_options.origins) > 0
}

# METADATA
# description: The answer to a preflight; it is a 204 or a 403, never the app's.
preflight := {"status": 204, "reason": {"cors_preflight"}, "headers": _permissions, "answer": true} if {
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
	listed := {lower(name) | some name in _preflight_options.request_headers}
	count(asked - (listed | _safe_headers)) > 0
}

# METADATA
# description: Response headers, on allowed and refused answers alike.
headers := {"vary": "Origin"} if {
	is_preflight
	not _allowed(_preflight_options, _origin)
}

else := _reading(_preflight_options, _origin) if is_preflight

else := _reading(_options, _origin) if _allowed(_options, _origin)

else := {"vary": "Origin"} if count(_options.origins) > 0

else := {}

_origin := input.attributes.request.http.headers.origin

_requested_method := input.attributes.request.http.headers["access-control-request-method"]

_options := object.union(settings.cors, route.row.cors) if is_object(route.row.cors)

else := settings.cors

# The preflight is about the route that the request to come will match.
_preflight_options := object.union(settings.cors, own) if {
	matched := route.matched(_requested_method, input.parsed_path)
	own := data.authz.config.routes[matched.id].cors
	is_object(own)
}

else := settings.cors if route.matched(_requested_method, input.parsed_path)

_permissions := {
	"access-control-allow-methods": concat(", ", _preflight_options.methods),
	"access-control-allow-headers": concat(", ", _preflight_options.request_headers),
	"access-control-max-age": sprintf("%d", [_preflight_options.max_age]),
}

_reading(options, origin) := object.union_n([
	{"vary": "Origin", "access-control-allow-origin": _named(options, origin)},
	_credentials(options),
	_exposed(options),
])

_named(options, origin) := origin if not "*" in options.origins

else := "*"

_credentials(options) := {"access-control-allow-credentials": "true"} if options.credentials == true

else := {}

_exposed(options) := {"access-control-expose-headers": concat(", ", options.expose)} if count(options.expose) > 0

else := {}

# "null" is what every sandboxed frame and local file calls itself: never an origin.
_allowed(options, origin) if {
	origin != "null"
	origin in options.origins
} else if {
	"*" in options.origins
} else if {
	some pattern in options.origins
	contains(pattern, "://*.")
	_matches(pattern, origin)
}

_matches(pattern, origin) if {
	[scheme, parent] := split(pattern, "*")
	scheme in {"https://", "http://"}
	startswith(parent, ".")
	startswith(origin, scheme)
	endswith(origin, parent)
	label := trim_suffix(trim_prefix(origin, scheme), parent)
	regex.match(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`, label)
}

_sound(options) if not "*" in options.origins

_sound(options) if options.credentials == false

# Fetch, 2.2.2: names a page may always send.
_safe_headers := {"accept", "accept-language", "content-language"}

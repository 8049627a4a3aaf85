# METADATA
# title: Security headers
# description: |
#   What every answer tells the browser. X-Powered-By and Server are taken away by the
#   shipped Envoy configuration: an answer to a check can add and replace, not remove.
package authz.headers

import data.authz.defaults
import data.authz.prepared

# METADATA
# description: Response headers, on allowed and refused answers alike.
values := prepared.security_headers.https if input.client.scheme == "https"

else := prepared.security_headers.http

# METADATA
# description: |
#   The headers that a configuration comes to. Strict-Transport-Security goes only
#   with an answer over TLS (RFC 6797, 7.2).
rendered(config, secure) := {name: value |
	some group in [
		config.headers.set,
		_csp(config.headers.csp),
		_permissions_policy(config.headers.permissions_policy),
		_hsts(config.https.hsts, secure),
	]
	some name, value in group
	not _off(value)
}

_csp(csp) := {"content-security-policy": _policy(csp.directives)} if {
	csp.enabled == true
	csp.report_only == false
} else := {"content-security-policy-report-only": _policy(csp.directives)} if {
	csp.enabled == true
} else := {}

_policy(directives) := concat("; ", [text |
	some name, sources in directives
	not _off(sources)
	text := concat(" ", array.concat([name], sources))
])

_permissions_policy(true) := {"permissions-policy": defaults.permissions_policy}

_permissions_policy(false) := {}

_permissions_policy(text) := {"permissions-policy": text} if is_string(text)

_hsts(options, true) := {"strict-transport-security": concat("; ", [part |
	some part in [
		sprintf("max-age=%d", [options.max_age]),
		_flag(options.include_subdomains, "includeSubDomains"),
		_flag(options.preload, "preload"),
	]
	part != ""
])} if {
	is_object(options)
} else := {}

_hsts(_, false) := {}

_flag(true, name) := name

_flag(false, _) := ""

_off(null)

_off(false)

# METADATA
# title: Security headers
# description: |
#   What every answer tells the browser. X-Powered-By and Server are taken away by the
#   shipped Envoy configuration: an answer to a check can add and replace, not remove.
package authz.headers

import data.authz.https
import data.authz.settings

# METADATA
# description: Response headers, on allowed and refused answers alike.
values := object.union(_fixed, {"strict-transport-security": https.hsts}) if https.hsts

else := _fixed

_fixed := object.union(_plain, {_csp_name: csp}) if settings.headers.csp.enabled == true

else := _plain

# A null or false takes a header away. Only what the team sets is looked through.
_plain := settings.headers.set if not data.authz.config.headers.set

else := object.remove(settings.headers.set, {name |
	some name, value in data.authz.config.headers.set
	_off(value)
})

_csp_name := "content-security-policy-report-only" if settings.headers.csp.report_only == true

else := "content-security-policy"

# METADATA
# description: The Content-Security-Policy, from its directives.
csp := _default_csp if not data.authz.config.headers.csp.directives

else := _policy(settings.headers.csp.directives)

_default_csp := "base-uri 'self'; default-src 'self'; font-src 'self' https: data:; form-action 'self'; frame-ancestors 'none'; img-src 'self' data:; object-src 'none'; script-src 'self'; script-src-attr 'none'; style-src 'self' https: 'unsafe-inline'; upgrade-insecure-requests"

_policy(directives) := concat("; ", [text |
	some name, sources in directives
	not _off(sources)
	text := trim_space(concat(" ", array.concat([name], sources)))
])

_off(null)

_off(false)

# METADATA
# title: HTTPS
# description: |
#   What arrives over plain HTTP is redirected to the configured host when it is GET
#   or HEAD, else refused: a body or a token that crossed the network in clear must
#   not look as if it were welcome. The request's own Host takes no part in the
#   redirect, or anybody could be sent anywhere.
package authz.https

import data.authz.route
import data.authz.settings

# METADATA
# description: The request came over TLS, or need not.
pass if input.client.scheme == "https"

pass if settings.https.enabled == false

pass if route.id in settings.https.exempt

# METADATA
# description: 308 keeps the method (RFC 9110, 15.4.9).
refusal := {
	"status": 308,
	"reason": {"https_redirect"},
	"headers": {"location": location},
	"answer": true,
} if {
	not pass
}

else := {"status": 403, "reason": {"https_required"}, "headers": {}} if not pass

# METADATA
# description: Where a plain GET or HEAD is sent.
location := concat("", ["https://", settings.https.host, input.attributes.request.http.path]) if {
	input.attributes.request.http.method in {"GET", "HEAD"}
	settings.https.host != ""
	regex.match(`^/[!-~]*$`, input.attributes.request.http.path)
}

# METADATA
# description: |
#   Strict-Transport-Security, only in an answer over TLS (RFC 6797, 7.2).
hsts := concat("; ", [part | some part in parts; part != ""]) if {
	input.client.scheme == "https"
	options := settings.https.hsts
	options.max_age >= 0
	parts := [
		sprintf("max-age=%d", [options.max_age]),
		_flag(options.include_subdomains, "includeSubDomains"),
		_flag(options.preload, "preload"),
	]
}

_flag(on, name) := name if on == true

else := ""

# METADATA
# title: HTTPS
# description: |
#   What arrives over plain HTTP is redirected to the configured host when it is GET
#   or HEAD, else refused: a body or a token that crossed the network in clear must
#   not look as if it were welcome. The request's own Host takes no part in the
#   redirect, or anybody could be sent anywhere.
package authz.https

import data.authz.prepared
import data.authz.route

# METADATA
# description: The request came over TLS, or need not.
pass if input.client.scheme == "https"

pass if prepared.config.https.enabled == false

pass if route.id in prepared.config.https.exempt

# METADATA
# description: 308 keeps the method (RFC 9110, 15.4.9). A redirect is an answer, not a refusal to be counted.
refusal := {"status": 308, "reason": {"https_redirect"}, "headers": {"location": location}, "answer": true} if not pass

else := {"status": 403, "reason": {"https_required"}, "headers": {}} if not pass

# METADATA
# description: Where a plain GET or HEAD is sent.
location := concat("", ["https://", prepared.config.https.host, input.attributes.request.http.path]) if {
	input.attributes.request.http.method in {"GET", "HEAD"}
	prepared.config.https.host != ""
	regex.match(`^/[!-~]*$`, input.attributes.request.http.path)
}

# METADATA
# title: Identity
# description: |
#   What the app is told of the caller, in request headers that only the sidecar can
#   set. Nothing is said of a caller without a valid token.
package authz.identity

import data.authz.settings

# METADATA
# description: Request headers for the app.
headers[name] := value if {
	input.token.status == "valid"
	some name, source in settings.identity.headers
	value := _value(source)
}

_value("subject") := input.token.subject

_value("issuer") := input.token.issuer

_value("roles") := concat(",", input.token.roles)

_value("scopes") := concat(" ", input.token.scopes)

_value(source) := sprintf("%v", [claim]) if {
	startswith(source, "claims.")
	claim := object.get(input.token, split(source, "."), null)
	not is_null(claim)
}

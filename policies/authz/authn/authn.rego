# METADATA
# title: Authentication
# description: |
#   A route without `public: true` needs a valid token. One that was presented and is
#   bad is refused everywhere, public routes too: an app that finds it would believe
#   it. The challenge is RFC 6750's: nothing but the realm where no token came.
package authz.authn

import data.authz.prepared
import data.authz.route

# METADATA
# description: The caller is known, or need not be.
pass if input.token.status == "valid"

pass if {
	input.token.status == "absent"
	route.row.public == true
}

# METADATA
# description: 401 with a challenge; 503 where the keys could not be had.
refusal := {"status": 503, "reason": {"token_unavailable"}, "headers": {"retry-after": "5"}} if {
	input.token.status == "unavailable"
}

else := {"status": 401, "reason": {"token_absent"}, "headers": {"www-authenticate": challenge([])}} if {
	not pass
	input.token.status == "absent"
}

else := {
	"status": 401,
	"reason": {_bad},
	"headers": {"www-authenticate": challenge([`error="invalid_token"`])},
} if {
	not pass
}

# METADATA
# description: A Bearer challenge with these parameters after the realm (RFC 6750, 3).
challenge(parameters) := concat("", ["Bearer ", concat(", ", array.concat([realm], parameters))]) if {
	realm := sprintf("realm=%q", [prepared.config.authn.realm])
}

_bad := "token_expired" if input.token.status == "expired"

else := "token_invalid"

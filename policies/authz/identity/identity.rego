# METADATA
# title: Identity
# description: |
#   What the app is told of the caller, in request headers that only the sidecar can
#   set. Nothing is said of a caller without a valid token.
package authz.identity

import data.authz.prepared

# METADATA
# description: Request headers for the app.
headers := object.union(_told, _claimed) if {
	input.token.status == "valid"
	count(prepared.identity_headers.claims) > 0
} else := _told if {
	input.token.status == "valid"
} else := {}

# METADATA
# description: The headers by where their values are, as the configuration names them.
sources(configured) := {
	"facts": {name: source |
		some name, source in configured
		source in {"subject", "issuer", "roles", "scopes"}
	},
	"claims": {name: split(source, ".") |
		some name, source in configured
		startswith(source, "claims.")
	},
}

_told := {name: _facts[source] | some name, source in prepared.identity_headers.facts}

_facts := {
	"subject": input.token.subject,
	"issuer": input.token.issuer,
	"roles": _roles,
	"scopes": _scopes,
}

# Rules of their own: many callers have the same, and what a rule says is remembered.
_roles := concat(",", _separate(input.token.roles, ","))

_scopes := concat(" ", _separate(input.token.scopes, " "))

# A role called "user,admin" would read as two where they are joined: it is not told.
_separate(names, separator) := [name | some name in names; not contains(name, separator)]

_claimed := {name: sprintf("%v", [claim]) |
	some name, path in prepared.identity_headers.claims
	claim := object.get(input.token, path, null)
	not is_null(claim)
}

# METADATA
# title: Errors
# description: |
#   Problem documents (RFC 9457) for the refusals that have something to tell. All
#   others leave the body to the sidecar, which writes type, title, status and request
#   id and nothing else; why is only in the log.
package authz.errors

# METADATA
# description: A problem document with members of its own.
problem(status, title, members) := json.marshal(object.union(members, {
	"type": "about:blank",
	"title": title,
	"status": status,
	"request_id": request_id,
}))

# METADATA
# description: The id under which the request is logged, as the sidecar finds it.
request_id := id if {
	id := input.attributes.request.http.headers["x-request-id"]
	_printable(id)
} else := id if {
	id := input.attributes.request.http.id
	_printable(id)
} else := ""

# RFC 9110, 5.6.2: a token, and a short one.
_printable(id) if regex.match("^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$", id)

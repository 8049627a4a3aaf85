# METADATA
# title: Test kit
# description: |
#   Requests as a policy sees them, callers without tokens, and expectations that print
#   what was got and what was wanted. A test is three lines.
#
#       test_a_clerk_reads_orders if {
#           kit.allows(authz.decision) with input as kit.by(kit.request("GET", "/orders"), "alice", ["clerk"])
#       }
package kit

# METADATA
# description: An anonymous request over https. The target is a path, with a query or without.
request(method, target) := {
	"attributes": {"request": {"http": {
		"method": method,
		"path": target,
		"host": "api.example.com",
		"scheme": "https",
		"protocol": "HTTP/2",
		"size": 0,
		"headers": {":method": method, ":path": target, ":authority": "api.example.com", "x-request-id": "test-1"},
	}}},
	"version": {"ext_authz": "v3", "encoding": "protojson"},
	"parsed_path": [_decoded(segment) | some segment in split(trim_prefix(parts[0], "/"), "/")],
	"parsed_query": _query(parts),
	"parsed_body": null,
	"truncated_body": false,
	"token": {"status": "absent"},
	"client": {"ip": "192.0.2.1", "ip_block": "192.0.2.1", "scheme": "https"},
} if {
	parts := split(target, "?")
}

# METADATA
# description: The same request by a caller with a valid token and these roles.
by(req, subject, roles) := object.union(req, {"token": {
	"status": "valid",
	"via": "header",
	"issuer": "https://issuer.example.com",
	"subject": subject,
	"roles": roles,
	"scopes": [],
	"claims": {"iss": "https://issuer.example.com", "sub": subject},
	"header": {"alg": "ES256"},
}})

# METADATA
# description: The same request, its valid token with these scopes.
scoped(req, scopes) := object.union(req, {"token": {"scopes": scopes}})

# METADATA
# description: The same request, its valid token with these claims besides.
claiming(req, claims) := object.union(req, {"token": {"claims": claims}})

# METADATA
# description: The same request, its token carried by a cookie as a browser does.
by_cookie(req) := object.union(header(req, "cookie", "session=1"), {"token": {"via": "cookie"}})

# METADATA
# description: "The same request with a token that is not valid: invalid, expired or unavailable."
presenting(req, status) := object.union(req, {"token": {"status": status, "via": "header", "error": "signature"}})

# METADATA
# description: The same request with a header.
header(req, name, value) := object.union(req, {"attributes": {"request": {"http": {"headers": {lower(name): value}}}}})

# METADATA
# description: The same request over plain HTTP.
plainly(req) := object.union(req, {"client": {"scheme": "http"}})

# METADATA
# description: The same request from an address.
from(req, address) := object.union(req, {"client": {"ip": address, "ip_block": address}})

# METADATA
# description: The same request with a JSON body.
body(req, value) := _body(req, "application/json", count(json.marshal(value)), value)

# METADATA
# description: The same request with a form, a map from name to list of texts.
form(req, fields) := _body(req, "application/x-www-form-urlencoded", 1, fields)

# METADATA
# description: The decision allows.
allows(decision) if decision.allowed == true

else := false if print("got ", decision, "\nwant an allow")

# METADATA
# description: The decision refuses with a status and a reason.
refuses(decision, status, code) if {
	decision.allowed == false
	decision.http_status == status
	code in decision.reason
} else := false if print("got ", decision, "\nwant", status, code)

# METADATA
# description: Two values are the same.
same(got, want) if got == want

else := false if print("got ", got, "\nwant", want)

_body(req, media_type, size, value) := object.union(header(req, "content-type", media_type), {
	"attributes": {"request": {"http": {"size": size}}},
	"parsed_body": value,
})

_query([_]) := {}

_query([_, text]) := {name: values |
	some pair in split(text, "&")
	name := _part(pair, 0)
	values := [_part(other, 1) | some other in split(text, "&"); _part(other, 0) == name]
}

_part(pair, n) := urlquery.decode(split(sprintf("%s=", [pair]), "=")[n])

# In a path "+" is itself.
_decoded(segment) := urlquery.decode(replace(segment, "+", "%2B"))

# METADATA
# title: Cross-site request forgery
# description: |
#   A browser adds cookies to whatever page asks. So an unsafe request that carries
#   cookies must come from the API's own pages: by Sec-Fetch-Site, which no page can
#   set, or by Origin where an old browser sends no such header. A request with
#   neither comes from no browser and carries nobody else's cookies. The semantics are
#   those of Go's http.CrossOriginProtection; same-site is another site here, because a
#   neighbour's sub-domain is not the API.
#
#   A valid token in the Authorization header is something no foreign page can send
#   without a preflight, so it needs no check; an invalid one, whatever it is, does
#   not switch the check off. A route says `csrf: false` to be left out and
#   `csrf: true` to be checked with no cookie at all.
package authz.csrf

import data.authz.prepared
import data.authz.route

# METADATA
# description: The request is safe, carries no cookie's authority, or comes from our own pages.
pass if input.attributes.request.http.method in {"GET", "HEAD", "OPTIONS"}

pass if not _exposed

pass if _own_page

pass if prepared.config.csrf.enabled == false

# METADATA
# description: 403, and only the log says why.
refusal := {"status": 403, "reason": {"csrf"}, "headers": {}} if not pass

_exposed if {
	not _bearer
	not route.row.csrf == false
	_cookies
}

_cookies if input.token.via == "cookie"

_cookies if input.attributes.request.http.headers.cookie

_cookies if route.row.csrf == true

# Headers that come in another form cannot be looked at: then anything may be there.
_cookies if not _headers

_bearer if {
	input.token.status == "valid"
	input.token.via == "header"
	not route.row.csrf == true
}

_headers := input.attributes.request.http.headers

_own_page if _headers["sec-fetch-site"] in {"same-origin", "none"}

_own_page if _headers.origin in prepared.config.csrf.trusted

_own_page if {
	not _headers["sec-fetch-site"]
	_same_origin
}

_same_origin if {
	is_object(_headers)
	not _headers.origin
}

_same_origin if _headers.origin in prepared.config.csrf.origins

_same_origin if {
	count(prepared.config.csrf.origins) == 0
	_headers.origin == concat("://", [input.client.scheme, _authority(input.client.scheme, lower(input.attributes.request.http.host))])
}

# Browsers leave out the scheme's own port.
_authority("https", host) := trim_suffix(host, ":443")

_authority("http", host) := trim_suffix(host, ":80")

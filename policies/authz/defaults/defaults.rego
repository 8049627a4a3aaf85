# METADATA
# title: Defaults
# description: |
#   What holds where a team's data says nothing. Each rule is one section of
#   data.authz.config; package authz.settings lays the team's section over it, key
#   by key. Safe values only: a team loosens in its own data, where a review sees it.
package authz.defaults

# METADATA
# description: Plain HTTP is refused; with a host it is redirected there.
https := {
	"enabled": true,
	"host": "",
	"exempt": [],
	"hsts": {"max_age": 31536000, "include_subdomains": true, "preload": false},
}

# METADATA
# description: No origin but the API's own may read answers.
cors := {
	"origins": [],
	"methods": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
	"request_headers": ["authorization", "content-type"],
	"expose": [],
	"credentials": false,
	"max_age": 600,
}

# METADATA
# description: The realm of the WWW-Authenticate challenge (RFC 6750).
authn := {"realm": "api"}

# METADATA
# description: |
#   Requests that a browser sends with its cookies come from the API's own pages.
#   Without origins, the API's own origin is the one the request was sent to.
csrf := {"enabled": true, "origins": [], "trusted": []}

# METADATA
# description: 100 requests in 15 minutes for each address.
quotas := {
	"limits": {"address": {"by": "address", "limit": 100, "window": "15m"}},
	"skip": {"routes": [], "roles": [], "subjects": [], "addresses": []},
}

# METADATA
# description: |
#   The headers of Helmet 8, with framing denied. A null or false takes a header
#   or a directive away; Permissions-Policy is there for who names it.
headers := {
	"set": {
		"cross-origin-opener-policy": "same-origin",
		"cross-origin-resource-policy": "same-origin",
		"origin-agent-cluster": "?1",
		"referrer-policy": "no-referrer",
		"x-content-type-options": "nosniff",
		"x-dns-prefetch-control": "off",
		"x-download-options": "noopen",
		"x-frame-options": "DENY",
		"x-permitted-cross-domain-policies": "none",
		"x-xss-protection": "0",
	},
	"csp": {
		"enabled": true,
		"report_only": false,
		"directives": {
			"default-src": ["'self'"],
			"base-uri": ["'self'"],
			"font-src": ["'self'", "https:", "data:"],
			"form-action": ["'self'"],
			"frame-ancestors": ["'none'"],
			"img-src": ["'self'", "data:"],
			"object-src": ["'none'"],
			"script-src": ["'self'"],
			"script-src-attr": ["'none'"],
			"style-src": ["'self'", "https:", "'unsafe-inline'"],
			"upgrade-insecure-requests": [],
		},
	},
}

# METADATA
# description: |
#   What the app is told of its caller. Values are subject, issuer, roles, scopes,
#   or a claim's dotted path below claims.
identity := {"headers": {"x-user-id": "subject", "x-user-roles": "roles", "x-user-scopes": "scopes"}}

# METADATA
# description: Bounds of what a request may carry, where its route says no other.
constraints := {
	"status": 422,
	"max_bytes": 65536,
	"max_depth": 16,
	"max_errors": 20,
	"content_types": ["application/json"],
}

# METADATA
# description: Text that carries script into a page is refused wherever it is.
xss := {"mode": "refuse", "fields": {}}

# METADATA
# description: A failure of the app reaches the client without its details.
response := {"mask_errors": true}

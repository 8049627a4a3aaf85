# METADATA
# title: Defaults
# description: |
#   What holds where a team's data says nothing. A team's data.authz.config is laid
#   over it key by key; lists are replaced whole. Safe values only: a team loosens in
#   its own data, where a review sees it.
package authz.defaults

# METADATA
# description: The sections of data.authz.config, but the route table and the schemas.
config := {
	"https": https,
	"cors": cors,
	"authn": {"realm": "api"},
	"csrf": {"enabled": true, "origins": [], "trusted": []},
	"roles": {},
	"quotas": quotas,
	"headers": headers,
	"identity": identity,
	"constraints": constraints,
	"xss": {"mode": "refuse", "fields": {}},
	"response": {"mask_errors": true},
	"schemas": {},
	"routes": {},
}

# METADATA
# description: Plain HTTP is refused; with a host it is redirected there.
https := {
	"enabled": true,
	"host": "",
	"exempt": [],
	"hsts": {"max_age": 31536000, "include_subdomains": true, "preload": false},
}

# METADATA
# description: No page of another origin may read answers.
cors := {
	"origins": [],
	"methods": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
	"request_headers": ["authorization", "content-type"],
	"expose": [],
	"credentials": false,
	"max_age": 600,
}

# METADATA
# description: 100 requests in 15 minutes for each address.
quotas := {
	"limits": {"address": {"by": "address", "limit": 100, "window": "15m"}},
	"skip": {"routes": [], "roles": [], "subjects": [], "addresses": []},
}

# METADATA
# description: |
#   The headers of Helmet 8, with framing denied. A null or false takes a header
#   or a directive away.
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
	"permissions_policy": false,
	"csp": {
		"enabled": true,
		"report_only": false,
		"directives": {
			"base-uri": ["'self'"],
			"default-src": ["'self'"],
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
# description: What "permissions_policy" sends when it is true, every powerful feature of the page off.
permissions_policy := concat(", ", [sprintf("%s=()", [feature]) | some feature in [
	"accelerometer", "autoplay", "bluetooth", "camera", "display-capture", "encrypted-media",
	"fullscreen", "geolocation", "gyroscope", "hid", "idle-detection", "magnetometer", "microphone",
	"midi", "payment", "picture-in-picture", "publickey-credentials-get", "screen-wake-lock",
	"serial", "usb", "web-share", "xr-spatial-tracking",
]])

# METADATA
# description: |
#   What the app is told of its caller: subject, issuer, roles, scopes, or a claim
#   by its dotted path below claims.
identity := {"headers": {"x-user-id": "subject", "x-user-roles": "roles", "x-user-scopes": "scopes"}}

# METADATA
# description: Bounds of what a request may carry, where its route says no other.
constraints := {
	"status": 422,
	"max_bytes": 65536,
	"max_depth": 16,
	"max_errors": 20,
	"content_types": ["application/json"],
	"body_required": true,
}

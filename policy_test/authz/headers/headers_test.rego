package authz.headers_test

import data.authz.defaults
import data.authz.headers
import data.kit

# Helmet 8 as it is documented, but for framing, which is denied here.
helmet := {
	"content-security-policy": "base-uri 'self'; default-src 'self'; font-src 'self' https: data:; form-action 'self'; frame-ancestors 'none'; img-src 'self' data:; object-src 'none'; script-src 'self'; script-src-attr 'none'; style-src 'self' https: 'unsafe-inline'; upgrade-insecure-requests",
	"cross-origin-opener-policy": "same-origin",
	"cross-origin-resource-policy": "same-origin",
	"origin-agent-cluster": "?1",
	"referrer-policy": "no-referrer",
	"strict-transport-security": "max-age=31536000; includeSubDomains",
	"x-content-type-options": "nosniff",
	"x-dns-prefetch-control": "off",
	"x-download-options": "noopen",
	"x-frame-options": "DENY",
	"x-permitted-cross-domain-policies": "none",
	"x-xss-protection": "0",
}

test_defaults if {
	kit.same(headers.values, helmet) with input as kit.request("GET", "/")
	kit.same(headers.values, object.remove(helmet, ["strict-transport-security"])) with input as kit.plainly(kit.request("GET", "/"))
	kit.same(headers.values, object.remove(helmet, ["strict-transport-security"])) with input as {}
}

test_switches[note] if {
	some note, [config, removed, changed] in {
		"one changed": [{"headers": {"set": {"x-frame-options": "SAMEORIGIN"}}}, [], {"x-frame-options": "SAMEORIGIN"}],
		"one added": [
			{"headers": {"set": {"cross-origin-embedder-policy": "require-corp"}}},
			[],
			{"cross-origin-embedder-policy": "require-corp"},
		],
		"one off": [{"headers": {"set": {"x-download-options": false}}}, ["x-download-options"], {}],
		"another way off": [{"headers": {"set": {"x-download-options": null}}}, ["x-download-options"], {}],
		"no CSP": [{"headers": {"csp": {"enabled": false}}}, ["content-security-policy"], {}],
		"CSP only reported": [
			{"headers": {"csp": {"report_only": true}}},
			["content-security-policy"],
			{"content-security-policy-report-only": helmet["content-security-policy"]},
		],
		"one directive changed, one off": [
			{"headers": {"csp": {"directives": {"script-src": ["'self'", "https://cdn.example.com"], "upgrade-insecure-requests": false, "font-src": null}}}},
			[],
			{"content-security-policy": "base-uri 'self'; default-src 'self'; form-action 'self'; frame-ancestors 'none'; img-src 'self' data:; object-src 'none'; script-src 'self' https://cdn.example.com; script-src-attr 'none'; style-src 'self' https: 'unsafe-inline'"},
		],
		"HSTS for long": [
			{"https": {"hsts": {"max_age": 63072000, "preload": true}}},
			[],
			{"strict-transport-security": "max-age=63072000; includeSubDomains; preload"},
		],
		"HSTS for this host": [
			{"https": {"hsts": {"include_subdomains": false}}},
			[],
			{"strict-transport-security": "max-age=31536000"},
		],
		"no HSTS": [{"https": {"hsts": false}}, ["strict-transport-security"], {}],
		"Permissions-Policy": [{"headers": {"permissions_policy": true}}, [], {"permissions-policy": defaults.permissions_policy}],
		"Permissions-Policy of one's own": [{"headers": {"permissions_policy": "camera=()"}}, [], {"permissions-policy": "camera=()"}],
	}
	kit.same(headers.values, object.union(object.remove(helmet, removed), changed)) with data.authz.config as config
		with input as kit.request("GET", "/")
}

package authz.quotas_test

import data.authz.quotas
import data.kit

address := ["address", {"ref": "client.ip_block"}]

user := ["user", {"ref": "token.issuer"}, {"ref": "token.subject"}]

table := {
	"quotas": {
		"limits": {
			"address": {"limit": 1000, "burst": 50},
			"user": {"by": "user", "limit": 10, "window": "1s"},
			"search": {"by": "everybody", "limit": 5, "window": 60, "cost": 2, "routes": ["search"]},
			"trial": {"by": "everybody", "limit": 3, "window": "1h", "routes": ["trial"], "shadow": true},
			"gone": null,
			"off": false,
		},
		"skip": {"routes": ["health"], "roles": ["robot"], "subjects": ["monitor"], "addresses": ["10.0.0.0/8", "2001:db8::/32"]},
	},
	"routes": {
		"orders": {"methods": ["GET"], "path": "/orders", "roles": ["clerk"]},
		"search": {"methods": ["GET"], "path": "/search", "roles": ["clerk"]},
		"health": {"methods": ["GET"], "path": "/health", "public": true},
		"trial": {"methods": ["GET"], "path": "/trial", "public": true},
		"free": {"methods": ["GET"], "path": "/free", "public": true, "quotas": false},
		"login": {"methods": ["POST"], "path": "/login", "public": true, "quotas": {"tries": {"limit": 5, "window": "15m", "charge": "denied"}}},
	},
}

general := [
	{"name": "address", "key": address, "limit": 1000, "burst": 50, "window": "15m"},
	{"name": "user", "key": user, "limit": 10, "window": "1s"},
]

anonymous := [
	{"name": "address", "key": address, "limit": 1000, "burst": 50, "window": "15m"},
	{"name": "user", "key": address, "limit": 10, "window": "1s"},
]

test_asked[note] if {
	some note, [req, want] in {
		"a caller who is known": [kit.by(kit.request("GET", "/orders"), "alice", ["clerk"]), general],
		"one who is not": [kit.request("GET", "/orders"), anonymous],
		"a route of the limit's list": [
			kit.request("GET", "/search"),
			[
				anonymous[0],
				{"name": "search", "key": ["everybody"], "limit": 5, "window": 60, "cost": 2},
				anonymous[1],
			],
		],
		"a limit on trial": [
			kit.request("GET", "/trial"),
			[
				anonymous[0],
				{"name": "trial", "key": ["everybody"], "limit": 3, "window": "1h", "shadow": true},
				anonymous[1],
			],
		],
		"a route's own": [
			kit.request("POST", "/login"),
			array.concat(anonymous, [{"name": "login.tries", "key": address, "limit": 5, "window": "15m", "charge": "denied"}]),
		],
		"no route": [kit.request("GET", "/nothing"), anonymous],
		"a route left out by itself": [kit.request("GET", "/free"), []],
		"a route left out by the list": [kit.request("GET", "/health"), []],
		"a role left out": [kit.by(kit.request("GET", "/orders"), "x", ["robot"]), []],
		"a subject left out": [kit.by(kit.request("GET", "/orders"), "monitor", []), []],
		"an address left out": [kit.from(kit.request("GET", "/orders"), "10.1.2.3"), []],
		"IPv6 left out": [kit.from(kit.request("GET", "/orders"), "2001:db8::1"), []],
		"an address that is none": [kit.from(kit.request("GET", "/orders"), "10"), anonymous],
	}
	kit.same(quotas.asked, want) with data.authz.config as table with input as req
}

test_by_default if {
	want := [{"name": "address", "key": address, "limit": 100, "window": "15m"}]
	kit.same(quotas.asked, want) with input as kit.request("GET", "/")
	kit.same(quotas.asked, want) with input as {}
}

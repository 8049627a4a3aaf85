package authz.route_test

import data.authz.route
import data.kit

table := {"routes": {
	"root": {"methods": ["GET"], "path": "/"},
	"orders": {"methods": ["GET", "POST"], "path": "/orders"},
	"orders.folder": {"methods": ["GET"], "path": "/orders/"},
	"orders.new": {"methods": ["GET"], "path": "/orders/new"},
	"orders.uuid": {"methods": ["GET"], "path": "/orders/{id:uuid}"},
	"orders.int": {"methods": ["GET"], "path": "/orders/{n:int}"},
	"orders.slug": {"methods": ["GET"], "path": "/orders/{s:slug}"},
	"orders.any": {"methods": ["GET"], "path": "/orders/{any}"},
	"orders.put": {"methods": ["PUT"], "path": "/orders/{any}"},
	"orders.rest": {"methods": ["GET"], "path": "/orders/{rest...}"},
	"head": {"methods": ["HEAD"], "path": "/head"},
	"head.get": {"methods": ["GET"], "path": "/head"},
	"users": {"methods": ["GET"], "path": "/users/{id:uuid}"},
}}

uuid := "0B0e7b9a-6a5d-4b0e-9d5c-0f6c1b2a3d4e"

test_match[note] if {
	some note, [method, target, want] in {
		"root": ["GET", "/", {"id": "root", "params": {}}],
		"literal": ["POST", "/orders", {"id": "orders", "params": {}}],
		"trailing slash is another path": ["GET", "/orders/", {"id": "orders.folder", "params": {}}],
		"literal before typed": ["GET", "/orders/new", {"id": "orders.new", "params": {}}],
		"uuid in any case": ["GET", sprintf("/orders/%s", [uuid]), {"id": "orders.uuid", "params": {"id": uuid}}],
		"int": ["GET", "/orders/18", {"id": "orders.int", "params": {"n": "18"}}],
		"a leading zero is no int": ["GET", "/orders/018", {"id": "orders.slug", "params": {"s": "018"}}],
		"19 digits are no int": ["GET", "/orders/1234567890123456789", {"id": "orders.slug", "params": {"s": "1234567890123456789"}}],
		"slug": ["GET", "/orders/a-b", {"id": "orders.slug", "params": {"s": "a-b"}}],
		"string": ["GET", "/orders/A b", {"id": "orders.any", "params": {"any": "A b"}}],
		"literal of another method does not hide": ["PUT", "/orders/new", {"id": "orders.put", "params": {"any": "new"}}],
		"rest": ["GET", "/orders/a/b", {"id": "orders.rest", "params": {"rest": "a/b"}}],
		"the query takes no part": ["GET", "/orders?x=/y", {"id": "orders", "params": {}}],
		"HEAD is GET": ["HEAD", "/orders", {"id": "orders", "params": {}}],
		"HEAD before GET": ["HEAD", "/head", {"id": "head", "params": {}}],
		"braces are text": ["GET", "/orders/{id}", {"id": "orders.any", "params": {"any": "{id}"}}],
	}
	kit.same(route.match, want) with data.authz.config as table with input as kit.request(method, target)
}

test_no_match[note] if {
	some note, [method, target, status, headers] in {
		"unknown": ["GET", "/nothing", 404, {}],
		"a sequential id is no uuid": ["GET", "/users/1", 404, {}],
		"an empty segment is no parameter": ["GET", "/users/", 404, {}],
		"an empty segment is no rest": ["GET", "/orders/a//b", 404, {}],
		"case of a literal": ["GET", "/Orders", 404, {}],
		"another method": ["DELETE", "/orders", 405, {"allow": "GET, HEAD, POST"}],
		"another method, several rows": ["DELETE", "/orders/new", 405, {"allow": "GET, HEAD, PUT"}],
	}
	kit.same(object.remove(route.refusal, ["reason"]), {"status": status, "headers": headers}) with data.authz.config as table
		with input as kit.request(method, target)
}

test_the_sidecars_word_counts if {
	req := kit.request("GET", "/orders")
	kit.same(route.id, "users") with data.authz.config as table
		with input as object.union(req, {"route": {"id": "users", "params": {"id": "x"}}})
	kit.same(route.params, {"id": "x"}) with data.authz.config as table
		with input as object.union(req, {"route": {"id": "users", "params": {"id": "x"}}})
	not route.pass with data.authz.config as table with input as object.union(req, {"route": null})
	not route.pass with data.authz.config as table with input as object.union(req, {"route": {"id": "gone", "params": {}}})
}

test_no_table if {
	kit.same(route.refusal.status, 404) with data.authz.config as {} with input as kit.request("GET", "/orders")
	kit.same(route.refusal.status, 404) with input as {}
}

package policy

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// cachePolicy is a policy of the comparison, and how its data change.
type cachePolicy struct {
	name    string
	files   tree
	library bool
}

const cacheRoutes = `{"authz": {"config": {"routes": {
	"orders.list": {"methods": ["GET", "POST"], "path": "/orders", "roles": ["reader", "admin"]},
	"orders.read": {"methods": ["GET"], "path": "/orders/{id}", "roles": ["reader"], "owner": {"param": "id", "claim": "sub", "bypass": ["admin"]}},
	"orders.delete": {"methods": ["DELETE"], "path": "/orders/{id:int}", "roles": ["admin"]},
	"users.read": {"methods": ["GET"], "path": "/users/{name}", "owner": {"param": "name", "claim": "sub"}, "authenticated": true},
	"health": {"methods": ["GET"], "path": "/health", "public": true}}%s}}%s}`

// reload is other data: the library keeps its shape, the others get a number.
func (p cachePolicy) reload(n int) tree {
	if p.library {
		return tree{"data.json": fmt.Sprintf(cacheRoutes, fmt.Sprintf(`, "authn": {"realm": "r%d"}, "csrf": {"enabled": %t}`, n, n%1000 == 499), "")}
	}
	return tree{"data.json": fmt.Sprintf(cacheRoutes, "", fmt.Sprintf(`, "n": %d, "odd": %t`, n, n%1000 == 499))}
}

// handwritten are bodies of package authz; each defines decision.
var handwritten = map[string]string{
	"ownership": `decision := {"allowed": ok, "quotas": [{"name": "q", "key": [{"ref": "client.ip"}], "limit": 5, "window": "1m"}]}
default ok := false
ok if input.route.params.id == input.token.subject
ok if "admin" in input.token.roles`,
	"quota_refs": `decision := {"allowed": true, "quotas": [{"name": "q", "key": ["x", {"ref": "token.subject"}, {"ref": "token.claims.tenant"}], "limit": 5, "window": "1m"}]} if input.token.claims.tenant
else := {"allowed": true, "quotas": [{"name": "q", "key": [{"ref": "token.subject"}], "limit": 5, "window": "1m"}]}`,
	"quota_param": `decision := {"allowed": true, "quotas": [{"name": "q", "key": [{"ref": "route.params.id"}, {"ref": "route.id"}], "limit": 5, "window": "1m"}]}`,
	"headers_each": `decision := {"allowed": count(bad) == 0, "reason": bad}
bad contains name if { some name, value in input.attributes.request.http.headers; value == "a" }`,
	"headers_dynamic": `decision := count({h | some h in ["origin", "cookie"]; input.attributes.request.http.headers[h]}) > 0`,
	"with_input": `decision := x if { x := ok with input.token as {"roles": ["admin"]} }
default ok := false
ok if { "admin" in input.token.roles; input.client.scheme == "https" }`,
	"with_whole": `decision := {"allowed": x} if { x := ok with input as {"token": {"subject": input.token.subject}} }
else := {"allowed": false, "reason": "none"}
ok := input.token.subject == "alice"`,
	"with_data": `decision := x if { x := ok with data.n as count(input.parsed_query) }
default ok := false
ok if data.n > 0`,
	"with_function": `decision := x if { x := ok with f as g }
default ok := false
ok if f(input.token)
f(t) if t.subject == "alice"
g(t) if t.subject == "bob"`,
	"else_chain": `decision := "x" == "x" if input.token.subject == "alice"
else := false if input.client.scheme == "http"
else := {"allowed": true, "headers": {"x-a": input.attributes.request.http.headers.origin}} if input.attributes.request.http.headers.origin
else := {"allowed": false, "http_status": 404} if not input.route
else := true if input.parsed_body.item == "pen"
else := false`,
	"functions": `decision := {"allowed": f(input.token, "reader"), "headers": {"x-g": g(input)}}
default f(_, _) := false
f(t, r) if r in t.roles
g(i) := i.client.ip if i.client.ip
else := "none"`,
	"default_rules": `default decision := false
decision if { input.token.status == "valid"; not input.attributes.request.http.headers.cookie }`,
	"negation": `decision if { not bad; not input.token.error }
bad if input.attributes.contextExtensions.tier == "none"
bad if not input.client.ip`,
	"undefined": `decision if input.token.claims.tenant == "a"`,
	"sets": `decision := {"allowed": count(deny) == 0, "reason": deny}
deny contains "a" if input.token.subject == "alice"
deny contains input.token.via if input.token.via
deny contains sprintf("p%v", [i]) if { some i, s in input.parsed_path; s == "a" }`,
	"objects": `decision := {"allowed": true, "headers": h}
h["x-sub"] := input.token.subject
h["x-role"] := concat(",", input.token.roles)
h[name] := value if { some name, [value] in input.parsed_query; value != "<script>" }`,
	"conflict": `decision := x
x := true if input.token.subject == "alice"
x := false if input.client.scheme == "http"
x := true if input.token.subject == "bob"`,
	"conflict_hidden": `decision := {"allowed": true, "reason": r}
r := "a" if { input.route.id == "health"; c == 1 }
r := "b" if { c == 2; input.route.id == "orders.list" }
r := "c" if input.route.id == "orders.read"
c := 1 if input.client.scheme == "https"
c := 2 if input.token.via == "cookie"`,
	"comprehensions": `decision := {"allowed": count([r | some r in input.token.roles; r != "reader"]) > 0, "dynamic_metadata": {"m": {r: n | some n, r in input.token.roles}}}`,
	"every": `decision if every r in input.token.roles { r in {"reader", input.attributes.request.http.headers["x-tenant"]} }
decision := false if input.token.status != "valid"`,
	"walk":       `decision := count([v | walk(input, [_, v]); v == "alice"]) > 1`,
	"walk_token": `decision := count([v | walk(input.token.claims, [_, v]); v == "admin"]) > 0`,
	"alias_input": `decision := {"allowed": x.token.status == "valid"} if { x := input; x.client.scheme == "https" }
else := false`,
	"alias_http": `decision if { http := input.attributes.request.http; http.method == "GET"; not http.headers.origin }
decision := false if input.attributes.request.http.method == "POST"`,
	"alias_undefined": `default decision := {"allowed": false}
decision := {"allowed": true} if { c := input.token.claims.realm_access; not c.roles }
else := {"allowed": true, "reason": "roles"} if { c := input.token.claims.realm_access; c.roles[_] == "admin" }`,
	"alias_peer": `default decision := false
decision if { p := input.attributes.source; not p.principal }`,
	"alias_rule": `decision := {"allowed": t.status == "valid", "reason": who}
t := input.token
who := t.subject if is_object(t)
else := "nobody"
who := "nobody" if not t.subject`,
	"alias_rule_else": `decision := {"allowed": true, "headers": {"x-id": m.id}} if m.id
else := {"allowed": false, "reason": "none"}
m := input.route if is_object(input.route)
else := {"id": input.attributes.request.http.method}`,
	"alias_rule_whole": `decision := {"allowed": true, "dynamic_metadata": {"c": c}}
c := input.token.claims if input.token.claims
else := {}`,
	"alias_rule_dynamic": `decision := count([1 | some k in ["subject", "via"]; t[k] == "alice"]) > 0
t := input.token`,
	"alias_body": `default decision := false
decision if { b := input.parsed_body; is_object(b); not b.item == "ink" }
decision if { b := input.parsed_body; is_null(b) }`,
	"alias_package": `decision := {"allowed": true, "headers": {k: v | some k, v in data.other; is_string(v)}}`,
	"dynamic_key":   `decision := {"allowed": true, "reason": [v | some k in ["subject", "status", "error"]; v := input.token[k]]}`,
	"dynamic_token": `decision if { k := input.attributes.request.http.headers["x-tenant"]; input.token.claims[k] }
decision := false if not input.token.claims`,
	"nested_key": `decision := input.token.claims.tenant == input.attributes.request.http.headers["x-tenant"]`,
	"array_index": `decision := {"allowed": input.parsed_path[0] == "orders", "reason": [input.parsed_path[1]]} if input.parsed_path[1]
else := {"allowed": input.token.roles[0] == "admin"} if input.token.roles[0]
else := false`,
	"metadata": `decision if { input.attributes.metadataContext.filterMetadata.geo.country == "NL" }
decision := false if { not input.attributes.metadataContext }`,
	"clock": `decision := time.now_ns() > 0`,
	"clock_sometimes": `decision if { input.token.subject == "alice"; time.now_ns() > 0 }
decision := false if input.token.subject == "bob"
decision := true if input.token.status != "valid"`,
	"malformed": `decision := {"allowed": true, "http_status": input.token.claims.jti} if input.token.subject == "alice"
else := true`,
	"unknown_keys": `decision := {"allowed": true, "surprise": input.token.subject}`,
	"data_lookup": `decision := {"allowed": r in input.token.roles, "reason": sprintf("n%v", [data.n])} if { some r in data.authz.config.routes[input.route.id].roles; r in input.token.roles }
decision := {"allowed": false} if not data.authz.config.routes[input.route.id].roles`,
	"data_odd":     `decision := {"allowed": data.odd == true, "reason": input.client.scheme}`,
	"body_keys":    `decision := {"allowed": object.get(input, ["parsed_body", "n"], 0) == 1, "reason": [k | some k, _ in input.parsed_body]}`,
	"skipped_body": `decision := object.get(input, "parsed_body", "none") == "none"`,
	"truncated": `decision := input.truncated_body == true if input.truncated_body != null
else := {"allowed": true, "reason": "skipped"}`,
	"regex": "decision := regex.match(`^(a|https)`, input.attributes.request.http.headers.origin) if input.attributes.request.http.headers.origin\nelse := true",
	"multi_head": `decision := {"allowed": m.a.x == 1}
m[k].x := 1 if { some k in ["a", "b"]; input.token.subject == k }
m.a.y := 2 if input.client.scheme == "http"
m.a.x := 0 if input.token.subject != "a"
m.a.x := 0 if input.token.status != "valid"`,
	"object_get": `decision := object.get(input.attributes.request.http, ["headers", "origin"], "") == ""`,
	"equality_binds": `default decision := false
decision if { some v in ["alice", "bob"]; v = input.token.subject; v != data.nobody }
decision if { [v, w] = [input.token.via, input.client.scheme]; v == "cookie"; w == "http" }`,
}

func cachePolicies() []cachePolicy {
	var out []cachePolicy
	data := fmt.Sprintf(cacheRoutes, "", `, "n": 0, "odd": false`)
	for _, name := range sortedNames(handwritten) {
		files := tree{"authz.rego": "package authz\n\n" + handwritten[name] + "\n", "data.json": data}
		if name == "alias_package" {
			files["other.rego"] = "package other\n\nsub := input.token.subject\n\nscheme := input.client.scheme if input.client.scheme == \"https\"\n"
		}
		out = append(out, cachePolicy{name: name, files: files})
	}
	for i := range 30 {
		files := tree{"authz.rego": generatedPolicy(uint64(i)), "data.json": data}
		out = append(out, cachePolicy{name: fmt.Sprintf("generated%d", i), files: files})
	}
	library := tree{"data.json": fmt.Sprintf(cacheRoutes, "", "")}
	return append(out, cachePolicy{name: "library", files: library, library: true})
}

func sortedNames(m map[string]string) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	// A map's order would give each policy other requests every time.
	for i := range names {
		for j := i + 1; j < len(names); j++ {
			if names[j] < names[i] {
				names[i], names[j] = names[j], names[i]
			}
		}
	}
	return names
}

// wheres are what generated rules are made of.
var wheres = []string{
	`input.token.status == "valid"`, `input.token.subject == "alice"`, `"admin" in input.token.roles`,
	`input.client.scheme == "https"`, `input.route.id == "orders.read"`, `startswith(input.route.id, "orders")`,
	`input.attributes.request.http.headers.origin`, `not input.attributes.request.http.headers.cookie`,
	`not input.token.claims.tenant`, `input.token.claims.tenant == "a"`, `count(input.parsed_query) == 0`,
	`input.parsed_body.item == "pen"`, `not input.parsed_body`, `input.route.params.id == input.token.subject`,
	`c := input.token.claims; not c.tenant == "b"`, `h := input.attributes.request.http; h.method == "GET"`,
	`every r in input.token.roles { r != "writer" }`, `data.odd`, `some s in input.parsed_path; s == "a"`,
	`input.attributes.contextExtensions.tier == "gold"`, `input.attributes.source.principal`, `is_object(input.route)`,
	`x := input.token.claims.realm_access; is_string(x)`, `k := input.attributes.request.http.headers["x-tenant"]; input.token[k]`,
}

// generatedPolicy: eight rules of random wheres and of each other, and a
// decision of them.
func generatedPolicy(seed uint64) string {
	g := rand.New(rand.NewPCG(seed, 99))
	var b strings.Builder
	b.WriteString("package authz\n\ndecision := {\"allowed\": ok, \"reason\": reasons, \"headers\": {\"x-v\": value}}\n\ndefault ok := false\n\ndefault value := \"none\"\n\n")
	for i := range 8 {
		for range 1 + g.IntN(2) {
			fmt.Fprintf(&b, "r%d if {\n", i)
			body(&b, g, i)
			b.WriteString("}\n\n")
		}
	}
	b.WriteString("ok if r7\n\nok if {\n\tr6\n\tnot r5\n}\n\n")
	for i := range 8 {
		fmt.Fprintf(&b, "reasons contains \"r%d\" if r%d\n\n", i, i)
	}
	b.WriteString("value := input.token.via if r4\nelse := input.attributes.request.http.headers.origin if not r3\nelse := sprintf(\"%v\", [input.token.roles])\n")
	return b.String()
}

func body(b *strings.Builder, g *rand.Rand, i int) {
	for n := range 1 + g.IntN(3) {
		if i > 0 && g.IntN(3) == 0 {
			fmt.Fprintf(b, "\t%sr%d\n", []string{"", "not "}[g.IntN(2)], g.IntN(i))
			continue
		}
		// Each condition at most once a body: variables are bound once.
		at := (g.IntN(len(wheres)/3))*3 + n
		for _, part := range strings.Split(wheres[at], "; ") {
			fmt.Fprintf(b, "\t%s\n", part)
		}
	}
}

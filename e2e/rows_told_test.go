package e2e

import "net/http"

// No answer of the sidecar says more than what it is and a request's id. What the app
// says is the app's.
func errorsRows() []row {
	const secret = `"password":"hunter2-and-more"`
	user := func(fields string) string { return `{"name":"Ada","email":"ada@example.com",` + secret + fields + `}` }
	secrets := []string{"hunter2", "authz", "rego", "token", "role", "schema"}
	fails := func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte("panic at shop.js:17"))
	}
	return []row{
		{name: "who is not known", target: "/me", want: 401, without: secrets},
		{name: "whose token is no good", target: "/me", headers: []string{"Authorization: Bearer hunter2"}, want: 401, without: secrets},
		{name: "who lacks a role", target: "/admin", as: "c clerk", want: 403, without: append(secrets, "admin", "clerk")},
		{name: "who lacks a scope", method: "POST", target: "/orders", as: "c clerk", want: 403, without: append(secrets, "orders:write")},
		{name: "who is not the owner", target: "/users/alice", as: "bob", want: 403, without: append(secrets, "alice", "bob")},
		{name: "no such route", target: "/hunter2", as: "c clerk", want: 404, without: secrets},
		{name: "no such method", method: "PUT", target: "/me", as: "c clerk", want: 405, without: secrets},
		{name: "a field twice", method: "POST", target: "/users", body: `{"hunter2":1,"hunter2":2}`, want: 400, without: secrets},
		{name: "plain HTTP", method: "POST", target: "/login", plain: true, body: `{` + secret + `}`, want: 403, without: secrets},
		{name: "a foreign page", method: "POST", target: "/login", headers: []string{"Sec-Fetch-Site: cross-site"}, from: "192.0.2.79", want: 403, without: secrets},
		{name: "a foreign origin", method: "OPTIONS", target: "/orders", headers: []string{"Origin: https://hunter2.test", "Access-Control-Request-Method: POST"}, want: 403, without: secrets},
		{name: "no JSON", method: "POST", target: "/users", body: `{` + secret, want: 400, without: secrets},
		{name: "another content type", method: "POST", target: "/users", body: "password=hunter2", headers: []string{"Content-Type: application/x-www-form-urlencoded"}, want: 415, without: secrets},
		{name: "an unknown field, by its name alone", method: "POST", target: "/users", body: user(`,"more":"hunter2"`), want: 422, errors: `[{"field":"body.more","rule":"additionalProperties"}]`, without: secrets[:3]},
		{name: "script, by its field alone", method: "POST", target: "/users", body: `{"name":"<script>hunter2</script>","email":"ada@example.com",` + secret + `}`, want: 400, errors: `[{"field":"body.name","rule":"xss"}]`, without: secrets[:3]},
		{name: "nothing wrong", method: "POST", target: "/users", body: user(""), want: 200},
		{name: "the app's own failure, for which it answers itself", target: "/public", answer: fails, want: 500, text: "panic at shop.js:17"},
	}
}

// The app hears who calls from the sidecar and from nobody else.
func identityRows() []row {
	told := func(id, roles, scopes string) map[string]string {
		return map[string]string{"X-User-Id": id, "X-User-Roles": roles, "X-User-Scopes": scopes}
	}
	nobody := told("-", "-", "-")
	return []row{
		{name: "nobody", target: "/public", want: 200, told: nobody},
		{name: "a subject", target: "/me", as: "alice", want: 200, told: map[string]string{"X-User-Id": "alice"}},
		{name: "on a public route as well", target: "/public", as: "alice clerk", want: 200, told: map[string]string{"X-User-Id": "alice", "X-User-Roles": "clerk"}},
		{name: "roles, without those that they include", target: "/me", as: "ada admin viewer", want: 200, told: map[string]string{"X-User-Id": "ada", "X-User-Roles": "admin,viewer"}},
		{name: "scopes", target: "/me", as: "alice", scopes: "orders:read orders:write", want: 200, told: map[string]string{"X-User-Scopes": "orders:read orders:write"}},
		{name: "by the cookie", target: "/me", headers: []string{"Cookie: session=" + world.main.Token(map[string]any{"sub": "carol"})}, want: 200, told: map[string]string{"X-User-Id": "carol"}},
		{name: "one's own word counts for nothing", target: "/public", headers: []string{"X-User-Id: root", "X-User-Roles: admin", "X-User-Scopes: all"}, want: 200, told: nobody},
		{name: "in no spelling", target: "/public", headers: []string{"x-USER-id: root", "X-User-Id: admin"}, want: 200, told: nobody},
		{name: "nor beside a token", target: "/me", as: "alice clerk", headers: []string{"X-User-Id: root", "X-User-Roles: admin"}, want: 200, told: map[string]string{"X-User-Id": "alice", "X-User-Roles": "clerk"}},
		{name: "a role that would read as two is not told", target: "/me", as: "alice user,admin clerk", want: 200, told: map[string]string{"X-User-Roles": "clerk"}},
		{name: "the twin with an underscore", target: "/public", headers: []string{"X_User_Id: root"}, edge: true, want: 400},
		{name: "claiming lets nobody in", target: "/me", headers: []string{"X-User-Id: alice"}, want: 401},
		{name: "nor to what needs a role", target: "/admin", as: "alice", headers: []string{"X-User-Roles: admin"}, want: 403},
		{name: "nor to somebody else's", target: "/users/alice", as: "bob", headers: []string{"X-User-Id: alice"}, want: 403},
		{name: "a bad token beside it", target: "/public", headers: []string{"Authorization: Bearer junk", "X-User-Id: alice"}, want: 401},
	}
}

// The record of each decision says who did what, and why not.
func usageRows() []row {
	record := func(outcome, route, reasons string, more ...string) []string {
		out := []string{`"outcome":"` + outcome + `"`}
		if route != "" {
			out = append(out, `"route":"`+route+`"`)
		}
		if reasons != "" {
			out = append(out, `"reasons":`+reasons)
		}
		return append(out, more...)
	}
	return []row{
		{name: "nobody, on a public route", target: "/public", want: 200, record: record("allowed", "public", "", `"token_status":"absent"`, `"requested_by":"192.0.2.1"`)},
		{name: "somebody", target: "/me", as: "alice", want: 200, record: record("allowed", "me", "", `"subject":"alice"`, `"method":"GET"`, `"token_via":"header"`)},
		{name: "from another address", target: "/me", as: "alice", from: "198.51.100.7", want: 200, record: record("allowed", "me", "", `"requested_by":"198.51.100.7"`)},
		{name: "many ids, one route", target: "/orders/0b0e7b9a-6a5d-4b0e-9d5c-0f6c1b2a3d4e", as: "c clerk", want: 200, record: record("allowed", "orders.read", "")},
		{name: "no token", target: "/orders", want: 401, record: record("denied", "orders.list", `["token_absent"]`)},
		{name: "a bad token", target: "/orders", headers: []string{"Authorization: Bearer junk"}, want: 401, record: record("denied", "orders.list", `["token_invalid"]`)},
		{name: "no role", target: "/admin", as: "mallory", want: 403, record: record("denied", "admin", `["role_missing"]`, `"subject":"mallory"`)},
		{name: "no scope", method: "POST", target: "/orders", as: "c clerk", want: 403, record: record("denied", "orders.create", `["scope_missing"]`)},
		{name: "another's", target: "/users/alice", as: "bob", want: 403, record: record("denied", "users.read", `["not_owner"]`, `"subject":"bob"`)},
		{name: "no route", target: "/nothing", as: "c clerk", want: 404, record: record("denied", "", `["route_unknown"]`)},
		{name: "no method", method: "PUT", target: "/me", as: "c clerk", want: 405, record: record("denied", "", `["method_unknown"]`)},
		{name: "bad input", method: "POST", target: "/users", body: `{"name":"Al","email":"ada@example.com","password":"secret1"}`, want: 422, errors: `[{"field":"body.name","rule":"minLength"}]`, record: record("denied", "users.create", `["input_minLength"]`)},
		{name: "script where it is only flagged", method: "POST", target: "/comments", body: `{"note":"<script>"}`, want: 200, record: record("allowed", "comments.create", `["xss_flagged"]`)},
		{name: "plain HTTP", method: "POST", target: "/public", plain: true, want: 403, record: record("denied", "public", `["https_required"]`)},
	}
}

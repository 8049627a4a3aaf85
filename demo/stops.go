package main

import (
	"net/http"

	"authz/internal/testbed"
)

// stop is one request of the tour and what is to be seen of its answer.
type stop struct {
	title   string
	method  string // GET unless given
	path    string
	plain   bool // over plain HTTP
	token   string
	cookie  bool     // the token is carried by the session cookie
	shown   string   // what stands for the token in the curl line
	headers []string // further headers, "name: value"
	data    string   // the body

	want    int
	say     string            // what there is to see
	body    string            // a part of the answer's body
	header  []string          // headers of the answer to show; they must be there
	exactly map[string]string // headers of the answer that must be just so
}

// with is the request's headers, where a token stands as it is given.
func (s stop) with(token string) []string {
	var headers []string
	if !s.plain {
		headers = append(headers, "X-Forwarded-Proto: https")
	}
	switch {
	case s.token == "":
	case s.cookie:
		headers = append(headers, "Cookie: session="+token)
	default:
		headers = append(headers, "Authorization: Bearer "+token)
	}
	return append(headers, s.headers...)
}

const (
	asJSON  = "Content-Type: application/json"
	asForm  = "Content-Type: application/x-www-form-urlencoded"
	partner = "https://partner.example.com"

	bobsOrder = "/orders/5f3c9a52-7f2e-4a53-8a65-2f1f7f0e9b11"
)

// stops is the checklist (docs/checklist.md), a few requests a row.
func (t *tour) stops() []stop {
	clerk, admin := t.token("alice", "clerk"), t.token("ada", "admin")
	forged := testbed.NewKey(t.issuer.Key().ID, "RS256").Token(t.issuer.Claims(map[string]any{"sub": "alice", "roles": []string{"admin"}}))
	stops := []stop{
		{title: "HTTPS: a plain GET", path: "/health", plain: true, want: 308, say: "sent to the configured host, never to the request's own",
			exactly: map[string]string{"Location": "https://shop.example.com/health"}},
		{title: "HTTPS: a plain POST", method: "POST", path: "/orders", plain: true, token: clerk, shown: "$CLERK", headers: []string{asJSON}, data: `{"item":"ink"}`,
			want: 403, say: "what was sent in the clear is not to be repeated by a redirect"},
		{title: "Security headers: a public route needs no token", path: "/health", want: 200, body: `"status":"ok"`, say: "the app sets none of these; its X-Powered-By is gone",
			header: []string{"Content-Security-Policy", "Strict-Transport-Security", "X-Frame-Options"}, exactly: map[string]string{"X-Content-Type-Options": "nosniff"}},
		{title: "Authentication: no token", path: "/orders", want: 401, say: "refused before the app is asked", header: []string{"WWW-Authenticate"}},
		{title: "Authentication: a good token", path: "/orders", token: clerk, shown: "$CLERK", want: 200, body: `"owner":"alice"`,
			say: "the app knows alice by x-user-id, which only the sidecar can set", header: []string{"RateLimit"}},
		{title: "Authentication: a client that sets x-user-id itself", path: "/orders", token: clerk, shown: "$CLERK", headers: []string{"X-User-Id: bob"},
			want: 200, body: `"owner":"alice"`, say: "still alice's orders"},
		{title: "Authentication: a forged token", path: "/admin", token: forged, shown: "$FORGED", want: 401, say: "right key id, right claims, somebody else's signature", header: []string{"WWW-Authenticate"}},
		{title: "Roles: the wrong one", path: "/admin", token: clerk, shown: "$CLERK", want: 403, say: "clerk is not admin; the client is not told more"},
		{title: "Roles: the right one", path: "/admin", token: admin, shown: "$ADMIN", want: 200, body: "3 users"},
		{title: "Roles: an admin may do what a clerk may", path: bobsOrder, token: admin, shown: "$ADMIN", want: 200, body: `"owner":"bob"`},
		{title: "Ownership: one's own page", path: "/users/alice", token: clerk, shown: "$CLERK", want: 200, body: "alice@shop.example"},
		{title: "Ownership: somebody else's", path: "/users/bob", token: clerk, shown: "$CLERK", want: 403},
		{title: "Routes: one that does not exist", path: "/internal", token: admin, shown: "$ADMIN", want: 404, say: "what is not described is not there"},
		{title: "Routes: a method that does not", method: "DELETE", path: "/orders", token: admin, shown: "$ADMIN", want: 405, header: []string{"Allow"}},
		{title: "UUIDs: a counted id", path: "/orders/1", token: clerk, shown: "$CLERK", want: 404, say: "order ids are UUIDs, so a counted id is no route at all"},
		{title: "Paths: one with two meanings", path: "/health/..%2fadmin", want: 400, say: "an encoded slash: refused, not guessed at"},
		{title: "Input: a good order", method: "POST", path: "/orders", token: clerk, shown: "$CLERK", headers: []string{asJSON}, data: `{"item":"ink"}`, want: 201, body: `"owner":"alice"`},
		{title: "Input: a bad one", method: "POST", path: "/orders", token: clerk, shown: "$CLERK", headers: []string{asJSON}, data: `{"item":"x","price":0}`,
			want: 422, body: "item", say: "each field and its rule is named, no value is repeated", exactly: map[string]string{"Content-Type": "application/problem+json"}},
		{title: "Script: in a comment", method: "POST", path: "/comments", token: clerk, shown: "$CLERK", headers: []string{asForm}, data: "text=%3Cscript%3Ealert(1)%3C/script%3E", want: 400, body: "text"},
		{title: "Script: text that only looks odd", method: "POST", path: "/comments", token: clerk, shown: "$CLERK", headers: []string{asForm}, data: "text=a+%3C+b+%26+c", want: 303},
		{title: "CORS: a preflight of a listed origin", method: "OPTIONS", path: "/orders", headers: []string{"Origin: " + partner, "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type"},
			want: 204, say: "answered by the sidecar, before any token is asked for", header: []string{"Access-Control-Allow-Methods"}, exactly: map[string]string{"Access-Control-Allow-Origin": partner}},
		{title: "CORS: a refusal that the origin's script may read", path: "/orders", headers: []string{"Origin: " + partner}, want: 401, exactly: map[string]string{"Access-Control-Allow-Origin": partner}},
		{title: "CORS: another origin", path: "/health", headers: []string{"Origin: https://evil.example"}, want: 200, say: "its script cannot read this answer", exactly: map[string]string{"Access-Control-Allow-Origin": ""}},
		{title: "CSRF: the cookie, from the shop's own page", method: "POST", path: "/orders", token: clerk, shown: "$CLERK", cookie: true, headers: []string{asJSON, "Sec-Fetch-Site: same-origin"}, data: `{"item":"pen"}`, want: 201},
		{title: "CSRF: the cookie, from a foreign page", method: "POST", path: "/orders", token: clerk, shown: "$CLERK", cookie: true, headers: []string{asJSON, "Sec-Fetch-Site: cross-site"}, data: `{"item":"pen"}`, want: 403},
		{title: "CSRF: no cookie yet, a foreign page logs its visitor in", method: "POST", path: "/login", headers: []string{asForm, "Origin: https://evil.example"}, data: "user=alice&password=" + alicesPassword, want: 403, body: `"status":403`,
			say: "else the visitor would go on under an account of the attacker's"},
		{title: "What the sidecar leaves alone: an answer's body", path: "/report", token: admin, shown: "$ADMIN", want: 500, body: `panic: dial tcp 10.0.3.7:5432: connection refused (user "shop", database "orders")`,
			say: "it judges requests: what the app tells of its failure is for the app to keep to itself"},
	}
	login := stop{title: "Quotas: logging in", method: http.MethodPost, path: "/login", headers: []string{asForm}, data: "user=alice&password=guess", want: 403, body: "Wrong name or password", header: []string{"RateLimit"}}
	for range 4 {
		stops = append(stops, login)
	}
	login.title, login.data, login.want, login.body = "Quotas: … with the right password", "user=alice&password="+alicesPassword, 303, ""
	login.header = append(login.header, "Set-Cookie")
	stops = append(stops, login)
	login.title, login.want, login.say, login.header = "Quotas: … a sixth time", 429, "five in 15 minutes for one address", []string{"Retry-After", "RateLimit"}
	return append(stops, login)
}

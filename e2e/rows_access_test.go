package e2e

func httpsRows() []row {
	const to = "https://api.example.com"
	return []row{
		{name: "GET is redirected", plain: true, target: "/orders", want: 308, header: map[string]string{"Location": to + "/orders"}},
		{name: "HEAD is redirected", plain: true, method: "HEAD", target: "/orders", want: 308, header: map[string]string{"Location": to + "/orders"}},
		{name: "with its query", plain: true, target: "/orders?page=2&q=a%20b", want: 308, header: map[string]string{"Location": to + "/orders?page=2&q=a%20b"}},
		{name: "never to the request's host", plain: true, target: "/orders", host: "evil.test", want: 308, header: map[string]string{"Location": to + "/orders"}},
		{name: "nor to a host in the path", plain: true, target: "/evil.test", want: 308, header: map[string]string{"Location": to + "/evil.test"}},
		{name: "POST is refused", plain: true, method: "POST", target: "/public", want: 403, header: map[string]string{"Location": "-"}},
		{name: "DELETE is refused", plain: true, method: "DELETE", target: "/admin", as: "ada admin", want: 403},
		{name: "a token does not help", plain: true, target: "/orders", as: "ada admin", want: 308},
		{name: "an exempt route", plain: true, target: "/health", want: 200, header: map[string]string{"Strict-Transport-Security": "-"}},
		{name: "HTTPS passes, with HSTS", target: "/public", want: 200, header: map[string]string{"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}},
		{name: "HSTS on refusals as well", target: "/orders", want: 401, header: map[string]string{"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}},
		{name: "no HSTS over plain HTTP", plain: true, target: "/orders", want: 308, header: map[string]string{"Strict-Transport-Security": "-"}},
	}
}

func authenticationRows() []row {
	invalid := map[string]string{"Www-Authenticate": `Bearer realm="shop", error="invalid_token"`}
	expired := bearer(world.main.Token(map[string]any{"exp": 1_700_000_000}))
	return []row{
		{name: "no token", target: "/me", want: 401, header: map[string]string{"Www-Authenticate": `Bearer realm="shop"`}},
		{name: "a good token", target: "/me", as: "alice", want: 200},
		{name: "junk", target: "/me", headers: []string{"Authorization: Bearer junk"}, want: 401, header: invalid},
		{name: "an expired one", target: "/me", headers: []string{expired}, want: 401, header: invalid},
		{name: "a stranger's", target: "/me", headers: []string{bearer(world.other.Token(map[string]any{"aud": "api"}))}, want: 401, header: invalid},
		{name: "another scheme", target: "/me", headers: []string{"Authorization: Basic YTpi"}, want: 401, header: map[string]string{"Www-Authenticate": `Bearer realm="shop"`}},
		{name: "a public route", target: "/public", want: 200},
		{name: "a public route with a good token", target: "/public", as: "alice", want: 200},
		{name: "a public route with a bad token", target: "/public", headers: []string{"Authorization: Bearer junk"}, want: 401, header: invalid},
		{name: "a public route with an expired token", target: "/public", headers: []string{expired}, want: 401, header: invalid},
		{name: "a token in the cookie", target: "/me", headers: []string{"Cookie: session=" + world.main.Token(nil)}, want: 200},
		{name: "two tokens in cookies", target: "/me", headers: []string{"Cookie: session=a; session=b"}, want: 401, header: invalid},
	}
}

func rolesRows() []row {
	return []row{
		{name: "the role itself", target: "/orders", as: "v viewer", want: 200},
		{name: "a role that includes it", target: "/orders", as: "c clerk", want: 200},
		{name: "a role that includes it over another", target: "/orders", as: "a admin", want: 200},
		{name: "another role", target: "/orders", as: "x guest", want: 403},
		{name: "no role", target: "/orders", as: "x", want: 403},
		{name: "a role in another case", target: "/orders", as: "x VIEWER", want: 403},
		{name: "the included role does not include", target: "/admin", as: "c clerk", want: 403},
		{name: "admin only", target: "/admin", as: "a admin", want: 200},
		{name: "role and scope", method: "POST", target: "/orders", as: "c clerk", scopes: "orders:read orders:write", want: 200},
		{name: "the scope is missing", method: "POST", target: "/orders", as: "c clerk", scopes: "orders:read", want: 403,
			header: map[string]string{"Www-Authenticate": `Bearer realm="shop", error="insufficient_scope", scope="orders:write"`}},
		{name: "the role is missing", method: "POST", target: "/orders", as: "v viewer", scopes: "orders:write", want: 403},
		{name: "the owner", target: "/users/alice", as: "alice", want: 200},
		{name: "not the owner", target: "/users/alice", as: "bob", want: 403},
		{name: "not the owner, but admin", target: "/users/alice", as: "bob admin", want: 200},
		{name: "a route that says nothing is closed", target: "/unguarded", as: "a admin", want: 403},
		{name: "an unknown route", target: "/nothing", as: "a admin", want: 404},
		{name: "a known route, another method", method: "PUT", target: "/orders", as: "a admin", want: 405, header: map[string]string{"Allow": "GET, HEAD, POST"}},
		{name: "HEAD is GET without a body", method: "HEAD", target: "/orders", as: "v viewer", want: 200},
	}
}

func uuidRows() []row {
	rows := []row{{name: "a UUID", target: "/orders/0b0e7b9a-6a5d-4b0e-9d5c-0f6c1b2a3d4e", as: "c clerk", want: 200}}
	for _, id := range []string{"1", "2", "0", "-1", "1e3", "0x1f", "abc", "0b0e7b9a6a5d4b0e9d5c0f6c1b2a3d4e", "0b0e7b9a-6a5d-4b0e-9d5c", "0b0e7b9a-6a5d-4b0e-9d5c-0f6c1b2a3d4e/"} {
		rows = append(rows, row{name: "id " + id, target: "/orders/" + id, as: "c clerk", want: 404})
	}
	return rows
}

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
)

func constraintsRows() []row {
	create := func(name, body string, want int, errors string, headers ...string) row {
		return row{name: name, method: "POST", target: "/users", body: body, headers: headers, want: want, errors: errors}
	}
	fault := func(pairs ...string) string {
		var list []string
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, fmt.Sprintf(`{"field":%q,"rule":%q}`, pairs[i], pairs[i+1]))
		}
		return "[" + strings.Join(list, ",") + "]"
	}
	search := func(target string, want int, errors string) row {
		return row{name: target, target: target, want: want, errors: errors}
	}
	return []row{
		create("as it must be", `{"name":"Ada","email":"ada@example.com","password":"secret1"}`, 200, ""),
		create("name too short", `{"name":"Al","email":"ada@example.com","password":"secret1"}`, 422, fault("body.name", "minLength")),
		create("no e-mail address", `{"name":"Ada","email":"ada@","password":"secret1"}`, 422, fault("body.email", "format")),
		create("password too short", `{"name":"Ada","email":"ada@example.com","password":"12345"}`, 422, fault("body.password", "minLength")),
		create("a field is missing", `{"name":"Ada","password":"secret1"}`, 422, fault("body.email", "required")),
		create("all of them", `{}`, 422, fault("body.email", "required", "body.name", "required", "body.password", "required")),
		create("a number for text", `{"name":123,"email":"ada@example.com","password":"secret1"}`, 422, fault("body.name", "type")),
		create("an unknown field", `{"name":"Ada","email":"ada@example.com","password":"secret1","role":"admin"}`, 422, fault("body.role", "additionalProperties")),
		create("a list", `[]`, 422, fault("body", "type")),
		create("another content type", `name=Ada`, 415, "", "Content-Type: application/x-www-form-urlencoded"),
		create("no body", "", 400, "", "Content-Type: application/json"),
		create("too large", `{"name":"`+strings.Repeat("a", 70_000)+`"}`, 413, ""),
		create("not JSON", `{"name":`, 400, ""),
		{name: "an optional body", method: "POST", target: "/notes", body: `{"text":"a"}`, want: 200},
		{name: "an optional body left out", method: "PUT", target: "/notes", want: 200},
		{name: "and announced as nothing", method: "POST", target: "/notes", headers: []string{"Content-Type: application/json"}, want: 200},
		{name: "an optional body with a fault", method: "POST", target: "/notes", body: `{"text":"abcdef"}`, want: 422, errors: fault("body.text", "maxLength")},
		{name: "an optional body of another type", method: "POST", target: "/notes", body: `{"text":"abcdef"}`, headers: []string{"Content-Type: text/plain"}, want: 415},
		search("/search/orders?page=2&q=pen", 200, ""),
		search("/search/orders", 200, ""),
		search("/search/orders?page=0", 422, fault("query.page", "minimum")),
		search("/search/orders?page=two", 422, fault("query.page", "type")),
		search("/search/orders?page=1&page=2", 422, fault("query.page", "type")),
		search("/search/orders?since=yesterday", 422, fault("query.since", "format")),
		search("/search/orders?since=2026-01-02T03:04:05Z", 200, ""),
		search("/search/orders?debug=1", 422, fault("query.debug", "additionalProperties")),
		search("/search/orders?q="+strings.Repeat("x", 21), 422, fault("query.q", "maxLength")),
		search("/search/secrets", 422, fault("params.kind", "enum")),
	}
}

func xssRows() []row {
	comment := func(field, text string, want int) row {
		body, _ := json.Marshal(map[string]string{field: text})
		r := row{name: field + " " + text, method: "POST", target: "/comments", body: string(body), want: want}
		if want == 400 {
			r.errors = fmt.Sprintf(`[{"field":"body.%s","rule":"xss"}]`, field)
		}
		return r
	}
	var rows []row
	for _, text := range []string{
		`<script>alert(1)</script>`, `<ScRiPt src=//evil.test>`, `<img src=x onerror=alert(1)>`, `<svg/onload=alert(1)>`, `<iframe src="javascript:alert(1)">`,
		`<a href="java	script:alert(1)">x</a>`, `javascript:alert(1)`, `<body onpageshow=alert(1)>`, `<base href="//evil.test/">`, `<style>@import '//evil.test'</style>`,
	} {
		rows = append(rows, comment("text", text, 400), comment("html", text, 200), comment("note", text, 200))
	}
	for _, text := range []string{
		`1 < 2 && 3 > 2`, `Tom & Jerry`, `"quoted" and 'single'`, `if (a < b) { return "<"; }`, `x <- c(1, 2)`, `List<String> names = new ArrayList<>();`,
		`the <b>bold</b> one`, `<p>fine</p>`, `How do I use JavaScript: a guide`, `on click = good`, `SELECT * FROM t WHERE a<>b`, `日本語 <3`,
	} {
		rows = append(rows, comment("text", text, 200))
	}
	rows = append(rows, row{name: "in the query", target: "/public?q=%3Cscript%3E", want: 400, errors: `[{"field":"query.q.0","rule":"xss"}]`})
	return rows
}

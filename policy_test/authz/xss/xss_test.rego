package authz.xss_test

import data.authz.xss
import data.kit

test_script[text] if {
	some text in scripts
	xss.script(text)
}

# Where the quick look sees nothing, nobody looks again.
test_no_script_is_harmless[text] if {
	some text in scripts
	kit.same([xss.harmless(document) | some document in [text, [text], {"a": text}, {"a": [{"b": text}]}]], [])
}

# Wherever browsers skip blanks, and however JSON writes these.
test_no_blank_hides_a_scheme[text] if {
	some scheme in ["javascript", "JAVASCRIPT", "vbscript", "data"]
	some blank in ["", " ", "\t", "\n", "\r", "\f", " \n\t ", "\r\n"]
	some text in [
		concat("", [scheme, blank, ":", blank, "text/html(1)"]),
		concat("", ["\u0001\u001f", scheme, blank, ":", blank, "text/html(1)"]),
		concat("", [concat(blank, split(scheme, "")), blank, ":", blank, "text/html(1)"]),
	]
	some document in [{"a": text}, {"a": {"b": [text]}}]
	not xss.harmless(document)
}

test_harmless[note] if {
	some note, document in {
		"nothing": {"body": null, "query": {}},
		"names and numbers": {"body": {"name": "Alice", "items": [{"data": 1, "href": true, "t": {"a": "A-1"}}]}},
		"times and addresses": {"body": {"at": "2026-11-24T22:30:00Z", "site": "https://example.com/a?b"}},
		"a quote before a colon": {"body": "\":", "query": {"\"": ["\"\":"]}},
	}
	xss.harmless(document)
}

scripts := [
	"<script>alert(1)</script>",
	"<ScRiPt src=//evil.example></sCrIpT>",
	"< script >",
	"<script",
	"hello </script><b>",
	"<script/x>",
	"%3Cscript%3Ealert(1)",
	"<img src=x onerror=alert(1)>",
	"<img/src=x/onerror=alert(1)>",
	"<svg onload=alert(1)>",
	"<svg\nonload = \"alert(1)\">",
	"<body onpageshow='x'>",
	"<a href=\"javascript:alert(1)\">x</a>",
	"<a href='JaVaScRiPt:alert(1)'>",
	"<a href=java\tscript:alert(1)>",
	"<a href=\"&#106;avascript:alert(1)\">",
	"<a href=\"javascript&colon;alert(1)\">",
	"<form action=javascript:alert(1)>",
	"<iframe src=//evil.example>",
	"<iframe srcdoc='x'>",
	"<object data=x.swf>",
	"<embed src=x>",
	"<base href=//evil.example>",
	"<link rel=stylesheet href=//evil.example>",
	"<meta http-equiv=refresh content='0;url=//evil.example'>",
	"<style>@import '//evil.example'</style>",
	"<div style=\"width:expression(alert(1))\">",
	"<animate attributeName=href values=x>",
	"<a href='data:text/html;base64,PHNjcmlwdD4='>",
	"javascript:alert(1)",
	" \tjavascript:alert`1`",
	"vbscript:msgbox(1)",
	"data:text/html,<b>x",
]

test_benign[text] if {
	some text in [
		"",
		"a < b && c > d",
		"if (a<b) { return \"x\" & 'y'; }",
		"for (int i = 0; i < n; i++) std::vector<int> v;",
		"List<Object> list = new ArrayList<>();",
		"Map<String, Script> scripts",
		"Tom & Jerry's \"best\" <3",
		"JavaScript: The Good Parts (2008)",
		"I prefer JavaScript over VBScript.",
		"the description of a manuscript: long",
		"<b>bold</b> and <i>italic</i>",
		"<p>a paragraph</p><br/>",
		"<a href=\"https://example.com/?a=1&b=2\">link</a>",
		"x <- y; on = true",
		"SELECT * FROM t WHERE a <> 'b'",
		"https://example.com/?onload=1",
		"1 < 2 on monday = good",
		"&lt;script&gt;alert(1)&lt;/script&gt;",
		"data: text and more",
		"console.log(\"hi\")",
	]
	not xss.script(text)
}

table := {
	"xss": {"fields": {"body.note": "flag"}},
	"routes": {
		"comments": {"methods": ["GET", "POST"], "path": "/comments", "public": true},
		"code": {"methods": ["POST"], "path": "/code", "public": true, "xss": {"mode": "off", "fields": {}}},
		"lessons": {"methods": ["POST"], "path": "/lessons", "public": true, "xss": {"fields": {"body.pages.code": "off"}}},
	},
}

bad := "<script>alert(1)</script>"

test_pass[note] if {
	some note, req in {
		"nothing to look at": kit.request("GET", "/comments"),
		"benign": kit.body(kit.request("POST", "/comments?q=a<b"), {"text": "a < b", "n": 1, "list": [true, null, "x"]}),
		"a route without the rule": kit.body(kit.request("POST", "/lessons"), {"pages": [{"code": bad}, {"code": bad}]}),
		"a field that is only told": kit.body(kit.request("POST", "/comments"), {"note": bad}),
	}
	xss.pass with data.authz.config as table with input as req
}

test_a_route_without_the_rule if {
	req := kit.body(kit.request("POST", "/code"), {"text": bad})
	xss.pass with data.authz.config as {"routes": table.routes} with input as req
}

test_refused[note] if {
	some note, [req, want] in {
		"the body": [kit.body(kit.request("POST", "/comments"), {"text": bad}), ["body.text"]],
		"deep": [kit.body(kit.request("POST", "/comments"), {"a": [{"b": "x"}, {"b": bad}]}), ["body.a.1.b"]],
		"the body itself": [kit.body(kit.request("POST", "/comments"), bad), ["body"]],
		"a form": [kit.form(kit.request("POST", "/comments"), {"text": ["x", bad]}), ["body.text.1"]],
		"the query": [kit.request("GET", "/comments?q=%3Cscript%3E"), ["query.q.0"]],
		"another field than the one told": [kit.body(kit.request("POST", "/comments"), {"note": bad, "text": bad}), ["body.text"]],
	}
	refusal := xss.refusal with data.authz.config as table with input as req
	kit.same(
		object.union(refusal, {"body": json.unmarshal(refusal.body).errors}),
		{
			"status": 400,
			"reason": {"xss"},
			"headers": {"content-type": "application/problem+json"},
			"body": [{"field": field, "rule": "xss"} | some field in want],
		},
	)
}

test_a_body_cut_short if {
	cut := object.union(kit.request("POST", "/comments"), {"truncated_body": true})
	kit.same(xss.refusal, {"status": 413, "reason": {"body_truncated"}, "headers": {}}) with data.authz.config as table with input as cut
	not xss.pass with data.authz.config as table with input as cut
	xss.pass with data.authz.config as {"routes": table.routes}
		with input as object.union(kit.request("POST", "/code"), {"truncated_body": true})
}

test_flagged if {
	kit.same(xss.flagged, {"body.note"}) with data.authz.config as table
		with input as kit.body(kit.request("POST", "/comments"), {"note": bad, "text": "x"})
	kit.same(xss.flagged, set()) with data.authz.config as table with input as kit.request("GET", "/comments")
}

test_nothing_known if kit.same(xss.refused, set()) with input as {}

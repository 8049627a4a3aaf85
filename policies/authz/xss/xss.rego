# METADATA
# title: Cross-site scripting
# description: |
#   Text that carries script into a page: elements that run or load it, event handlers,
#   script URLs. It is a net below the app's own escaping and the CSP, not instead of
#   them. A mode for all and for single fields (`body.comment`, `query.q`) says whether
#   such text refuses the request (`refuse`), is only told (`flag`: reason and metadata)
#   or passes (`off`). Mere "<", "&", quotes and most code samples are no script.
package authz.xss

import data.authz.errors
import data.authz.route

# METADATA
# description: No field that must not carries script.
pass if {
	not _cut
	_nothing
} else if {
	not _cut
	count(refused) == 0
}

# METADATA
# description: 400, with the fields; never the text. A body that was cut short cannot be looked at.
refusal := {"status": 413, "reason": {"body_truncated"}, "headers": {}} if _cut

else := {
	"status": 400,
	"reason": {"xss"},
	"headers": {"content-type": "application/problem+json"},
	"body": errors.problem(400, "Invalid input", {"errors": [{"field": field, "rule": "xss"} | some field in refused]}),
} if {
	not pass
}

# METADATA
# description: The fields with script for which the request is refused.
refused contains field if {
	some field in _found
	object.get(route.row.xss.fields, _plain(field), route.row.xss.mode) == "refuse"
}

# METADATA
# description: The fields with script that the app should know of.
flagged contains field if {
	not _nothing
	some field in _found
	object.get(route.row.xss.fields, _plain(field), route.row.xss.mode) == "flag"
}

# METADATA
# description: A row's modes, and whether any of them is to flag or to do anything at all.
compiled(modes) := object.union(modes, {"flags": "flag" in used, "on": count(used - {"off"}) > 0}) if {
	used := {modes.mode} | {mode | some mode in modes.fields}
}

_cut if {
	input.truncated_body == true
	not route.row.xss.on == false
}

# A request without a body and a query, which most are, or a route without the rule.
_nothing if {
	is_null(input.parsed_body)
	count(input.parsed_query) == 0
}

_nothing if route.row.xss.on == false

# One look at all text is much cheaper than one at each. Without an answer each is looked at.
_nothing if harmless(_documents)

_documents := {"body": object.get(input, "parsed_body", null), "query": object.get(input, "parsed_query", null)}

_found contains concat(".", [sprintf("%v", [step]) | some step in array.concat([place], path)]) if {
	some place, document in _documents
	walk(document, [path, text])
	is_string(text)
	script(text)
}

# Fields are configured without the indices of arrays.
_plain(field) := concat(".", [step | some step in split(field, "."); not regex.match(`^[0-9]+$`, step)])

# METADATA
# description: Whether text carries script.
script(text) if {
	regex.match(`[<%:=]`, text) # each pattern has one of these, and most text has none
	regex.match(_pattern, text)
}

# METADATA
# description: |
#   No text in a document carries script, as far as one can see without looking at each:
#   there is nothing that every pattern needs, "<", "=", "%3c" or the colon of a scheme.
#   The colon after a name in JSON follows a quote, and that of a scheme a letter or a blank.
harmless(document) if {
	text := sprintf("%v", [document])
	contains(text, "<") == false
	contains(text, "=") == false
	contains(text, "%3") == false
	_no_scheme(replace(text, `":`, ""))
}

_no_scheme(text) if contains(text, ":") == false

else if {
	regex.match(`[AaTt](\s|\\[tnrf])*:`, text) == false
}

_pattern := concat("", ["(?is)", concat("|", _patterns)])

_patterns := [
	`<\s*/?\s*script(\s|/|>|$)`,
	`%3c\s*(%2f)?\s*script`,
	# An event handler in a tag.
	`<[a-z!/?][^>]*[\s/"'\x60]on[a-z]{3,}\s*=`,
	# Elements that load what they name.
	`<\s*(iframe|frame|embed|object|applet|portal)\s[^>]*(src|srcdoc|data|code|classid)\s*=`,
	`<\s*(base|link)\s[^>]*href\s*=`,
	`<\s*meta\s[^>]*http-equiv\s*=`,
	`<\s*style(\s|/|>)`,
	`<[a-z][^>]*\sstyle\s*=[^>]*(expression\s*\(|javascript\s*:|-moz-binding|behavior\s*:)`,
	`<\s*(animate|set|animatetransform)\s[^>]*attributename\s*=`,
	# Script URLs, in an attribute or as the whole value; browsers skip blanks inside.
	`(href|src|action|formaction|data|poster|background|to|values)\s*=\s*["'\x60]?\s*(j\s*a\s*v\s*a|v\s*b|l\s*i\s*v\s*e)\s*s\s*c\s*r\s*i\s*p\s*t\s*:`,
	`(href|src|action|formaction|data)\s*=\s*["'\x60]?\s*data\s*:\s*(text/html|image/svg|application/xhtml)`,
	# An entity before the scheme ends hides what the scheme is.
	`(href|src|action|formaction|data)\s*=\s*["'\x60]?[^"'\x60:/?#>]*&(#|tab;|newline;|colon;)`,
	`^[\x00-\x20]*(j\s*a\s*v\s*a|v\s*b)\s*s\s*c\s*r\s*i\s*p\s*t\s*:\s*[^\s(\x60=]*[(\x60=]`,
	`^[\x00-\x20]*data\s*:\s*(text/html|image/svg|application/xhtml)`,
]

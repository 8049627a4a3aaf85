package openapi

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// parameter is one parameter of an operation, its references followed.
type parameter struct {
	place
	in, name string
	schema   place // of the value; nil in a parameter that has `content`
	style    string
	explode  bool
	required bool
}

// parameters are the operation's own and those of its path that it does not
// replace, by place and name.
func (t *translation) parameters(op operation) []parameter {
	var out []parameter
	for _, list := range []place{op.item.at("parameters"), op.at("parameters")} {
		for _, item := range list.items() {
			p, err := t.deref(item)
			if err != nil {
				t.report.lose("reference", Wider, item, "%v", err)
				continue
			}
			next := newParameter(p)
			same := func(o parameter) bool { return o.in == next.in && o.name == next.name }
			if i := slices.IndexFunc(out, same); i >= 0 {
				out[i] = next
			} else {
				out = append(out, next)
			}
		}
	}
	return out
}

func newParameter(p place) parameter {
	out := parameter{
		place: p, in: p.at("in").text(), name: p.at("name").text(), schema: p.at("schema"),
		style: p.at("style").text(), required: p.at("required").flag(),
	}
	if out.style == "" {
		out.style = map[string]string{"path": "simple", "header": "simple"}[out.in]
		if out.style == "" {
			out.style = "form"
		}
	}
	out.explode = out.style == "form"
	if p.has("explode") {
		out.explode = p.at("explode").flag()
	}
	if out.in == "header" {
		out.name = strings.ToLower(out.name) // RFC 9110, 5.1
	}
	return out
}

// ignoredHeaders are no parameters, the specification says: a document describes
// them elsewhere.
var ignoredHeaders = []string{"accept", "content-type", "authorization"}

// schemas makes one object schema of all parameters that are in one part of the
// request. Query parameters that the document does not name are refused, headers
// are not: clients and proxies add many.
func (t *translation) schemas(parameters []parameter, route *Route) {
	params, query, headers := newFields(), newFields(), newFields()
	for _, p := range parameters {
		t.report.Parameters.Found++
		carried := false
		switch p.in {
		case "path":
			carried = t.simple(p, pathName(p.name), params)
		case "header":
			if slices.Contains(ignoredHeaders, p.name) {
				t.report.lose("header_ignored", Neither, p.place, "OpenAPI has no header parameter %s; say it with the media types or the security", p.name)
				continue
			}
			carried = t.simple(p, p.name, headers)
		case "query":
			carried = t.query(p, query)
		default:
			t.report.lose("parameter_place", Wider, p.place, "%s: parameters in a %s are not checked", p.name, p.in)
		}
		if carried {
			t.report.Parameters.Carried++
		}
	}
	route.Params, route.Headers = params.schema(false), headers.schema(false)
	route.Query = query.schema(true)
}

// fields grows into the schema of an object.
type fields struct {
	properties map[string]any
	patterns   map[string]any
	required   []any
	open       bool
}

func newFields() *fields { return &fields{properties: map[string]any{}, patterns: map[string]any{}} }

func (f *fields) add(name string, schema any, required bool) {
	f.properties[name] = schema
	if required {
		f.required = append(f.required, name)
	}
}

// schema is nil for no fields, unless it says that there must be none.
func (f *fields) schema(closed bool) map[string]any {
	if len(f.properties)+len(f.patterns) == 0 && !closed {
		return nil
	}
	out := map[string]any{"type": "object", "properties": f.properties}
	if len(f.patterns) > 0 {
		out["patternProperties"] = f.patterns
	}
	if len(f.required) > 0 {
		out["required"] = f.required
	}
	if closed && !f.open {
		out["additionalProperties"] = false
	}
	return out
}

// simple carries over a parameter whose value is one text.
func (t *translation) simple(p parameter, name string, into *fields) bool {
	schema, ok := t.value(p)
	if !ok {
		into.add(name, map[string]any{}, p.required)
		return false
	}
	into.add(name, schema, p.required)
	return true
}

// value is the schema of a parameter that is one text on the wire. Lists and
// objects are several values in one text there, which no rule takes apart.
func (t *translation) value(p parameter) (any, bool) {
	if !p.has("schema") {
		if p.has("content") {
			t.report.lose("parameter_content", Wider, p.at("content"), "%s: a document within a parameter is not checked", p.name)
		}
		return nil, false
	}
	if p.in == "path" && p.style != "simple" {
		t.report.lose("parameter_style", Wider, p.place, "%s: the value is not checked: style %s", p.name, p.style)
		return nil, false
	}
	schema, ok := t.parameterSchema(p)
	if !ok {
		return nil, false
	}
	if kind := composite(schema); kind != "" {
		t.report.lose("parameter_style", Wider, p.place, "%s: the value is not checked: %s in one text", p.name, kind)
		return nil, false
	}
	return t.asText(p.place, p.name, schema), true
}

// parameterSchema stands within the schema of all parameters, so it can have no
// definitions of its own.
func (t *translation) parameterSchema(p parameter) (any, bool) {
	schema, ok := t.schema(p.schema)
	if object, _ := schema.(map[string]any); object["definitions"] != nil {
		t.report.lose("parameter_style", Wider, p.place, "%s: the value is not checked: its schema leads back to itself", p.name)
		return nil, false
	}
	return schema, ok
}

// query carries over a query parameter. Repeated names are a list; the properties
// of an object are parameters of their own, as its style has them: by their own
// names (form) or as name[property] (deepObject).
func (t *translation) query(p parameter, into *fields) bool {
	if p.at("allowEmptyValue").flag() {
		t.report.lose("allow_empty", Narrower, p.at("allowEmptyValue"), "%s: an empty value is checked like any other", p.name)
	}
	if !p.has("schema") {
		_, _ = t.value(p)
		into.add(p.name, map[string]any{}, p.required)
		return false
	}
	schema, ok := t.parameterSchema(p)
	if !ok {
		into.add(p.name, map[string]any{}, p.required)
		return false
	}
	switch kind := composite(schema); {
	case kind == "", kind == "a list" && p.style == "form" && p.explode && nested(schema.(map[string]any)) == "":
		into.add(p.name, t.asText(p.place, p.name, schema), p.required)
		return true
	case kind == "an object" && p.style == "deepObject":
		return t.spread(p, p.name+"[", "]", schema.(map[string]any), into)
	case kind == "an object" && p.style == "form" && p.explode:
		return t.spread(p, "", "", schema.(map[string]any), into)
	default:
		t.report.lose("parameter_style", Wider, p.place, "%s: the value is not checked: %s in style %s", p.name, kind, p.style)
		if p.style == "deepObject" { // its name never appears alone
			into.patterns["^"+regexp.QuoteMeta(p.name)+`\[`] = map[string]any{}
		} else {
			into.add(p.name, map[string]any{}, p.required)
		}
		return false
	}
}

// spread adds the properties of an object schema as fields of their own. What an
// object schema says beyond its properties has no place there.
func (t *translation) spread(p parameter, before, after string, schema map[string]any, into *fields) bool {
	properties, _ := schema["properties"].(map[string]any)
	required := texts(schema["required"])
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		property := properties[name]
		if kind := composite(property); kind != "" && (kind != "a list" || before != "" || nested(property.(map[string]any)) != "") {
			t.report.lose("parameter_style", Wider, p.place, "%s: %s is not checked: %s within an object", p.name, name, kind)
			property = map[string]any{}
		}
		into.add(before+name+after, t.asText(p.place, p.name+": "+name, property), p.required && slices.Contains(required, name))
	}
	if more, given := schema["additionalProperties"]; more != false && (given || len(properties) == 0) {
		if before == "" {
			into.open = true
			t.report.lose("parameter_open", Wider, p.place, "%s takes any name: unknown query parameters are not refused", p.name)
		} else {
			into.patterns["^"+regexp.QuoteMeta(before)+".*"+regexp.QuoteMeta(after)+"$"] = t.member(p, more)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(schema)) {
		if !slices.Contains([]string{"type", "properties", "required", "additionalProperties"}, name) {
			t.report.lose("parameter_object", Wider, p.place, "%s: %s of an object is not checked", p.name, name)
		}
	}
	return true
}

// member is the schema of a member whose name is not known. Only texts can be
// told: a rule turns text into another type by the name it finds it under.
func (t *translation) member(p parameter, schema any) any {
	object, ok := schema.(map[string]any)
	if kinds := scalars(schema); ok && len(kinds) == 1 && kinds[0] == "string" {
		return object
	}
	if ok && len(object) > 0 {
		t.report.lose("parameter_members", Wider, p.place, "%s: members of any name are checked for texts only", p.name)
	}
	return map[string]any{}
}

// asText makes a schema fit what is text on the wire: it has one type, which the
// library turns the text into, and null, which no text is, is not among them.
func (t *translation) asText(at place, name string, schema any) any {
	object, ok := schema.(map[string]any)
	if !ok {
		return schema
	}
	kinds := slices.DeleteFunc(scalars(schema), func(kind string) bool { return kind == "null" })
	switch {
	case composite(schema) == "a list" && slices.Contains(typeNames(object["type"]), "array"):
		object["type"] = "array"
		if items, ok := object["items"]; ok {
			object["items"] = t.asText(at, name, items)
		}
	case len(kinds) == 1:
		object["type"] = kinds[0]
	case slices.ContainsFunc(kinds, func(kind string) bool { return kind != "string" }):
		t.report.lose("parameter_type", Narrower, at, "%s: more than one type: the value is checked as text", name)
	}
	return object
}

// scalars lists the types that a translated schema allows, as far as it says.
func scalars(schema any) []string {
	object, _ := schema.(map[string]any)
	if kinds := typeNames(object["type"]); len(kinds) > 0 {
		return slices.Clone(kinds)
	}
	var out []string
	for _, name := range inPlaceLists {
		list, _ := object[name].([]any)
		for _, next := range list {
			for _, kind := range scalars(next) {
				if !slices.Contains(out, kind) {
					out = append(out, kind)
				}
			}
		}
	}
	return out
}

// composite says whether values of a translated schema are no single text.
func composite(schema any) string {
	object, _ := schema.(map[string]any)
	names := typeNames(object["type"])
	switch {
	case object["$ref"] != nil: // what leads back to itself is no text
		return "an object"
	case slices.Contains(names, "object") || len(names) == 0 && object["properties"] != nil:
		return "an object"
	case slices.Contains(names, "array"):
		return "a list"
	}
	for _, name := range inPlaceLists {
		list, _ := object[name].([]any)
		for _, part := range list {
			if kind := composite(part); kind != "" {
				return kind
			}
		}
	}
	return ""
}

package openapi

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// The bodies that the sidecar reads (docs/contract.md, parsed_body). A rule sees
// others as null.
const (
	jsonBody      = "application/json"
	formBody      = "application/x-www-form-urlencoded"
	multipartBody = "multipart/form-data"
)

var readBodies = []string{jsonBody, formBody, multipartBody}

// body translates what a request carries: nil where the document has no body.
func (t *translation) body(op operation) *Body {
	given := op.at("requestBody")
	if given.value == nil {
		return nil
	}
	t.report.Bodies.Found++
	request, err := t.deref(given)
	if err != nil {
		t.report.lose("reference", Wider, given, "%v", err)
		return nil
	}
	out := &Body{Required: request.at("required").flag()}
	var first place
	content := request.at("content")
	for _, media := range mediaTypes(content.object()) {
		name := mediaName(media)
		if !slices.Contains(readBodies, name) {
			continue
		}
		at := content.at(media)
		schema, ok := any(map[string]any{}), true // any body, but one that can be read
		if at.has("schema") {
			if schema, ok = t.mediaSchema(at, name); !ok {
				schema = map[string]any{}
			}
		}
		if first.file != nil && !reflect.DeepEqual(schema, out.Schema) {
			t.report.lose("media_schema", Narrower, at, "%s: a route has one schema, that of %s; bodies of this type are refused", op.name(), first)
			continue
		}
		if first.file == nil {
			first, out.Schema = at, schema
			if ok {
				t.report.Bodies.Carried++
			}
		}
		out.ContentTypes = append(out.ContentTypes, name)
	}
	for _, media := range slices.Sorted(maps.Keys(content.object())) {
		switch {
		case slices.Contains(readBodies, mediaName(media)):
		case out.Schema == nil:
			t.report.lose("media_type", Wider, content.at(media), "%s: the sidecar does not read bodies of type %s: they pass unchecked", op.name(), media)
		default:
			t.report.lose("media_type", Narrower, content.at(media), "%s: the sidecar does not read bodies of type %s: they are refused", op.name(), media)
		}
	}
	return out
}

// mediaTypes are the keys of `content`: JSON first, since a route has one schema.
func mediaTypes(content map[string]any) []string {
	rank := func(media string) int {
		if i := slices.Index(readBodies, mediaName(media)); i >= 0 {
			return i
		}
		return len(readBodies)
	}
	keys := slices.Sorted(maps.Keys(content))
	slices.SortStableFunc(keys, func(a, b string) int { return rank(a) - rank(b) })
	return keys
}

func mediaName(media string) string {
	name, _, _ := strings.Cut(media, ";")
	return strings.ToLower(strings.TrimSpace(name))
}

// mediaSchema is the schema of a body as the sidecar reads it. A form is an object
// of texts: its lists are repeated names, its objects are spread over names like
// address[city] where `encoding` says deepObject. In a multipart form they are
// JSON.
func (t *translation) mediaSchema(media place, name string) (any, bool) {
	schema, ok := t.schema(media.at("schema"))
	object, _ := schema.(map[string]any)
	properties, _ := object["properties"].(map[string]any)
	if !ok || name == jsonBody || len(properties) == 0 {
		return schema, ok
	}
	out := newFields()
	required := texts(object["required"])
	for _, property := range slices.Sorted(maps.Keys(properties)) {
		encoding := media.at("encoding").at(property)
		deep := encoding.at("style").text() == "deepObject"
		needed := slices.Contains(required, property)
		field, _ := properties[property].(map[string]any)
		kind := composite(field)
		readable := kind == "" || kind == "a list" && !deep && encoding.at("explode").value != false
		if name == formBody {
			readable = readable && nested(field) == ""
		} else if media := encoding.at("contentType").text(); kind == "an object" || nested(field) != "" {
			readable = media == "" || mediaName(media) == jsonBody
		}
		switch {
		case kind == "an object" && name == formBody && deep && field["$ref"] == nil:
			t.spread(parameter{place: media, name: property, required: needed}, property+"[", "]", field, out)
		case readable && name == formBody:
			out.add(property, t.asText(media, property, field), needed)
		case readable:
			out.add(property, properties[property], needed)
		case deep:
			t.report.lose("form_encoding", Wider, media, "%s: the value is not checked: %s in a form", property, kind)
			out.patterns["^"+regexp.QuoteMeta(property)+`\[`] = map[string]any{}
		default:
			t.report.lose("form_encoding", Wider, media, "%s: the value is not checked: %s in a form", property, kind)
			out.add(property, map[string]any{}, needed)
		}
	}
	written := out.schema(false)
	for key, value := range object {
		if _, taken := written[key]; !taken && key != "required" {
			written[key] = value
		}
	}
	return written, true
}

// nested is what the items of a list are, where they are no texts.
func nested(schema map[string]any) string {
	if items, ok := schema["items"]; ok && composite(schema) == "a list" {
		return composite(items)
	}
	return ""
}

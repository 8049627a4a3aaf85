package openapi

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// What becomes of each keyword.
var (
	// dialects whose schemas are those of OpenAPI 3.1.
	dialects = []string{"https://spec.openapis.org/oas/3.1/dialect/base", "https://json-schema.org/draft/2020-12/schema"}
	// annotations say nothing of what a value may be.
	annotations = []string{
		"title", "description", "default", "example", "examples", "deprecated", "externalDocs", "xml", "$comment",
		"readOnly", "writeOnly", "summary", "$schema", "$id", "$anchor", "$dynamicAnchor", "$defs", "definitions", "$vocabulary",
	}
	// copied as they are.
	copied = []string{
		"maximum", "minimum", "multipleOf", "maxLength", "minLength", "maxItems", "minItems", "uniqueItems",
		"maxProperties", "minProperties", "enum", "const",
	}
	// handled below.
	handled = []string{
		"type", "required", "nullable", "format", "pattern", "exclusiveMaximum", "exclusiveMinimum", "properties", "patternProperties",
		"additionalProperties", "unevaluatedProperties", "propertyNames", "items", "prefixItems", "contains",
		"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "discriminator",
	}
)

func (c *conversion) lose(code string, at place, format string, args ...any) {
	effect := Wider
	if c.negated { // to check less within a `not` is to refuse more
		effect = Narrower
	}
	c.report.lose(code, effect, at, format, args...)
}

// keywords translates a schema object without its $ref.
func (c *conversion) keywords(p place) (part, error) {
	out := map[string]any{}
	result := part{schema: out}
	given := p.object()
	for _, name := range slices.Sorted(maps.Keys(given)) {
		switch {
		case name == "required":
			required := texts(given[name])
			slices.Sort(required)
			out[name] = anys(required)
		case name == "minContains" && (given[name] == json.Number("0") || given[name] == json.Number("1")):
			// 1 is what `contains` says alone; with 0 it says nothing.
		case slices.Contains(copied, name):
			out[name] = given[name]
		case name != "$ref" && !slices.Contains(handled, name) && !slices.Contains(annotations, name) && !strings.HasPrefix(name, "x-"):
			c.lose("keyword", p.at(name), "%s is not checked", name)
		}
	}
	c.scalar(p, out)
	for _, step := range []func(place, map[string]any, *part) error{c.properties, c.names31, c.list, c.together} {
		if err := step(p, out, &result); err != nil {
			return part{}, err
		}
	}
	if _, beside := given["$ref"]; !beside {
		merge(out)
		c.unevaluated(p, out)
	}
	return result, nil
}

// unevaluated closes an object where the document itself says so.
func (c *conversion) unevaluated(p place, out map[string]any) {
	if c.is31 && p.object()["unevaluatedProperties"] == false {
		if g := gather(out); !g.open {
			closeTo(out, g)
		}
	}
}

// scalar translates what is said of numbers and texts.
func (c *conversion) scalar(p place, out map[string]any) {
	kinds := types(p)
	if p.at("nullable").flag() {
		switch {
		case c.is31:
			c.report.lose("nullable", Narrower, p.at("nullable"), "nullable is no keyword since OpenAPI 3.1: null is refused")
		case len(kinds) == 0:
			c.report.lose("nullable", Neither, p.at("nullable"), "nullable without a type says nothing (OpenAPI 3.0.3)")
		default:
			kinds = append(kinds, "null")
		}
	}
	switch len(kinds) {
	case 0:
	case 1:
		out["type"] = kinds[0]
	default:
		list := make([]any, len(kinds))
		for i, kind := range kinds {
			list[i] = kind
		}
		out["type"] = list
	}
	for exclusive, plain := range map[string]string{"exclusiveMaximum": "maximum", "exclusiveMinimum": "minimum"} {
		switch v := p.object()[exclusive].(type) {
		case json.Number:
			out[exclusive] = v
		case bool: // OpenAPI 3.0 has draft 4's
			if bound, ok := out[plain]; ok && v {
				out[exclusive] = bound
				delete(out, plain)
			}
		}
	}
	if text, ok := p.object()["pattern"].(string); ok {
		if pattern, ok := translatePattern(text); ok {
			out["pattern"] = pattern
			if example, ok := example(p); ok {
				out["examples"] = []any{example}
			}
		} else {
			c.lose("pattern", p.at("pattern"), "a pattern that Go's RE2 does not have is not checked")
		}
	}
	c.format(p, out)
}

// example is a text that a pattern takes, as the document says: whoever makes a
// sample request up (authz matrix) cannot make up that.
func example(p place) (string, bool) {
	text, ok := p.object()["example"].(string)
	if list := texts(p.object()["examples"]); !ok && len(list) > 0 {
		text, ok = list[0], true
	}
	return text, ok
}

var unicodeEscape = regexp.MustCompile(`\\u([0-9A-Fa-f]{4})`)

// translatePattern writes an ECMA 262 pattern, which the specifications ask for, as
// RE2, if it can.
func translatePattern(text string) (string, bool) {
	text = unicodeEscape.ReplaceAllString(text, `\x{$1}`)
	_, err := regexp.Compile(text)
	return text, err == nil
}

// properties translates what is said of an object's members.
func (c *conversion) properties(p place, out map[string]any, result *part) error {
	given := p.at("properties")
	for _, name := range slices.Sorted(maps.Keys(given.object())) {
		if c.readOnly(given.at(name)) {
			result.readOnly = append(result.readOnly, name)
			continue
		}
		schema, err := c.below(given.at(name))
		if err != nil {
			return err
		}
		child(out, "properties")[name] = schema
	}
	given = p.at("patternProperties")
	for _, name := range slices.Sorted(maps.Keys(given.object())) {
		pattern, ok := translatePattern(name)
		if !ok {
			c.lose("pattern", given.at(name), "a pattern that Go's RE2 does not have: its properties are unknown ones")
			continue
		}
		schema, err := c.below(given.at(name))
		if err != nil {
			return err
		}
		child(out, "patternProperties")[pattern] = schema
	}
	return c.more(p, out)
}

// more translates additionalProperties and its like of 3.1.
func (c *conversion) more(p place, out map[string]any) error {
	if p.has("additionalProperties") {
		schema, err := c.below(p.at("additionalProperties"))
		if err != nil {
			return err
		}
		out["additionalProperties"] = schema
		return nil
	}
	if rest, given := p.object()["unevaluatedProperties"]; given && rest != false && c.is31 {
		out["additionalProperties"] = true
		if object, ok := rest.(map[string]any); ok && len(object) > 0 {
			c.lose("unevaluated", p.at("unevaluatedProperties"), "what a name may hold that no other schema knows is not checked")
		}
	}
	return nil
}

// readOnly follows references: the flag is the property's or that of its schema.
func (c *conversion) readOnly(p place) bool {
	for range maxDepth {
		ref, isRef := p.object()["$ref"].(string)
		if (!isRef || c.is31) && p.at("readOnly").flag() {
			return true
		}
		if !isRef {
			return false
		}
		next, err := c.follow(p.file, ref)
		if err != nil {
			return false
		}
		p = next
	}
	return false
}

// names31 translates OpenAPI 3.1's keywords on names into draft 7's.
func (c *conversion) names31(p place, out map[string]any, _ *part) error {
	if p.has("propertyNames") {
		schema, err := c.below(p.at("propertyNames"))
		if err != nil {
			return err
		}
		out["propertyNames"] = schema
	}
	for name := range p.at("dependentSchemas").object() {
		schema, err := c.part(p.at("dependentSchemas").at(name))
		if err != nil {
			return err
		}
		child(out, "dependencies")[name] = schema.schema
	}
	for name, list := range p.at("dependentRequired").object() {
		if schema, both := child(out, "dependencies")[name]; both {
			list = map[string]any{"allOf": []any{schema, map[string]any{"required": list}}}
		}
		child(out, "dependencies")[name] = list
	}
	return nil
}

// list translates what is said of an array's items.
func (c *conversion) list(p place, out map[string]any, _ *part) error {
	items := "items"
	if first := p.at("prefixItems").items(); len(first) > 0 {
		list := make([]any, len(first))
		for i, item := range first {
			var err error
			if list[i], err = c.below(item); err != nil {
				return err
			}
		}
		out["items"], items = list, "additionalItems"
	}
	for from, to := range map[string]string{"items": items, "contains": "contains"} {
		if from == "contains" && p.object()["minContains"] == json.Number("0") {
			continue
		}
		if p.has(from) {
			schema, err := c.below(p.at(from))
			if err != nil {
				return err
			}
			out[to] = schema
		}
	}
	return nil
}

// together translates what combines schemas of one value.
func (c *conversion) together(p place, out map[string]any, result *part) error {
	for _, name := range inPlaceLists {
		var list []any
		for _, item := range p.at(name).items() {
			next, err := c.part(item)
			if err != nil {
				return err
			}
			list = append(list, next.schema)
			result.readOnly = append(result.readOnly, next.readOnly...)
		}
		if list != nil {
			out[name] = list
		}
	}
	if p.has("discriminator") && !p.has("oneOf") && !p.has("anyOf") {
		c.report.lose("discriminator", Narrower, p.at("discriminator"), "the variants that a discriminator alone names are unknown here: write them as oneOf")
	}
	for _, name := range []string{"then", "else"} {
		if p.has(name) && p.has("if") {
			next, err := c.part(p.at(name))
			if err != nil {
				return err
			}
			out[name] = next.schema
			result.readOnly = append(result.readOnly, next.readOnly...)
		}
	}
	for _, name := range []string{"not", "if"} {
		if !p.has(name) {
			continue
		}
		tested, negated := c.tested, c.negated
		c.tested, c.negated = true, c.negated != (name == "not")
		next, err := c.part(p.at(name))
		c.tested, c.negated = tested, negated
		if err != nil {
			return err
		}
		out[name] = next.schema
	}
	return nil
}

// types lists what a schema says of a value's type.
func types(p place) []string { return typeNames(p.at("type").value) }

func typeNames(v any) []string {
	if name, ok := v.(string); ok {
		return []string{name}
	}
	return texts(v)
}

func number(v any) (float64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	f, err := n.Float64()
	return f, err == nil
}

package matrix

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// These end a schema that refers to itself.
const (
	maxNesting = 16
	maxValues  = 1000
)

// example is the least value that a JSON Schema asks for: what the schema itself
// gives as an example, else the required members with the plainest values. It is a
// sample, not a proof: a value for a pattern is beyond it, and the policy then
// refuses the request, which the matrix shows. A schema's own `examples` help.
func example(schema map[string]any) any {
	if schema == nil {
		return nil
	}
	return (&exampler{schema, maxValues}).of(schema, 0)
}

// exampler makes one value; left is how many more parts it may have.
type exampler struct {
	root map[string]any
	left int
}

func (x *exampler) of(schema map[string]any, depth int) any {
	if x.left--; depth > maxNesting || x.left < 0 {
		return nil
	}
	if value, ok := given(schema); ok {
		return value
	}
	if reference, ok := schema["$ref"].(string); ok {
		if target := x.find(reference); target != nil {
			return x.of(target, depth+1)
		}
	}
	for _, choice := range []string{"oneOf", "anyOf"} {
		if list, _ := schema[choice].([]any); len(list) > 0 {
			if first, ok := list[0].(map[string]any); ok && schema["properties"] == nil {
				return x.of(first, depth+1)
			}
		}
	}
	switch kind(schema) {
	case "object":
		return x.object(schema, depth)
	case "array":
		items, _ := schema["items"].(map[string]any)
		list := []any{}
		for range min(int(number(schema["minItems"], 0)), 100) {
			list = append(list, x.of(items, depth+1))
		}
		return list
	case "integer", "number":
		return least(schema)
	case "boolean":
		return true
	case "null":
		return nil
	}
	return text(schema)
}

// given is a value that the schema states.
func given(schema map[string]any) (any, bool) {
	for _, name := range []string{"const", "example", "default"} {
		if value, ok := schema[name]; ok {
			return value, true
		}
	}
	for _, name := range []string{"examples", "enum"} {
		if list, _ := schema[name].([]any); len(list) > 0 {
			return list[0], true
		}
	}
	return nil, false
}

// find follows a reference within the schema.
func (x *exampler) find(reference string) map[string]any {
	path, ok := strings.CutPrefix(reference, "#")
	if !ok {
		return nil
	}
	at := x.root
	for name := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if name != "" {
			at, _ = at[strings.NewReplacer("~1", "/", "~0", "~").Replace(name)].(map[string]any)
		}
	}
	return at
}

func kind(schema map[string]any) string {
	switch t := schema["type"].(type) {
	case string:
		return t
	case []any:
		for _, one := range t {
			if name, ok := one.(string); ok && name != "null" {
				return name
			}
		}
		return "null"
	}
	switch {
	case schema["properties"] != nil || schema["required"] != nil || schema["allOf"] != nil:
		return "object"
	case schema["items"] != nil:
		return "array"
	}
	return "string"
}

func (x *exampler) object(schema map[string]any, depth int) map[string]any {
	out := map[string]any{}
	parts, _ := schema["allOf"].([]any)
	for _, part := range parts {
		if inner, ok := part.(map[string]any); ok {
			members, _ := x.of(inner, depth+1).(map[string]any)
			for name, value := range members {
				out[name] = value
			}
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	required, _ := schema["required"].([]any)
	for _, item := range required {
		if name, ok := item.(string); ok {
			property, _ := properties[name].(map[string]any)
			out[name] = x.of(property, depth+1)
		}
	}
	return out
}

// least is the lowest number from 1 upwards that the bounds leave.
func least(schema map[string]any) any {
	low := max(number(schema["minimum"], math.Inf(-1)), number(schema["exclusiveMinimum"], math.Inf(-1))+1)
	if math.IsInf(low, -1) {
		low = min(1, number(schema["maximum"], 1), number(schema["exclusiveMaximum"], 2)-1)
	}
	if step := number(schema["multipleOf"], 0); step > 0 {
		low = math.Ceil(low/step) * step
	}
	return json.Number(strconv.FormatFloat(low, 'f', -1, 64))
}

func number(v any, otherwise float64) float64 {
	if n, ok := v.(json.Number); ok {
		if f, err := n.Float64(); err == nil {
			return f
		}
	}
	return otherwise
}

// text is a plain word of the right format and length.
func text(schema map[string]any) string {
	format, _ := schema["format"].(string)
	if value, ok := formats[format]; ok {
		return value
	}
	word := "sample"
	for n := int(min(number(schema["minLength"], 0), 10_000)); len(word) < n; {
		word += "sample"
	}
	longest := int(min(number(schema["maxLength"], 10_000), 10_000))
	return word[:max(0, min(len(word), longest))]
}

var formats = map[string]string{
	"email":     "ann@example.com",
	"idn-email": "ann@example.com",
	"uuid":      sample("uuid", 1, false),
	"date-time": "2026-01-05T12:00:00Z",
	"date":      "2026-01-05",
	"time":      "12:00:00Z",
	"duration":  "P1D",
	"uri":       "https://example.com/",
	"hostname":  "example.com",
	"ipv4":      "192.0.2.1",
	"ipv6":      "2001:db8::1",
}

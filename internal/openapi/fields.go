package openapi

import (
	"maps"
	"reflect"
	"slices"
)

// The keywords of draft 7 whose schemas apply to the same value as the schema that
// they stand in.
var (
	inPlaceLists = []string{"allOf", "anyOf", "oneOf"}
	inPlaceOnes  = []string{"if", "then", "else"}
)

// group is what all schemas in place together say of an object's names.
type group struct {
	names    map[string]bool
	patterns map[string]bool
	open     bool // one of them says that others may come
}

// gather reads translated schemas: all references in place are written out.
func gather(schema map[string]any) group {
	g := group{names: map[string]bool{}, patterns: map[string]bool{}}
	g.add(schema)
	return g
}

func (g *group) add(schema map[string]any) {
	properties, _ := schema["properties"].(map[string]any)
	for name := range properties {
		g.names[name] = true
	}
	patterns, _ := schema["patternProperties"].(map[string]any)
	for pattern := range patterns {
		g.patterns[pattern] = true
	}
	if more, given := schema["additionalProperties"]; given && more != false {
		g.open = true
	}
	for _, next := range inPlace(schema) {
		g.add(next)
	}
}

// inPlace lists the schemas that apply to the same value.
func inPlace(schema map[string]any) []map[string]any {
	var out []map[string]any
	add := func(x any) {
		if next, ok := x.(map[string]any); ok {
			out = append(out, next)
		}
	}
	for _, name := range inPlaceLists {
		list, _ := schema[name].([]any)
		for _, next := range list {
			add(next)
		}
	}
	for _, name := range inPlaceOnes {
		add(schema[name])
	}
	dependencies, _ := schema["dependencies"].(map[string]any)
	for _, next := range dependencies {
		add(next)
	}
	return out
}

// closeTo refuses every name that the group does not know.
func closeTo(schema map[string]any, g group) {
	for name := range g.names {
		if properties := child(schema, "properties"); properties[name] == nil {
			properties[name] = map[string]any{}
		}
	}
	for pattern := range g.patterns {
		if patterns := child(schema, "patternProperties"); patterns[pattern] == nil {
			patterns[pattern] = map[string]any{}
		}
	}
	schema["additionalProperties"] = false
}

// unrequire takes names out of every `required` in place.
func unrequire(schema map[string]any, names []string) {
	if len(names) == 0 {
		return
	}
	if required, ok := schema["required"].([]any); ok {
		required = slices.DeleteFunc(slices.Clone(required), func(v any) bool {
			name, _ := v.(string)
			return slices.Contains(names, name)
		})
		if schema["required"] = required; len(required) == 0 {
			delete(schema, "required")
		}
	}
	for _, next := range inPlace(schema) {
		unrequire(next, names)
	}
}

// child is the object that is a schema's member, made where there is none; with
// no name it is the schema itself.
func child(schema any, name string) map[string]any {
	object, _ := schema.(map[string]any)
	if name == "" {
		return object
	}
	out, ok := object[name].(map[string]any)
	if !ok {
		out = map[string]any{}
		object[name] = out
	}
	return out
}

// adjacent are keywords that mean something only beside each other, so no schema
// with one of them can be merged.
var adjacent = []string{"additionalProperties", "patternProperties", "additionalItems", "if", "then", "else"}

// merge writes the parts of an `allOf` into the schema itself, where that says the
// same: a reader, and the library's checks of formats, look at `properties`.
func merge(schema map[string]any) {
	list, _ := schema["allOf"].([]any)
	if len(list) == 0 || hasAny(schema, adjacent) {
		return
	}
	delete(schema, "allOf")
	var left []any
	for _, item := range list {
		part, ok := item.(map[string]any)
		if !ok || hasAny(part, adjacent) || !mergeable(schema, part) {
			left = append(left, item)
			continue
		}
		for key, value := range part {
			switch key {
			case "properties":
				maps.Copy(child(schema, key), part[key].(map[string]any))
			case "required":
				all := append(texts(schema[key]), texts(value)...)
				slices.Sort(all)
				schema[key] = anys(slices.Compact(all))
			default:
				schema[key] = value
			}
		}
	}
	if left != nil {
		schema["allOf"] = left
	}
}

// mergeable says that no keyword of the part meets one of the schema, or that the
// two say the same or can be put together.
func mergeable(schema, part map[string]any) bool {
	for key, value := range part {
		own, both := schema[key]
		switch {
		case !both, key == "required":
		case key == "properties":
			own, _ := own.(map[string]any)
			for name := range child(part, key) {
				if _, twice := own[name]; twice {
					return false
				}
			}
		case !reflect.DeepEqual(own, value):
			return false
		}
	}
	return true
}

func hasAny(schema map[string]any, keys []string) bool {
	return slices.ContainsFunc(keys, func(key string) bool { _, ok := schema[key]; return ok })
}

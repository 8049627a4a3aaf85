package openapi_test

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"authz/internal/openapi"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// What the written schema takes, the document takes: judged by two other
// validators, kin-openapi over the document and a JSON Schema one over the data, on
// bodies made from the document's own names. The one exception is a loss that says
// "wider".
func TestNeverWider(t *testing.T) {
	for _, name := range documents {
		t.Run(name, func(t *testing.T) {
			document, err := openapi3.NewLoader().LoadFromFile(filepath.Join("testdata", name+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			got := imported(t, name, openapi.Options{})
			random := rand.New(rand.NewPCG(1, 2))
			taken, refused, closer := 0, 0, 0
			bodies := 3000
			if document.IsOpenAPI31OrLater() {
				bodies = 400 // kin-openapi compiles the schema for each
			}
			for _, route := range got.Routes {
				if route.Body == nil || !slices.Contains(route.Body.ContentTypes, "application/json") {
					continue
				}
				theirs := jsonSchema(t, document, route)
				ours := compile(t, route.Body.Schema)
				names := propertyNames(route.Body.Schema, map[string]bool{})
				for range bodies {
					body := grow(random, route.Body.Schema, names, 0)
					here := ours.Validate(body) == nil
					options := []openapi3.SchemaValidationOption{openapi3.VisitAsRequest(), openapi3.EnableFormatValidation()}
					if document.IsOpenAPI31OrLater() {
						options = append(options, openapi3.EnableJSONSchema2020())
					}
					there := theirs.VisitJSON(body, options...) == nil
					switch {
					case here && there:
						taken++
					case !here && !there:
						refused++
					case there:
						closer++ // an unknown name, mostly
					default:
						text, _ := json.Marshal(body)
						t.Fatalf("%s: %s is taken, the document refuses it", route.ID, text)
					}
				}
			}
			t.Logf("%d taken by both, %d refused by both, %d refused here alone", taken, refused, closer)
			if taken < 200 || refused < 500 || closer == 0 {
				t.Error("the bodies do not try both sides")
			}
		})
	}
}

// jsonSchema is the route's JSON body schema in the document. A pattern that RE2
// does not have cannot be judged by a validator in Go either.
func jsonSchema(t *testing.T, document *openapi3.T, route openapi.Route) *openapi3.Schema {
	t.Helper()
	for _, item := range document.Paths.Map() {
		for method, op := range item.Operations() {
			if method != route.Method || op.OperationID != route.ID {
				continue
			}
			schema := op.RequestBody.Value.Content["application/json"].Schema.Value
			for _, property := range schema.Properties {
				if strings.Contains(property.Value.Pattern, "(?!") {
					property.Value.Pattern = ""
				}
			}
			return schema
		}
	}
	t.Fatalf("no operation %s", route.ID)
	return nil
}

func compile(t *testing.T, schema any) *jsonschema.Schema {
	t.Helper()
	text, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	c.AssertFormat()
	if err := c.AddResource("schema.json", value); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func propertyNames(x any, into map[string]bool) []string {
	switch x := x.(type) {
	case object:
		properties, _ := x["properties"].(object)
		for name := range properties {
			into[name] = true
		}
		for _, v := range x {
			propertyNames(v, into)
		}
	case []any:
		for _, v := range x {
			propertyNames(v, into)
		}
	}
	return slices.Sorted(maps.Keys(into))
}

// grow makes a value that mostly follows a written schema and sometimes does not.
func grow(r *rand.Rand, schema any, names []string, depth int) any {
	s, _ := schema.(object)
	if depth > 4 || r.IntN(12) == 0 {
		return scalar(r, s)
	}
	for _, keyword := range []string{"oneOf", "anyOf", "allOf"} {
		if list, ok := s[keyword].([]any); ok && r.IntN(8) > 0 {
			return grow(r, list[r.IntN(len(list))], names, depth+1)
		}
	}
	kinds, _ := s["type"].([]any)
	if kind, ok := s["type"].(string); ok {
		kinds = []any{kind}
	}
	if properties, ok := s["properties"].(object); ok && (len(kinds) == 0 || slices.Contains(kinds, any("object"))) {
		out := object{}
		required, _ := s["required"].([]any)
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			if slices.Contains(required, any(name)) && r.IntN(20) > 0 || r.IntN(2) == 0 {
				out[name] = grow(r, properties[name], names, depth+1)
			}
		}
		if r.IntN(6) == 0 {
			out[append(names, "id", "zz")[r.IntN(len(names)+2)]] = scalar(r, nil)
		}
		return out
	}
	if slices.Contains(kinds, any("array")) {
		list := []any{}
		for range r.IntN(4) {
			list = append(list, grow(r, s["items"], names, depth+1))
		}
		return list
	}
	if slices.Contains(kinds, any("object")) {
		return object{"k": scalar(r, nil)}
	}
	return scalar(r, s)
}

func scalar(r *rand.Rand, s object) any {
	if list, ok := s["enum"].([]any); ok && r.IntN(5) > 0 {
		return list[r.IntN(len(list))]
	}
	if c, ok := s["const"]; ok && r.IntN(5) > 0 {
		return c
	}
	switch s["type"] {
	case "integer", "number":
		if r.IntN(6) > 0 {
			return []any{1.0, 2.0, 0.0, 1.5, 3e9, 50.0}[r.IntN(6)]
		}
	case "boolean":
		if r.IntN(6) > 0 {
			return r.IntN(2) == 0
		}
	case "string":
		switch s["format"] {
		case "uri":
			return []any{"https://a.example/x", "no uri"}[r.IntN(2)]
		case "email":
			return []any{"ann@example.com", "ann"}[r.IntN(2)]
		case "date-time":
			return []any{"2024-02-29T10:00:00Z", "yesterday"}[r.IntN(2)]
		}
	}
	return []any{"ann", "", "abcdef", "00a0ff", "12345", "4242424242424242", "a longer text than some bounds", 1.0, -1.0, true, nil, object{}, []any{}}[r.IntN(13)]
}

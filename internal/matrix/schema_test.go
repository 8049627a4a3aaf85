package matrix

import (
	"encoding/json"
	"strings"
	"testing"
)

// A sample is the least value that a schema asks for.
func TestExample(t *testing.T) {
	for _, c := range []struct{ name, schema, want string }{
		{"nothing said", `{}`, `"sample"`},
		{"required members only", `{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"}},"required":["a"]}`, `{"a":1}`},
		{"a required member without a schema", `{"required":["a"]}`, `{"a":"sample"}`},
		{"lengths", `{"type":"string","minLength":8,"maxLength":9}`, `"samplesam"`},
		{"a short text", `{"type":"string","maxLength":3}`, `"sam"`},
		{"a format", `{"type":"string","format":"email"}`, `"ann@example.com"`},
		{"a constant", `{"const":{"a":1}}`, `{"a":1}`},
		{"the schema's own example", `{"type":"string","pattern":"^x+$","examples":["xx"]}`, `"xx"`},
		{"a choice of values", `{"enum":["red","blue"]}`, `"red"`},
		{"a lower bound", `{"type":"integer","minimum":5}`, `5`},
		{"an open lower bound", `{"type":"number","exclusiveMinimum":5}`, `6`},
		{"an upper bound", `{"type":"integer","maximum":-3}`, `-3`},
		{"a step", `{"type":"integer","minimum":5,"multipleOf":4}`, `8`},
		{"a large bound", `{"type":"integer","minimum":1000000000000}`, `1000000000000`},
		{"a list", `{"type":"array","items":{"type":"boolean"},"minItems":2}`, `[true,true]`},
		{"a list that may be empty", `{"items":{"type":"boolean"}}`, `[]`},
		{"the first type that is not null", `{"type":["null","integer"]}`, `1`},
		{"null only", `{"type":["null"]}`, `null`},
		{"the first choice", `{"oneOf":[{"type":"boolean"},{"type":"string"}]}`, `true`},
		{"all of several", `{"allOf":[{"properties":{"a":{"type":"integer"}},"required":["a"]},{"required":["b"]}]}`, `{"a":1,"b":"sample"}`},
		{"a reference", `{"$ref":"#/$defs/a~1b","$defs":{"a/b":{"type":"integer"}}}`, `1`},
		{"a reference to another file", `{"$ref":"other.json"}`, `"sample"`},
	} {
		got, err := json.Marshal(example(schema(t, c.schema)))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: got %s, %v, want %s", c.name, got, err, c.want)
		}
	}
	if got := example(nil); got != nil {
		t.Errorf("no schema: got %v", got)
	}
}

// A schema that asks for itself again and again comes to an end.
func TestExampleEnds(t *testing.T) {
	itself := `{"type":"object","properties":{"a":{"$ref":"#"},"b":{"$ref":"#"},"c":{"$ref":"#"}},"required":["a","b","c"]}`
	got, err := json.Marshal(example(schema(t, itself)))
	if err != nil || len(got) > 100*maxValues {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

func schema(t *testing.T, text string) map[string]any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var s map[string]any
	if err := decoder.Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

package openapi_test

import (
	"fmt"
	"strings"
	"testing"

	"authz/internal/openapi"
)

// document wraps one body schema and its components into a whole document.
func document(version, schema, components string) []byte {
	return fmt.Appendf(nil, `{"openapi": %q, "info": {"title": "t", "version": "1"},
		"paths": {"/x": {"post": {"security": [], "responses": {"200": {"description": "ok"}},
			"requestBody": {"required": true, "content": {"application/json": {"schema": %s}}}}}},
		"components": {"schemas": {%s}}}`, version, schema, components)
}

// One schema a row: what it becomes, and what is told of it.
func TestSchemas(t *testing.T) {
	for _, row := range []struct {
		name, version, schema, components string
		want                              string
		losses                            string // effect code, one a loss
	}{
		{name: "nothing said", version: "3.0.3", schema: `{}`, want: `{}`},
		{name: "annotations", version: "3.0.3", schema: `{"title":"a","description":"b","default":1,"example":2,"deprecated":true,"x-y":1}`, want: `{}`},
		{name: "nullable", version: "3.0.3", schema: `{"type":"string","nullable":true}`, want: `{"type":["string","null"]}`},
		{name: "nullable and an enum without null", version: "3.0.3", schema: `{"type":"string","nullable":true,"enum":["a"]}`,
			want: `{"type":["string","null"],"enum":["a"]}`},
		{name: "nullable without a type", version: "3.0.3", schema: `{"nullable":true,"minLength":1}`, want: `{"minLength":1}`, losses: "neither nullable"},
		{name: "nullable in 3.1", version: "3.1.0", schema: `{"type":"string","nullable":true}`, want: `{"type":"string"}`, losses: "narrower nullable"},
		{name: "types in 3.1", version: "3.1.0", schema: `{"type":["integer","null"]}`, want: `{"type":["integer","null"]}`},
		{name: "exclusive bounds in 3.0", version: "3.0.3", schema: `{"type":"integer","minimum":1,"exclusiveMinimum":true,"maximum":9,"exclusiveMaximum":false}`,
			want: `{"type":"integer","exclusiveMinimum":1,"maximum":9}`},
		{name: "exclusive bounds in 3.1", version: "3.1.0", schema: `{"exclusiveMinimum":1}`, want: `{"exclusiveMinimum":1}`},
		{name: "numbers are not rounded", version: "3.0.3", schema: `{"maximum":9007199254740993,"multipleOf":0.1}`, want: `{"maximum":9007199254740993,"multipleOf":0.1}`},
		{name: "int32", version: "3.0.3", schema: `{"type":"integer","format":"int32","minimum":0}`, want: `{"type":"integer","minimum":0,"maximum":2147483647}`},
		{name: "a silent format", version: "3.0.3", schema: `{"type":"integer","format":"int64"}`, want: `{"type":"integer"}`},
		{name: "an address in any script", version: "3.1.0", schema: `{"type":"string","format":"idn-email"}`, want: `{"type":"string","format":"idn-email"}`},
		{name: "an unknown format", version: "3.0.3", schema: `{"type":"string","format":"iban"}`, want: `{"type":"string"}`, losses: "wider format"},
		{name: "pattern", version: "3.0.3", schema: `{"pattern":"^\\u00e9[\\/]$"}`, want: `{"pattern":"^\\x{00e9}[\\/]$"}`},
		{name: "a pattern with look-ahead", version: "3.0.3", schema: `{"pattern":"^(?=a)"}`, want: `{}`, losses: "wider pattern"},
		{name: "an object is closed", version: "3.0.3", schema: `{"type":"object","properties":{"a":{"type":"string"}}}`,
			want: `{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}`},
		{name: "unless it says otherwise", version: "3.0.3", schema: `{"properties":{"a":{}},"additionalProperties":true}`,
			want: `{"properties":{"a":{}},"additionalProperties":true}`},
		{name: "or names no property", version: "3.0.3", schema: `{"type":"object"}`, want: `{"type":"object"}`},
		{name: "additional schema", version: "3.0.3", schema: `{"additionalProperties":{"properties":{"a":{}}}}`,
			want: `{"additionalProperties":{"properties":{"a":{}},"additionalProperties":false}}`},
		{name: "readOnly is left out", version: "3.0.3", schema: `{"required":["id","a"],"properties":{"id":{"type":"integer","readOnly":true},"a":{}}}`,
			want: `{"required":["a"],"properties":{"a":{}},"additionalProperties":false}`},
		{name: "readOnly by reference", version: "3.0.3", schema: `{"required":["id"],"properties":{"id":{"$ref":"#/components/schemas/Id"},"a":{}}}`,
			components: `"Id":{"type":"integer","readOnly":true}`, want: `{"properties":{"a":{}},"additionalProperties":false}`},
		{name: "readOnly where others may come", version: "3.0.3", schema: `{"properties":{"id":{"readOnly":true}},"additionalProperties":true}`,
			want: `{"properties":{"id":{"not":{}}},"additionalProperties":true}`},
		{name: "readOnly required elsewhere", version: "3.0.3", schema: `{"oneOf":[{"required":["id"],"properties":{"b":{}}}],"properties":{"id":{"readOnly":true}}}`,
			want: `{"oneOf":[{"properties":{"b":{}}}],"properties":{"b":{}},"additionalProperties":false}`},
		{name: "a reference", version: "3.0.3", schema: `{"$ref":"#/components/schemas/A"}`, components: `"A":{"properties":{"b":{"$ref":"#/components/schemas/B"}}},"B":{"type":"string"}`,
			want: `{"properties":{"b":{"type":"string"}},"additionalProperties":false}`},
		{name: "beside a reference in 3.0", version: "3.0.3", schema: `{"$ref":"#/components/schemas/A","maxLength":1}`, components: `"A":{"type":"string"}`,
			want: `{"type":"string"}`},
		{name: "beside a reference in 3.1", version: "3.1.0", schema: `{"$ref":"#/components/schemas/A","maxLength":1}`, components: `"A":{"type":"string","maxLength":3}`,
			want: `{"maxLength":1,"allOf":[{"type":"string","maxLength":3}]}`},
		{name: "allOf is put together", version: "3.0.3", schema: `{"allOf":[{"$ref":"#/components/schemas/A"},{"type":"object","required":["b"],"properties":{"b":{}}}]}`,
			components: `"A":{"type":"object","required":["a"],"properties":{"a":{}}}`,
			want:       `{"type":"object","required":["a","b"],"properties":{"a":{},"b":{}},"additionalProperties":false}`},
		{name: "allOf that meets itself", version: "3.0.3", schema: `{"allOf":[{"properties":{"a":{"type":"string"}}},{"properties":{"a":{"minLength":1},"b":{}}}]}`,
			want: `{"properties":{"a":{"type":"string"},"b":{}},"allOf":[{"properties":{"a":{"minLength":1},"b":{}}}],"additionalProperties":false}`},
		{name: "allOf with an open part", version: "3.0.3", schema: `{"allOf":[{"properties":{"a":{}}},{"additionalProperties":{"type":"string"}}]}`,
			want: `{"properties":{"a":{}},"allOf":[{"additionalProperties":{"type":"string"}}]}`},
		{name: "oneOf knows all names", version: "3.0.3", schema: `{"oneOf":[{"required":["a"],"properties":{"a":{}}},{"required":["b"],"properties":{"b":{}}}]}`,
			want: `{"oneOf":[{"required":["a"],"properties":{"a":{}}},{"required":["b"],"properties":{"b":{}}}],"properties":{"a":{},"b":{}},"additionalProperties":false}`},
		{name: "not is not closed", version: "3.0.3", schema: `{"not":{"properties":{"a":{"properties":{"b":{}}}}}}`, want: `{"not":{"properties":{"a":{"properties":{"b":{}}}}}}`},
		{name: "a loss within not", version: "3.0.3", schema: `{"not":{"pattern":"(?=a)"}}`, want: `{"not":{}}`, losses: "narrower pattern"},
		{name: "a tree", version: "3.0.3", schema: `{"$ref":"#/components/schemas/Tree"}`, components: `"Tree":{"properties":{"kids":{"type":"array","items":{"$ref":"#/components/schemas/Tree"}}}}`,
			want: `{"properties":{"kids":{"type":"array","items":{"$ref":"#/definitions/Tree"}}},"additionalProperties":false,
				"definitions":{"Tree":{"properties":{"kids":{"type":"array","items":{"$ref":"#/definitions/Tree"}}},"additionalProperties":false}}}`},
		{name: "two that lead to each other", version: "3.0.3", schema: `{"properties":{"a":{"$ref":"#/components/schemas/A"}}}`,
			components: `"A":{"properties":{"b":{"$ref":"#/components/schemas/B"}}},"B":{"properties":{"a":{"$ref":"#/components/schemas/A"}}}`,
			want: `{"properties":{"a":{"$ref":"#/definitions/A"}},"additionalProperties":false,"definitions":{
				"A":{"properties":{"b":{"$ref":"#/definitions/B"}},"additionalProperties":false},
				"B":{"properties":{"a":{"$ref":"#/definitions/A"}},"additionalProperties":false}}}`},
		{name: "a circle in place", version: "3.0.3", schema: `{"$ref":"#/components/schemas/A"}`, components: `"A":{"allOf":[{"$ref":"#/components/schemas/A"}]}`,
			want: `{}`, losses: "wider schema"},
		{name: "a discriminator alone", version: "3.0.3", schema: `{"properties":{"kind":{"type":"string"}},"required":["kind"],"discriminator":{"propertyName":"kind"}}`,
			want: `{"properties":{"kind":{"type":"string"}},"required":["kind"],"additionalProperties":false}`, losses: "narrower discriminator"},
		{name: "booleans", version: "3.1.0", schema: `{"properties":{"a":true,"b":false}}`, want: `{"properties":{"a":true,"b":false},"additionalProperties":false}`},
		{name: "prefixItems", version: "3.1.0", schema: `{"prefixItems":[{"type":"string"}],"items":false}`, want: `{"items":[{"type":"string"}],"additionalItems":false}`},
		{name: "dependencies", version: "3.1.0", schema: `{"dependentRequired":{"a":["b"]},"dependentSchemas":{"a":{"minProperties":3},"c":{"minProperties":2}}}`,
			want: `{"dependencies":{"a":{"allOf":[{"minProperties":3},{"required":["b"]}]},"c":{"minProperties":2}}}`},
		{name: "unevaluatedProperties", version: "3.1.0", schema: `{"$ref":"#/components/schemas/A","unevaluatedProperties":false}`, components: `"A":{"type":"object","properties":{"a":{}}}`,
			want: `{"type":"object","properties":{"a":{}},"additionalProperties":false}`},
		{name: "unevaluatedProperties with a schema", version: "3.1.0", schema: `{"properties":{"a":{}},"unevaluatedProperties":{"type":"string"}}`,
			want: `{"properties":{"a":{}},"additionalProperties":true}`, losses: "wider unevaluated"},
		{name: "contains", version: "3.1.0", schema: `{"contains":{"const":1},"minContains":1}`, want: `{"contains":{"const":1}}`},
		{name: "contains that says nothing", version: "3.1.0", schema: `{"contains":{"const":1},"minContains":0}`, want: `{}`},
		{name: "contains, counted", version: "3.1.0", schema: `{"contains":{"const":1},"maxContains":2}`, want: `{"contains":{"const":1}}`, losses: "wider keyword"},
		{name: "if and then", version: "3.1.0", schema: `{"properties":{"a":{}},"if":{"properties":{"a":{"const":1}}},"then":{"required":["b"],"properties":{"b":{}}}}`,
			want: `{"properties":{"a":{},"b":{}},"additionalProperties":false,"if":{"properties":{"a":{"const":1}}},"then":{"required":["b"],"properties":{"b":{}}}}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := openapi.Text("test.json", document(row.version, row.schema, row.components), openapi.Options{})
			if err != nil {
				t.Fatal(err)
			}
			text, err := got.YAML()
			if err != nil {
				t.Fatal(err)
			}
			rows := fromYAML(t, text).(object)["authz"].(object)["config"].(object)["routes"].(object)
			if body, want := rows["x.create"].(object)["body"], fromYAML(t, []byte(row.want)); !equal(body, want) {
				t.Errorf("got  %v\nwant %v", body, want)
			}
			var losses []string
			for _, l := range got.Report.Losses {
				losses = append(losses, string(l.Effect)+" "+l.Code)
			}
			if told := strings.Join(losses, ", "); told != row.losses {
				t.Errorf("losses: %q, want %q", told, row.losses)
			}
		})
	}
}

// Schemas whose references would unfold without end, or nearly, stay small.
func TestUnfolding(t *testing.T) {
	var schemas []string
	for i := range 60 { // each refers to the next one twice: 2^60 when written out
		schemas = append(schemas, fmt.Sprintf(`"S%d":{"properties":{"l":{"$ref":"#/components/schemas/S%d"},"r":{"$ref":"#/components/schemas/S%d"}}}`, i, i+1, i+1))
	}
	schemas = append(schemas, `"S60":{"type":"string"}`)
	got, err := openapi.Text("test.json", document("3.0.3", `{"$ref":"#/components/schemas/S0"}`, strings.Join(schemas, ",")), openapi.Options{})
	if err != nil {
		t.Fatal(err)
	}
	body, _ := got.Routes[0].Body.Schema.(object)
	if definitions, _ := body["definitions"].(object); len(definitions) != 60 || len(got.Report.Losses) != 0 {
		t.Errorf("%d definitions, losses %v; want 60 and none", len(definitions), got.Report.Losses)
	}

	schemas = nil
	for i := range 30 { // the same in place, where no reference can stay
		schemas = append(schemas, fmt.Sprintf(`"S%d":{"allOf":[{"$ref":"#/components/schemas/S%d"},{"not":{"$ref":"#/components/schemas/S%d"}}]}`, i, i+1, i+1))
	}
	schemas = append(schemas, `"S30":{"type":"string"}`)
	got, err = openapi.Text("test.json", document("3.0.3", `{"$ref":"#/components/schemas/S0"}`, strings.Join(schemas, ",")), openapi.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if codes := codes(got.Report); codes != "schema" || !equal(got.Routes[0].Body.Schema, object{}) {
		t.Errorf("losses %q, schema %v; want one loss, any body", codes, got.Routes[0].Body.Schema)
	}
}

// Forty schemas that all lead to all others, below and in place.
func TestCliques(t *testing.T) {
	for link, want := range map[string]string{
		`"S%d":{"properties":{%s}}`: "",
		`"S%d":{"anyOf":[%s]}`:      "schema",
	} {
		var schemas []string
		for i := range 40 {
			var all []string
			for j := range 40 {
				ref := fmt.Sprintf(`{"$ref":"#/components/schemas/S%d"}`, j)
				if want == "" {
					ref = fmt.Sprintf(`"p%d":%s`, j, ref)
				}
				all = append(all, ref)
			}
			schemas = append(schemas, fmt.Sprintf(link, i, strings.Join(all, ",")))
		}
		got, err := openapi.Text("test.json", document("3.0.3", `{"$ref":"#/components/schemas/S0"}`, strings.Join(schemas, ",")), openapi.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if codes(got.Report) != want {
			t.Errorf("%s: losses %q, want %q", link, codes(got.Report), want)
		}
	}
}

func codes(r openapi.Report) string {
	var out []string
	for _, l := range r.Losses {
		out = append(out, l.Code)
	}
	return strings.Join(out, " ")
}

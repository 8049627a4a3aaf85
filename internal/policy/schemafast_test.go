package policy

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// matchSchema asks the built-in twice: where it remembers schemas, so that the plain
// ones are read here the second time, and where it remembers none and the library
// judges alone.
func matchSchema(t *testing.T, document, schema *ast.Term) (fast bool) {
	t.Helper()
	values, err := newValueCache(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := func(bctx topdown.BuiltinContext) (answer *ast.Term, err error) {
		bctx.Context = context.Background()
		err = topdown.GetBuiltin(ast.JSONMatchSchema.Name)(bctx, []*ast.Term{document, schema}, func(v *ast.Term) error {
			answer = v
			return nil
		})
		return answer, err
	}
	remembering := topdown.BuiltinContext{InterQueryBuiltinValueCache: values}
	want, wantErr := ask(topdown.BuiltinContext{})
	for range 2 {
		got, err := ask(remembering)
		if (err == nil) != (wantErr == nil) || inOrder(got) != inOrder(want) {
			t.Fatalf("document %v\nschema   %v\nhere     %v, %v\nlibrary  %v, %v", document, schema, got, err, want, wantErr)
		}
	}
	return fastMatch(remembering, document.Value, schema.Value, func() bool { return false })
}

// inOrder: the library names faults in the order of a Go map, which also decides what
// fault of a schema it meets first.
func inOrder(v *ast.Term) string {
	if v == nil {
		return ""
	}
	list := v.Value.(*ast.Array)
	faults := ast.NewSet()
	list.Elem(1).Value.(*ast.Array).Foreach(faults.Add)
	return fmt.Sprint(list.Elem(0), list.Elem(1).Value.(*ast.Array).Len(), faults)
}

// TestFastSchema says for which documents the library is not asked. Whatever it is,
// the answers are the same.
func TestFastSchema(t *testing.T) {
	for _, row := range []struct {
		schema string
		fast   []string // seen to match here
		asked  []string // left to the library
	}{
		{`{}`, []string{`{}`, `[1, "a", null, {"a": [1.5e3]}]`}, nil},
		{`{"type": "object", "title": "t", "description": "d", "default": 1}`, []string{`{"a": 1}`}, []string{`[]`, `"{}"`}},
		{`{"type": ["object", "array"]}`, []string{`{}`, `[]`}, nil},
		{
			`{"properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": false}`,
			[]string{`{"a": 1}`, `{"a": 1.0}`, `{"a": -0}`, `[1]`, `{"a": 900719925474099312345}`},
			[]string{`{}`, `{"a": 1.5}`, `{"a": "1"}`, `{"a": 1, "b": 1}`, `{"b": 1}`, `{"a": 1e2}`, `{"a": null}`, `{1: 1, "a": 1}`},
		},
		{`{"additionalProperties": true, "minProperties": 1, "maxProperties": 2}`, []string{`{"a": 1}`}, []string{`{}`, `{"a": 1, "b": 2, "c": 3}`, `{1: 2}`, `{"a": {1, 2}}`}},
		{`{"items": {"type": "string", "minLength": 2, "maxLength": 3}, "minItems": 1, "maxItems": 2}`, []string{`["ab"]`, `["äöü", "😀😀"]`}, []string{`[]`, `["a"]`, `["abcd"]`, `["ab", "ab", "ab"]`, `[1]`}},
		{`{"items": {"pattern": "^[a-z]+$"}}`, []string{`["a", 1, true]`}, []string{`["A"]`, `[""]`}},
		{`{"items": {"minimum": 1, "maximum": 2.5}}`, []string{`[1, 2, 2.5, 1.0, "a"]`}, []string{`[0]`, `[2.51]`, `[0.99999999999999999999]`, `[1e0]`}},
		{`{"items": {"exclusiveMinimum": 1, "exclusiveMaximum": 2}}`, []string{`[1.1, 1.999]`}, []string{`[1]`, `[2]`, `[1.0]`}},
		{`{"items": {"enum": ["a", "b"]}}`, []string{`["a", "b"]`}, []string{`["c"]`, `[1]`, `[null]`}},
		{`{"items": {"const": "a"}}`, []string{`["a"]`}, []string{`["b"]`, `[1]`}},
		{`{"items": {"format": "email"}}`, []string{`["a@example.com", 1]`}, []string{`["a"]`}},
		{`{"items": {"format": "uuid"}}`, []string{`["00000000-0000-4000-8000-00000000000F"]`}, []string{`["00000000"]`}},
		{`{"items": {"format": "date"}}`, []string{`["2026-11-24"]`}, []string{`["2026-02-30"]`}},
		{`{"items": {"format": "date-time"}}`, []string{`["2026-11-24T22:00:00Z"]`}, []string{`["22:00:00"]`, `["x"]`}},
		{`{"items": {"type": ["null", "boolean"]}}`, []string{`[null, true]`}, []string{`[1]`}},

		// More than plain.
		{`{"$schema": "http://json-schema.org/draft-04/schema#"}`, nil, []string{`{}`}},
		{`{"items": {"$ref": "#/definitions/a"}, "definitions": {"a": {"type": "string"}}}`, nil, []string{`["a"]`, `[1]`}},
		{`{"properties": {"a": {"not": {}}}}`, nil, []string{`{}`, `{"a": 1}`}},
		{`{"items": [{"type": "string"}]}`, nil, []string{`["a"]`, `[1]`}},
		{`{"additionalProperties": {"type": "string"}}`, nil, []string{`{"a": "a"}`, `{"a": 1}`}},
		{`{"items": {"minimum": 1, "exclusiveMinimum": true}}`, nil, []string{`[2]`, `[1]`}},
		{`{"items": {"enum": [1]}}`, nil, []string{`[1]`, `[2]`}},
		{`{"items": {"enum": ["a"], "const": "b"}}`, nil, []string{`["a"]`, `["b"]`}},
		{`{"items": {"multipleOf": 2}}`, nil, []string{`[2]`, `[3]`}},
		{`{"uniqueItems": true}`, nil, []string{`[1]`, `[1, 1]`}},
		{`{"unknown": true}`, nil, []string{`{}`}},
		{`{"items": {"format": "ipv4"}}`, nil, []string{`["1.2.3.4"]`}},

		// No schemas.
		{`{"type": "text"}`, nil, []string{`{}`}},
		{`{"pattern": "("}`, nil, []string{`{}`}},
		{`{"minLength": 2, "maxLength": 1}`, nil, []string{`{}`}},
		{`{"title": 1}`, nil, []string{`{}`}},
		{`{"required": ["a", "a"]}`, nil, []string{`{}`}},
		{`{"$ref": "file:///etc/passwd"}`, nil, []string{`{}`}},
	} {
		for want, documents := range map[bool][]string{true: row.fast, false: row.asked} {
			for _, document := range documents {
				if got := matchSchema(t, ast.MustParseTerm(document), ast.MustParseTerm(row.schema)); got != want {
					t.Errorf("%s of %s: seen here %v, want %v", document, row.schema, got, want)
				}
			}
		}
	}
	schema := ast.MustParseTerm(`{"items": {"maxLength": 2}}`)
	if matchSchema(t, ast.ArrayTerm(ast.StringTerm("\xff")), schema) {
		t.Error("text that is not UTF-8 is left to the library")
	}
}

// TestFastSchemaAgrees: schemas and documents at random, many of them near each other.
func TestFastSchemaAgrees(t *testing.T) {
	r := drawer{rand.New(rand.NewPCG(3, 5))}
	fast, plain := 0, 0
	for range 2500 {
		schema := ast.MustParseTerm(r.schema(3))
		if readSchema(schema.Value) != nil {
			plain++
		}
		for range 4 {
			if matchSchema(t, ast.MustParseTerm(r.document(3)), schema) {
				fast++
			}
		}
	}
	if plain < 500 || fast < 500 {
		t.Errorf("%d plain schemas, %d documents seen to match: too few to tell", plain, fast)
	}
}

// FuzzFastSchema: no schema and no document on which the two differ.
func FuzzFastSchema(f *testing.F) {
	r := drawer{rand.New(rand.NewPCG(7, 11))}
	for range 50 {
		f.Add(r.schema(2), r.document(2))
	}
	f.Fuzz(func(t *testing.T, schema, document string) {
		s, err := ast.ValueFromReader(strings.NewReader(schema))
		if err != nil {
			t.Skip("no JSON")
		}
		d, err := ast.ValueFromReader(strings.NewReader(document))
		if err != nil {
			t.Skip("no JSON")
		}
		matchSchema(t, ast.NewTerm(d), ast.NewTerm(s))
	})
}

type drawer struct{ *rand.Rand }

func (r drawer) of(list ...string) string { return list[r.IntN(len(list))] }

func (r drawer) name() string { return r.of(`"a"`, `"b"`, `"c"`, `"ä"`) }

func (r drawer) number() string {
	return r.of("0", "1", "2", "3", "-1", "1.0", "1.5", "2.50", "0.1", "1e1", "1E-1", "-0", "-0.0", "12345678901234567890", "3.00000000000000000001")
}

func (r drawer) text() string {
	return r.of(`""`, `"a"`, `"ab"`, `"abc"`, `"ä"`, `"😀"`, `"1"`, `"a@example.com"`, `"2026-11-24"`, `"2026-02-30"`, `"2026-11-24T22:00:00Z"`,
		`"2026-11-24t22:00:00z"`, `"2026-11-24T22:00:60Z"`, `"22:00:00"`, `"00000000-0000-4000-8000-000000000000"`, `"A <a@b>"`, `"<\u0000\u2028&"`)
}

func (r drawer) document(depth int) string {
	if depth < 3 && (depth == 0 || r.IntN(2) == 0) {
		switch r.IntN(5) {
		case 0:
			return r.of("null", "true", "false")
		case 1, 2:
			return r.number()
		}
		return r.text()
	}
	var parts []string
	if r.IntN(2) == 0 {
		for range r.IntN(4) {
			parts = append(parts, r.document(depth-1))
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	for _, name := range []string{`"a"`, `"b"`, `"c"`, `"ä"`, `"$ref"`}[:r.IntN(6)] {
		if r.IntN(4) > 0 {
			parts = append(parts, name+":"+r.document(depth-1))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func (r drawer) schema(depth int) string {
	keywords := map[string]string{}
	for range r.IntN(4) {
		switch r.IntN(16) {
		case 0:
			keywords["type"] = r.of(`"object"`, `"array"`, `"string"`, `"integer"`, `"number"`, `"boolean"`, `"null"`, `["object","array"]`, `["string","null"]`, `["integer","string"]`)
		case 1:
			keywords["required"] = "[" + r.name() + "]"
		case 2:
			keywords["additionalProperties"] = r.of("true", "false", "false", `{"type":"string"}`)
		case 3:
			keywords[r.of("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")] = r.of("0", "1", "2", "3", "2.0")
		case 4, 5:
			keywords[r.of("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")] = r.of(r.number(), r.number(), r.number(), "true")
		case 6:
			keywords["pattern"] = r.of(`"^a"`, `"b$"`, `"."`, `"^.{2}$"`, `""`)
		case 7:
			keywords["format"] = r.of(`"email"`, `"idn-email"`, `"uuid"`, `"date"`, `"date-time"`, `"uri"`, `"nonsense"`)
		case 8:
			keywords["enum"] = r.of("["+r.text()+"]", "["+r.number()+","+r.text()+"]", `["a","ab","ä"]`)
		case 9:
			keywords["const"] = r.of(r.text(), r.number(), "null")
		case 10:
			keywords[r.of("title", "uniqueItems", "multipleOf", "not", "allOf", "$schema", "contains", "propertyNames", "patternProperties")] = r.of(`"x"`, "true", "2", `{"type":"string"}`, `[{"minLength":1}]`, `{"a":{}}`)
		default:
			if depth == 0 {
				continue
			}
			if r.IntN(2) == 0 {
				keywords["items"] = r.schema(depth - 1)
				continue
			}
			keywords["properties"] = fmt.Sprintf(`{"a":%s,"b":%s,%s:%s}`, r.schema(depth-1), r.schema(depth-1), r.of(`"c"`, `"ä"`), r.schema(depth-1))
		}
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(keywords)) {
		parts = append(parts, fmt.Sprintf("%q:%s", name, keywords[name]))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"authz/internal/check"
	"authz/schemas"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

func inputSchemaDocument(t *testing.T) map[string]any {
	t.Helper()
	var schema map[string]any
	if err := json.Unmarshal(schemas.Input, &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

// contract: schemas/input.json describes the input, and a Go test holds it to
// the code. Here: what the code builds is valid.
func TestInputIsValid(t *testing.T) {
	absent := func(change func(*check.Request)) *check.Request {
		r := fullRequest()
		change(r)
		return r
	}
	for _, row := range []struct {
		name    string
		request *check.Request
		token   *check.Token
		routes  *RouteTable
	}{
		{"everything", fullRequest(), validToken(), ordersTable(t)},
		{"the zero request", &check.Request{}, nil, nil},
		{"no route", absent(func(r *check.Request) { r.Path = []string{"x"} }), anonymous(), ordersTable(t)},
		{"body skipped", absent(func(r *check.Request) { r.Body = check.Body{Skipped: true} }), anonymous(), nil},
		{"body truncated", absent(func(r *check.Request) { r.Body = check.Body{Truncated: true} }), anonymous(), nil},
		{"expired", fullRequest(), &check.Token{Status: check.TokenExpired, Error: "expired", Via: "cookie"}, nil},
		{"unavailable", fullRequest(), &check.Token{Status: check.TokenUnavailable, Error: "keys_unavailable"}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			input, _, err := newInput(row.request, row.token, row.routes)
			if err != nil {
				t.Fatal(err)
			}
			if faults := validate(t, input, inputSchemaDocument(t)); faults != "" {
				t.Error(faults)
			}
		})
	}
}

// And: a document that is not valid is found out, so that the test above means
// something.
func TestInvalidInputIsFoundOut(t *testing.T) {
	input, _, err := newInput(fullRequest(), validToken(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"more", "token.more", "attributes.request.http.more", "client.more"} {
		changed := asJSON(t, input).(map[string]any)
		at := changed
		names := strings.Split(path, ".")
		for _, name := range names[:len(names)-1] {
			at = at[name].(map[string]any)
		}
		at["more"] = true
		if faults := validate(t, ast.MustInterfaceToValue(changed), inputSchemaDocument(t)); !strings.Contains(faults, "more") {
			t.Errorf("%s: %q", path, faults)
		}
	}
}

func validate(t *testing.T, input ast.Value, schema map[string]any) string {
	t.Helper()
	results, err := rego.New(rego.Query("json.match_schema(input.document, input.schema)"),
		rego.StrictBuiltinErrors(true),
		rego.ParsedInput(ast.NewObject(
			ast.Item(ast.StringTerm("document"), ast.NewTerm(input)),
			ast.Item(ast.StringTerm("schema"), ast.NewTerm(ast.MustInterfaceToValue(schema))),
		))).Eval(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	answer := results[0].Expressions[0].Value.([]any)
	if answer[0] == true {
		return ""
	}
	return fmt.Sprint(answer[1])
}

// And: every key of the schema is one that the code builds, unless the schema
// says that it is there for policies written for opa-envoy-plugin.
func TestSchemaHoldsNothingElse(t *testing.T) {
	built := paths(inputJSON(t, fullRequest(), validToken(), ordersTable(t)))
	built = append(built, "token.error") // not with valid; see TestInputKeys
	for _, key := range schemaPaths(inputSchemaDocument(t), "") {
		if !slices.Contains(built, key) {
			t.Errorf("the schema has %s, which no input has", key)
		}
	}
}

// paths lists the keys of a document, dotted; list items count as their list.
func paths(document any) []string {
	var out []string
	var walk func(x any, at string)
	walk = func(x any, at string) {
		switch x := x.(type) {
		case map[string]any:
			for name, value := range x {
				key := strings.TrimPrefix(at+"."+name, ".")
				out = append(out, key)
				walk(value, key)
			}
		case []any:
			for _, value := range x {
				walk(value, at)
			}
		}
	}
	walk(document, "")
	return out
}

func schemaPaths(schema map[string]any, at string) []string {
	var out []string
	properties, _ := schema["properties"].(map[string]any)
	for name, value := range properties {
		property := value.(map[string]any)
		if text, _ := property["description"].(string); strings.HasPrefix(text, "Not sent by this sidecar;") {
			continue
		}
		key := strings.TrimPrefix(at+"."+name, ".")
		out = append(out, key)
		out = append(out, schemaPaths(property, key)...)
	}
	if items, ok := schema["items"].(map[string]any); ok {
		out = append(out, schemaPaths(items, at)...)
	}
	return out
}

// threats.md, Engine: a $ref out of the document reads a file or the network.
// And beyond it: a $ref in a circle overflows the stack, which ends the process;
// so a row that gets through would not fail this test but kill it.
func TestSchemaGuard(t *testing.T) {
	for _, row := range []struct {
		name, schema string
		want         error
	}{
		{"no $ref", `{"type": "object"}`, nil},
		{"local", `{"properties": {"a": {"$ref": "#/definitions/a"}}, "definitions": {"a": {"type": "string"}}}`, nil},
		{"recursion by a property", `{"properties": {"child": {"$ref": "#"}}}`, nil},
		{"recursion by an item", `{"items": {"anyOf": [{"$ref": "#"}, {"type": "string"}]}}`, nil},
		{"twice the same", `{"allOf": [{"$ref": "#/definitions/a"}, {"$ref": "#/definitions/a"}], "definitions": {"a": {}}}`, nil},
		{"an id at the root", `{"$id": "https://a.test/s.json", "properties": {"a": {"$ref": "#/definitions/a"}}, "definitions": {"a": {}}}`, nil},
		{"a property called $ref", `{"properties": {"$ref": {"type": "string"}, "id": {"type": "string"}}}`, nil},
		{"ids without $ref", `{"properties": {"a": {"$id": "https://a.test/a.json"}}}`, nil},

		{"file", `{"$ref": "file:///etc/passwd"}`, errRemoteRef},
		{"host", `{"$ref": "https://a.test/s.json"}`, errRemoteRef},
		{"relative", `{"$id": "file:///etc/", "$ref": "passwd"}`, errRemoteRef},
		{"empty", `{"properties": {"a": {"$ref": ""}}}`, errRemoteRef},
		{"named anchor", `{"$ref": "#a"}`, errRemoteRef},
		{"deep", `{"properties": {"a": {"items": [{"not": {"$ref": "file:///etc/passwd"}}]}}}`, errRemoteRef},

		{"itself", `{"$ref": "#"}`, errCircularRef},
		{"itself by allOf", `{"allOf": [{"$ref": "#"}]}`, errCircularRef},
		{"itself by anyOf", `{"anyOf": [{"type": "string"}, {"$ref": "#"}]}`, errCircularRef},
		{"itself by oneOf", `{"oneOf": [{"$ref": "#"}]}`, errCircularRef},
		{"itself by not", `{"not": {"$ref": "#"}}`, errCircularRef},
		{"itself by if", `{"if": {"$ref": "#"}}`, errCircularRef},
		{"itself by then", `{"if": {}, "then": {"$ref": "#"}}`, errCircularRef},
		{"itself by else", `{"if": false, "else": {"$ref": "#"}}`, errCircularRef},
		{"itself by dependencies", `{"dependencies": {"a": {"$ref": "#"}}}`, errCircularRef},
		{"two steps", `{"properties": {"a": {"$ref": "#/definitions/x"}}, "definitions": {"x": {"$ref": "#/definitions/y"}, "y": {"allOf": [{"$ref": "#/definitions/x"}]}}}`, errCircularRef},
		{"by an escaped pointer", `{"properties": {"a": {"$ref": "#/definitions/x~1y"}}, "definitions": {"x/y": {"allOf": [{"$ref": "#/definitions/x%7E1y"}]}}}`, errCircularRef},
		{"by an index", `{"allOf": [{"allOf": [{"$ref": "#/allOf/0"}]}]}`, errCircularRef},
		{"by an id that moves the root", `{"properties": {"a": {"$id": "https://a.test/a.json", "allOf": [{"$ref": "#"}]}}}`, errNestedID},
		{"by an old id that moves the root", `{"properties": {"a": {"id": "https://a.test/a.json", "allOf": [{"$ref": "#"}]}}}`, errNestedID},
	} {
		t.Run(row.name, func(t *testing.T) {
			for kind, schema := range map[string]*ast.Term{
				"object": ast.MustParseTerm(row.schema),
				"text":   ast.StringTerm(row.schema),
			} {
				for _, query := range []string{
					"json.match_schema({\"a\": {\"child\": {}}}, input)", "json.verify_schema(input)",
				} {
					_, err := rego.New(rego.Query(query), rego.StrictBuiltinErrors(true),
						rego.ParsedInput(schema.Value)).Eval(context.Background())
					switch {
					case row.want == nil && err != nil:
						t.Errorf("%s, %s: %v", kind, query, err)
					case row.want != nil && (err == nil || !strings.Contains(err.Error(), row.want.Error())):
						t.Errorf("%s, %s: error %v, want %v", kind, query, err, row.want)
					}
				}
			}
		})
	}
}

// The guard is passed once for a schema that stays the same, and still refuses
// every time what it refused once.
func TestSchemaGuardWithCache(t *testing.T) {
	engine := loadedEngine(t, tree{"a.rego": `package authz

decision := {"allowed": true, "reason": reasons}

reasons contains "matched" if json.match_schema({"a": "x"}, data.schema)[0]

reasons contains "circle" if json.match_schema({}, data.circle)[0]
`, "data.yaml": `
schema: {properties: {a: {$ref: "#/definitions/a"}}, definitions: {a: {type: string}}}
circle: {allOf: [{$ref: "#"}]}
`}, Config{})
	for range 3 {
		if got := eval(t, engine, get()).Reasons; !slices.Equal(got, []string{"matched"}) {
			t.Fatalf("reasons %q", got)
		}
	}
}

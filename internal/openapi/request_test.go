package openapi_test

import (
	"fmt"
	"strings"
	"testing"

	"authz/internal/openapi"
)

// one imports a document with one operation, GET below path, and the fields given.
func one(t *testing.T, version, path, fields, rest string, o openapi.Options) *openapi.Import {
	t.Helper()
	if !strings.Contains(fields, "security:") {
		fields += ", security: []"
	}
	text := fmt.Sprintf("openapi: %s\ninfo: {title: t, version: '1'}\npaths: {'%s': {get: {responses: {'200': {description: ok}}, %s}}}\n%s",
		version, path, strings.TrimPrefix(fields, ", "), rest)
	got, err := openapi.Text("test.yaml", []byte(text), o)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return got
}

func told(r openapi.Report) string {
	var out []string
	for _, l := range r.Losses {
		out = append(out, string(l.Effect)+" "+l.Code)
	}
	return strings.Join(out, ", ")
}

// Who may call, one requirement a row.
func TestSecurity(t *testing.T) {
	const schemes = `components:
  securitySchemes:
    jwt: {type: http, scheme: Bearer}
    basic: {type: http, scheme: basic}
    oauth: {type: oauth2, flows: {clientCredentials: {tokenUrl: 'https://a.example/t', scopes: {a: a, b: b, c: c}}}}
    oidc: {type: openIdConnect, openIdConnectUrl: 'https://a.example/o'}
    key: {type: apiKey, in: header, name: x-key}
    cookie: {type: apiKey, in: cookie, name: session}
    same: {$ref: '#/components/securitySchemes/oauth'}
`
	type access struct {
		public, authenticated bool
		scopes, roles         string
	}
	for _, row := range []struct {
		security, tokens string
		want             access
		losses           string
	}{
		{security: "[]", want: access{public: true}},
		{security: "[{}]", want: access{public: true}},
		{security: "[{oauth: [a]}, {}]", want: access{public: true}},
		{security: "[{jwt: []}]", want: access{authenticated: true}},
		{security: "[{oidc: []}]", want: access{authenticated: true}},
		{security: "[{oauth: [b, a]}]", want: access{scopes: "a b"}},
		{security: "[{same: [a]}]", want: access{scopes: "a"}},
		{security: "[{oauth: [a], oidc: [b]}]", want: access{scopes: "a b"}},
		{security: "[{oauth: [a], jwt: []}]", want: access{scopes: "a"}},
		{security: "[{oauth: [a, b]}, {oauth: [a]}]", want: access{scopes: "a"}},
		{security: "[{oauth: [a]}, {jwt: []}]", want: access{authenticated: true}},
		{security: "[{oauth: [b]}, {oauth: [a]}]", want: access{scopes: "b"}, losses: "narrower alternative"},
		{security: "[{jwt: [clerk]}]", want: access{roles: "clerk"}},
		{security: "[{jwt: [clerk, boss]}]", losses: "narrower closed, narrower roles"},
		{security: "[{basic: []}]", losses: "narrower scheme, narrower closed"},
		{security: "[{key: []}]", losses: "narrower scheme, narrower closed"},
		{security: "[{key: []}, {oauth: [a]}]", want: access{scopes: "a"}, losses: "narrower scheme"},
		{security: "[{key: [], jwt: []}]", losses: "narrower scheme, narrower closed"},
		{security: "[{cookie: []}]", losses: "narrower scheme, narrower closed"},
		{security: "[{cookie: []}]", tokens: "cookie", want: access{authenticated: true}},
	} {
		var o openapi.Options
		if row.tokens != "" {
			o.Tokens = []string{row.tokens}
		}
		got := one(t, "3.1.0", "/x", "security: "+row.security, schemes, o)
		r := got.Routes[0]
		if a := (access{r.Public, r.Authenticated, strings.Join(r.Scopes, " "), strings.Join(r.Roles, " ")}); a != row.want {
			t.Errorf("%s: %+v, want %+v", row.security, a, row.want)
		}
		if told(got.Report) != row.losses {
			t.Errorf("%s: losses %q, want %q", row.security, told(got.Report), row.losses)
		}
	}
}

// The path of a route: template, types, base path.
func TestPaths(t *testing.T) {
	parameter := func(name, schema string) string {
		return fmt.Sprintf("parameters: [{name: %s, in: path, required: true, schema: %s}]", name, schema)
	}
	base := "/base/"
	for _, row := range []struct {
		path, fields, servers string
		o                     openapi.Options
		want, losses          string // want "": the operation is left out
	}{
		{path: "/", want: "/"},
		{path: "/a/b/", want: "/a/b/"},
		{path: "/a%20b", want: "/a b"},
		{path: "/a/{id}", fields: parameter("id", "{type: string}"), want: "/a/{id}"},
		{path: "/a/{id}", fields: parameter("id", "{type: string, format: uuid}"), want: "/a/{id:uuid}"},
		{path: "/a/{id}", fields: parameter("id", "{type: integer}"), want: "/a/{id:int}"},
		{path: "/a/{id}", fields: parameter("id", "{type: integer, minimum: -5}"), want: "/a/{id}"},
		{path: "/a/{id}", fields: parameter("id", "{type: number}"), want: "/a/{id}"},
		{path: "/a/{id}", fields: "parameters: [{name: id, in: path, style: matrix, required: true, schema: {type: integer}}]", want: "/a/{id}", losses: "wider parameter_style"},
		{path: "/a/{the-id}", fields: parameter("the-id", "{type: integer}"), want: "/a/{the_id:int}", losses: "neither parameter_renamed"},
		{path: "/a/{id}.json", fields: parameter("id", "{}"), losses: "narrower path"},
		{path: "/a//b", losses: "narrower path"},
		{path: "/a?b=c", losses: "narrower path"},
		{path: "/a/../b", losses: "narrower path"},
		{path: "/a", servers: "servers: [{url: 'https://a.example/v1/'}]", want: "/v1/a"},
		{path: "/a", servers: "servers: [{url: /v1}]", want: "/v1/a"},
		{path: "/a", fields: "servers: [{url: /v2}]", servers: "servers: [{url: /v1}]", want: "/v2/a"},
		{path: "/a", servers: "servers: [{url: 'https://{h}.example/{v}', variables: {h: {default: a, enum: [a, b]}, v: {default: v1, enum: [v1]}}}]", want: "/v1/a"},
		{path: "/a", servers: "servers: [{url: 'https://a.example/{v}', variables: {v: {default: v1, enum: [v1, v2]}}}]", want: "/v1/a", losses: "narrower server_variable"},
		{path: "/a", servers: "servers: [{url: /v1}, {url: 'https://b.example/v1/'}, {url: /v2}]", want: "/v1/a", losses: "narrower server"},
		{path: "/a", servers: "servers: [{url: /v1}]", o: openapi.Options{BasePath: &base}, want: "/base/a"},
	} {
		got := one(t, "3.0.3", row.path, row.fields, row.servers, row.o)
		path := ""
		if len(got.Routes) == 1 {
			path = got.Routes[0].Path
		}
		if path != row.want || told(got.Report) != row.losses {
			t.Errorf("%s %s %s: %q, losses %q; want %q, %q", row.path, row.fields, row.servers, path, told(got.Report), row.want, row.losses)
		}
	}
}

// Query and header parameters, as the sidecar reads them.
func TestParameters(t *testing.T) {
	for _, row := range []struct {
		name, parameter string
		query, headers  string // the properties and patterns
		losses          string
	}{
		{name: "text", parameter: "{name: a, in: query, schema: {type: string}}", query: "{a: {type: string}}"},
		{name: "null is no text", parameter: "{name: a, in: query, schema: {type: integer, nullable: true}}", query: "{a: {type: integer}}"},
		{name: "allOf around a type", parameter: "{name: a, in: query, schema: {allOf: [{type: integer, minimum: 1}]}}", query: "{a: {type: integer, minimum: 1}}"},
		{name: "several types", parameter: "{name: a, in: query, schema: {oneOf: [{type: integer}, {type: string}]}}", query: "{a: {oneOf: [{type: integer}, {type: string}]}}", losses: "narrower parameter_type"},
		{name: "a list", parameter: "{name: a, in: query, schema: {type: array, items: {type: integer}}}", query: "{a: {type: array, items: {type: integer}}}"},
		{name: "a list in one text", parameter: "{name: a, in: query, explode: false, schema: {type: array, items: {type: integer}}}", query: "{a: {}}", losses: "wider parameter_style"},
		{name: "a list of lists", parameter: "{name: a, in: query, schema: {type: array, items: {type: array, items: {}}}}", query: "{a: {}}", losses: "wider parameter_style"},
		{name: "an object", parameter: "{name: a, in: query, schema: {type: object, properties: {b: {type: integer}, c: {type: string}}}}", query: "{b: {type: integer}, c: {type: string}}"},
		{name: "a deep object", parameter: "{name: a, in: query, style: deepObject, required: true, schema: {type: object, required: [b], properties: {b: {type: integer}}}}", query: "{'a[b]': {type: integer}, required: ['a[b]']}"},
		{name: "a deep object of texts", parameter: "{name: a, in: query, style: deepObject, schema: {type: object, additionalProperties: {type: string}}}", query: "{patterns: {'^a\\[.*\\]$': {type: string}}}"},
		{name: "a deep object of anything", parameter: "{name: a, in: query, style: deepObject, schema: {type: object, additionalProperties: {type: integer}}}", query: "{patterns: {'^a\\[.*\\]$': {}}}", losses: "wider parameter_members"},
		{name: "a document", parameter: "{name: a, in: query, content: {application/json: {schema: {type: object}}}}", query: "{a: {}}", losses: "wider parameter_content"},
		{name: "empty values", parameter: "{name: a, in: query, allowEmptyValue: true, schema: {type: integer}}", query: "{a: {type: integer}}", losses: "narrower allow_empty"},
		{name: "a header", parameter: "{name: X-A, in: header, required: true, schema: {type: string}}", query: "{}", headers: "{x-a: {type: string}, required: [x-a]}"},
		{name: "a header that is none", parameter: "{name: Authorization, in: header, schema: {type: string}}", query: "{}", losses: "neither header_ignored"},
		{name: "a cookie", parameter: "{name: a, in: cookie, schema: {type: string}}", query: "{}", losses: "wider parameter_place"},
		{name: "a tree", parameter: "{name: a, in: query, schema: {$ref: '#/components/schemas/T'}}", query: "{a: {}}", losses: "wider parameter_style"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := one(t, "3.0.3", "/x", "parameters: ["+row.parameter+"]", "components: {schemas: {T: {type: array, items: {$ref: '#/components/schemas/T'}}}}", openapi.Options{})
			for place, pair := range map[string]struct {
				schema object
				want   string
			}{"query": {got.Routes[0].Query, row.query}, "headers": {got.Routes[0].Headers, row.headers}} {
				want, _ := fromYAML(t, []byte(pair.want)).(object)
				if flat := flattened(pair.schema); !equal(plain(flat), plain(want)) {
					t.Errorf("%s: %v, want %v", place, flat, want)
				}
			}
			if told(got.Report) != row.losses {
				t.Errorf("losses %q, want %q", told(got.Report), row.losses)
			}
		})
	}
}

// flattened puts what a row writes into one object.
func flattened(schema object) object {
	if schema == nil {
		return nil
	}
	out := object{}
	properties, _ := schema["properties"].(object)
	for name, value := range properties {
		out[name] = value
	}
	if schema["required"] != nil {
		out["required"] = schema["required"]
	}
	if schema["patternProperties"] != nil {
		out["patterns"] = schema["patternProperties"]
	}
	return out
}

// Names that the document does not give, and operations that get in each other's
// way.
func TestNamesAndTwins(t *testing.T) {
	text := head + `security: []
paths:
  /: {get: &op {responses: {'200': {description: ok}}}}
  /orders: {get: *op, post: *op}
  /orders/{id}: {parameters: [&id {name: id, in: path, required: true, schema: {type: string}}], get: *op, put: *op, patch: *op, delete: *op, post: *op}
  /orders/{id}/items: {parameters: [*id], get: *op}
  /orders/items: {get: *op}
  /twins/{a}: {parameters: [{name: a, in: path, required: true, schema: {type: string}}], get: *op}
  /twins/{b}: {parameters: [{name: b, in: path, required: true, schema: {type: string}}], get: *op, post: *op}
  /kinds/{a}: {parameters: [{name: a, in: path, required: true, schema: {type: string}}], get: *op}
  /kinds/{b}: {parameters: [{name: b, in: path, required: true, schema: {type: integer}}], get: *op}
  /named: {get: {operationId: 'list: things!', responses: {'200': {description: ok}}}}
`
	got, err := openapi.Text("test.yaml", []byte(text), openapi.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var routes []string
	for _, r := range got.Routes {
		routes = append(routes, r.ID+" "+r.Method+" "+r.Path)
	}
	want := []string{
		"kinds.read GET /kinds/{a}",
		"kinds.read-2 GET /kinds/{b:int}",
		"list-things GET /named",
		"orders.act POST /orders/{id}",
		"orders.change PATCH /orders/{id}",
		"orders.create POST /orders",
		"orders.delete DELETE /orders/{id}",
		"orders.items.list GET /orders/items",
		"orders.items.list-2 GET /orders/{id}/items",
		"orders.list GET /orders",
		"orders.read GET /orders/{id}",
		"orders.replace PUT /orders/{id}",
		"root.list GET /",
		"twins.act POST /twins/{b}",
	}
	if a, b := strings.Join(routes, "\n"), strings.Join(want, "\n"); a != b {
		t.Errorf("routes:\n%s\nwant:\n%s", a, b)
	}
	if want := "neither id_taken, neither id_changed, neither id_taken, narrower same_requests, narrower same_requests"; told(got.Report) != want {
		t.Errorf("losses %q, want %q", told(got.Report), want)
	}
	if c := got.Report.Operations; c != (openapi.Count{Found: 16, Carried: 14}) {
		t.Errorf("operations %+v, want 16 found, 14 carried over", c)
	}
	engine(t, must(t, got))
}

func must(t *testing.T, i *openapi.Import) []byte {
	t.Helper()
	text, err := i.YAML()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

package openapi_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"authz/internal/openapi"
)

const head = "openapi: 3.0.3\ninfo: {title: t, version: '1'}\n"

// A document that cannot be read is refused with words that say why.
func TestRefused(t *testing.T) {
	for name, row := range map[string]struct{ text, want string }{
		"nothing":                    {"", "EOF"},
		"a list":                     {"[1]", "no object"},
		"Swagger 2.0":                {"swagger: '2.0'", "convert the document to OpenAPI 3"},
		"a later version":            {"openapi: 3.2.0\ninfo: {title: t, version: '1'}\npaths: {}", "neither 3.0.x nor 3.1.x"},
		"no version":                 {"info: {title: t, version: '1'}", "neither 3.0.x nor 3.1.x"},
		"two documents":              {head + "paths: {}\n---\n{}", "more than one YAML document"},
		"a key twice":                {head + "paths: {}\npaths: {}", `the key "paths" is given twice`},
		"twice in JSON":              {`{"openapi":"3.0.3","openapi":"3.1.0"}`, `the key "openapi" is given twice`},
		"a merge key":                {head + "x-a: &a {b: 1}\nx-c: {<<: *a}\npaths: {}", "merge keys"},
		"not a number":               {head + "x-a: .nan\npaths: {}", "not a number in JSON"},
		"aliases":                    {bomb(), "more than 2000000 nodes"},
		"an alias in a circle":       {head + "x-a: &a [*a]\npaths: {}", "deeper than 128 levels"},
		"deep":                       {head + "x-a: " + strings.Repeat("[", 200) + strings.Repeat("]", 200), "deeper than 128 levels"},
		"deep JSON":                  {`{"a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "}", "deeper than 128 levels"},
		"large":                      {head + "paths: {}\n#" + strings.Repeat("x", openapi.MaxSize), "larger than 10 MiB"},
		"a remote reference":         {operation("{$ref: 'https://example.com/x.yaml#/a'}"), "nothing is fetched"},
		"a reference to a host":      {operation("{$ref: '//example.com/x.yaml'}"), "nothing is fetched"},
		"a file reference":           {operation("{$ref: 'x.yaml#/a'}"), "cannot refer to other files"},
		"an absolute path":           {operation("{$ref: '/etc/passwd'}"), "outside the document's folder"},
		"up and out":                 {operation("{$ref: '../x.yaml'}"), "outside the document's folder"},
		"a file URL":                 {operation("{$ref: 'file:///etc/passwd'}"), "nothing is fetched"},
		"references in a row":        {chain(40, "{$ref: '#/components/schemas/S%d'}"), "more than 32 references one after the other"},
		"references deep down":       {chain(3000, "{properties: {a: {$ref: '#/components/schemas/S%d'}}}"), "deeper than 5000 levels"},
		"a reference to itself":      {chain(0, "") + ", A: {$ref: '#/components/schemas/A'}}}", "unresolved ref"},
		"a reference to all":         {operation("{$ref: '#/paths'}"), "expecting ref to schema object"},
		"a parameter that is itself": {strings.Replace(operation("{}"), "requestBody:", "parameters: [{$ref: '#/paths/~1a/post/parameters/0'}], requestBody:", 1), "parameters/0"},
		"no paths":                   {head, "paths"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := openapi.Text("test.yaml", []byte(row.text), openapi.Options{})
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v, want %q", err, row.want)
			}
		})
	}
}

func operation(schema string) string {
	return head + "paths: {/a: {post: {security: [], responses: {'200': {description: ok}}, requestBody: {content: {application/json: {schema: " + schema + "}}}}}}"
}

// chain has schemas that each lead to the next one.
func chain(n int, link string) string {
	text := operation("{$ref: '#/components/schemas/S0'}") + "\ncomponents: {schemas: {"
	for i := range n {
		text += fmt.Sprintf("S%d: "+link+", ", i, i+1)
	}
	text += fmt.Sprintf("S%d: {type: string}", n)
	if n > 0 {
		text += "}}"
	}
	return text
}

// bomb has eight levels of ten aliases each.
func bomb() string {
	text := "a0: &a0 [x]\n"
	for i := range 8 {
		level := string(rune('0' + i))
		next := string(rune('1' + i))
		text += "a" + next + ": &a" + next + " [" + strings.TrimSuffix(strings.Repeat("*a"+level+", ", 10), ", ") + "]\n"
	}
	return text
}

// Every fault of an invalid document is told, not the first alone.
func TestAllFaults(t *testing.T) {
	_, err := openapi.Text("test.yaml", []byte(`openapi: 3.0.3
info: {title: t, version: '1'}
paths:
  /a: {get: {}}
  /b: {get: {responses: {'200': {description: ok}}, parameters: [{name: x, in: nowhere, schema: {}}]}}
  /c/{id}: {get: {responses: {'200': {description: ok}}}}
`), openapi.Options{})
	if err == nil {
		t.Fatal("an invalid document was taken")
	}
	for _, place := range []string{"/a", "/b", "/c/{id}"} {
		if !strings.Contains(err.Error(), place) {
			t.Errorf("no word of %s in:\n%v", place, err)
		}
	}
}

// A document may lie in several files of one folder, and in no other.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	api := filepath.Join(dir, "api")
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write("secret.yaml", "{type: string}")
	write("api/schemas/pet.yaml", "Pet: {type: object, properties: {name: {$ref: 'name.yaml'}, next: {$ref: '../openapi.yaml#/components/schemas/Next'}}}")
	write("api/schemas/name.yaml", "{type: string, pattern: '(?=a)'}")
	next := "\ncomponents: {schemas: {Next: {type: integer}}}"
	write("api/openapi.yaml", operation("{$ref: 'schemas/pet.yaml#/Pet'}")+next)
	got, err := openapi.File(filepath.Join(api, "openapi.yaml"), openapi.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := object{"type": "object", "additionalProperties": false, "properties": object{"name": object{"type": "string"}, "next": object{"type": "integer"}}}
	if !equal(plain(got.Routes[0].Body.Schema), want) {
		t.Errorf("body %v, want %v", got.Routes[0].Body.Schema, want)
	}
	if l := got.Report.Losses; len(l) != 1 || l[0].Pointer != "schemas/name.yaml#/pattern" {
		t.Errorf("losses %+v, want one at schemas/name.yaml#/pattern", l)
	}

	if err := os.Symlink("../secret.yaml", filepath.Join(api, "link.yaml")); err != nil {
		t.Fatal(err)
	}
	for ref, words := range map[string]string{
		"../secret.yaml":            "outside the document's folder",
		"schemas/../../secret.yaml": "outside the document's folder",
		"link.yaml":                 "escapes",
		"missing.yaml":              "no such file",
		"schemas":                   "not a regular file",
	} {
		write("api/openapi.yaml", operation("{$ref: '"+ref+"'}"))
		if _, err := openapi.File(filepath.Join(api, "openapi.yaml"), openapi.Options{}); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %q", ref, err, words)
		}
	}
}

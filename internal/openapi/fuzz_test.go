package openapi_test

import (
	"os"
	"path/filepath"
	"testing"

	"authz/internal/openapi"
)

// Whatever the text is: no panic, and what comes out is data that is written and
// read alike, in which nobody gets in but by the document's word.
func FuzzText(f *testing.F) {
	for _, name := range documents {
		text, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(operation("{$ref: '#/components/schemas/A'}") + "\ncomponents: {schemas: {A: {allOf: [{$ref: '#/components/schemas/A'}]}}}"))
	f.Add([]byte(operation("{type: object, properties: {a: {readOnly: true}, \"b\\nc\": {enum: [null, 'yes', 1e3]}}}")))
	f.Add(document("3.1.0", `{"if":{"$ref":"#/paths"},"then":true,"not":{"prefixItems":[1]}}`, ``))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := openapi.Text("fuzz", text, openapi.Options{})
		if err != nil {
			return
		}
		if got.Report.Operations.Carried != len(got.Routes) {
			t.Errorf("%d routes, %d said", len(got.Routes), got.Report.Operations.Carried)
		}
		for _, r := range got.Routes {
			if r.Public && (r.Authenticated || len(r.Scopes)+len(r.Roles) > 0) {
				t.Errorf("%s is public and asks for a token", r.ID)
			}
		}
		written, err := got.YAML()
		if err != nil {
			t.Fatal(err)
		}
		if read, want := fromYAML(t, written), plain(got.Data()); !equal(read, want) {
			t.Errorf("written and read differ:\n%s", written)
		}
	})
}

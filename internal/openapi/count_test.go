package openapi_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"authz/internal/openapi"

	"go.yaml.in/yaml/v3"
)

var documents = []string{"petstore", "issues", "payments"}

func imported(t testing.TB, name string, o openapi.Options) *openapi.Import {
	t.Helper()
	out, err := openapi.File(filepath.Join("testdata", name+".yaml"), o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

type object = map[string]any

// raw is the document as YAML has it, read without this package.
func raw(t *testing.T, name string) object {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var out object
	if err := yaml.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// counted is what a reader counts in a document with a pencil.
type counted struct {
	operations, left        int // left: operations whose path has a template within a segment
	parameters, bodies      int
	public, anyToken, scope int
	closed                  int
}

func count(document object) counted {
	var c counted
	for path, item := range document["paths"].(object) {
		shared, _ := item.(object)["parameters"].([]any)
		for method, op := range item.(object) {
			if !slices.Contains([]string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}, method) {
				continue
			}
			c.operations++
			partial := strings.Contains(path, "}...") || strings.Contains(path, "}:")
			own, _ := op.(object)["parameters"].([]any)
			c.parameters += len(shared) + len(own)
			if partial {
				c.left++
				c.parameters -= len(shared) + len(own)
				continue
			}
			if op.(object)["requestBody"] != nil {
				c.bodies++
			}
			security, own_ := op.(object)["security"].([]any)
			if !own_ {
				security = document["security"].([]any)
			}
			switch who(document, security) {
			case "public":
				c.public++
			case "token":
				c.anyToken++
			case "scopes":
				c.scope++
			default:
				c.closed++
			}
		}
	}
	return c
}

func who(document object, security []any) string {
	schemes := document["components"].(object)["securitySchemes"].(object)
	answer := "closed"
	if len(security) == 0 {
		return "public"
	}
	for _, alternative := range security {
		if len(alternative.(object)) == 0 {
			return "public"
		}
		this := "token"
		for name, scopes := range alternative.(object) {
			kind := schemes[name].(object)["type"]
			if kind != "oauth2" && (kind != "http" || schemes[name].(object)["scheme"] != "bearer") {
				this = "closed"
			} else if len(scopes.([]any)) > 0 && this == "token" {
				this = "scopes"
			}
		}
		switch {
		case this == "token", this == "scopes" && answer == "closed":
			answer = this
		}
	}
	return answer
}

// What is found is what the document has, counted by other means.
func TestCounts(t *testing.T) {
	for _, name := range documents {
		t.Run(name, func(t *testing.T) {
			want := count(raw(t, name))
			got := imported(t, name, openapi.Options{})
			r := got.Report
			if found := (counted{
				operations: r.Operations.Found, left: r.Operations.Found - r.Operations.Carried,
				parameters: r.Parameters.Found, bodies: r.Bodies.Found,
				public: r.Access.Public, anyToken: r.Access.Authenticated, scope: r.Access.Scoped, closed: r.Access.Closed,
			}); found != want {
				t.Errorf("found %+v\n want %+v", found, want)
			}
			if len(got.Routes) != r.Operations.Carried {
				t.Errorf("%d routes, %d carried over", len(got.Routes), r.Operations.Carried)
			}
			if want.operations < 15 || want.operations > 40 {
				t.Errorf("%d operations: no realistic document", want.operations)
			}
		})
	}
}

// Every operation with an operationId is a route of that name, and every loss has a
// place that exists in the document.
func TestNamesAndPlaces(t *testing.T) {
	for _, name := range documents {
		t.Run(name, func(t *testing.T) {
			document := raw(t, name)
			got := imported(t, name, openapi.Options{})
			ids := map[string]bool{}
			for _, r := range got.Routes {
				ids[r.ID] = true
			}
			for path, item := range document["paths"].(object) {
				for _, op := range item.(object) {
					fields, _ := op.(object)
					id, ok := fields["operationId"].(string)
					if ok && !ids[id] && !strings.Contains(path, "}...") && !strings.Contains(path, "}:") {
						t.Errorf("no route %s", id)
					}
				}
			}
			for _, loss := range got.Report.Losses {
				if !resolves(document, loss.Pointer) {
					t.Errorf("%s leads nowhere (%s)", loss.Pointer, loss.Message)
				}
			}
		})
	}
}

func resolves(document any, pointer string) bool {
	at := document
	pointer = strings.NewReplacer("%7B", "{", "%7D", "}").Replace(pointer)
	for _, name := range strings.Split(strings.TrimPrefix(pointer, "#"), "/")[1:] {
		name = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
		switch v := at.(type) {
		case object:
			at = v[name]
		case []any:
			i := int(name[0] - '0')
			if len(name) != 1 || i >= len(v) {
				return false
			}
			at = v[i]
		}
		if at == nil {
			return false
		}
	}
	return true
}

// The whole result is kept beside the document, so that a change of the
// translation shows in a review: testdata/*.data.yaml and *.losses.txt.
func TestWhole(t *testing.T) {
	for _, name := range documents {
		t.Run(name, func(t *testing.T) {
			got := imported(t, name, openapi.Options{})
			text, err := got.YAML()
			if err != nil {
				t.Fatal(err)
			}
			var losses strings.Builder
			for _, l := range got.Report.Losses {
				losses.WriteString(strings.Join([]string{string(l.Effect), l.Code, l.Pointer, l.Message}, "\t") + "\n")
			}
			golden(t, name+".data.yaml", string(text))
			golden(t, name+".losses.txt", losses.String())
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (UPDATE_GOLDEN=1 writes it):\n%s", path, got)
	}
}

// The text that is written is the data.
func TestYAMLIsTheData(t *testing.T) {
	for _, name := range documents {
		got := imported(t, name, openapi.Options{})
		text, err := got.YAML()
		if err != nil {
			t.Fatal(err)
		}
		if read, want := fromYAML(t, text), plain(got.Data()); !equal(read, want) {
			t.Errorf("%s: the YAML is read as other data", name)
		}
	}
}

func TestMount(t *testing.T) {
	for mount, want := range map[string]string{"": "authz", "authz": "config", "authz/config": "routes"} {
		data := imported(t, "petstore", openapi.Options{Mount: mount}).Data()
		if got := slices.Collect(maps.Keys(data)); !slices.Equal(got, []string{want}) {
			t.Errorf("mount %q: %v, want %s", mount, got, want)
		}
	}
	if rows := imported(t, "petstore", openapi.Options{Mount: "authz/config/routes"}).Data(); rows["addPet"] == nil {
		t.Error("mounted at the table, the rows are not at the root")
	}
	if _, err := openapi.File("testdata/petstore.yaml", openapi.Options{Mount: "elsewhere"}); err == nil {
		t.Error("a mount that is not on the way to the table was taken")
	}
}

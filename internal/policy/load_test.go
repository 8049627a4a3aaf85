package policy

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"authz/internal/check"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
)

const allowAll = "package authz\n\ndecision := {\"allowed\": true}\n"

// Everything that keeps a policy from being loaded, and what the operator reads.
func TestRefusedPolicies(t *testing.T) {
	for _, row := range []struct {
		name  string
		files tree
		cfg   Config
		want  []string // all of them in the error
	}{
		// style.md, Rego 6; contract: schemas/input.json describes the input.
		{"a typo in the token",
			tree{"authz/authz.rego": "package authz\n\ndecision := input.tokn.status == \"valid\"\n"}, Config{},
			[]string{"authz/authz.rego:3", "rego_type_error", "input.tokn.status"}},
		{"a typo below a key that opa-envoy-plugin knows",
			tree{"a.rego": "package authz\n\ndecision := input.attributes.request.http.methd == \"GET\"\n"}, Config{},
			[]string{"a.rego:3", "methd"}},
		{"a typo in the route",
			tree{"a.rego": "package authz\n\ndecision := input.route.name == \"x\"\n"}, Config{},
			[]string{"a.rego:3", "input.route.name"}},
		// threats.md, Engine: capabilities.
		{"http.send",
			tree{"a.rego": "package authz\n\ndecision := http.send({\"method\": \"GET\", \"url\": \"https://a.test\"}).status_code == 200\n"}, Config{},
			[]string{"a.rego:3", "undefined function http.send"}},
		{"opa.runtime",
			tree{"a.rego": "package authz\n\ndecision := opa.runtime().env.HOME == \"/\"\n"}, Config{},
			[]string{"a.rego:3", "undefined function opa.runtime"}},
		{"net.lookup_ip_addr",
			tree{"a.rego": "package authz\n\ndecision if net.lookup_ip_addr(\"a.test\")\n"}, Config{},
			[]string{"a.rego:3", "undefined function net.lookup_ip_addr"}},
		// threats.md, Engine: schemas with a $ref to a file or host.
		{"a schema in data that points to a file",
			tree{"a.rego": allowAll, "s/data.json": `{"order": {"properties": {"a": {"$ref": "file:///etc/passwd"}}}}`}, Config{},
			[]string{"data.s.order.properties.a", errRemoteRef.Error(), "file:///etc/passwd"}},
		{"a schema in data that points to a host",
			tree{"a.rego": allowAll, "data.yaml": "s:\n  - $ref: https://a.test/s.json\n"}, Config{},
			[]string{"data.s[0]", errRemoteRef.Error()}},
		{"a schema in data that points to a neighbour",
			tree{"a.rego": allowAll, "data.yaml": "s: {$id: 'file:///etc/', $ref: passwd}\n"}, Config{},
			[]string{"data.s", errRemoteRef.Error()}},
		{"a schema as text in data",
			tree{"a.rego": allowAll, "data.json": `{"s": "{\"$ref\": \"file:///etc/passwd\"}"}`}, Config{},
			[]string{"data.s", errRemoteRef.Error()}},
		{"a schema as an object in Rego",
			tree{"a.rego": "package authz\n\ndecision := json.match_schema({}, {\"$ref\": \"file:///etc/passwd\"})[0]\n"}, Config{},
			[]string{"a.rego:3", errRemoteRef.Error()}},
		{"a schema as an object in Rego with a computed $ref",
			tree{"a.rego": "package authz\n\ndecision := json.match_schema({}, {\"$ref\": input.client.ip})[0]\n"}, Config{},
			[]string{"a.rego:3", errRemoteRef.Error()}},
		{"a schema as text in Rego",
			tree{"a.rego": "package authz\n\ndecision := json.match_schema({}, `{\"$ref\": \"file:///etc/passwd\"}`)[0]\n"}, Config{},
			[]string{"a.rego:3", errRemoteRef.Error()}},
		{"a schema as text in Rego with an escaped $ref",
			tree{"a.rego": "package authz\n\ndecision := json.match_schema({}, `{\"\\u0024ref\": \"file:///etc/passwd\"}`)[0]\n"}, Config{},
			[]string{"a.rego:3", errRemoteRef.Error()}},
		{"a part of a schema as text in Rego",
			tree{"a.rego": "package authz\n\ndecision := json.match_schema({}, sprintf(`{\"$ref\": \"%s\"}`, [input.client.ip]))[0]\n"}, Config{},
			[]string{"a.rego:3", errRemoteRef.Error()}},
		{"a schema in an annotation",
			tree{"a.rego": "package authz\n\n# METADATA\n# schemas:\n#   - input: {$ref: \"file:///etc/passwd\"}\ndecision := true\n"}, Config{},
			[]string{"a.rego:3", errRemoteRef.Error()}},
		{"a circle of schemas in an annotation",
			tree{"a.rego": "package authz\n\n# METADATA\n# schemas:\n#   - input: {allOf: [{$ref: \"#/allOf/0\"}]}\ndecision := true\n"}, Config{},
			[]string{"a.rego:3", errCircularRef.Error()}},
		// strict: true
		{"an unused variable",
			tree{"a.rego": "package authz\n\ndecision if {\n\tx := 1\n}\n"}, Config{},
			[]string{"a.rego:4", "assigned var x unused"}},
		{"Rego of the old version",
			tree{"a.rego": "package authz\n\ndecision { true }\n"}, Config{},
			[]string{"a.rego:3", "`if` keyword is required"}},
		{"text that is not Rego",
			tree{"a.rego": "package authz\n\ndecision := {\n"}, Config{},
			[]string{"a.rego:", "rego_parse_error"}},
		{"data that is not JSON",
			tree{"a.rego": allowAll, "authz/config/data.json": "{"}, Config{},
			[]string{"authz/config/data.json"}},
		{"a rule and data of one name",
			tree{"a.rego": allowAll, "authz/data.yaml": "decision: true\n"}, Config{},
			[]string{"a.rego:3", "conflict"}},
		// The entry point.
		{"no entry point",
			tree{"a.rego": "package authz\n\nallow := true\n"}, Config{},
			[]string{"entry point authz/decision: no rule and no data of that name"}},
		{"an entry point that is a function",
			tree{"a.rego": "package authz\n\ndecision(_) := true\n"}, Config{},
			[]string{"entry point authz/decision: no rule and no data of that name"}},
		{"an entry point that the rule above cannot hold",
			tree{"a.rego": "package authz\n\nallow := {\"allowed\": true}\n"}, Config{Decision: "authz/allow/response"},
			[]string{"entry point authz/allow/response", "undefined ref"}},
		{"an empty directory", tree{}, Config{}, []string{"entry point authz/decision"}},
		{"no directory", tree{}, Config{Paths: []string{"/nowhere/at/all"}}, []string{"reading the policy at /nowhere/at/all"}},
		// contract: the route table is policy data; all faults at once.
		{"a bad route table",
			tree{"a.rego": allowAll, "authz/config/routes/data.yaml": "a: {methods: [GET], path: x}\nb: {path: /x}\nc: 1\n"}, Config{},
			[]string{"authz/config/routes", `route "a": path`, `route "b": methods`, `route "c": is a number`}},
		{"a route table made by rules",
			tree{"a.rego": allowAll, "r.rego": "package authz.config\n\nroutes := {}\n"}, Config{},
			[]string{"authz/config/routes: the route table is data"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg := row.cfg
			if cfg.Paths != nil {
				engine, err := New(cfg, newLog())
				if err != nil {
					t.Fatal(err)
				}
				requireAll(t, errorText(engine.Load(t.Context())), row.want)
				return
			}
			requireAll(t, loadError(t, row.files, cfg), row.want)
		})
	}
}

// Every fault of the configuration in one go, each naming its key.
func TestRefusedConfig(t *testing.T) {
	_, err := New(Config{
		Decision: "authz//decision", Routes: "/", Timeout: -1, AllowBuiltins: []string{"exec"},
	}, newLog())
	requireAll(t, errorText(err), []string{
		"policy configuration", "Path: missing", `Decision: "authz//decision"`, `Routes: "/"`,
		"Timeout", `AllowBuiltins: "exec" is not a built-in that is off`,
	})
	_, err = New(Config{Path: "a", Paths: []string{"b"}}, newLog())
	requireAll(t, errorText(err), []string{"Path and Paths: give one of them"})
}

// Policies that a stricter reading of the schema might break.
func TestAcceptedPolicies(t *testing.T) {
	for _, row := range []struct{ name, rego string }{
		{"any header", `decision if input.attributes.request.http.headers["x-anything"]`},
		{"a header by dot", `decision if input.attributes.request.http.headers.authorization`},
		{"any body", `decision if input.parsed_body.a.b[0].c`},
		{"any metadata", `decision if input.attributes.metadataContext.filterMetadata["envoy.filters.http.jwt_authn"].payload.sub`},
		{"any claim", `decision if input.token.claims.realm_access.roles[_] == "admin"`},
		{"any query parameter", `decision if input.parsed_query.page[0] == "1"`},
		{"source principal", `decision if input.source_principal == input.attributes.source.principal`},
		{"what only opa-envoy-plugin sends", `decision if input.attributes.source.address.pipe.path`},
		{"null route", `decision if is_null(input.route)`},
		{"context extensions", `decision if input.attributes.contextExtensions.tenant`},
		{"http.send in a text", `decision if input.parsed_path[0] == "http.send"`},
		{"a schema with local pointers", `decision := json.match_schema({}, {"properties": {"a": {"$ref": "#/definitions/a"}}, "definitions": {"a": {"type": "string"}}})[0]`},
		{"a recursive schema", `decision := json.match_schema({}, {"properties": {"child": {"$ref": "#"}}})[0]`},
		{"print, which opa test shows and we drop", "decision if {\n\tprint(input)\n}"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if err := loadError(t, tree{"a.rego": "package authz\n\n" + row.rego + "\n"}, Config{}); err != "" {
				t.Error(err)
			}
		})
	}
}

// AllowBuiltins re-enables by name.
func TestAllowedBuiltin(t *testing.T) {
	files := tree{"a.rego": "package authz\n\ndecision if opa.runtime()\n"}
	if err := loadError(t, files, Config{AllowBuiltins: []string{"opa.runtime"}}); err != "" {
		t.Error(err)
	}
}

// What a directory holds is what `opa build -b` would put into a bundle.
func TestDirectory(t *testing.T) {
	engine := loadedEngine(t, tree{
		"authz/authz.rego":      "package authz\n\ndecision := {\"allowed\": true, \"reason\": sort([name | some name, _ in data.limits])}\n",
		"authz/authz_test.rego": "package authz_test\n\nthis is not even Rego\n",
		"limits/data.yaml":      "login: 5\n",
		"limits/x/data.json":    `{"y": 1}`,
		"limits/other.json":     `{"not": "loaded"}`,
		".hidden/data.json":     `{"limits": {"hidden": 1}}`,
		"README.md":             "not read",
	}, Config{})
	got := eval(t, engine, get())
	if want := []string{"login", "x"}; !slices.Equal(got.Reasons, want) {
		t.Errorf("data: %q, want %q", got.Reasons, want)
	}
	warnings := engine.Status().Warnings
	if len(warnings) != 1 || !strings.Contains(warnings[0], "limits/other.json is not loaded") {
		t.Errorf("warnings %q", warnings)
	}
}

func writeBundle(t *testing.T, dir, name string, manifest bundle.Manifest, data map[string]any, modules tree) string {
	t.Helper()
	b := bundle.Bundle{Manifest: manifest, Data: data}
	b.Manifest.Init()
	for path, text := range modules {
		b.Modules = append(b.Modules, bundle.ModuleFile{
			URL: path, Path: path, Raw: []byte(text), Parsed: ast.MustParseModule(text),
		})
	}
	var out bytes.Buffer
	if err := bundle.NewWriter(&out).UseModulePath(true).DisableFormat(true).Write(b); err != nil {
		t.Fatal(err)
	}
	tree{name: out.String()}.write(t, dir)
	return dir + "/" + name
}

// An OPA bundle: its manifest's revision names the policy, its tests are left
// out, its route table is found.
func TestBundle(t *testing.T) {
	path := writeBundle(t, t.TempDir(), "bundle.tar.gz",
		bundle.Manifest{Revision: "v7", Roots: &[]string{"authz"}},
		map[string]any{"authz": map[string]any{"config": map[string]any{"routes": map[string]any{
			"orders": map[string]any{"methods": []any{"GET"}, "path": "/orders"},
		}}}},
		tree{"/authz/authz.rego": allowAll, "/authz/authz_test.rego": "package authz.bad\n\nx if http.send({})\n"})
	engine, err := New(Config{Path: path}, newLog())
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, status := eval(t, engine, get()), engine.Status()
	if got.Revision != "v7" || got.Route != "orders" || status.Revision != "v7" || status.Routes != 1 {
		t.Errorf("result %+v, status %+v", got, status)
	}
}

// A bundle whose content lies outside its roots, and what is no bundle at all.
func TestRefusedBundles(t *testing.T) {
	for name, content := range map[string]string{
		"text":      "not a bundle",
		"empty":     "",
		"truncated": "\x1f\x8b\x08\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			tree{"b.tar.gz": content}.write(t, dir)
			engine, err := New(Config{Path: dir + "/b.tar.gz"}, newLog())
			if err != nil {
				t.Fatal(err)
			}
			if err := engine.Load(t.Context()); err == nil {
				t.Error("loaded")
			}
		})
	}
	t.Run("roots", func(t *testing.T) {
		requireAll(t, loadError(t, tree{
			".manifest": `{"revision": "v1", "roots": ["shop"]}`, "a.rego": allowAll,
		}, Config{}), []string{"manifest roots [shop] do not permit", "package authz"})
	})
}

// Several paths and the library are one policy.
func TestSeveralSources(t *testing.T) {
	library := fstest.MapFS{
		"authz/authz.rego":      {Data: []byte("package authz\n\ndecision := {\"allowed\": data.authz.config.open, \"reason\": data.shop.codes}\n")},
		"authz/authz_test.rego": {Data: []byte("not Rego")},
	}
	shop, owned := t.TempDir(), t.TempDir()
	tree{"authz/config/data.yaml": "open: true\n"}.write(t, owned)
	load := func(more tree) (*Engine, error) {
		dir := t.TempDir()
		more.write(t, dir)
		engine, err := New(Config{Paths: []string{shop, owned, dir}, Library: library}, newLog())
		if err != nil {
			t.Fatal(err)
		}
		return engine, engine.Load(t.Context())
	}
	tree{".manifest": `{"revision": "shop-3", "roots": ["shop"]}`, "shop/shop.rego": "package shop\n\ncodes := [\"a\"]\n"}.write(t, shop)

	engine, err := load(nil)
	if err != nil {
		t.Fatal(err)
	}
	got := eval(t, engine, get())
	if !got.Allowed || !slices.Equal(got.Reasons, []string{"a"}) || !strings.HasPrefix(got.Revision, "shop-3@") {
		t.Errorf("result %+v", got)
	}
	for _, row := range []struct {
		name  string
		files tree
		want  string
	}{
		{"data twice", tree{"data.yaml": "authz: {config: {open: false}}\n"}, "data.authz.config.open is defined twice"},
		{"a rule in another's root", tree{"x.rego": "package shop.more\n\nx := 1\n"}, "package shop.more belongs to " + shop},
		{"data in another's root", tree{"shop/data.yaml": "x: 1\n"}, "data at shop (an object) belongs to " + shop},
		{"a second complete rule", tree{"x.rego": "package authz\n\ndefault decision := false\ndefault decision := true\n"}, "multiple default rules"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := load(row.files)
			requireAll(t, errorText(err), []string{row.want})
		})
	}
}

// contract: anything else in the result is reported at load.
func TestUnknownKeysAtLoad(t *testing.T) {
	for _, row := range []struct {
		name, rego, decision string
		want                 []string // line and key
	}{
		{"all known", "decision := {\"allowed\": true, \"reason\": \"x\"}", "", nil},
		{"object literal", "decision := {\"allowed\": true, \"header\": {}}", "", []string{`:3: the decision's key "header"`}},
		{"else", "decision := true if {\n\tinput.route.id\n} else := {\"allowd\": false}", "", []string{`:5: the decision's key "allowd"`}},
		{"variable", "decision := d if {\n\td := {\"allowed\": true, \"headrs\": {}}\n}", "", []string{`:4: the decision's key "headrs"`}},
		{"object.union", "decision := object.union({\"allowed\": true}, {\"stauts\": 1})", "", []string{`:3: the decision's key "stauts"`}},
		{"rule for one key", "decision.allowed := true\n\ndecision.bdoy := \"x\"", "", []string{`:5: the decision's key "bdoy"`}},
		{"package as entry point", "allowed := true\n\nhelper := 1\n\nf(_) := 1", "authz", []string{`:5: the decision's key "helper"`}},
		{"below a rule's value", "allow := {\"response\": {\"allowed\": true, \"x\": 1}, \"y\": 1}", "authz/allow/response", []string{`:3: the decision's key "x"`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			engine := loadedEngine(t, tree{"a.rego": "package authz\n\n" + row.rego + "\n"}, Config{Decision: row.decision})
			warnings := engine.Status().Warnings
			if len(warnings) != len(row.want) {
				t.Fatalf("warnings %q, want %q", warnings, row.want)
			}
			for i := range warnings {
				if !strings.Contains(warnings[i], row.want[i]) {
					t.Errorf("warning %q, want %q", warnings[i], row.want[i])
				}
			}
		})
	}
}

// contract: … and in the log: once a revision and key.
func TestUnknownKeysInTheLog(t *testing.T) {
	dir, book := t.TempDir(), &logbook{}
	tree{"a.rego": "package authz\n\ndecision := {\"allowed\": true, concat(\"\", [\"fo\", \"o\"]): 1, concat(\"\", [\"k\", input.client.ip]): 1}\n"}.write(t, dir)
	engine, err := New(Config{Path: dir}, book.logger())
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := get()
	for i := range 100 {
		r.Client.IP = strings.Repeat("1", i+1)
		got := eval(t, engine, r)
		if want := []string{"foo", "k" + r.Client.IP}; !slices.Equal(got.Unknown, want) {
			t.Fatalf("unknown %q, want %q", got.Unknown, want)
		}
	}
	if n := book.count("key=foo "); n != 1 {
		t.Errorf("foo is in the log %d times", n)
	}
	if n := book.count("means nothing here"); n != maxReported {
		t.Errorf("%d lines in the log, want %d", n, maxReported)
	}
}

// The zero of everything refuses.
func TestNothingLoaded(t *testing.T) {
	engine := newEngine(t, tree{}, Config{})
	if _, err := engine.Eval(t.Context(), get(), anonymous()); !errors.Is(err, ErrNotLoaded) {
		t.Errorf("error %v, want %v", err, ErrNotLoaded)
	}
	if got := engine.Status(); got.Loaded || got.Revision != "" {
		t.Errorf("status %+v", got)
	}
}

func eval(t testing.TB, e *Engine, r *check.Request) *Result {
	t.Helper()
	result, err := e.Eval(t.Context(), r, anonymous())
	if err != nil {
		t.Fatalf("eval: %v", err)
	}
	return result
}

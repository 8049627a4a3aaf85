package lintenvoy_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"authz/internal/lintenvoy"
	"authz/internal/testbed"
)

const shipped = "../../envoy/envoy.yaml"

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestShippedHasNoFindings(t *testing.T) {
	findings, err := lintenvoy.Lint(read(t, shipped))
	if err != nil || findings == nil || len(findings) != 0 {
		t.Errorf("%+v, %v", findings, err)
	}
}

// Every code has one file in testdata/codes that says what to change in the shipped
// configuration; that, and nothing else, is then found, where the file says.
func TestCodes(t *testing.T) {
	files, err := filepath.Glob("testdata/codes/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		code := strings.TrimSuffix(filepath.Base(file), ".yaml")
		names = append(names, code)
		t.Run(code, func(t *testing.T) {
			var c struct {
				Edit, Insert yaml.Node
				Finds        string
			}
			if err := yaml.Unmarshal(read(t, file), &c); err != nil {
				t.Fatal(err)
			}
			var config any
			if err := yaml.Unmarshal(read(t, shipped), &config); err != nil {
				t.Fatal(err)
			}
			for _, e := range edits(t, &c.Edit) {
				if config, err = testbed.Apply(config, e); err != nil {
					t.Fatal(err)
				}
			}
			for _, e := range edits(t, &c.Insert) {
				config = insert(t, config, e)
			}
			text, err := yaml.Marshal(config)
			if err != nil {
				t.Fatal(err)
			}
			findings, err := lintenvoy.Lint(text)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range findings {
				got = append(got, f.Code+" "+f.Path)
				if f.Message == "" || f.Fix == "" || f.Line == 0 || f.Link != "docs/lint-envoy.md#"+strings.ToLower(code) {
					t.Errorf("incomplete: %+v", f)
				}
			}
			if want := []string{code + " " + path(c.Finds)}; !slices.Equal(got, want) {
				t.Errorf("found\n  %s\nwant\n  %s", strings.Join(got, "\n  "), want[0])
			}
		})
	}
	if want := slices.Sorted(maps.Keys(lintenvoy.Severities())); !slices.Equal(names, want) {
		t.Errorf("examples for %v, codes are %v", names, want)
	}
}

// places are the short names of testdata/codes.
var places = map[string]string{
	"manager": testbed.HCM, "ext_authz": testbed.ExtAuthz, "app_host": testbed.AppHost, "authz_cluster": testbed.Authz0,
}

func long(short string) string {
	first, rest, _ := strings.Cut(short, ".")
	if place, ok := places[first]; ok {
		return place + "." + rest
	}
	return short
}

var index = regexp.MustCompile(`\.(\d+)`)

// path is a short path as findings write it.
func path(short string) string { return index.ReplaceAllString(long(short), "[$1]") }

// edits keep the order of the file.
func edits(t *testing.T, n *yaml.Node) (out []testbed.Edit) {
	t.Helper()
	for i := 0; i+1 < len(n.Content); i += 2 {
		var value any
		if err := n.Content[i+1].Decode(&value); err != nil {
			t.Fatal(err)
		}
		out = append(out, testbed.Edit{Path: long(n.Content[i].Value), Value: value})
	}
	return out
}

// insert puts a value before the item of a list that the path leads to.
func insert(t *testing.T, config any, e testbed.Edit) any {
	t.Helper()
	dot := strings.LastIndexByte(e.Path, '.')
	list := config
	for step := range strings.SplitSeq(e.Path[:dot], ".") {
		switch at := list.(type) {
		case map[string]any:
			list = at[step]
		case []any:
			var i int
			if _, err := fmt.Sscan(step, &i); err != nil {
				t.Fatal(err)
			}
			list = at[i]
		}
	}
	var i int
	if _, err := fmt.Sscan(e.Path[dot+1:], &i); err != nil {
		t.Fatal(err)
	}
	config, err := testbed.Apply(config, testbed.Edit{Path: e.Path[:dot], Value: slices.Insert(list.([]any), i, e.Value)})
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// Whole files and parts of files as people have them: each line says in a comment
// what is found on it.
func TestFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/files/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text := read(t, file)
			want := map[int][]string{}
			for i, line := range strings.Split(string(text), "\n") {
				if _, codes, ok := strings.Cut(line, "# want "); ok {
					want[i+1] = strings.Fields(codes)
				}
			}
			findings, err := lintenvoy.Lint(text)
			if err != nil {
				t.Fatal(err)
			}
			got := map[int][]string{}
			for _, f := range findings {
				got[f.Line] = append(got[f.Line], f.Code)
			}
			for _, line := range slices.Sorted(maps.Keys(got)) {
				if !slices.Equal(got[line], want[line]) {
					t.Errorf("%s:%d: found %v, want %v", file, line, got[line], want[line])
				}
				delete(want, line)
			}
			if len(want) > 0 {
				t.Errorf("not found: %v", want)
			}
		})
	}
}

func TestNotJudged(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":             {"", "nothing of Envoy in it"},
		"something else":    {"apiVersion: v1\nkind: Service\n", "nothing of Envoy in it"},
		"no YAML":           {"a: [", "reading YAML"},
		"holds itself":      {"a: &a [*a]", "reading YAML"},
		"unfolds endlessly": {"a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]\n", "reading YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			findings, err := lintenvoy.Lint([]byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) || findings != nil {
				t.Errorf("%v, %v; want an error with %q", findings, err, c.want)
			}
		})
	}
}

// The page that users read has a row for every code, with its severity, and no other.
func TestPageMatchesCodes(t *testing.T) {
	row := regexp.MustCompile(`(?m)^\| <a id="(aze\d+)"></a>(AZE\d+) \| (\w+) \|`)
	documented := map[string]lintenvoy.Severity{}
	for _, m := range row.FindAllStringSubmatch(string(read(t, "../../docs/lint-envoy.md")), -1) {
		if m[1] != strings.ToLower(m[2]) {
			t.Errorf("anchor %s of %s", m[1], m[2])
		}
		documented[m[2]] = lintenvoy.Severity(m[3])
	}
	if codes := lintenvoy.Severities(); !maps.Equal(documented, codes) {
		t.Errorf("documented %v\ncodes      %v", documented, codes)
	}
}

func FuzzLint(f *testing.F) {
	for _, pattern := range []string{shipped, "testdata/files/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		findings, err := lintenvoy.Lint(text)
		if (err == nil) != (findings != nil) {
			t.Errorf("findings %v with error %v", findings, err)
		}
	})
}

// A listener needs no filter only when each of its routes takes one request to the letter.
func TestToTheLetter(t *testing.T) {
	route := func(header string) string {
		return `{ match: { prefix: /, headers: [` + header + `] }, route: { cluster: app } }`
	}
	exact := route(`{ name: ":path", string_match: { exact: /livez } }`)
	for name, c := range map[string]struct {
		routes string
		found  bool
	}{
		"one":                      {exact, false},
		"two":                      {exact + "," + exact, false},
		"none":                     {"", true},
		"one and all":              {exact + "," + route(""), true},
		"a prefix":                 {route(`{ name: ":path", string_match: { prefix: /livez } }`), true},
		"the others":               {route(`{ name: ":path", invert_match: true, string_match: { exact: /livez } }`), true},
		"a method":                 {route(`{ name: ":method", string_match: { exact: GET } }`), true},
		"an exact path, any query": {`{ match: { path: /livez }, route: { cluster: app } }`, true},
	} {
		t.Run(name, func(t *testing.T) {
			findings, err := lintenvoy.Lint([]byte(`
"@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
http_filters: [{ name: envoy.filters.http.router }]
route_config: { virtual_hosts: [{ name: a, domains: ["*"], routes: [` + c.routes + `] }] }
`))
			if err != nil {
				t.Fatal(err)
			}
			found := slices.ContainsFunc(findings, func(f lintenvoy.Finding) bool { return f.Code == "AZE001" })
			if found != c.found {
				t.Errorf("found: %v", found)
			}
		})
	}
}

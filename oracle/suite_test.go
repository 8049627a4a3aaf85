package oracle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The JSON Schema Test Suite has schemas, documents and for each what a validator
// must say. The copies are those that two Go modules carry (suite/go.mod): draft 7 as
// it is today, the older ones with the optional parts and the formats.
var drafts = []struct {
	name, module, folder string
	draft                *jsonschema.Draft
}{
	{"draft 7", "github.com/google/jsonschema-go", "jsonschema/testdata/draft7", jsonschema.Draft7},
	{"draft 7 optional", "github.com/xeipuuv/gojsonschema", "testdata/draft7/optional", jsonschema.Draft7},
	{"draft 7 formats", "github.com/xeipuuv/gojsonschema", "testdata/draft7/optional/format", jsonschema.Draft7},
	{"draft 6", "github.com/xeipuuv/gojsonschema", "testdata/draft6", jsonschema.Draft6},
	{"draft 4", "github.com/xeipuuv/gojsonschema", "testdata/draft4", jsonschema.Draft4},
	{"draft 4 optional", "github.com/xeipuuv/gojsonschema", "testdata/draft4/optional", jsonschema.Draft4},
}

// A group is a schema of the suite with its documents.
type group struct {
	Description string          `json:"description"`
	Schema      json.RawMessage `json:"schema"`
	Tests       []struct {
		Description string          `json:"description"`
		Data        json.RawMessage `json:"data"`
		Valid       bool            `json:"valid"`
	} `json:"tests"`
	file string
}

// The library answers as the suite says and as another validator does, but for what
// testdata/suite.txt lists and docs/policies/input.md explains.
func TestSuite(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short")
	}
	var differences []string
	cases, agreed, peerAgreed, schemas, left := 0, 0, 0, 0, 0
	for _, d := range drafts {
		groups := suite(t, d.module, d.folder)
		named := map[string]any{}
		for i, g := range groups {
			var schema any
			decode(t, g.Schema, &schema)
			named[fmt.Sprintf("s%d", i)] = schema
		}
		l := newLibrary(t, named)
		schemas += len(groups)
		for i, g := range groups {
			name, where := fmt.Sprintf("s%d", i), strings.Join([]string{d.name, g.file, g.Description}, " / ")
			if l.refused[name] {
				left++
				differences = append(differences, where+": not loaded")
				continue
			}
			peer := peerOf(t, d.draft, g.Schema)
			for _, c := range g.Tests {
				cases++
				faults, other := l.judge(t, name, string(c.Data)), peer(c.Data)
				if other == c.Valid {
					peerAgreed++
				}
				if here := len(faults) == 0; here == c.Valid {
					agreed++
				} else {
					differences = append(differences, fmt.Sprintf("%s / %s: suite %s, peer %s, here %s", where, c.Description, word(c.Valid), word(other), word(here)))
				}
			}
		}
	}
	page := readPage(t)
	page.says(t, fmt.Sprintf("Of %d cases with %d schemas the library answers %d as the suite says, santhosh-tekuri/jsonschema %d. %d more schemas are not loaded.",
		cases, schemas-left, agreed, peerAgreed, left))
	explained := page.table(t, "| difference | cases | why |")
	listed := map[string]int{}
	var listedCases []string
	for _, line := range lines(t, "testdata/suite.txt") {
		why, c, ok := strings.Cut(line, " | ")
		if !ok {
			t.Fatalf("testdata/suite.txt: no reason in %q", line)
		}
		listed[why]++
		listedCases = append(listedCases, c)
	}
	same(t, "testdata/suite.txt", differences, listedCases)
	for _, row := range explained {
		if row[1] != fmt.Sprint(listed[row[0]]) {
			t.Errorf("the page counts %s of %q, the list %d", row[1], row[0], listed[row[0]])
		}
		delete(listed, row[0])
	}
	if len(listed) > 0 {
		t.Errorf("not explained in the page: %v", listed)
	}
}

func word(taken bool) string {
	if taken {
		return "takes"
	}
	return "refuses"
}

// suite reads one folder of a copy of the suite.
func suite(t *testing.T, module, folder string) []group {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module)
	cmd.Dir = "suite"
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("downloading %s: %v %s", module, err, out)
	}
	var found struct{ Dir string }
	decode(t, out, &found)
	files, err := filepath.Glob(filepath.Join(found.Dir, filepath.FromSlash(folder), "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no suite in %s: %v", folder, err)
	}
	slices.Sort(files)
	var all []group
	for _, file := range files {
		var groups []group
		read(t, file, &groups)
		for _, g := range groups {
			g.file = strings.TrimSuffix(filepath.Base(file), ".json")
			all = append(all, g)
		}
	}
	return all
}

// peerOf is another validator's answer.
func peerOf(t *testing.T, draft *jsonschema.Draft, schema []byte) func(document []byte) bool {
	t.Helper()
	value := func(text []byte) any {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(draft)
	c.AssertFormat()
	c.AssertContent()
	if err := c.AddResource("file:///schema", value(schema)); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("file:///schema")
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	return func(document []byte) bool { return compiled.Validate(value(document)) == nil }
}

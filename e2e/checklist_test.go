package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs/checklist.md is held to the code: each package, each section of the options,
// each page and each test that it names is there, every row of the library has a line
// in it, and every line at least ten cases through Envoy, allowed and refused.
func TestChecklist(t *testing.T) {
	page, err := os.ReadFile("../docs/checklist.md")
	if err != nil {
		t.Fatal(err)
	}
	defaults, err := os.ReadFile("../policies/authz/defaults/defaults.rego")
	if err != nil {
		t.Fatal(err)
	}
	sources := ""
	for _, pattern := range []string{"*_test.go", "../browser/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sources += string(text)
		}
	}
	listed := map[string]bool{}
	line := regexp.MustCompile("^\\| [^|]+ \\| `authz\\.([a-z]+)` \\| `([a-z]+)` \\| \\[[a-z]+\\]\\((policies/[a-z]+\\.md)\\) \\| ([^|]+) \\|$")
	for text := range strings.Lines(string(page)) {
		text = strings.TrimSpace(text)
		if !strings.HasPrefix(text, "|") || strings.HasPrefix(text, "| row") || strings.HasPrefix(text, "|---") {
			continue
		}
		cells := line.FindStringSubmatch(text)
		if cells == nil {
			t.Errorf("not a row: %s", text)
			continue
		}
		listed[cells[1]] = true
		if _, err := os.Stat(filepath.Join("../policies/authz", cells[1], cells[1]+".rego")); err != nil {
			t.Error(err)
		}
		if !strings.Contains(string(defaults), `"`+cells[2]+`":`) {
			t.Errorf("no section %s in the defaults", cells[2])
		}
		if _, err := os.Stat(filepath.Join("../docs", cells[3])); err != nil {
			t.Error(err)
		}
		names, allowed, refused := map[string]bool{}, 0, 0
		for name := range strings.SplitSeq(cells[4], ", ") {
			name = strings.Trim(name, "`")
			if !strings.Contains(sources, "func "+name+"(t *testing.T)") {
				t.Errorf("no test %s", name)
			}
			rows := libraryRows[name]
			if rows == nil {
				continue
			}
			for _, c := range rows() {
				if names[c.name] {
					t.Errorf("%s: two cases are called %q", name, c.name)
				}
				names[c.name] = true
				if c.reaches() {
					allowed++
				} else {
					refused++
				}
			}
		}
		if len(names) < 10 || allowed == 0 || refused == 0 {
			t.Errorf("%s: %d cases, %d allowed, %d refused", text, len(names), allowed, refused)
		}
		t.Logf("%3d cases, %3d allowed, %3d refused: %.60s", len(names), allowed, refused, text)
	}
	// What the other packages are made of is no row of the checklist.
	parts := map[string]bool{"defaults": true, "prepared": true, "lint": true, "formats": true}
	packages, err := os.ReadDir("../policies/authz")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packages {
		if p.IsDir() && !parts[p.Name()] && !listed[p.Name()] {
			t.Errorf("package authz.%s has no line in docs/checklist.md", p.Name())
		}
	}
}

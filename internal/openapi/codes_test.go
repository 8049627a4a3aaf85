package openapi_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every code is explained in the documentation, with the effects it has here, and
// every code there exists.
func TestCodesAreExplained(t *testing.T) {
	text, err := os.ReadFile("../../docs/openapi.md")
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]string{}
	for _, match := range regexp.MustCompile(`(?m)^\| `+"`([a-z_0-9]+)`"+` \| ([a-z, ]+) \|`).FindAllStringSubmatch(string(text), -1) {
		explained[match[1]] = match[2]
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil || strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, match := range regexp.MustCompile(`(?:lose\(|Loss\{)"([a-z_0-9]+)", (Narrower|Wider|Neither|)`).FindAllStringSubmatch(string(source), -1) {
			used[match[1]] = true
			effect := strings.ToLower(match[2])
			if effect == "" { // within `not` it is the other way round
				effect = "wider"
			}
			if !strings.Contains(explained[match[1]], effect) {
				t.Errorf("docs/openapi.md does not say that %s is %s", match[1], effect)
			}
		}
	}
	if len(used) < 30 {
		t.Errorf("%d codes found in the source, that can't be all", len(used))
	}
	for code := range explained {
		if !used[code] {
			t.Errorf("docs/openapi.md explains %s, which does not exist", code)
		}
	}
}

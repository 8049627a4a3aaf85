package oracle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// page is the document that explains the differences.
type page struct{ name, text string }

func readPage(t *testing.T) page {
	t.Helper()
	const name = "../docs/policies/input.md"
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return page{name, string(text)}
}

// says holds the page to a sentence.
func (p page) says(t *testing.T, sentence string) {
	t.Helper()
	t.Log(sentence)
	if !strings.Contains(p.text, sentence) {
		t.Errorf("%s does not say: %s", p.name, sentence)
	}
}

// table is the rows below a head, cell by cell.
func (p page) table(t *testing.T, head string) [][]string {
	t.Helper()
	_, rest, ok := strings.Cut(p.text, "\n"+head+"\n")
	if !ok {
		t.Fatalf("%s has no table %s", p.name, head)
	}
	var rows [][]string
	for line := range strings.Lines(rest) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			break
		}
		if cells := strings.Split(strings.Trim(line, "| "), " | "); !strings.HasPrefix(line, "|---") {
			rows = append(rows, cells)
		}
	}
	return rows
}

// same holds what was found to be what is listed, line by line.
func same(t *testing.T, list string, found, listed []string) {
	t.Helper()
	for _, line := range found {
		if !slices.Contains(listed, line) {
			t.Errorf("%s lacks: %s", list, line)
		}
	}
	for i, line := range listed {
		if !slices.Contains(found, line) {
			t.Errorf("%s lists what is no difference: %s", list, line)
		}
		if slices.Contains(listed[:i], line) {
			t.Errorf("%s lists twice: %s", list, line)
		}
	}
}

// shown is an address as the page has it: quoted, with what cannot be seen escaped,
// shortened where it is long.
func shown(address string) string {
	const most = 40
	if letters := []rune(address); len(letters) > most {
		return fmt.Sprintf("%s… (%d)", strconv.Quote(string(letters[:most])), len(letters))
	}
	return strconv.Quote(address)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func lines(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

func read(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	decode(t, text, into)
}

// decode keeps numbers as they are written.
func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		t.Fatal(err)
	}
}

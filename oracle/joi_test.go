package oracle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// A question is a body for one of the schemas of joi/: schemas.mjs for Joi,
// schemas.json for the library.
type question struct {
	Schema string `json:"schema"`
	Name   string `json:"-"`
	Body   string `json:"body"`
}

// Joi and the library say the same of every body and every address, but for what the
// table in docs/policies/input.md lists: what a user of Joi has to know.
func TestJoi(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short")
	}
	var schemas map[string]any
	read(t, "joi/schemas.json", &schemas)
	l := newLibrary(t, schemas)
	if len(l.refused) > 0 {
		t.Fatalf("not loaded: %v", l.refused)
	}
	asked := questions(t)
	var differences []string
	count, agreed := map[string]int{}, map[string]int{}
	for i, takes := range joi(t, asked) {
		q := asked[i]
		kind := q.Schema
		if kind != "email" && kind != "idn" {
			kind = "body"
		}
		count[kind]++
		if here := len(l.judge(t, q.Schema, q.Body)) == 0; here == takes {
			agreed[kind]++
		} else {
			differences = append(differences, fmt.Sprintf("%s: %s: Joi %s, here %s", q.Schema, q.Name, word(takes), word(here)))
		}
	}
	page := readPage(t)
	page.says(t, fmt.Sprintf("Joi and the library agree on %d of %d bodies, on %d of %d addresses with `email`, on %d of %d with `idn-email`.",
		agreed["body"], count["body"], agreed["email"], count["email"], agreed["idn"], count["idn"]))
	var listed []string
	for _, row := range page.table(t, "| schema | cases | Joi | here | why |") {
		if row[4] == "" {
			t.Errorf("not explained: %v", row)
		}
		for name := range strings.SplitSeq(row[1], "; ") {
			listed = append(listed, fmt.Sprintf("%s: %s: Joi %s, here %s", row[0], strings.Trim(name, "`"), row[2], row[3]))
		}
	}
	same(t, page.name, differences, listed)
}

// questions are joi/cases.json: for each schema names and bodies, for `email` and
// `idn` addresses.
func questions(t *testing.T) []question {
	t.Helper()
	var cases map[string]json.RawMessage
	read(t, "joi/cases.json", &cases)
	var all []question
	for _, schema := range sortedKeys(cases) {
		if schema != "addresses" {
			var bodies [][2]string
			decode(t, cases[schema], &bodies)
			for _, b := range bodies {
				all = append(all, question{schema, b[0], b[1]})
			}
			continue
		}
		var addresses []string
		decode(t, cases[schema], &addresses)
		for _, address := range addresses {
			body, err := json.Marshal(map[string]string{"email": address})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, question{"email", shown(address), string(body)}, question{"idn", shown(address), string(body)})
		}
	}
	return all
}

// joi asks Joi itself, as its lock file has it.
func joi(t *testing.T, questions []question) []bool {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s on PATH: `make node` installs it where it can", tool)
		}
	}
	run := func(stdin []byte, name string, arguments ...string) []byte {
		cmd := exec.CommandContext(t.Context(), name, arguments...)
		cmd.Stdin = bytes.NewReader(stdin)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, stderr.String())
		}
		return out
	}
	run(nil, "../tools/get-node")
	input, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	var answers []bool
	decode(t, run(input, "node", "joi/judge.mjs"), &answers)
	if len(answers) != len(questions) {
		t.Fatalf("%d answers to %d questions", len(answers), len(questions))
	}
	return answers
}

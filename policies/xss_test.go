package policies_test

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"authz/policies"

	"github.com/open-policy-agent/opa/v1/rego"
)

// fragments are what scripts, and what looks like them, are made of.
var fragments = []string{
	"<", ">", "=", ":", "%3c", "%3C", "&", "&#", ";", "/", `"`, "'", "`", "(", "\\", "\\t", " ", "\t", "\n", "\r", "\f", "\v", "\x00", "\x1f",
	"java", "script", "JAVA", "SCRIPT", "vb", "live", "data", "text/html", "image/svg", "href", "src", "on", "load", "a", "t", "ſ", "\u00a0", "\u2028", "x",
}

// FuzzHarmless: the quick look never calls harmless what a pattern finds in the text,
// wherever the text stands in a document.
func FuzzHarmless(f *testing.F) {
	query := xssQuery(f)
	draw := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var text strings.Builder
		for range 1 + draw.IntN(10) {
			text.WriteString(fragments[draw.IntN(len(fragments))])
		}
		f.Add(text.String())
	}
	for range 200 { // schemes, with what browsers skip between the letters
		var text strings.Builder
		for part := range strings.SplitSeq([]string{"java|script|:|x(", "v|b|script|:|x(", "data|:|text/html"}[draw.IntN(3)], "|") {
			text.WriteString([]string{"", "", " ", "\t", "\n", "\f", "\r\n"}[draw.IntN(7)] + part)
		}
		f.Add(text.String())
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ToValidUTF8(text, "\ufffd") // no other text is ever read
		script, harmless := look(t, query, text)
		if script && harmless {
			t.Errorf("%q is script, and a document with it harmless", text)
		}
	})
}

// TestHarmlessIsOfUse: most text is seen to be none.
func TestHarmlessIsOfUse(t *testing.T) {
	query := xssQuery(t)
	for text, want := range map[string]bool{
		"Alice Example": true, "2026-11-24T22:30:00Z": true, "https://example.com/a": true, "A-00001": true,
		"<b>": false, "data:": false, "a=b": false,
	} {
		if _, harmless := look(t, query, text); harmless != want {
			t.Errorf("%q: %v, want %v", text, harmless, want)
		}
	}
}

func xssQuery(tb testing.TB) rego.PreparedEvalQuery {
	tb.Helper()
	options := []func(*rego.Rego){rego.Query(`script := count([1 | data.authz.xss.script(input)]);
		harmless := count([1 | some d in [input, [input], {"a": input}, {"data": [{"b": input}, 1, input]}]; data.authz.xss.harmless(d)])`)}
	for _, name := range []string{"authz/xss/xss.rego", "authz/errors/errors.rego"} {
		module, err := policies.Library.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		options = append(options, rego.Module(name, string(module)))
	}
	query, err := rego.New(options...).PrepareForEval(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return query
}

func look(tb testing.TB, query rego.PreparedEvalQuery, text string) (script, harmless bool) {
	tb.Helper()
	results, err := query.Eval(tb.Context(), rego.EvalInput(text))
	if err != nil || len(results) != 1 {
		tb.Fatalf("%q: %v, %d results", text, err, len(results))
	}
	bindings := results[0].Bindings
	return bindings["script"] != json.Number("0"), bindings["harmless"] != json.Number("0")
}

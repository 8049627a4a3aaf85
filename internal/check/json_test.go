package check

import (
	"encoding/json"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

type (
	object = map[string]any
	list   = []any
	number = json.Number
)

func nest(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func keys(names ...string) string {
	return `{"` + strings.Join(names, `":1,"`) + `":1}`
}

// manyNames is enough of them that an object compares them by hash.
func manyNames(more ...string) []string {
	var out []string
	for c := 'a'; c <= 'z'; c++ {
		out = append(out, "name-"+string(c))
	}
	return append(out, more...)
}

func TestParseJSON(t *testing.T) {
	for _, row := range []struct {
		about, text string
		want        any
		strict, lax string // codes
	}{
		{"scalars", ` [null, true, false, "x"] `, list{nil, true, false, "x"}, "", ""},
		{"empty", "{\t\"a\" : [ ] ,\r\n\"b\":{ }}", object{"a": list{}, "b": object{}}, "", ""},
		{"numbers keep their text", `[0,-0,12,-1.50,1e2,1E+2,9007199254740993,1e308]`,
			list{number("0"), number("-0"), number("12"), number("-1.50"), number("1e2"), number("1E+2"), number("9007199254740993"), number("1e308")}, "", ""},
		{"zero however it is written", `[0.0,0e9,-0.0E-999999999]`, list{number("0.0"), number("0e9"), number("-0.0E-999999999")}, "", ""},
		{"escapes", `"a\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude00z"`, "a\"\\/\b\f\n\r\tAé😀z", "", ""},
		{"null alone", `null`, nil, "", ""},
		{"the same name in different objects", `{"a":{"a":1},"b":[{"a":2},{"a":3}]}`,
			object{"a": object{"a": number("1")}, "b": list{object{"a": number("2")}, object{"a": number("3")}}}, "", ""},

		{"no value", ``, nil, "json_syntax", "json_syntax"},
		{"only space", " \n", nil, "json_syntax", "json_syntax"},
		{"trailing data", `{"a":1}{"a":2}`, nil, "json_syntax", "json_syntax"},
		{"trailing NUL", "1\x00", nil, "json_syntax", "json_syntax"},
		{"trailing comma", `[1,]`, nil, "json_syntax", "json_syntax"},
		{"trailing comma", `{"a":1,}`, nil, "json_syntax", "json_syntax"},
		{"leading zero", `01`, nil, "json_syntax", "json_syntax"},
		{"bare point", `1.`, nil, "json_syntax", "json_syntax"},
		{"bare exponent", `1e+`, nil, "json_syntax", "json_syntax"},
		{"plus sign", `+1`, nil, "json_syntax", "json_syntax"},
		{"NaN", `NaN`, nil, "json_syntax", "json_syntax"},
		{"comment", `/**/1`, nil, "json_syntax", "json_syntax"},
		{"single quotes", `{'a':1}`, nil, "json_syntax", "json_syntax"},
		{"name without quotes", `{a:1}`, nil, "json_syntax", "json_syntax"},
		{"no colon", `{"a" 1}`, nil, "json_syntax", "json_syntax"},
		{"wrong end", `[1}`, nil, "json_syntax", "json_syntax"},
		{"no end", `{"a":[1`, nil, "json_syntax", "json_syntax"},
		{"no end of string", `"a`, nil, "json_syntax", "json_syntax"},
		{"no end of escape", `"a\`, nil, "json_syntax", "json_syntax"},
		{"unknown escape", `"\x41"`, nil, "json_syntax", "json_syntax"},
		{"short escape", `"\u004"`, nil, "json_syntax", "json_syntax"},
		{"half a word", `tru`, nil, "json_syntax", "json_syntax"},
		{"raw control byte", "\"a\nb\"", nil, "json_syntax", "json_syntax"},
		{"raw control byte after an escape", "\"\\n\nb\"", nil, "json_syntax", "json_syntax"},
		{"raw NUL", "\"a\x00\"", nil, "json_syntax", "json_syntax"},
		{"no-break space is not space", "\u00a01", nil, "json_syntax", "json_syntax"},
		{"BOM", "\ufeff{}", nil, "json_bom", "json_bom"},
		{"UTF-16 with BOM", "\xff\xfe1\x00", nil, "json_utf8", "json_utf8"},
		{"UTF-16 without BOM", "{\x00}\x00", nil, "json_syntax", "json_syntax"},
		{"not UTF-8", "\"\xc0\xaf\"", nil, "json_utf8", "json_utf8"},
		{"raw surrogate", "\"\xed\xa0\x80\"", nil, "json_utf8", "json_utf8"},
		{"infinite", `[1e309]`, nil, "json_number", "json_number"},
		{"infinite", `-1e309`, nil, "json_number", "json_number"},
		{"vanishing", `1e-999999999`, nil, "json_number", "json_number"},
		{"very long", strings.Repeat("9", maxNumber+1), nil, "json_number", "json_number"},
		{"very long fraction", "0." + strings.Repeat("1", maxNumber), nil, "json_number", "json_number"},
		{"the second name is none", `{"a":1,2}`, nil, "json_syntax", "json_syntax"},
		{"a bad escape in a name", `{"\a":1}`, nil, "json_syntax", "json_syntax"},
		{"no end after an escape", `"\na`, nil, "json_syntax", "json_syntax"},
		{"deeper than lax", nest(laxDepth + 1), nil, "json_depth", "json_depth"},
		{"depth 10,000", nest(10_000), nil, "json_depth", "json_depth"},

		{"two roles", `{"role":"user","role":"admin"}`, object{"role": "admin"}, "json_duplicate", ""},
		{"two roles, one escaped", `{"role":1,"\u0072ole":2}`, object{"role": number("2")}, "json_duplicate", ""},
		{"two roles, deep", `[{"a":{"role":1,"x":{},"role":2}}]`,
			list{object{"a": object{"role": number("2"), "x": object{}}}}, "json_duplicate", ""},
		{"two empty names", `{"":1,"":2}`, object{"": number("2")}, "json_duplicate", ""},
		{"case variants", `{"role":1,"Role":2}`, object{"role": number("1"), "Role": number("2")}, "json_case", ""},
		{"KELVIN SIGN is a k", `{"key":1,"\u212aey":2}`, object{"key": number("1"), "\u212aey": number("2")}, "json_case", ""},
		{"long s is an s", `{"sub":1,"ſub":2}`, object{"sub": number("1"), "ſub": number("2")}, "json_case", ""},
		{"escaped NUL", `"a\u0000"`, "a\x00", "json_nul", ""},
		{"high surrogate alone", `"\ud800"`, "\ufffd", "json_surrogate", ""},
		{"low surrogate alone", `"\udc00"`, "\ufffd", "json_surrogate", ""},
		{"surrogate and a letter", `"\ud800\u0041"`, "\ufffdA", "json_surrogate", ""},
		{"two high surrogates", `"\ud800\ud800\udc00"`, "\ufffd\U00010000", "json_surrogate", ""},
	} {
		for _, mode := range []struct {
			strict bool
			fault  string
		}{{true, row.strict}, {false, row.lax}} {
			want := row.want
			if mode.fault != "" {
				want = nil
			}
			got, fault := ParseJSON(row.text, mode.strict)
			if !reflect.DeepEqual(got, want) || code(fault) != mode.fault {
				t.Errorf("%s: ParseJSON(%.60q, strict %v) = %#v, %v; want %#v, %q", row.about, row.text, mode.strict, got, fault, want, mode.fault)
			}
		}
	}
}

func TestParseJSONDepth(t *testing.T) {
	for _, row := range []struct {
		strict bool
		limit  int
	}{{true, maxDepth}, {false, laxDepth}} {
		_, fault := ParseJSON(nest(row.limit), row.strict)
		_, over := ParseJSON(nest(row.limit+1), row.strict)
		if fault != nil || code(over) != "json_depth" {
			t.Errorf("strict %v: %v at %d, %v one deeper", row.strict, fault, row.limit, over)
		}
	}
	// Depth is how deep, not how much.
	if _, fault := ParseJSON("["+strings.Repeat("[],", 1000)+"{}]", true); fault != nil {
		t.Error(fault)
	}
}

// Objects of many names take another way to the same verdicts.
func TestParseJSONManyNames(t *testing.T) {
	for _, row := range []struct{ more, want string }{
		{"plain", ""},
		{"name-a", "json_duplicate"},
		{"NAME-A", "json_case"},
		{"na\u212ae", ""},
	} {
		_, fault := ParseJSON(keys(manyNames(row.more)...), true)
		if code(fault) != row.want {
			t.Errorf("%q: %v, want %q", row.more, fault, row.want)
		}
	}
	if _, fault := ParseJSON(keys(manyNames("key", "\u212aEY")...), true); code(fault) != "json_case" {
		t.Errorf("KELVIN SIGN among many: %v", fault)
	}
}

func TestFoldIsEqualFold(t *testing.T) {
	words := []string{"", "k", "K", "\u212a", "s", "S", "ſ", "ß", "ẞ", "ss", "i", "I", "ı", "İ", "σ", "ς", "Σ", "ǅ", "ǆ", "Ǆ", "1", "@", "`", "[", "{"}
	for _, a := range words {
		for _, b := range words {
			if got, want := fold(a) == fold(b), strings.EqualFold(a, b); got != want {
				t.Errorf("%q and %q: %v, strings.EqualFold says %v", a, b, got, want)
			}
		}
	}
}

// A megabyte of the smallest nodes costs memory in proportion, not more.
func TestParseJSONMemory(t *testing.T) {
	const size = 1 << 20
	for _, unit := range []string{"[],", "{},", "1,", `"",`} {
		text := "[" + strings.Repeat(unit, size/len(unit)) + "0]"
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, fault := ParseJSON(text, true)
		runtime.ReadMemStats(&after)
		if fault != nil {
			t.Fatal(fault)
		}
		if factor := (after.TotalAlloc - before.TotalAlloc) / size; factor > 64 {
			t.Errorf("%s: %d bytes allocated for each byte read", unit, factor)
		}
	}
}

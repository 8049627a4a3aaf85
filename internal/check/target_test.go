package check

import (
	"reflect"
	"strings"
	"testing"
)

// code is a fault's code, or "" where there is none: what tables compare.
func code(f *Fault) string {
	if f == nil {
		return ""
	}
	return f.Code
}

func TestParsePath(t *testing.T) {
	for _, row := range []struct {
		about, raw string
		want       []string
		fault      string
	}{
		{"contract", "/", []string{""}, ""},
		{"contract", "/a/", []string{"a", ""}, ""},
		{"contract", "/a//b", []string{"a", "", "b"}, ""},
		{"contract", "//x", []string{"x"}, ""},
		{"CVE-2026-26205: the host is not the first segment", "//admin/x", []string{"admin", "x"}, ""},
		{"opa-envoy-plugin", "/my/test/path", []string{"my", "test", "path"}, ""},
		{"opa-envoy-plugin", "/my/test/path?a=1", []string{"my", "test", "path"}, ""},
		{"opa-envoy-plugin decodes before it splits", "/a%2fb", []string{"a", "b"}, ""},
		{"opa-envoy-plugin decodes before it trims", "/%2fadmin", []string{"admin"}, ""},
		{"once", "/%252e", []string{"%2e"}, ""},
		{"plus is a plus", "/a+b%20c", []string{"a+b c"}, ""},
		{"upper and lower hex", "/%C3%a9", []string{"é"}, ""},
		{"CVE-2025-54576: the query takes no part", "/a?/../b", []string{"a"}, ""},
		{"CVE-2026-32811: an escaped '?' is of the path", "/a%3fb?c", []string{"a?b"}, ""},
		{"CVE-2021-39156: so is '#'", "/a#b", []string{"a#b"}, ""},
		{"CVE-2025-46821: wildcards are text", "/{x}/*", []string{"{x}", "*"}, ""},
		{"dots are for Strict", "/a/../b", []string{"a", "..", "b"}, ""},
		{"raw UTF-8 is for Strict", "/é", []string{"é"}, ""},

		{"CVE-2026-73547: no path", "", nil, "path_missing"},
		{"only a query", "?a=1", nil, "path_missing"},
		{"OPTIONS *", "*", nil, "path_form"},
		{"absolute-form", "http://evil.test/a", nil, "path_form"},
		{"no slash", "a/b", nil, "path_form"},
		{"bad escape", "/a%2", nil, "path_escape"},
		{"bad escape", "/a%", nil, "path_escape"},
		{"bad escape", "/a%zz", nil, "path_escape"},
		{"IIS escape", "/%u002e", nil, "path_escape"},
		{"control byte", "/a\nb", nil, "path_control"},
		{"DEL", "/a\x7f", nil, "path_control"},
		{"invalid UTF-8", "/a\xff", nil, "path_utf8"},
		{"invalid UTF-8 by escape", "/%ff", nil, "path_utf8"},
		{"overlong '/'", "/..%c0%af..", nil, "path_utf8"},
		{"overlong '.'", "/%e0%80%ae", nil, "path_utf8"},
	} {
		got, fault := ParsePath(row.raw)
		if !reflect.DeepEqual(got, row.want) || code(fault) != row.fault {
			t.Errorf("%s: ParsePath(%q) = %q, %v; want %q, %q", row.about, row.raw, got, fault, row.want, row.fault)
		}
	}
}

func TestParsePathAllocatesOnlyItsResult(t *testing.T) {
	allocs := testing.AllocsPerRun(100, func() {
		if _, fault := ParsePath("/orders/12/items"); fault != nil {
			t.Fatal(fault)
		}
	})
	if allocs != 1 {
		t.Errorf("%v allocations, want 1", allocs)
	}
}

func TestParseQuery(t *testing.T) {
	for _, row := range []struct {
		about, raw string
		want       map[string][]string
		fault      string
	}{
		{"none", "", nil, ""},
		{"only separators", "&&", nil, ""},
		{"order is kept", "a=1&b=2&a=3", map[string][]string{"a": {"1", "3"}, "b": {"2"}}, ""},
		{"no value, no name", "a&=x&b=", map[string][]string{"a": {""}, "": {"x"}, "b": {""}}, ""},
		{"decoded once", "a+b=%2541+%26%3d", map[string][]string{"a b": {"%41 &="}}, ""},
		{"only the first '='", "a=b=c", map[string][]string{"a": {"b=c"}}, ""},
		{"a '?' is text", "a=b?c", map[string][]string{"a": {"b?c"}}, ""},
		{"an escaped ';' is text", "a=1%3bb", map[string][]string{"a": {"1;b"}}, ""},
		{"case counts", "a=1&A=2", map[string][]string{"a": {"1"}, "A": {"2"}}, ""},

		{"CVE-2021-23336: ';' may separate", "a=1;b=2", nil, "query_semicolon"},
		{"bad escape in a name", "%=1", nil, "query_escape"},
		{"bad escape in a value", "a=%2", nil, "query_escape"},
		{"not UTF-8", "a=%ff", nil, "query_utf8"},
		{"not UTF-8, raw", "a\xff=1", nil, "query_utf8"},
		{"control byte", "a=\x00", nil, "query_control"},
		{"too many", strings.Repeat("a&", MaxParameters+1), nil, "query_parameters"},
	} {
		got, fault := ParseQuery(row.raw)
		if !reflect.DeepEqual(got, row.want) || code(fault) != row.fault {
			t.Errorf("%s: ParseQuery(%.40q) = %q, %v; want %q, %q", row.about, row.raw, got, fault, row.want, row.fault)
		}
	}
	if got, fault := ParseQuery(strings.Repeat("a&", MaxParameters)); fault != nil || len(got["a"]) != MaxParameters {
		t.Errorf("%d parameters: %d values, %v", MaxParameters, len(got["a"]), fault)
	}
}

package check

import (
	"slices"
	"strings"
)

// field is a header value of the shape `name; parameter=value; …`: a media type or
// a content disposition. Names are lower case.
//
// The grammar is RFC 9110's (5.6.6, 8.3.1), minus what readers disagree about: a
// parameter given twice, `\"` inside a quoted value (an escaped quote to some, a
// backslash and the end to others), text after a value. A lone backslash stands
// for itself, as browsers write and read it.
type field struct {
	name       string
	parameters []Header
}

func parseField(s string) (field, bool) {
	end := strings.IndexAny(s, "; \t")
	if end < 0 {
		end = len(s)
	}
	out := field{name: lower(s[:end])}
	kind, subtype, media := strings.Cut(out.name, "/")
	if !isToken(kind) || media && !isToken(subtype) {
		return field{}, false
	}
	for s = skipSpace(s[end:]); s != ""; s = skipSpace(s) {
		if s[0] != ';' {
			return field{}, false
		}
		if s = skipSpace(s[1:]); s == "" || s[0] == ';' {
			continue
		}
		var parameter Header
		var ok bool
		if parameter, s, ok = cutParameter(s); !ok || out.has(parameter.Name) {
			return field{}, false
		}
		out.parameters = append(out.parameters, parameter)
	}
	return out, true
}

func cutParameter(s string) (parameter Header, rest string, ok bool) {
	name, rest, found := strings.Cut(s, "=")
	if !found || !isToken(name) || rest == "" {
		return Header{}, "", false
	}
	parameter.Name = lower(name)
	if rest[0] != '"' {
		end := strings.IndexAny(rest, "; \t")
		if end < 0 {
			end = len(rest)
		}
		parameter.Value = rest[:end]
		return parameter, rest[end:], isToken(parameter.Value)
	}
	end := strings.IndexByte(rest[1:], '"') + 1
	if end == 0 || rest[end-1] == '\\' {
		return Header{}, "", false
	}
	parameter.Value = rest[1:end]
	return parameter, rest[end+1:], true
}

func skipSpace(s string) string { return strings.TrimLeft(s, " \t") }

func (f field) has(name string) bool {
	_, ok := f.lookup(name)
	return ok
}

func (f field) lookup(name string) (string, bool) { return Headers(f.parameters).Lookup(name) }

// isUTF8 says that the text is declared to be UTF-8, or not declared at all.
func (f field) isUTF8() bool {
	charset, given := f.lookup("charset")
	return !given || slices.Contains([]string{"utf-8", "us-ascii"}, lower(charset))
}

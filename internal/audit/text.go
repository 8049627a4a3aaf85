package audit

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of texts in the log, in bytes. What waits in the ring may be longer, so that
// a token which lies across the bound of a line is still seen as one and masked.
const (
	maxText  = 256
	maxQuery = 4 * maxText // of which the names are written, in maxText
	maxError = 4 * maxText

	maxReasons = 16
)

// shortened is s, or the beginning of it, if it is long: copied, so that the rest can
// be freed while the record waits.
func shortened(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.Clone(s[:most])
}

// shortenedTarget shortens a path and its query apart.
func shortenedTarget(s string) string {
	if len(s) <= maxQuery {
		return s
	}
	path, query, found := strings.Cut(s, "?")
	if !found {
		return shortened(path, 2*maxText)
	}
	return shortened(path, 2*maxText) + "?" + shortened(query, maxQuery)
}

// clean is s as it may be written: masked, plain and bounded.
func clean(s string) string { return bounded(plain(mask(s)), maxText) }

// bounded cuts s to at most that many bytes, between characters.
func bounded(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}

// plain replaces what JSON does not escape and a terminal might obey or a reader not
// see: DEL, the C1 controls, direction marks and bytes that are no UTF-8.
func plain(s string) string {
	ascii := true
	for i := range len(s) {
		if s[i] >= 0x7f {
			ascii = false
			break
		}
	}
	if ascii {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r >= 0x7f && !unicode.IsGraphic(r) {
			return utf8.RuneError
		}
		return r
	}, s)
}

// queryNames keeps the names of query parameters; values may be secrets.
func queryNames(query string) string {
	if query == "" {
		return ""
	}
	var names strings.Builder
	for parameter := range strings.SplitSeq(shortened(query, maxQuery), "&") {
		name, _, _ := strings.Cut(parameter, "=")
		if names.Len() > 0 {
			names.WriteByte('&')
		}
		names.WriteString(name)
	}
	return names.String()
}

// A JWT begins with the base64url of `{"`. Both a whole one and one that a bound or
// its peer cut are masked.
var jwt = regexp.MustCompile(`eyJ[A-Za-z0-9_=-]{8,}(\.[A-Za-z0-9_=-]*)*`)

func mask(s string) string {
	if !strings.Contains(s, "eyJ") {
		return s
	}
	return jwt.ReplaceAllLiteralString(s, "***")
}

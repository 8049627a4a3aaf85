package token

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// times are the NumericDates of a token (RFC 7519, section 2); a missing one is
// zero.
type times struct{ expires, notBefore, issuedAt time.Time }

// latest is the last second of the year 9999. A date beyond it is a mistake (most
// often milliseconds) or an attempt at an overflow.
const latest = 253402300799

// readTimes reads exp, which must be there, nbf and iat.
func (t *jwt) readTimes() string {
	if _, ok := t.claims["exp"]; !ok {
		return ErrNoExpiry
	}
	for _, c := range []struct {
		name string
		to   *time.Time
	}{{"exp", &t.times.expires}, {"nbf", &t.times.notBefore}, {"iat", &t.times.issuedAt}} {
		value, ok := t.claims[c.name]
		if !ok {
			continue
		}
		if *c.to, ok = numericDate(value); !ok {
			return ErrMalformed
		}
	}
	return ""
}

func numericDate(value any) (time.Time, bool) {
	number, ok := value.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	f, err := strconv.ParseFloat(string(number), 64)
	if err != nil || !(f >= 0 && f <= latest) {
		return time.Time{}, false
	}
	whole, part := math.Modf(f)
	return time.Unix(int64(whole), int64(part*1e9)), true
}

// audience is the token's aud: one string or a list of them (RFC 7519, section
// 4.1.3); false when it is something else. Missing is an empty list.
func (t *jwt) audience() ([]string, bool) {
	switch aud := t.claims["aud"].(type) {
	case nil:
		_, null := t.claims["aud"]
		return nil, !null
	case string:
		return []string{aud}, true
	case []any:
		out := make([]string, len(aud))
		for i := range aud {
			var ok bool
			if out[i], ok = aud[i].(string); !ok {
				return nil, false
			}
		}
		return out, true
	}
	return nil, false
}

func (is *issuer) serves(audience []string) bool {
	if len(is.audiences) == 0 {
		return true
	}
	return slices.ContainsFunc(audience, func(a string) bool { return slices.Contains(is.audiences, a) })
}

// path is where a claim is.
type path struct {
	name  string
	parts []string
}

func newPath(name, standard string) path {
	if name == "" {
		name = standard
	}
	if pointer, ok := strings.CutPrefix(name, "/"); ok { // RFC 6901
		parts := strings.Split(pointer, "/")
		for i := range parts {
			parts[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(parts[i])
		}
		return path{name, parts}
	}
	return path{name, strings.Split(name, ".")}
}

// in looks the claim up. The whole name comes first: the names that OpenID Connect
// recommends for one's own claims are URLs, full of dots.
func (p path) in(claims map[string]any) (any, bool) {
	if value, ok := claims[p.name]; ok {
		return value, true
	}
	var value any = claims
	for _, part := range p.parts {
		object, _ := value.(map[string]any)
		var ok bool
		if value, ok = object[part]; !ok {
			return nil, false
		}
	}
	return value, true
}

// readRoles reads one role from a string, whole, and any number from a list.
func (is *issuer) readRoles(claims map[string]any) []string {
	value, _ := is.roles.in(claims)
	if role, ok := value.(string); ok && role != "" {
		return []string{role}
	}
	return texts(value)
}

// readScopes reads scopes from a list or from text with spaces.
func (is *issuer) readScopes(claims map[string]any) []string {
	value, ok := is.scopes.in(claims)
	if !ok && is.scp {
		value = claims["scp"]
	}
	if text, ok := value.(string); ok {
		out := []string{}
		for scope := range strings.SplitSeq(text, " ") {
			if scope != "" {
				out = append(out, scope)
			}
		}
		return out
	}
	return texts(value)
}

// texts are the strings of a list, in order. What is not a string grants nothing.
func texts(value any) []string {
	list, _ := value.([]any)
	out := make([]string, 0, len(list))
	for _, item := range list {
		if s, ok := item.(string); ok && s != "" {
			out = append(out, s)
		}
	}
	return out
}

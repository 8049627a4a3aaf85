package token

import (
	"strings"

	"authz/internal/check"
)

// Where the token is:
//
//	authorization      cookie   the credential is
//	none, or empty     none     absent
//	none, or empty     one      the cookie
//	Bearer and token   any      the header; the cookie is not looked at
//	Bearer and junk    any      malformed: junk does not fall back to the cookie
//	another scheme     none     absent: Basic and its like are not ours to judge
//	another scheme     one      ambiguous: we would judge one, the app might the other
//	two of them        any      ambiguous, however they are joined
//	–                  two      ambiguous unless they are the same
//
// The scheme is case-insensitive (RFC 9110, section 11.1).

// credential is what was found. With fault set it is worth nothing. The text has no
// more than the bytes that it may; whether they are those of a token is for malformed to
// say, of who is not known already.
type credential struct{ text, via, fault string }

func (v *Verifier) credential(h check.Headers) credential {
	var value string
	seen := 0
	for i := range h {
		if h[i].Name == "authorization" {
			value = h[i].Value
			seen++
		}
	}
	if seen > 1 {
		return credential{via: viaHeader, fault: ErrAmbiguous}
	}
	if value = strings.Trim(value, " \t"); value == "" {
		return v.fromCookie(h)
	}
	scheme, rest, _ := strings.Cut(value, " ")
	if !strings.EqualFold(scheme, "bearer") {
		if hidesBearer(value) || v.fromCookie(h) != (credential{}) {
			return credential{via: viaHeader, fault: ErrAmbiguous}
		}
		return credential{}
	}
	rest = strings.TrimLeft(rest, " ")
	switch {
	case rest == "":
		return credential{via: viaHeader, fault: ErrMalformed}
	case len(rest) <= v.maxBytes:
		return credential{text: rest, via: viaHeader}
	case strings.Contains(rest, ","):
		return credential{via: viaHeader, fault: ErrAmbiguous}
	}
	return credential{via: viaHeader, fault: ErrTooLarge}
}

// malformed says what is wrong with the text of a credential, before it is read as a
// token.
func malformed(c credential) string {
	switch {
	case isB64Token(c.text):
		return ""
	case c.via == viaHeader && strings.Contains(c.text, ","): // Envoy joins repeated headers so
		return ErrAmbiguous
	}
	return ErrMalformed
}

// hidesBearer finds a bearer among credentials of another scheme.
func hidesBearer(value string) bool {
	for part := range strings.SplitSeq(value, ",") {
		scheme, _, _ := strings.Cut(strings.Trim(part, " \t"), " ")
		if strings.EqualFold(scheme, "bearer") {
			return true
		}
	}
	return false
}

// fromCookie looks in every cookie header. Browsers send the cookies of a name that
// were set for different paths or domains all together, and a neighbour domain can
// toss one in: which the app would take is anybody's guess.
func (v *Verifier) fromCookie(h check.Headers) credential {
	if v.cookie == "" {
		return credential{}
	}
	found, seen := "", false
	for i := range h {
		if h[i].Name != "cookie" {
			continue
		}
		for pair := range strings.SplitSeq(h[i].Value, ";") {
			name, value, _ := strings.Cut(pair, "=")
			if strings.Trim(name, " \t") != v.cookie {
				continue
			}
			value = unquote(strings.Trim(value, " \t"))
			if seen && value != found {
				return credential{via: viaCookie, fault: ErrAmbiguous}
			}
			found, seen = value, true
		}
	}
	switch {
	case found == "": // cleared cookies are no credential
		return credential{}
	case len(found) > v.maxBytes:
		return credential{via: viaCookie, fault: ErrTooLarge}
	}
	return credential{text: found, via: viaCookie}
}

// unquote takes the quotes off a cookie's value (RFC 6265, section 4.1.1).
func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// isB64Token reports whether s is a b64token (RFC 6750, section 2.1).
func isB64Token(s string) bool {
	body := strings.TrimRight(s, "=")
	if body == "" {
		return false
	}
	for i := range len(body) {
		if !b64Token[body[i]] {
			return false
		}
	}
	return true
}

var b64Token = func() (set [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/") {
		set[c] = true
	}
	return set
}()

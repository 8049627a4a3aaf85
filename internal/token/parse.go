package token

import (
	"encoding/base64"
	"strings"

	"authz/internal/check"
)

// jwt is a token taken apart, before anything about it is known to be true.
type jwt struct {
	header, claims map[string]any
	alg, kid       string
	// signed is what the signature covers: header and payload as they were sent.
	signed    string
	signature []byte
	times     times
	// retained counts the bytes of decoded text that header and claims share.
	retained int
}

// parse takes a token apart. Nothing that is cheap to see is left for after the
// signature: exactly three segments (five are a JWE, which is not ours to open; CVE-2024-28180),
// strict base64url (RFC 7515, appendix C: no padding, no stray bits), headers and
// claims that are JSON objects with distinct names, in UTF-8, of bounded depth.
func parse(text string) (*jwt, string) {
	// The cuts allocate nothing, whatever the text is made of (CVE-2025-30204).
	head, rest, _ := strings.Cut(text, ".")
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok || head == "" || payload == "" || strings.Contains(signature, ".") {
		return nil, ErrMalformed
	}
	t := &jwt{signed: text[:len(head)+1+len(payload)]}
	var n, m int
	if t.header, n = object(head); t.header == nil {
		return nil, ErrMalformed
	}
	if code := t.readHeader(); code != "" {
		return nil, code
	}
	if t.claims, m = object(payload); t.claims == nil {
		return nil, ErrMalformed
	}
	t.retained = n + m
	if t.signature, ok = segment(signature); !ok {
		return nil, ErrMalformed
	}
	if code := t.readTimes(); code != "" {
		return nil, code
	}
	return t, ""
}

// strictURL refuses what another decoder might read as the same bytes: a token that
// can be respelled has no fingerprint.
var strictURL = base64.RawURLEncoding.Strict()

func segment(s string) ([]byte, bool) {
	if strings.ContainsAny(s, "\r\n") { // which encoding/base64 skips
		return nil, false
	}
	out, err := strictURL.DecodeString(s)
	return out, err == nil
}

// object reads a segment that must be a JSON object; nil when it is not.
func object(s string) (map[string]any, int) {
	raw, ok := segment(s)
	if !ok {
		return nil, 0
	}
	value, fault := check.ParseJSON(string(raw), true)
	if fault != nil {
		return nil, 0
	}
	members, _ := value.(map[string]any)
	return members, len(raw)
}

// readHeader reads the members that matter. jku, x5u, jwk and x5c are not among
// them: keys come from the issuer's configuration, never from the token.
func (t *jwt) readHeader() string {
	// RFC 7515, section 4.1.11: an extension that is not understood must be refused,
	// and none is understood here (CVE-2025-59420).
	if _, ok := t.header["crit"]; ok {
		return ErrCritical
	}
	// RFC 7797 would change what the signature covers.
	if b64, ok := t.header["b64"]; ok && b64 != true {
		return ErrCritical
	}
	var ok bool
	if t.alg, ok = t.header["alg"].(string); !ok {
		return ErrMalformed
	}
	if algorithms[t.alg] == nil { // none, in every spelling
		return ErrAlgorithm
	}
	if kid, has := t.header["kid"]; has {
		if t.kid, ok = kid.(string); !ok {
			return ErrMalformed
		}
	}
	// RFC 8725, section 3.11: a JWT made for another purpose (a logout token, a DPoP
	// proof) is signed by the same keys and must not pass for this one.
	if typ, has := t.header["typ"]; has {
		name, ok := typ.(string)
		if !ok {
			return ErrMalformed
		}
		switch strings.TrimPrefix(strings.ToLower(name), "application/") {
		case "jwt", "at+jwt":
		default:
			return ErrType
		}
	}
	return ""
}

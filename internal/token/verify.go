package token

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"authz/internal/check"
	"authz/internal/jwks"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// verify does all that has not to do with the clock of one request: the entry it
// returns has a good signature and good claims, and knows from when to when.
func (v *Verifier) verify(ctx context.Context, c credential) (*entry, *check.Token) {
	refuse := func(code string) (*entry, *check.Token) {
		return nil, &check.Token{Status: check.TokenInvalid, Error: code, Via: c.via}
	}
	t, code := parse(c.raw)
	if code != "" {
		return refuse(code)
	}
	candidates := v.byName[t.text("iss")]
	if len(candidates) == 0 {
		return refuse(ErrorIssuer)
	}
	at := slices.IndexFunc(candidates, func(is *issuer) bool { return t.hasAudience(is) })
	if at < 0 {
		return refuse(ErrorAudience)
	}
	is := candidates[at]
	if !slices.Contains(is.Algorithms, t.alg) {
		return refuse(ErrorAlgorithm)
	}
	times, code := t.times()
	if code != "" {
		return refuse(code)
	}
	generation, code := v.signature(ctx, is, t)
	switch code {
	case "":
	case ErrorKeysUnavailable:
		return nil, &check.Token{Status: check.TokenUnavailable, Error: code, Via: c.via}
	default:
		return refuse(code)
	}
	return newEntry(is, t, times, generation, c), nil
}

// signature verifies it and says by which generation of keys.
func (v *Verifier) signature(ctx context.Context, is *issuer, t *parsed) (uint64, string) {
	if is.keys == nil {
		mac := hmac.New(sha256.New, is.Secret)
		mac.Write([]byte(t.signed))
		if !hmac.Equal(mac.Sum(nil), t.signature) {
			return 0, ErrorSignature
		}
		return 1, ""
	}
	key, err := is.keys.Key(ctx, t.kid, t.alg)
	switch {
	case errors.Is(err, jwks.ErrUnavailable):
		return 0, ErrorKeysUnavailable
	case errors.Is(err, jwks.ErrAlgorithm):
		return 0, ErrorAlgorithm
	case err != nil:
		return 0, ErrorKeyUnknown
	}
	select {
	case v.verifying <- struct{}{}:
		defer func() { <-v.verifying }()
	case <-ctx.Done():
		return 0, ErrorKeysUnavailable
	}
	verifier, err := jws.NewVerifier(jwa.SignatureAlgorithm(t.alg))
	if err != nil {
		return 0, ErrorAlgorithm
	}
	if err := verifier.Verify([]byte(t.signed), t.signature, key.Public); err != nil {
		return 0, ErrorSignature
	}
	return key.Generation, ""
}

// parsed is a JWS in compact form with a JSON object as payload; nothing of it has
// been verified.
type parsed struct {
	alg, kid       string
	header, claims map[string]any
	signed         string // header and payload as they were signed
	signature      []byte
}

// parse reads a token strictly: three segments, base64url without padding, JSON
// without duplicate members, and no extension that would change its meaning.
func parse(raw string) (*parsed, string) {
	if strings.Count(raw, ".") != 2 {
		return nil, ErrorMalformed // five are a JWE: not decrypted, not parsed
	}
	last := strings.LastIndexByte(raw, '.')
	head, payload, _ := strings.Cut(raw[:last], ".")
	t := &parsed{signed: raw[:last]}
	var ok bool
	if t.header, ok = object(head); !ok {
		return nil, ErrorMalformed
	}
	// An algorithm that is none, or nobody's, is refused before anything is decoded.
	if t.alg = text(t.header["alg"]); t.alg != "HS256" && !slices.Contains(asymmetric, t.alg) {
		return nil, ErrorAlgorithm
	}
	for _, name := range []string{"crit", "b64"} { // RFC 7515, 4.1.11; RFC 7797
		if _, present := t.header[name]; present {
			return nil, ErrorCritical
		}
	}
	// RFC 8725, 3.11: a JWT of another kind (logout, dpop …) is not an identity.
	if typ, present := t.header["typ"]; present {
		kind := strings.TrimPrefix(strings.ToLower(text(typ)), "application/")
		if kind != "jwt" && kind != "at+jwt" {
			return nil, ErrorType
		}
	}
	if kid, present := t.header["kid"]; present {
		if t.kid, ok = kid.(string); !ok {
			return nil, ErrorMalformed
		}
	}
	if t.claims, ok = object(payload); !ok {
		return nil, ErrorMalformed
	}
	var err error
	if t.signature, err = strictBase64.DecodeString(raw[last+1:]); err != nil || len(t.signature) == 0 {
		return nil, ErrorMalformed
	}
	return t, ""
}

// strictBase64 refuses trailing bits, so that a token has one spelling only.
var strictBase64 = base64.RawURLEncoding.Strict()

func object(segment string) (map[string]any, bool) {
	// Go's decoder passes over line breaks.
	if strings.ContainsAny(segment, "\r\n") {
		return nil, false
	}
	octets, err := strictBase64.DecodeString(segment)
	if err != nil {
		return nil, false
	}
	value, fault := check.ParseJSON(string(octets), true)
	if fault != nil {
		return nil, false
	}
	o, ok := value.(map[string]any)
	return o, ok
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func (t *parsed) text(claim string) string { return text(t.claims[claim]) }

// hasAudience says whether the token is made for one of the issuer's audiences
// (RFC 7519, 4.1.3: one string, or a list of them).
func (t *parsed) hasAudience(is *issuer) bool {
	if len(is.Audiences) == 0 {
		return is.AllowAnyAudience
	}
	if aud, ok := t.claims["aud"].(string); ok {
		return slices.Contains(is.Audiences, aud)
	}
	list, _ := t.claims["aud"].([]any)
	return slices.ContainsFunc(list, func(aud any) bool {
		s, ok := aud.(string)
		return ok && slices.Contains(is.Audiences, s)
	})
}

// span is when a token may be used, by its own word.
type span struct{ notBefore, issued, expires time.Time }

// latest is the last moment that RFC 3339 can write; a NumericDate beyond it is no date.
const latest = 253402300799

// times reads exp (needed), nbf and iat: JSON numbers within what a date can be.
func (t *parsed) times() (span, string) {
	var s span
	for _, c := range []struct {
		name, code string
		at         *time.Time
	}{{"exp", ErrorExpired, &s.expires}, {"nbf", ErrorNotBefore, &s.notBefore}, {"iat", ErrorIssuedAt, &s.issued}} {
		value, present := t.claims[c.name]
		if !present {
			if c.name == "exp" {
				return s, ErrorExpired
			}
			continue
		}
		number, ok := value.(json.Number)
		if !ok {
			return s, ErrorMalformed
		}
		seconds, err := number.Float64()
		if err != nil || seconds < 0 || seconds > latest {
			return s, ErrorMalformed
		}
		whole := int64(seconds)
		*c.at = time.Unix(whole, int64((seconds-float64(whole))*1e9))
	}
	return s, ""
}

// Package token answers one question: who does this request's token say is asking,
// and is it true?
//
// Verify takes the credential out of the headers (an Authorization: Bearer, or one
// cookie), reads it as a JWT in JWS compact form (RFC 7519, RFC 7515), finds the
// configured issuer and its key, verifies the signature and judges the claims. Its
// answer is always a check.Token, never an error and never a guess: what is not
// proved is invalid. RFC 8725 (JWT best current practices) is the rule throughout.
//
// Two things are kept apart. Whether a token is genuine (signature, issuer,
// audience) does not change while the issuer's keys stay the same, so it is found
// out once and remembered. Whether it is valid now is judged at each use, with the
// time that the caller gives.
//
// It does not fetch keys (package jwks does), nor decide what a caller may do.
package token

import (
	"time"

	"authz/internal/check"
	"authz/internal/jwks"
)

// Codes of check.Token.Error. They are stable: logs, metrics and policies use them.
const (
	ErrAlgorithm   = "algorithm"          // not allowed for the issuer, or not for the key
	ErrAmbiguous   = "ambiguous"          // two credentials where one belongs
	ErrAudience    = "audience"           // made for somebody else
	ErrBusy        = "busy"               // no time left to verify it (unavailable)
	ErrCritical    = "critical"           // asks for an extension that is not understood
	ErrExpired     = "expired"            // genuine, but over (expired)
	ErrIssuedAt    = "issued_at"          // from the future
	ErrIssuer      = "issuer"             // nobody who is believed
	ErrAmbiguousID = "key_ambiguous"      // several keys answer to its kid, or to none
	ErrUnknownKey  = "key_unknown"        // the issuer publishes no such key
	ErrNoKeys      = "keys_unavailable"   // the issuer's keys can't be had (unavailable)
	ErrMalformed   = "malformed"          // not a JWT, or with claims of a wrong kind
	ErrNoExpiry    = "expiration_missing" // would be good for ever
	ErrNotBefore   = "not_before"         // not yet
	ErrSignature   = "signature"          // not signed by the key
	ErrSubject     = "subject"            // names nobody although the issuer must
	ErrTooLarge    = "too_large"          // longer than Config.MaxBytes
	ErrType        = "type"               // a JWT for another purpose
)

// Where a token came from: check.Token.Via.
const (
	viaHeader = "header"
	viaCookie = "cookie"
)

// Config says which tokens are believed and where they are found.
type Config struct {
	// Issuers are believed. With none, every token is invalid.
	Issuers []Issuer
	// Cookie is the name of a cookie that may carry the token. Empty: the header
	// only. A request with an Authorization header is never judged by its cookie.
	Cookie string
	// MaxBytes is the longest token looked at. Default 8192.
	MaxBytes int
	// CacheBytes is the memory for verified tokens. Default 64 MiB; negative: none.
	CacheBytes int64
}

// Issuer is one party whose tokens are believed. Two entries may have the same
// Issuer if their audiences differ; of a token for both, the first is taken.
type Issuer struct {
	// Name is a short name for logs and metrics. Default: Issuer.
	Name string
	// Issuer is compared with the token's iss, byte by byte.
	Issuer string
	// Audiences: the token's aud must hold one of these.
	Audiences []string
	// AllowAnyAudience permits an empty Audiences: a token made for another service
	// is then valid here.
	AllowAnyAudience bool
	// Algorithms are allowed. Default: all of RS256 RS384 RS512 PS256 PS384 PS512
	// ES256 ES384 ES512 EdDSA, or HS256 with a Secret.
	Algorithms []string

	// Keys says where the issuer's public keys are. Its Issuer and Name default to
	// the ones above.
	Keys jwks.Config
	// Secret verifies HS256, and nothing else does: an issuer has public keys or a
	// secret, so that no public key is ever taken for one. At least 32 bytes.
	Secret []byte

	// RolesClaim is where roles are. The exact name of a claim wins; else a dotted
	// path (realm_access.roles) or, for names that hold dots, a JSON pointer
	// (/resource_access/my.app/roles). A list of strings, or one string that is one
	// role. Default "roles".
	RolesClaim string
	// ScopesClaim is where scopes are, likewise, as a list or as text with spaces
	// (RFC 8693, section 4.2). Default "scope", and then "scp" where that is missing.
	ScopesClaim string

	// Leeway is the clock difference forgiven for exp, nbf and iat. Default 30 s, at
	// most 5 min; negative: none.
	Leeway time.Duration
	// MaxAge, when set, makes iat mandatory and ends a token that long after it,
	// whatever its exp.
	MaxAge time.Duration
	// RequireSubject refuses tokens without sub.
	RequireSubject bool
}

var absent = &check.Token{Status: check.TokenAbsent}

// refused is the answer for a credential that proves nothing. It is shared, as all
// answers are.
func refused(code, via string) *check.Token {
	if t := refusals[refusal{code, via}]; t != nil {
		return t
	}
	return newRefusal(code, via)
}

type refusal struct{ code, via string }

// refusals are made once: a flood of bad tokens should not be one of garbage.
var refusals = func() map[refusal]*check.Token {
	all := map[refusal]*check.Token{}
	for _, code := range []string{
		ErrAlgorithm, ErrAmbiguous, ErrAudience, ErrBusy, ErrCritical, ErrExpired,
		ErrIssuedAt, ErrIssuer, ErrAmbiguousID, ErrUnknownKey, ErrNoKeys, ErrMalformed,
		ErrNoExpiry, ErrNotBefore, ErrSignature, ErrSubject, ErrTooLarge, ErrType,
	} {
		for _, via := range []string{viaHeader, viaCookie} {
			all[refusal{code, via}] = newRefusal(code, via)
		}
	}
	return all
}()

func newRefusal(code, via string) *check.Token {
	status := check.TokenInvalid
	switch code {
	case ErrExpired:
		status = check.TokenExpired
	case ErrNoKeys, ErrBusy:
		status = check.TokenUnavailable
	}
	return &check.Token{Status: status, Error: code, Via: via}
}

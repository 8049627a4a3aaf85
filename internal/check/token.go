package check

import "time"

// TokenStatus is what became of the caller's credential.
type TokenStatus string

// The statuses of the contract's token.status.
const (
	TokenAbsent      TokenStatus = "absent"
	TokenValid       TokenStatus = "valid"
	TokenInvalid     TokenStatus = "invalid"
	TokenExpired     TokenStatus = "expired"
	TokenUnavailable TokenStatus = "unavailable" // the keys could not be had
)

// Token is what the sidecar verified, never what the client claims. Values are
// shared by requests that carry the same token: read only.
// The zero value is not a valid token: its Status is empty and grants nothing.
type Token struct {
	Status TokenStatus
	// Error is a stable code for every status but valid and absent:
	// signature, algorithm, issuer, audience, not_before, expired, issued_at,
	// key_unknown, keys_unavailable, malformed, too_large, critical, ambiguous, …
	Error string
	// Via is "header" or "cookie"; empty when absent.
	Via string

	// The rest is set only when Status is valid.
	Issuer, Subject string
	Scopes, Roles   []string
	// Claims is the whole payload and Header the JOSE header, as decoded JSON
	// with json.Number for numbers.
	Claims, Header map[string]any
	Expires        time.Time
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"authz/internal/check"
	"authz/internal/token"

	"github.com/spf13/cobra"
)

// caller is who sends a request that a command looks at: what the sidecar would
// have verified, said by flags in the place of a signed token.
type caller struct {
	given func(flag string) bool

	subject, issuer, claims, status, via string
	roles, scopes                        []string
}

// callerStatuses are the token statuses but valid, with the code that each has when
// nobody says more.
var callerStatuses = map[string]string{
	"absent": "", "invalid": token.ErrSignature, "expired": token.ErrExpired, "unavailable": token.ErrNoKeys,
}

func callerFlags(cmd *cobra.Command) *caller {
	c := &caller{given: cmd.Flags().Changed}
	flags := cmd.Flags()
	flags.StringVar(&c.subject, "as", "", "the caller has a valid token of this subject")
	flags.StringSliceVar(&c.roles, "roles", nil, "roles of the caller, separated by commas")
	flags.StringSliceVar(&c.scopes, "scopes", nil, "scopes of the caller, separated by commas")
	flags.StringVar(&c.claims, "claims", "", "claims of the caller's token, as a JSON object; sub and iss are added")
	flags.StringVar(&c.issuer, "issuer", "https://issuer.example.com", "issuer of the caller's token")
	flags.StringVar(&c.via, "via", "header", "header or cookie: how the token came")
	flags.StringVar(&c.status, "token-status", "", "absent, invalid, expired or unavailable, in the place of a valid token")
	_ = cmd.RegisterFlagCompletionFunc("token-status", cobra.FixedCompletions([]string{"absent", "invalid", "expired", "unavailable"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("via", cobra.FixedCompletions([]string{"header", "cookie"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// said: whether any flag says something of the caller.
func (c *caller) said() bool { return c.given("as") || c.given("token-status") }

// token is the verified token that the flags describe; nil where they say nothing.
func (c *caller) token() (*check.Token, error) {
	if c.via != "header" && c.via != "cookie" {
		return nil, fmt.Errorf("--via %q: write header or cookie", c.via)
	}
	if c.given("token-status") {
		return c.worthless()
	}
	if !c.given("as") {
		for _, flag := range []string{"roles", "scopes", "claims", "issuer", "via"} {
			if c.given(flag) {
				return nil, fmt.Errorf("--%s says something of a valid token: add --as SUBJECT", flag)
			}
		}
		return nil, nil
	}
	if c.subject == "" {
		return nil, errors.New("--as: name a subject; a caller without a token is --token-status absent")
	}
	t := &check.Token{
		Status: check.TokenValid, Via: c.via, Issuer: c.issuer, Subject: c.subject,
		Scopes: slices.Clone(c.scopes), Roles: slices.Clone(c.roles),
		Claims: map[string]any{}, Header: map[string]any{"alg": "ES256"},
	}
	if c.claims != "" {
		d := json.NewDecoder(bytes.NewReader([]byte(c.claims)))
		d.UseNumber()
		if err := d.Decode(&t.Claims); err != nil || d.More() || t.Claims == nil {
			return nil, fmt.Errorf(`--claims %s: write one JSON object, such as '{"tenant": "7"}'`, c.claims)
		}
	}
	for name, value := range map[string]string{"sub": c.subject, "iss": c.issuer} {
		if old, given := t.Claims[name]; given && old != value {
			return nil, fmt.Errorf("--claims: %s is %v, but the caller's is %s", name, old, value)
		}
		t.Claims[name] = value
	}
	return t, nil
}

func (c *caller) worthless() (*check.Token, error) {
	code, known := callerStatuses[c.status]
	switch {
	case c.status == "valid":
		return nil, errors.New("--token-status valid: a valid token is somebody's; write --as SUBJECT")
	case !known:
		return nil, fmt.Errorf("--token-status %q: write absent, invalid, expired or unavailable", c.status)
	case c.given("as"):
		return nil, fmt.Errorf("--as and --token-status %s: a token that is not valid is nobody's; write one of them", c.status)
	}
	t := &check.Token{Status: check.TokenStatus(c.status), Error: code}
	if c.status != "absent" {
		t.Via = c.via
	}
	return t, nil
}

// presented is what the sidecar's own verifier says of the credential in a request
// when it believes no issuer: absent, or invalid with the reason.
func presented(ctx context.Context, c *Config, r *check.Request) (*check.Token, error) {
	v, err := token.New(token.Config{Cookie: c.Token.Cookie, MaxBytes: int(c.Token.MaxSize), CacheBytes: -1}, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	return v.Verify(ctx, r.HTTP.Headers, time.Time{}), nil
}

// describe names the caller in a few words.
func describe(t *check.Token) string {
	if t == nil {
		return "nobody"
	}
	if t.Status != check.TokenValid {
		text := map[check.TokenStatus]string{
			check.TokenAbsent: "anonymous", check.TokenInvalid: "an invalid token", check.TokenExpired: "an expired token",
			check.TokenUnavailable: "a token that could not be verified",
		}[t.Status]
		if t.Error != "" && t.Error != string(t.Status) {
			text += " (" + t.Error + ")"
		}
		return text
	}
	var parts []string
	if len(t.Roles) > 0 {
		parts = append(parts, "roles "+strings.Join(t.Roles, ", "))
	}
	if len(t.Scopes) > 0 {
		parts = append(parts, "scopes "+strings.Join(t.Scopes, ", "))
	}
	text := t.Subject
	if len(parts) > 0 {
		text += " (" + strings.Join(parts, "; ") + ")"
	}
	return text
}

package token

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"authz/internal/jwks"
)

// Defaults of Config.
const (
	DefaultMaxBytes   = 8192
	DefaultCacheBytes = 64 << 20
	DefaultLeeway     = 30 * time.Second
	MaxLeeway         = 5 * time.Minute
)

// minSecret is the least length of an HS256 key (RFC 7518, section 3.2).
const minSecret = 32

// issuer is an Issuer made ready. It never changes.
type issuer struct {
	name          string
	iss           string
	audiences     []string // empty: any
	algorithms    []string
	keys          *jwks.Set // nil with a secret
	secret        []byte
	roles, scopes path
	scp           bool // read scp where there is no scope
	leeway        time.Duration
	maxAge        time.Duration
	needsSubject  bool
}

// newIssuer checks an issuer's configuration and reports every fault.
func newIssuer(cfg Issuer, log *slog.Logger) (*issuer, error) {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	is := &issuer{
		name: cfg.Name, iss: cfg.Issuer, audiences: cfg.Audiences, secret: slices.Clone(cfg.Secret),
		leeway: cfg.Leeway, maxAge: cfg.MaxAge, needsSubject: cfg.RequireSubject,
	}
	if is.name == "" {
		is.name = is.iss
	}
	if is.iss == "" {
		fault("issuer: is missing: give the exact iss of its tokens")
	}
	switch {
	case slices.Contains(cfg.Audiences, ""):
		fault("audiences: one is empty")
	case len(cfg.Audiences) == 0 && !cfg.AllowAnyAudience:
		fault("audiences: is missing: a token made for another service would be valid here")
	case len(cfg.Audiences) == 0:
		log.Warn("tokens made for any audience are accepted", "issuer", is.name)
	}
	switch {
	case is.leeway == 0:
		is.leeway = DefaultLeeway
	case is.leeway < 0:
		is.leeway = 0
	case is.leeway > MaxLeeway:
		fault("leeway: %s is more than %s", is.leeway, MaxLeeway)
	}
	if is.maxAge < 0 {
		fault("max_age: must not be negative")
	}
	is.roles = newPath(cfg.RolesClaim, "roles")
	is.scopes = newPath(cfg.ScopesClaim, "scope")
	is.scp = is.scopes.name == "scope"

	if cfg.Secret != nil {
		faults = append(faults, is.useSecret(cfg)...)
	} else {
		faults = append(faults, is.useKeys(cfg, log)...)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return is, nil
}

func (is *issuer) useSecret(cfg Issuer) (faults []error) {
	if len(cfg.Secret) < minSecret {
		faults = append(faults, fmt.Errorf("secret: has %d bytes, HS256 needs %d", len(cfg.Secret), minSecret))
	}
	k := cfg.Keys
	if k.DiscoveryURL != "" || k.URL != "" || k.File != "" {
		faults = append(faults, errors.New("secret: does not go with public keys: give the issuer one or the other"))
	}
	for _, alg := range cfg.Algorithms {
		if alg != "HS256" {
			faults = append(faults, fmt.Errorf("algorithms: %s does not go with a secret, which serves HS256 only", alg))
		}
	}
	is.algorithms = []string{"HS256"}
	return faults
}

func (is *issuer) useKeys(cfg Issuer, log *slog.Logger) (faults []error) {
	is.algorithms = cfg.Algorithms
	if len(is.algorithms) == 0 {
		is.algorithms = asymmetric
	}
	for _, alg := range is.algorithms {
		switch {
		case alg == "HS256":
			faults = append(faults, errors.New("algorithms: HS256 needs a secret: with public keys, whoever knows the key could sign"))
		case !slices.Contains(asymmetric, alg):
			faults = append(faults, fmt.Errorf("algorithms: %q is not one of %s", alg, strings.Join(asymmetric, ", ")))
		}
	}
	k := cfg.Keys
	if k.Issuer == "" {
		k.Issuer = cfg.Issuer
	}
	if k.Issuer != cfg.Issuer {
		faults = append(faults, fmt.Errorf("issuer: the keys are those of %q", k.Issuer))
	}
	if k.Name == "" {
		k.Name = is.name
	}
	var err error
	if is.keys, err = jwks.New(k, log); err != nil && cfg.Issuer != "" {
		faults = append(faults, err)
	}
	return faults
}

// overlap names an audience that two issuers with the same iss both claim: which of
// them a token belongs to would then depend on their order alone.
func (is *issuer) overlap(other *issuer) (string, bool) {
	if is.iss != other.iss {
		return "", false
	}
	if len(is.audiences) == 0 || len(other.audiences) == 0 {
		return "any audience", true
	}
	for _, a := range is.audiences {
		if slices.Contains(other.audiences, a) {
			return a, true
		}
	}
	return "", false
}

// cookieName says whether a cookie can have that name (RFC 6265, section 4.1.1).
func cookieName(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, c)
	})
}

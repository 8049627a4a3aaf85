package main

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"authz/internal/audit"
	"authz/internal/authz"
	"authz/internal/extauthz"
	"authz/internal/jwks"
	"authz/internal/ops"
	"authz/internal/policy"
	"authz/internal/token"
	"authz/policies"
)

// sidecar is all the rooms, put together.
type sidecar struct {
	config  *Config
	log     *slog.Logger
	tokens  *token.Verifier
	engine  *policy.Engine
	quotas  *quotas
	audit   *audit.Log
	metrics *ops.Metrics
	door    *extauthz.Server
	ops     *ops.Server
	// draining is set by the first SIGTERM.
	draining atomic.Bool
}

// newSidecar builds the floors from the bottom up. It listens to nothing yet.
func newSidecar(c *Config, decisions io.Writer, log *slog.Logger) (*sidecar, error) {
	s := &sidecar{config: c, log: log, metrics: ops.NewMetrics()}
	var errs [4]error
	s.tokens, errs[0] = newVerifier(c, log)
	s.engine, errs[1] = newEngine(c, log)
	s.quotas, errs[2] = newQuotas(c, log)
	s.audit = audit.New(decisions, c.Audit.Buffer)
	if err := errors.Join(errs[0], errs[1], errs[2]); err != nil {
		return nil, err
	}
	authorizer := authz.New(authz.Parts{
		Tokens: s.tokens, Policy: s.engine, Quotas: s.quotas.store, Audit: s.audit,
		Observe: s.observe, Log: log, Now: time.Now, PolicyPath: c.Policy.Decision,
	})
	door, err := doorConfig(c)
	if err != nil {
		return nil, err
	}
	door.Fail = authorizer.Fail
	if c.Policy.CacheSize > 0 {
		door.Quick = authorizer.Quick
	}
	s.door, errs[3] = extauthz.NewServer(door, authorizer.Decide, log)
	return s, errs[3]
}

func newVerifier(c *Config, log *slog.Logger) (*token.Verifier, error) {
	var issuers []token.Issuer
	var errs []error
	for i := range c.Issuers {
		issuer, err := newIssuer(&c.Issuers[i], c)
		if err != nil {
			errs = append(errs, fmt.Errorf("issuers[%d]: %w", i, err))
		}
		issuers = append(issuers, issuer)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return token.New(token.Config{
		Issuers:    issuers,
		Cookie:     c.Token.Cookie,
		MaxBytes:   int(c.Token.MaxSize),
		CacheBytes: cmp.Or(int64(c.Token.CacheSize), -1),
	}, log)
}

func newIssuer(c *Issuer, all *Config) (token.Issuer, error) {
	is := token.Issuer{Issuer: c.Issuer}
	if c.Provider != "" {
		params := map[string]string{}
		for name, value := range map[string]string{"domain": c.Domain, "tenant": c.Tenant, "realm": c.Realm, "url": c.URL, "server": c.Server} {
			if value != "" {
				params[name] = value
			}
		}
		var err error
		if is, err = token.Provider(c.Provider, params); err != nil {
			return is, err
		}
	} else {
		is.Keys = jwks.Config{Issuer: c.Issuer, DiscoveryURL: c.Discovery, URL: c.JWKSURL, File: c.JWKSFile}
	}
	is.Name = c.Name
	is.Keys.Name = c.Name
	is.Audiences = c.Audiences
	is.AllowAnyAudience = all.Insecure.AnyAudience
	is.Leeway = cmp.Or(time.Duration(c.Leeway), -1)
	if len(c.Algorithms) > 0 {
		is.Algorithms = c.Algorithms
	}
	if c.Roles != "" {
		is.RolesClaim = c.Roles
	}
	if c.Scopes != "" {
		is.ScopesClaim = c.Scopes
	}
	is.Keys.AllowHTTP = all.Insecure.HTTPIssuers
	is.Keys.Timeout = time.Duration(c.Timeout)
	is.Keys.MaxStale = time.Duration(c.MaxStale)
	is.Keys.MinRefresh = time.Duration(c.MinRefresh)
	is.Keys.MaxRefresh = time.Duration(c.MaxRefresh)
	is.Keys.MinRefetch = time.Duration(c.MinRefetch)
	// The other half is the policy's, and the answer's.
	is.Keys.MaxWait = time.Duration(all.Listen.CheckTimeout) / 2
	if c.CAFile != "" {
		pool, err := certPool(c.CAFile)
		if err != nil {
			return is, err
		}
		is.Keys.RootCAs = pool
	}
	if !c.Secret.IsZero() {
		secret, err := c.Secret.Read(os.Getenv)
		if err != nil {
			return is, fmt.Errorf("secret: %w", err)
		}
		is.Secret = secret
		is.Keys = jwks.Config{}
	}
	return is, nil
}

func certPool(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file: %s holds no PEM certificate", file)
	}
	return pool, nil
}

func newEngine(c *Config, log *slog.Logger) (*policy.Engine, error) {
	var library fs.FS
	if c.Policy.Library {
		library = policies.Library
	}
	return policy.New(policy.Config{
		Paths:         c.Policy.Paths,
		Library:       library,
		Decision:      c.Policy.Decision,
		Routes:        c.Policy.Routes,
		Timeout:       time.Duration(c.Policy.Timeout),
		Bundles:       policy.Bundles{Config: c.Policy.Bundles.Config, Dir: c.Policy.Bundles.Dir},
		CacheBytes:    int64(c.Policy.CacheSize),
		MaxConcurrent: c.Policy.MaxConcurrent,
		Poll:          time.Duration(c.Policy.Poll),
		AllowBuiltins: c.Policy.Builtins,
	}, log)
}

func doorConfig(c *Config) (extauthz.Config, error) {
	d := extauthz.Config{
		Lenient:            c.Insecure.LenientRequests,
		SkipBody:           c.Request.SkipBody,
		IdentityHeaders:    c.App.IdentityHeaders,
		LegacyQuotaHeaders: c.Quotas.LegacyHeaders,
		Transport:          c.Listen.Transport,
		CheckTimeout:       time.Duration(c.Listen.CheckTimeout),
		MaxInFlight:        c.Listen.MaxInFlight,
		MaxMessageBytes:    int(c.Listen.MaxMessageSize),
		Socket:             c.Listen.Socket,
		SocketMode:         fs.FileMode(c.Listen.SocketMode),
		Address:            c.Listen.Address,
		TLS:                extauthz.TLS{CertFile: c.Listen.TLS.CertFile, KeyFile: c.Listen.TLS.KeyFile, ClientCAFile: c.Listen.TLS.ClientCAFile},
		AllowPlaintext:     c.Insecure.PlaintextTCP,
		Linger:             cmp.Or(time.Duration(c.Shutdown.Linger), -1),
		Grace:              cmp.Or(time.Duration(c.Shutdown.Grace), -1),
	}
	if c.Request.DescriptorSet == "" {
		return d, nil
	}
	var err error
	if d.Descriptors, err = extauthz.LoadDescriptors(c.Request.DescriptorSet); err != nil {
		return d, fmt.Errorf("request.descriptor_set: %w", err)
	}
	return d, nil
}

// listen opens every port; nothing is answered before run.
func (s *sidecar) listen() error {
	var err error
	if s.ops, err = ops.Listen(s.config.Ops.Address, s.sources(), s.metrics, s.log); err != nil {
		return err
	}
	// Last, since it takes the socket over from whoever has it: a process that could
	// not start must leave it alone.
	return s.door.Listen()
}

// address is where the TCP listener is; empty where there is none.
func (s *sidecar) address() string {
	var list []string
	for _, a := range s.door.Addresses() {
		if a.Network() == "tcp" {
			list = append(list, a.String())
		}
	}
	return strings.Join(list, ",")
}

// sources are the rooms as the side door sees them.
func (s *sidecar) sources() ops.Sources {
	b := thisBuild()
	return ops.Sources{
		Build:    ops.Build{Version: b.Version, Go: b.Go, OPA: b.OPA},
		Draining: s.draining.Load,
		Policy: func() ops.PolicyStatus {
			p := s.engine.Status()
			return ops.PolicyStatus{Loaded: p.Loaded, Revision: p.Revision, LoadedAt: p.LoadedAt, Reloads: uint64(p.Reloads), Failures: uint64(p.Failures), LastError: p.LastError,
				Fetches: p.Fetches, FetchFailures: p.FetchFailures, Unfetched: slices.Sorted(maps.Keys(p.Unfetched))}
		},
		Issuers: func() []ops.IssuerStatus {
			list := []ops.IssuerStatus{}
			for _, i := range s.tokens.Issuers() {
				list = append(list, ops.IssuerStatus{Name: i.Name, Ready: i.Ready, Keys: i.Keys, Age: i.Age, Fetches: i.Fetches, Failures: i.Failures, LastError: i.LastError})
			}
			return list
		},
		Tokens: func() ops.TokenCache {
			entries, bytes, hits, misses := s.tokens.CacheStats()
			return ops.TokenCache{Entries: entries, Bytes: bytes, Hits: hits, Misses: misses}
		},
		Decisions: func() ops.DecisionCache {
			c := s.engine.Status().Cache
			return ops.DecisionCache{Entries: c.Entries, Bytes: c.Bytes, Hits: c.Hits, Misses: c.Misses, Evictions: c.Evictions, RoutesOff: c.RoutesOff}
		},
		Quotas: s.quotas.status,
		Audit: func() ops.AuditLog {
			return ops.AuditLog{Written: s.audit.Written(), Dropped: s.audit.Dropped(), Errors: s.audit.Errors()}
		},
		Door: func() ops.FrontDoor {
			return ops.FrontDoor{InFlight: s.door.InFlight(), Connections: int64(s.door.Connections()), Panics: s.door.Panics(), Overloads: s.door.Overloads()}
		},
	}
}

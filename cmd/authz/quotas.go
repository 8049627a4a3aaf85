package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"authz/internal/authz"
	"authz/internal/ops"
	"authz/internal/ratelimit"
)

// quotas is where this process counts: in its memory, or in a Redis with others.
type quotas struct {
	store  authz.Quotas
	memory *ratelimit.Memory // alone
	redis  *ratelimit.Redis  // with others
	shared *ratelimit.Shared
	config *Redis
}

func newQuotas(c *Config, log *slog.Logger) (*quotas, error) {
	q := &quotas{config: &c.Quotas.Redis}
	if len(q.config.Addresses) == 0 {
		q.memory = ratelimit.NewMemory(ratelimit.MemoryConfig{MaxKeys: c.Quotas.MaxKeys})
		q.store = q.memory
		return q, nil
	}
	var err error
	if q.redis, err = q.config.open(); err != nil {
		return nil, err
	}
	q.shared = ratelimit.NewShared(q.redis, ratelimit.SharedConfig{
		Budget: time.Duration(q.config.Timeout), Lease: time.Duration(q.config.Lease),
		Fallback: ratelimit.Fallback(q.config.Fallback), Replicas: q.config.Replicas, MaxKeys: c.Quotas.MaxKeys, Log: log,
	})
	q.store = q.shared
	return q, nil
}

// open makes a client of the shared store. It connects with the first call.
func (c *Redis) open() (*ratelimit.Redis, error) {
	r := ratelimit.RedisConfig{
		Mode: ratelimit.RedisMode(c.Mode), Addresses: c.Addresses, Master: c.Master, Username: c.Username,
		SentinelUsername: c.SentinelUsername, DB: c.DB, Prefix: c.Prefix, PoolSize: c.PoolSize,
	}
	var errs []error
	for _, s := range []struct {
		key    string
		secret Secret
		to     *string
	}{{"password", c.Password, &r.Password}, {"sentinel_password", c.SentinelPassword, &r.SentinelPassword}} {
		if s.secret.IsZero() {
			continue
		}
		b, err := s.secret.Read(os.Getenv)
		if err != nil {
			errs = append(errs, fmt.Errorf("quotas.redis.%s: %w", s.key, err))
		}
		*s.to = string(b)
	}
	if c.TLS.Enabled {
		var err error
		if r.TLS, err = c.TLS.client(); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	store, err := ratelimit.NewRedis(r)
	if err != nil {
		return nil, fmt.Errorf("quotas.redis: %w", err)
	}
	return store, nil
}

func (c *RedisTLS) client() (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if c.CAFile != "" {
		pool, err := certPool(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("quotas.redis.tls.%w", err)
		}
		t.RootCAs = pool
	}
	if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("quotas.redis.tls.cert_file: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// close gives back what was taken ahead.
func (q *quotas) close() {
	if q.shared == nil {
		return
	}
	q.shared.Close()
	_ = q.redis.Close()
}

func (q *quotas) status() ops.QuotaStore {
	if q.shared == nil {
		st := q.memory.Stats()
		return ops.QuotaStore{Keys: st.Keys, Evictions: st.Evictions}
	}
	local, st := q.shared.Local(), q.shared.Stats()
	return ops.QuotaStore{
		Keys: local.Keys, Evictions: local.Evictions,
		Shared: &ops.SharedStore{
			Breaker: st.Breaker, Fallback: q.config.Fallback, Orders: st.RoundTrips, Failures: st.Failures, Poisoned: st.Poisoned,
			Fallbacks: st.Fallbacks, Leased: st.Local + st.Refused, Returned: st.Returned,
		},
	}
}

// notAnAddress says what is wrong with an address, or nothing. One that has a user or a
// password in it is not repeated.
func notAnAddress(a string) string {
	if strings.ContainsAny(a, "@/") {
		return "is a URL: give host:port, with username, password and tls as keys of their own"
	}
	host, port, err := net.SplitHostPort(a)
	if n, wrong := strconv.ParseUint(port, 10, 16); err != nil || host == "" || wrong != nil || n == 0 {
		return fmt.Sprintf("%q is not host:port", a)
	}
	return ""
}

// validateQuotas finds what is wrong with the shared store's settings.
func (c *Config) validateQuotas(r *reader) {
	q := &c.Quotas.Redis
	for _, x := range []struct {
		key, value string
		choices    []string
	}{
		{"mode", q.Mode, []string{"single", "sentinel", "cluster"}},
		{"fallback", q.Fallback, []string{"local", "deny", "allow"}},
	} {
		if !slices.Contains(x.choices, x.value) {
			r.fault("quotas.redis."+x.key, 0, "%q is not %s, %s or %s", x.value, x.choices[0], x.choices[1], x.choices[2])
		}
	}
	for i, a := range q.Addresses {
		if what := notAnAddress(a); what != "" {
			r.fault(fmt.Sprintf("quotas.redis.addresses[%d]", i), 0, "%s", what)
		}
	}
	if len(q.Addresses) == 0 {
		return
	}
	for _, x := range []struct {
		wrong     bool
		key, what string
	}{
		{q.Mode == "single" && len(q.Addresses) > 1, "addresses", "holds several: with mode single give one, or set mode to sentinel or cluster"},
		{(q.Mode == "sentinel") != (q.Master != ""), "master", "goes with mode sentinel, and mode sentinel needs it"},
		{q.Mode == "cluster" && q.DB != 0, "db", "must be 0 in mode cluster"},
		{q.DB < 0, "db", "must not be negative"},
		{strings.ContainsAny(q.Prefix, "{}"), "prefix", "must not hold { or }: they choose the slot in a Cluster"},
		{q.Username != "" && q.Password.IsZero(), "username", "goes with a password"},
		{q.Timeout == 0, "timeout", "must be more than nothing"},
		{q.Timeout >= c.Listen.CheckTimeout, "timeout", "must be shorter than listen.check_timeout (" + time.Duration(c.Listen.CheckTimeout).String() + ")"},
		{q.Lease > Duration(time.Minute), "lease", "is longer than 1m: a lease is a fraction of a window"},
		{q.Replicas < 1, "replicas", "must be at least 1"},
		{q.PoolSize < 0, "pool_size", "must not be negative"},
		{(q.TLS.CertFile == "") != (q.TLS.KeyFile == ""), "tls", "needs both cert_file and key_file, or neither"},
		{!q.TLS.Enabled && q.TLS != RedisTLS{}, "tls.enabled", "is false, but other keys of tls are given"},
		{!q.SentinelPassword.IsZero() && q.Mode != "sentinel", "sentinel_password", "goes with mode sentinel"},
	} {
		if x.wrong {
			r.fault("quotas.redis."+x.key, 0, "%s", x.what)
		}
	}
}

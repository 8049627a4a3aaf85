package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"authz/internal/extauthz"
)

// validate finds everything wrong with a configuration that was read. It looks at
// the values only: nothing is opened, fetched or started.
func (c *Config) validate() faults {
	var r reader
	c.validateListen(&r)
	if _, _, err := net.SplitHostPort(c.Ops.Address); err != nil {
		r.fault("ops.address", 0, "%q is not host:port: %v", c.Ops.Address, err)
	}
	if len(c.Policy.Paths) == 0 && c.Policy.Bundles.Config == "" {
		r.fault("policy.paths", 0, "is missing: name the directories of your policies and their data")
	}
	if b := c.Policy.Bundles; (b.Config == "") != (b.Dir == "") {
		r.fault("policy.bundles", 0, "needs both: config, which says what is fetched, and dir, where it is kept")
	}
	for i, path := range c.Policy.Paths {
		if _, err := os.Stat(path); err != nil {
			r.fault(fmt.Sprintf("policy.paths[%d]", i), 0, "%v", err)
		}
	}
	for _, x := range []struct{ key, path string }{{"policy.decision", c.Policy.Decision}, {"policy.routes", c.Policy.Routes}} {
		if x.path == "" || strings.HasPrefix(x.path, "/") || strings.HasSuffix(x.path, "/") || strings.HasPrefix(x.path, "data.") {
			r.fault(x.key, 0, "%q is not a path: write it with slashes and without data, such as authz/decision", x.path)
		}
	}
	if c.Policy.Timeout > c.Listen.CheckTimeout {
		r.fault("policy.timeout", 0, "%s is longer than listen.check_timeout (%s), which would cut it off", time.Duration(c.Policy.Timeout), time.Duration(c.Listen.CheckTimeout))
	}
	for _, x := range []struct {
		key   string
		value Duration
	}{
		{"policy.timeout", c.Policy.Timeout}, {"policy.poll", c.Policy.Poll}, {"listen.check_timeout", c.Listen.CheckTimeout},
		{"shutdown.grace", c.Shutdown.Grace},
	} {
		if x.value == 0 {
			r.fault(x.key, 0, "must be more than nothing")
		}
	}
	for _, x := range []struct {
		key   string
		value int
	}{
		{"listen.max_in_flight", c.Listen.MaxInFlight}, {"quotas.max_keys", c.Quotas.MaxKeys}, {"audit.buffer", c.Audit.Buffer},
		{"listen.max_message_size", int(c.Listen.MaxMessageSize)}, {"token.max_size", int(c.Token.MaxSize)},
	} {
		if x.value <= 0 {
			r.fault(x.key, 0, "must be at least 1")
		}
	}
	if c.Policy.MaxConcurrent < 0 {
		r.fault("policy.max_concurrent", 0, "must not be negative")
	}
	if !slices.Contains(extauthz.Transports, c.Listen.Transport) {
		r.fault("listen.transport", 0, "%q is not %s", c.Listen.Transport, strings.Join(extauthz.Transports, " or "))
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level) {
		r.fault("log.level", 0, "%q is not debug, info, warn or error", c.Log.Level)
	}
	if c.Log.Format != "json" && c.Log.Format != "text" {
		r.fault("log.format", 0, "%q is not json or text", c.Log.Format)
	}
	if c.Audit.Output == "" {
		r.fault("audit.output", 0, "is empty: write none to switch the decision log off")
	}
	c.validateQuotas(&r)
	names := map[string]int{}
	for i := range c.Issuers {
		c.validateIssuer(&r, i, names)
	}
	return r.faults
}

func (c *Config) validateListen(r *reader) {
	l := &c.Listen
	if l.Socket == "" && l.Address == "" {
		r.fault("listen", 0, "names no place to listen: give socket (best) or address")
	}
	if len(l.Socket) > 100 {
		r.fault("listen.socket", 0, "is longer than the 100 characters that a Unix socket's path may have here")
	}
	tls := l.TLS.CertFile != "" || l.TLS.KeyFile != "" || l.TLS.ClientCAFile != ""
	if tls && (l.TLS.CertFile == "" || l.TLS.KeyFile == "") {
		r.fault("listen.tls", 0, "needs both cert_file and key_file")
	}
	if tls && l.Address == "" {
		r.fault("listen.tls", 0, "is for listen.address, which is not given; a Unix socket has no TLS")
	}
	if l.Address == "" {
		return
	}
	host, _, err := net.SplitHostPort(l.Address)
	if err != nil {
		r.fault("listen.address", 0, "%q is not host:port: %v", l.Address, err)
		return
	}
	if !tls && !isLoopback(host) && !c.Insecure.PlaintextTCP {
		r.fault("listen.address", 0, "%s is not loopback and has no TLS: add listen.tls, use a Unix socket, or set insecure.plaintext_tcp", l.Address)
	}
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// validateIssuer checks what the token room can't: which keys go together. The
// rest (ranges, algorithms, provider parameters) is the token room's own to refuse.
func (c *Config) validateIssuer(r *reader, i int, names map[string]int) {
	is := &c.Issuers[i]
	key := fmt.Sprintf("issuers[%d]", i)
	if is.Name == "" {
		is.Name = is.Provider
		if u, err := url.Parse(is.Issuer); is.Name == "" && err == nil {
			is.Name = u.Hostname()
		}
	}
	if is.Name == "" && is.Issuer == "" {
		r.fault(key, 0, "names no issuer: give issuer (its exact iss), or a provider")
		return
	}
	if is.Name == "" {
		r.fault(key+".name", 0, "is needed where the issuer is not a URL")
	} else if other, taken := names[is.Name]; taken {
		r.fault(key+".name", 0, "%q is taken by issuers[%d]: give each a name of its own", is.Name, other)
	} else {
		names[is.Name] = i
	}
	var sources []string
	for _, s := range []struct {
		key string
		set bool
	}{
		{"discovery_url", is.Discovery != ""}, {"jwks_url", is.JWKSURL != ""},
		{"jwks_file", is.JWKSFile != ""}, {"secret", !is.Secret.IsZero()},
	} {
		if s.set {
			sources = append(sources, s.key)
		}
	}
	if len(sources) > 1 {
		r.fault(key, 0, "has %s: give one of them", strings.Join(sources, " and "))
	}
	if is.Provider != "" && len(sources) > 0 {
		r.fault(key+"."+sources[0], 0, "does not go with provider, which knows where its keys are")
	}
	if len(is.Audiences) == 0 && !c.Insecure.AnyAudience {
		r.fault(key+".audiences", 0, "is missing: name who the tokens must be made for, or else a token made for another service is valid here")
	}
}

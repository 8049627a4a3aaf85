// Package jwks answers one question: which public key of this issuer has this id?
//
// A Set is the keys of one issuer. Run fetches them in the background (by OIDC
// discovery, from a key set's URL, or from a file) and keeps them fresh; Key reads
// one atomic pointer and waits for nobody, except for a key id that the set does
// not hold: such a call shares one extra fetch with everybody who asks at the same
// time, and there is at most one such fetch in Config.MinRefetch. So a new key works
// at once, and ten thousand invented ids cost the issuer one request.
//
// What the issuer answers is judged before it counts: an answer that fails, hangs,
// is too big, is not a key set or holds no usable key leaves the last good set in
// force, until it is older than Config.MaxStale. Then every call is ErrUnavailable.
//
// A key serves only the algorithms that its own kind and its own "alg" allow
// (RFC 8725, section 3.1): what a token's header says is the question, never the
// answer. The package knows nothing of tokens, and of secrets only that they don't
// belong in a published set.
package jwks

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// What a call to Set.Key can say besides a key.
var (
	// ErrUnknown: the issuer does not publish such a key.
	ErrUnknown = errors.New("no such key")
	// ErrAlgorithm: the key is there, but not for this algorithm.
	ErrAlgorithm = errors.New("key is not for this algorithm")
	// ErrAmbiguous: different keys answer to this id and algorithm.
	ErrAmbiguous = errors.New("several keys answer to this id")
	// ErrUnavailable: it can't be told, because the issuer's keys can't be had.
	ErrUnavailable = errors.New("keys unavailable")
)

// Defaults of Config.
const (
	DefaultTimeout    = 5 * time.Second
	DefaultMaxBytes   = 1 << 20
	DefaultMinRefresh = time.Minute
	DefaultMaxRefresh = time.Hour
	DefaultMaxStale   = 24 * time.Hour
	DefaultMinRefetch = 10 * time.Second
	DefaultMaxWait    = 400 * time.Millisecond
)

// Config describes one issuer's key set. At most one of DiscoveryURL, URL and File
// may be given; with none of them the keys are found by discovery below Issuer.
type Config struct {
	// Name is a short name for logs and metrics. Default: the issuer.
	Name string
	// Issuer is the exact issuer URL, which a discovery document must repeat.
	Issuer string

	// DiscoveryURL is where the OIDC discovery document is.
	// Default: Issuer + "/.well-known/openid-configuration".
	DiscoveryURL string
	// URL is where the key set itself is; no discovery then.
	URL string
	// File holds the key set. It is read again every few seconds, and at once when
	// a key is asked for that it did not hold.
	File string

	// AllowHTTP permits plain http from hosts that are not loopback: whoever is on
	// the path can then replace the keys.
	AllowHTTP bool
	// RootCAs are trusted instead of the system's when set.
	RootCAs *x509.CertPool

	// Timeout bounds one fetch from end to end, discovery included. Default 5 s.
	Timeout time.Duration
	// MaxBytes bounds an answer. Default 1 MiB.
	MaxBytes int64
	// MinRefresh and MaxRefresh bound the time between refreshes, whatever the
	// issuer's Cache-Control says. Defaults 1 min and 1 h.
	MinRefresh, MaxRefresh time.Duration
	// MaxStale is how long the last good set serves when nothing better can be had.
	// Default 24 h; not less than MaxRefresh.
	MaxStale time.Duration
	// MinRefetch is the window in which unknown key ids cause at most one fetch.
	// Default 10 s.
	MinRefetch time.Duration
	// MaxWait is how long one call waits for keys that are being fetched. It leaves
	// whoever asks the time to say what follows from that. Default 400 ms.
	MaxWait time.Duration
}

// complete fills in the defaults and reports every fault, each with its key.
func (c *Config) complete() error {
	if c.Name == "" {
		c.Name = c.Issuer
	}
	orDefault(&c.Timeout, DefaultTimeout)
	orDefault(&c.MinRefresh, DefaultMinRefresh)
	orDefault(&c.MaxRefresh, max(DefaultMaxRefresh, c.MinRefresh))
	orDefault(&c.MaxStale, max(DefaultMaxStale, c.MaxRefresh))
	orDefault(&c.MinRefetch, DefaultMinRefetch)
	orDefault(&c.MaxWait, DefaultMaxWait)
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}

	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for _, d := range []struct {
		key   string
		value time.Duration
	}{
		{"timeout", c.Timeout}, {"min_refresh", c.MinRefresh}, {"max_refresh", c.MaxRefresh},
		{"max_stale", c.MaxStale}, {"refetch_window", c.MinRefetch}, {"max_wait", c.MaxWait},
	} {
		if d.value < 0 {
			fault("%s: must not be negative", d.key)
		}
	}
	if c.MaxBytes < 0 {
		fault("max_bytes: must not be negative")
	}
	if c.MinRefresh > c.MaxRefresh {
		fault("min_refresh: %s is more than max_refresh (%s)", c.MinRefresh, c.MaxRefresh)
	}
	if c.MaxStale < c.MaxRefresh {
		fault("max_stale: %s is less than max_refresh (%s): the keys would lapse between two refreshes", c.MaxStale, c.MaxRefresh)
	}
	faults = append(faults, c.completeSource()...)
	return errors.Join(faults...)
}

func (c *Config) completeSource() (faults []error) {
	var given []string
	for _, s := range []struct{ key, value string }{
		{"discovery_url", c.DiscoveryURL}, {"jwks_url", c.URL}, {"jwks_file", c.File},
	} {
		if s.value != "" {
			given = append(given, s.key)
		}
	}
	switch {
	case len(given) > 1:
		return []error{fmt.Errorf("%s: give one of them", strings.Join(given, ", "))}
	case c.File != "":
		return nil
	case c.URL != "":
		if err := c.mayFetch(c.URL); err != nil {
			return []error{fmt.Errorf("jwks_url: %w", err)}
		}
		return nil
	case c.Issuer == "":
		return []error{errors.New("issuer: is needed to find the keys by discovery; or give jwks_url or jwks_file")}
	}
	key, address := "discovery_url", c.DiscoveryURL
	if address == "" {
		// OpenID Connect Discovery 1.0, section 4: a trailing slash is removed first.
		key, address = "issuer", strings.TrimSuffix(c.Issuer, "/")+"/.well-known/openid-configuration"
	}
	if err := c.mayFetch(address); err != nil {
		return []error{fmt.Errorf("%s: %w", key, err)}
	}
	c.DiscoveryURL = address
	return nil
}

// mayFetch says whether keys, or the way to them, may be fetched from an address:
// over https, or over http from this very host or where the operator insists.
func (c *Config) mayFetch(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return errors.New("is not a URL")
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return errors.New("is not an https URL")
	case u.User != nil || u.Fragment != "":
		return errors.New("must not hold a user name, password or fragment")
	case u.Scheme == "http" && !c.AllowHTTP && !isLoopback(u.Hostname()):
		return errors.New("is plain http: whoever is on the path could replace the keys")
	}
	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

func orDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

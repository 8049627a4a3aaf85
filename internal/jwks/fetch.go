package jwks

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// source is where a set comes from. Only the goroutine of Set.Run uses it.
type source struct {
	cfg    Config
	client *http.Client
	// etag belongs to the answer last taken in from etagURL.
	etag, etagURL string
}

// answer is what a source gave. Unchanged means that the set last taken in is
// still the one.
type answer struct {
	body      []byte
	unchanged bool
	// fresh is how long the answer may be used; negative when it does not say.
	fresh time.Duration
	// taken is to be called when the body proved to be a good set.
	taken func()
}

func newSource(cfg Config) *source {
	s := &source{cfg: cfg}
	s.client = &http.Client{
		CheckRedirect: s.redirect,
		Transport: &http.Transport{
			// No Proxy: where keys come from is decided in one place. No compression:
			// the size on the wire is the size in memory. HTTP/1 only (TLSClientConfig
			// switches HTTP/2 off): closing a body half read then stops the sender, where
			// HTTP/2 would first let it fill a window of megabytes.
			DisableCompression:     true,
			DialContext:            (&net.Dialer{Timeout: cfg.Timeout}).DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: cfg.RootCAs, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    cfg.Timeout,
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConnsPerHost:    1,
			IdleConnTimeout:        30 * time.Second,
		},
	}
	return s
}

// close lets go of idle connections.
func (s *source) close() { s.client.CloseIdleConnections() }

// fetch asks once, within Config.Timeout.
func (s *source) fetch(ctx context.Context) (answer, error) {
	if s.cfg.File != "" {
		return s.read()
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	address := s.cfg.URL
	if address == "" {
		var err error
		if address, err = s.discover(ctx); err != nil {
			return answer{}, fmt.Errorf("discovering the keys: %w", err)
		}
	}
	a, err := s.get(ctx, address, true)
	if err != nil {
		return answer{}, fmt.Errorf("fetching the keys: %w", err)
	}
	return a, nil
}

// fileRefresh is how often a file is read again.
const fileRefresh = 5 * time.Second

func (s *source) read() (answer, error) {
	info, err := os.Stat(s.cfg.File)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", s.cfg.File) // opening a pipe could hang
	}
	if err != nil {
		return answer{}, fmt.Errorf("reading the keys: %w", err)
	}
	f, err := os.Open(s.cfg.File)
	if err != nil {
		return answer{}, fmt.Errorf("reading the keys: %w", err)
	}
	defer f.Close()
	body, err := readAll(f, s.cfg.MaxBytes)
	if err != nil {
		return answer{}, fmt.Errorf("reading the keys from %s: %w", s.cfg.File, err)
	}
	return answer{body: body, fresh: fileRefresh, taken: func() {}}, nil
}

// discover reads where the keys are (OpenID Connect Discovery 1.0, section 4). It
// is asked each time: an issuer that moves its keys is followed without a restart.
func (s *source) discover(ctx context.Context) (string, error) {
	a, err := s.get(ctx, s.cfg.DiscoveryURL, false)
	if err != nil {
		return "", err
	}
	var document struct {
		Issuer string `json:"issuer"`
		JWKS   string `json:"jwks_uri"`
	}
	if json.Unmarshal(a.body, &document) != nil {
		return "", errors.New("answer is not a discovery document")
	}
	// Section 4.3: the issuer must be exactly the one that was asked for, or else
	// one tenant of a shared host could speak for another.
	if document.Issuer != s.cfg.Issuer {
		return "", errors.New("the document is another issuer's")
	}
	if err := s.cfg.mayFetch(document.JWKS); err != nil {
		return "", fmt.Errorf("jwks_uri %w", err)
	}
	if strings.HasPrefix(s.cfg.DiscoveryURL, "https:") && !strings.HasPrefix(document.JWKS, "https:") {
		return "", errors.New("jwks_uri is plain http although the issuer is not")
	}
	return document.JWKS, nil
}

func (s *source) get(ctx context.Context, address string, conditional bool) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return answer{}, errors.New("is not a URL")
	}
	// Kubernetes serves its key set as application/jwk-set+json (RFC 7517, 8.5) and
	// answers 406 to whoever takes no other kind of JSON.
	req.Header.Set("Accept", "application/json, application/jwk-set+json")
	req.Header.Set("User-Agent", "authz")
	asked := conditional && s.etag != "" && s.etagURL == address
	if asked {
		req.Header.Set("If-None-Match", s.etag)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return answer{}, presentable(req.URL.Host, err)
	}
	// Closing an HTTP/1 body that was not read to its end closes the connection:
	// the rest of a gigabyte is never read.
	defer resp.Body.Close()

	a := answer{fresh: freshness(resp.Header)}
	switch {
	case resp.StatusCode == http.StatusNotModified && asked:
		a.unchanged = true
		return a, nil
	case resp.StatusCode != http.StatusOK:
		return answer{}, fmt.Errorf("%s answered %d", req.URL.Host, resp.StatusCode)
	case resp.ContentLength > s.cfg.MaxBytes:
		return answer{}, errTooBig
	}
	if a.body, err = readAll(resp.Body, s.cfg.MaxBytes); err != nil {
		return answer{}, presentable(req.URL.Host, err)
	}
	etag := resp.Header.Get("ETag")
	a.taken = func() { s.etag, s.etagURL = etag, address }
	return a, nil
}

// presentable says what went wrong without repeating what the issuer sent: net/http
// quotes a malformed answer in its errors, and they end up in the log.
func presentable(host string, err error) error {
	var (
		network     net.Error
		refusal     redirectError
		certificate *tls.CertificateVerificationError
		dial        *net.OpError
	)
	switch {
	case errors.Is(err, errTooBig):
		return err
	case errors.As(err, &network) && network.Timeout():
		return fmt.Errorf("%s did not answer in time", host)
	case errors.As(err, &refusal):
		return fmt.Errorf("%s %w", host, refusal)
	case errors.As(err, &certificate):
		return fmt.Errorf("%s: %w", host, certificate)
	case errors.As(err, &dial):
		return dial
	}
	return fmt.Errorf("%s gave no whole HTTP answer", host)
}

type redirectError string

func (e redirectError) Error() string { return string(e) }

var errTooBig = errors.New("answer is too big")

func readAll(r io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, errTooBig
	}
	return body, nil
}

// redirect follows an issuer only within its own host and never down to http.
func (s *source) redirect(req *http.Request, via []*http.Request) error {
	from, to := via[len(via)-1].URL, req.URL
	switch {
	case len(via) > 3:
		return redirectError("redirects too often")
	case !strings.EqualFold(from.Hostname(), to.Hostname()):
		return redirectError("redirects to another host")
	case from.Scheme == to.Scheme && port(from) != port(to):
		return redirectError("redirects to another port")
	case from.Scheme != to.Scheme && to.Scheme != "https":
		return redirectError("redirects from https to something less")
	}
	return nil
}

func port(u *url.URL) string {
	switch p := u.Port(); {
	case p != "":
		return p
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// freshness is what Cache-Control and Age say of an answer (RFC 9111, section
// 4.2); negative when they say nothing.
func freshness(h http.Header) time.Duration {
	fresh := time.Duration(-1)
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			if n, ok := seconds(value); ok {
				fresh = n
			}
		}
	}
	if age, ok := seconds(h.Get("Age")); ok && fresh > 0 {
		fresh = max(fresh-age, 0)
	}
	return fresh
}

func seconds(s string) (time.Duration, bool) {
	n, err := strconv.ParseInt(strings.Trim(strings.TrimSpace(s), `"`), 10, 32)
	return time.Duration(n) * time.Second, err == nil && n >= 0
}

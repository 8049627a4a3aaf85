package testbed

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Issuer is an OpenID Connect issuer as far as a resource server sees one: a
// discovery document and a key set. Tests tell it to rotate and to misbehave.
type Issuer struct {
	URL      string // the iss of its tokens; discovery is below it
	Audience string // the aud of Claims

	server *httptest.Server
	closed chan struct{}

	mu        sync.Mutex
	keys      []Key // published, oldest first; the last one signs
	made      int   // keys made by Rotate and NewIssuer: names are not used twice
	answer    http.HandlerFunc
	discovery int
	jwks      int
}

// NewIssuer starts an issuer with one key for the algorithm. Close ends it.
func NewIssuer(alg string) *Issuer {
	i := &Issuer{Audience: "https://api.example.com", closed: make(chan struct{}), keys: []Key{NewKey("key-1", alg)}, made: 1}
	i.server = httptest.NewServer(i)
	i.URL = i.server.URL
	return i
}

// Close ends the issuer and frees requests that Hang holds.
func (i *Issuer) Close() {
	close(i.closed)
	i.server.Close()
}

// Key is the key that signs.
func (i *Issuer) Key() Key {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keys[len(i.keys)-1]
}

// Rotate publishes a new key, which signs from now on. The old ones stay published
// until they are retired.
func (i *Issuer) Rotate(alg string) Key {
	i.mu.Lock()
	i.made++
	id := "key-" + strconv.Itoa(i.made)
	i.mu.Unlock()
	k := NewKey(id, alg)
	i.Publish(k)
	return k
}

// Publish adds a key of the test's own, which signs from now on.
func (i *Issuer) Publish(k Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = append(i.keys, k)
}

// Retire takes a key out of the set.
func (i *Issuer) Retire(id string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = slices.DeleteFunc(i.keys, func(k Key) bool { return k.ID == id })
}

// Claims are good claims for now, valid for five minutes, with the given ones over
// them; a nil claim removes one.
func (i *Issuer) Claims(more map[string]any) map[string]any {
	now := time.Now()
	claims := map[string]any{
		"iss": i.URL, "aud": i.Audience, "sub": "alice",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	}
	maps.Copy(claims, more)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return claims
}

// Token is a good token with the given claims over the usual ones.
func (i *Issuer) Token(more map[string]any) string { return i.Key().Token(i.Claims(more)) }

// Fetches counts the requests for the discovery document and for the key set.
func (i *Issuer) Fetches() (discovery, jwks int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.discovery, i.jwks
}

// Answer replaces the answer to every request for the key set; nil mends the issuer.
// Fail, Hang, Garbage and Huge are ready-made answers.
func (i *Issuer) Answer(h http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = h
}

// Fail answers with a status.
func (i *Issuer) Fail(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "the issuer is ill", status) }
}

// Hang answers nothing until the client or the issuer gives up.
func (i *Issuer) Hang() http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-i.closed:
		}
	}
}

// Garbage answers 200 with something that is no key set.
func (i *Issuer) Garbage() http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<html>maintenance</html>\x00\xff")
	}
}

// Huge answers 200 with n bytes that begin like a key set.
func (i *Issuer) Huge(n int64) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = io.WriteString(w, `{"keys":[{"kty":"RSA","n":"`)
		block := strings.Repeat("A", 64<<10)
		for sent := int64(0); sent < n; sent += int64(len(block)) {
			if _, err := io.WriteString(w, block); err != nil {
				return // the reader has had enough
			}
		}
	}
}

// ServeHTTP implements http.Handler: the discovery document and the key set.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		i.mu.Lock()
		i.discovery++
		i.mu.Unlock()
		writeJSON(w, map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/jwks"})
	case "/jwks":
		i.mu.Lock()
		i.jwks++
		answer := i.answer
		keys := make([]any, len(i.keys))
		for n, k := range i.keys {
			keys[n] = k.JWK()
		}
		i.mu.Unlock()
		if answer != nil {
			answer(w, r)
			return
		}
		writeJSON(w, map[string]any{"keys": keys})
	default:
		http.NotFound(w, r)
	}
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(marshal(v))
}

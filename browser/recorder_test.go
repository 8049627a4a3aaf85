package browser

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// visit is a request that reached a server.
type visit struct{ Method, Host, Path, User string }

// recorder is a server's handler, and remembers who came.
type recorder struct {
	mu      sync.Mutex
	handler http.Handler
	visits  []visit
	grown   chan struct{} // closed at the next visit
}

// serve changes what is behind and forgets the visits.
func (r *recorder) serve(h http.Handler) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handler, r.visits = h, nil
}

func (r *recorder) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.visits = nil
}

// seen is the visits that fit, as lines such as "POST /orders alice".
func (r *recorder) seen(fits func(visit) bool) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := []string{}
	for _, v := range r.visits {
		if fits(v) {
			lines = append(lines, strings.TrimSpace(v.Method+" "+v.Path+" "+v.User))
		}
	}
	return lines
}

// await waits for a visit that fits.
func (r *recorder) await(t *testing.T, fits func(visit) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		r.mu.Lock()
		found := slices.ContainsFunc(r.visits, fits)
		if r.grown == nil {
			r.grown = make(chan struct{})
		}
		grown := r.grown
		r.mu.Unlock()
		if found {
			return
		}
		select {
		case <-grown:
		case <-ctx.Done():
			t.Fatal("nobody came")
		}
	}
}

// ServeHTTP implements http.Handler.
func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.visits = append(r.visits, visit{req.Method, req.Host, req.URL.Path, req.Header.Get("X-User-Id")})
	if r.grown != nil {
		close(r.grown)
		r.grown = nil
	}
	handler := r.handler
	r.mu.Unlock()
	handler.ServeHTTP(w, req)
}

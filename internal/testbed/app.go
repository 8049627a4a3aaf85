package testbed

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
)

// Seen is one request as the application received it.
type Seen struct {
	Method  string      `json:"method"`
	Path    string      `json:"path"` // the request target as it came, query included
	Host    string      `json:"host"`
	Headers http.Header `json:"headers"`
	Body    string      `json:"body"`
}

// App is an application without any security code. By default it answers 200 with
// what it received, as JSON, and says loudly what it runs on, as frameworks do.
type App struct {
	Addr string // host:port

	server *httptest.Server

	mu     sync.Mutex
	seen   []Seen
	answer http.HandlerFunc
}

// NewApp starts one. Close ends it.
func NewApp() *App {
	a := &App{}
	a.server = httptest.NewServer(a)
	a.Addr = a.server.Listener.Addr().(*net.TCPAddr).String()
	return a
}

// Close ends the application.
func (a *App) Close() { a.server.Close() }

// Answer replaces the answer; nil brings the echo back. The request's body has been
// read and can be read again.
func (a *App) Answer(h http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = h
}

// Seen is every request received since the last Forget, oldest first.
func (a *App) Seen() []Seen {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]Seen(nil), a.seen...)
}

// Forget empties Seen.
func (a *App) Forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen = nil
}

// ServeHTTP implements http.Handler.
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s := Seen{Method: r.Method, Path: r.RequestURI, Host: r.Host, Headers: r.Header.Clone(), Body: string(body)}
	a.mu.Lock()
	a.seen = append(a.seen, s)
	answer := a.answer
	a.mu.Unlock()
	if answer != nil {
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Server", "acme/1.2.3")
	w.Header().Set("X-Powered-By", "Acme Framework 1.2.3")
	_ = json.NewEncoder(w).Encode(s)
}

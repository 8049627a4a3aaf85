package main

import (
	"encoding/json"
	"net"
	"net/http"
	"time"
)

// api is an ordinary small JSON API. It looks at no token, checks no role, counts no
// request and sets no security header: all that is the sidecar's. It believes
// X-User-Id, because only the sidecar can set it.
type api struct {
	address string
	server  *http.Server
}

type order struct {
	ID    string `json:"id"`
	Item  string `json:"item"`
	Owner string `json:"owner"`
}

// listing is the orders, and the headers by which the app knows who asked.
type listing struct {
	UserID string  `json:"x-user-id"`
	Roles  string  `json:"x-user-roles"`
	Orders []order `json:"orders"`
}

var orders = []order{
	{"0b0e7b9a-6a5d-4b0e-9d5c-0f6c1b2a3d4e", "pen", "carol"},
	{"5f3c9a52-7f2e-4a53-8a65-2f1f7f0e9b11", "paper", "dave"},
}

func startAPI() (*api, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { answer(w, map[string]any{"status": "ok"}) })
	mux.HandleFunc("GET /orders", func(w http.ResponseWriter, r *http.Request) {
		// Echoing the headers shows the tour what the sidecar told the app.
		answer(w, listing{r.Header.Get("X-User-Id"), r.Header.Get("X-User-Roles"), orders})
	})
	mux.HandleFunc("GET /admin/orders", func(w http.ResponseWriter, r *http.Request) {
		answer(w, listing{r.Header.Get("X-User-Id"), r.Header.Get("X-User-Roles"), orders})
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, _ *http.Request) { answer(w, map[string]any{"welcome": true}) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a := &api{
		address: listener.Addr().String(),
		server:  &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second},
	}
	go a.server.Serve(listener) //nolint:errcheck // ends with stop
	return a, nil
}

func (a *api) stop() { _ = a.server.Close() }

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Powered-By", "Acme 1.2.3")
	_ = json.NewEncoder(w).Encode(v)
}

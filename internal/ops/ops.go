// Package ops is the side door: liveness, readiness and metrics, on a port of its
// own that Envoy's clients can't reach.
//
// It answers what is going on and changes nothing: there is no endpoint that
// reloads, resets or stops anything. What it shows it asks of the other rooms
// through Sources at the time of the question; only the per-decision figures are
// counted as they happen (Metrics.Observe).
package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Server is the side door's HTTP server.
type Server struct {
	listener net.Listener
	http     *http.Server
}

// Listen opens the port. It answers nothing before Serve.
func Listen(address string, sources Sources, metrics *Metrics, log *slog.Logger) (*Server, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("opening the side door: %w", err)
	}
	return &Server{
		listener: l,
		http: &http.Server{
			Handler:                      Handler(sources, metrics),
			ReadTimeout:                  5 * time.Second,
			WriteTimeout:                 10 * time.Second,
			IdleTimeout:                  time.Minute,
			MaxHeaderBytes:               8 << 10,
			ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelWarn),
			DisableGeneralOptionsHandler: true,
		},
	}, nil
}

// Addr is where it listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Serve answers until ctx ends, then lets answers under way finish.
func (s *Server) Serve(ctx context.Context) error {
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		limit, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		stopped <- s.http.Shutdown(limit)
	})
	err := s.http.Serve(s.listener)
	if stop() {
		return err // it failed by itself
	}
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return errors.Join(err, <-stopped)
}

// Handler serves GET /livez, /readyz and /metrics, and nothing else.
func Handler(sources Sources, metrics *Metrics) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { ready(w, sources) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics.registry(sources), promhttp.HandlerOpts{}))
	return mux
}

// readiness is the body of /readyz.
type readiness struct {
	Ready   bool     `json:"ready"`
	Missing []string `json:"missing,omitempty"`
	// Degraded is what fails while the sidecar still does its work.
	Degraded []string       `json:"degraded,omitempty"`
	Policy   PolicyStatus   `json:"policy"`
	Issuers  []IssuerStatus `json:"issuers"`
	Quotas   *SharedStore   `json:"quotas,omitempty"`
}

func ready(w http.ResponseWriter, sources Sources) {
	r := readiness{Policy: sources.Policy(), Issuers: sources.Issuers(), Quotas: sources.Quotas().Shared}
	if sources.Draining() {
		r.Missing = append(r.Missing, "shutting down")
	}
	if !r.Policy.Loaded {
		r.Missing = append(r.Missing, "policy")
	}
	if r.Policy.Loaded && r.Policy.LastError != "" {
		r.Degraded = append(r.Degraded, "policy: the newest version was refused; an older one is in force")
	}
	for _, bundle := range r.Policy.Unfetched {
		r.Degraded = append(r.Degraded, "policy bundle "+bundle+": the last fetch failed; what was fetched before is in use")
	}
	for _, issuer := range r.Issuers {
		switch {
		case !issuer.Ready:
			r.Missing = append(r.Missing, "keys of issuer "+issuer.Name)
		case issuer.LastError != "":
			r.Degraded = append(r.Degraded, "keys of issuer "+issuer.Name+": the last fetch failed; older keys are in use")
		}
	}
	// Whatever the fallback is, a replica less would help nobody.
	if r.Quotas != nil && r.Quotas.Breaker != "closed" {
		r.Degraded = append(r.Degraded, "quotas: the shared store does not answer; the fallback is "+r.Quotas.Fallback)
	}
	r.Ready = len(r.Missing) == 0
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !r.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(r) // a client that has gone is nobody's error
}

package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Serve answers on the listener with the certificate of the moment until ctx ends,
// then lets reviews under way finish.
func Serve(ctx context.Context, l net.Listener, handler http.Handler, certificate func() *tls.Certificate, log *slog.Logger) error {
	s := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       90 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	if certificate != nil {
		s.TLSConfig = &tls.Config{
			MinVersion: tls.VersionTLS13, // every API server that knows native sidecars speaks it
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				if c := certificate(); c != nil {
					return c, nil
				}
				return nil, errNoCertificate
			},
		}
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		stopped <- s.Shutdown(limit)
	})
	var err error
	if certificate != nil {
		err = s.ServeTLS(l, "", "")
	} else {
		err = s.Serve(l)
	}
	if stop() {
		return err // it failed by itself
	}
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return errors.Join(err, <-stopped)
}

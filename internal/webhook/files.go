package webhook

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// Files serves a certificate that somebody else keeps, cert-manager for instance,
// and reads it again when it changes.
type Files struct {
	CertFile, KeyFile string
	Every             time.Duration
	Log               *slog.Logger
	// Failed is called when the files can't be read.
	Failed func()

	current atomic.Pointer[tls.Certificate]
}

// Certificate is the one to serve.
func (f *Files) Certificate() *tls.Certificate { return f.current.Load() }

// Look reads the files.
func (f *Files) Look() error {
	pair, err := tls.LoadX509KeyPair(f.CertFile, f.KeyFile)
	if err != nil {
		return fmt.Errorf("reading the certificate: %w", err)
	}
	if before := f.current.Swap(&pair); before == nil || !before.Leaf.Equal(pair.Leaf) {
		f.Log.Info("serving a certificate", "serial", pair.Leaf.SerialNumber.Text(16), "until", pair.Leaf.NotAfter)
	}
	return nil
}

// Run reads the files again and again until ctx ends.
func (f *Files) Run(ctx context.Context) {
	ticker := time.NewTicker(f.Every)
	defer ticker.Stop()
	for {
		if err := f.Look(); err != nil {
			f.Failed()
			f.Log.Error("the webhook's certificate stays as it is", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

package jwks

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// A call waits for a hanging issuer no longer than MaxWait, even if its caller would.
func TestMaxWait(t *testing.T) {
	asked, done := make(chan struct{}, 8), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-done
	}))
	defer server.Close()
	defer close(done)
	s, err := New(Config{URL: server.URL, MaxWait: 10 * time.Millisecond}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	<-asked
	if _, err := s.Key(context.Background(), "k", "RS256"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v, want %v", err, ErrUnavailable)
	}
	stop()
	<-ended
}

// And no longer in all: for a fetch that was under way when it came, and then for
// one of its own.
func TestMaxWaitInAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Config{File: "keys.json", MaxWait: 400 * time.Millisecond}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		s.current.Store(&snapshot{index: &index{}, confirmed: time.Now()})
		s.depart()
		go func() {
			time.Sleep(300 * time.Millisecond)
			s.arrive()
		}()
		came := time.Now()
		_, err = s.Key(t.Context(), "new", "RS256")
		if waited := time.Since(came); !errors.Is(err, ErrUnavailable) || waited != 400*time.Millisecond {
			t.Errorf("%v after %s, want %v after 400ms", err, waited, ErrUnavailable)
		}
	})
}

package policy

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"authz/internal/check"
)

// tree is a directory in a test: file name to content.
type tree map[string]string

func (tr tree) write(t testing.TB, dir string) {
	t.Helper()
	for name, content := range tr {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// logbook is an operating log that a test can read.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), s)
}

func (l *logbook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// newEngine makes an engine for the directory in cfg.Path, or a new one with the
// files.
func newEngine(t testing.TB, files tree, cfg Config) *Engine {
	t.Helper()
	if cfg.Path == "" {
		cfg.Path = t.TempDir()
	}
	files.write(t, cfg.Path)
	if cfg.Timeout == 0 {
		cfg.Timeout = 30 * time.Second // the machine may be busy; deadlines have their own test
	}
	engine, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

func loadedEngine(t testing.TB, files tree, cfg Config) *Engine {
	t.Helper()
	engine := newEngine(t, files, cfg)
	if err := engine.Load(t.Context()); err != nil {
		t.Fatalf("load: %v", err)
	}
	return engine
}

func loadError(t *testing.T, files tree, cfg Config) string {
	t.Helper()
	err := newEngine(t, files, cfg).Load(t.Context())
	if err == nil {
		return ""
	}
	return err.Error()
}

// get is the plainest request: GET /orders without a token.
func get() *check.Request {
	return &check.Request{
		HTTP:   check.HTTP{Method: "GET", Path: "/orders", Host: "shop.test"},
		Path:   []string{"orders"},
		Query:  map[string][]string{},
		Client: check.Client{IP: "2001:db8::1", IPBlock: "2001:db8::/64", Scheme: "https"},
	}
}

func anonymous() *check.Token { return &check.Token{Status: check.TokenAbsent} }

// await loops on a condition until it holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			t.Fatalf("waited in vain for: %s", what)
		case <-tick.C:
		}
	}
}

// start runs a loop that ends with its context, and waits for its end.
func start(t *testing.T, loop func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- loop(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the loop ended with %v", err)
		}
	})
}

func newLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

func errorText(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}

func requireAll(t *testing.T, text string, parts []string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("error: %s\nwithout: %s", text, part)
		}
	}
}

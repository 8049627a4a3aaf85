package bootstrap

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A refusal names the way out.
func TestDrainRefused(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "request to path not allowed", http.StatusForbidden)
	}))
	address := s.Listener.Addr().String()
	if err := Drain(t.Context(), address); err == nil || !strings.Contains(err.Error(), "must allow POST /drain_listeners") {
		t.Error(err)
	}
	s.Close()
	if Drain(t.Context(), address) == nil {
		t.Error("nobody is there")
	}
}

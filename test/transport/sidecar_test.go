// Package transport judges the lean transport from outside, as a peer of the sidecar that runs: whether it speaks HTTP/2
// as the specification says (h2spec), and what becomes of everybody else while a hostile peer is at work. What one frame
// does is told in internal/unary, rule by rule.
package transport

import (
	"regexp"
	"testing"

	"authz/internal/testbed"
)

// config is a sidecar with two routes and everything else as a user gets it.
const config = `
policy: {paths: [test/transport/testdata/policy], cache_size: 16MiB, timeout: 2s}
listen: {address: "127.0.0.1:0", transport: lean, check_timeout: 4s}
audit: {output: none}
`

type sidecar struct {
	*testbed.Sidecar
	address string // over TCP
}

var listening = regexp.MustCompile(`"address":"([^"]+)"`)

func start(t *testing.T) *sidecar {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and runs the sidecar")
	}
	s, err := testbed.StartSidecar(t.Context(), testbed.SidecarOptions{Config: config})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.Log().Tail(5))
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	match := listening.FindStringSubmatch(s.Log().String())
	if match == nil {
		t.Fatalf("no address in the log: %s", s.Log())
	}
	return &sidecar{s, match[1]}
}

package e2e

import (
	"io"
	"net/http"
	"testing"
	"time"

	"authz/internal/testbed"
)

// own starts a sidecar and a hardened Envoy for one test alone.
func own(t *testing.T, config string) (*testbed.Sidecar, *testbed.Envoy) {
	t.Helper()
	return start(t, testbed.SidecarOptions{Config: config}, testbed.EnvoyOptions{FailureModeAllow: true})
}

// ownUnready is own for a sidecar that will not be ready.
func ownUnready(t *testing.T, config string) (*testbed.Sidecar, *testbed.Envoy) {
	t.Helper()
	return start(t, testbed.SidecarOptions{Config: config, Unready: true}, testbed.EnvoyOptions{FailureModeAllow: true})
}

func start(t *testing.T, s testbed.SidecarOptions, e testbed.EnvoyOptions) (*testbed.Sidecar, *testbed.Envoy) {
	t.Helper()
	s.Env = append(s.Env, "E2E_SECRET="+hmacSecret)
	sidecar, err := testbed.StartSidecar(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	e.Sidecar, e.App, e.Edits = sidecar.Socket, world.app.Addr, append(patience(), e.Edits...)
	envoy, err := testbed.StartEnvoy(t.Context(), e)
	if err != nil {
		_ = sidecar.Stop()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := envoy.Stop(); err != nil {
			t.Error(err)
		}
		// Envoy has gone: the sidecar has nobody left to wait for.
		if err := sidecar.Stop(); err != nil {
			t.Errorf("%v\n%s", err, sidecar.Log().Tail(20))
		}
	})
	return sidecar, envoy
}

// client keeps its connections, for tests of many requests.
type client struct {
	t *testing.T
	http.Client
}

func keepAlive(t *testing.T) *client {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{t, http.Client{Transport: transport, Timeout: 20 * time.Second}}
}

// get returns the status, or 0 where there was no answer.
func (c *client) get(url, token string) int {
	status, _ := c.do(url, token)
	return status
}

func (c *client) do(url, token string) (int, http.Header) {
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		c.t.Error(err)
		return 0, nil
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := c.Do(r)
	if err != nil {
		c.t.Log(err)
		return 0, nil
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode, res.Header
}

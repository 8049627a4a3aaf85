package extauthz

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// successorTick is how often a lingering server looks who owns the socket path.
const successorTick = 100 * time.Millisecond

// Serve answers checks until ctx ends and then leaves in two steps, so that no
// check is lost:
//
//   - It lingers: it serves on, new connections included, until no connection is
//     left (Envoy has gone), a successor owns the socket path, or Linger has passed.
//     A sidecar that leaves before its Envoy makes Envoy refuse everything.
//   - It drains: no new connections, GOAWAY on the others (RFC 9113, 6.8), and
//     checks under way finish within Grace. Then it cuts.
//
// It returns nil when it was told to end, by ctx or by Stop. Serve is for one call.
func (s *Server) Serve(ctx context.Context) error {
	if len(s.doors) == 0 {
		return errors.New("extauthz: Serve without Listen")
	}
	ended := make(chan error, len(s.doors))
	for _, l := range s.doors {
		go func() {
			err := s.carry.Serve(l)
			if err != nil {
				err = fmt.Errorf("serving on %s: %w", l.Addr(), err)
			}
			ended <- err
		}()
	}
	var failures []error
	running := len(s.doors)
	select {
	case <-s.halted:
	case err := <-ended: // a listener died: nobody can be served there any more
		failures, running = append(failures, err), running-1
	case <-ctx.Done():
		s.linger()
	}
	s.drain()
	for range running {
		failures = append(failures, <-ended)
	}
	return errors.Join(failures...)
}

// Stop cuts every connection and ends Serve. Checks under way are lost.
func (s *Server) Stop() {
	s.haltOnce.Do(func() { close(s.halted) })
	s.carry.Stop()
}

func (s *Server) linger() {
	if s.config.Linger < 0 {
		return
	}
	limit := time.NewTimer(s.config.Linger)
	defer limit.Stop()
	tick := time.NewTicker(successorTick)
	defer tick.Stop()
	why, seen := "", 0
	for why == "" {
		select {
		case <-s.halted:
			why = "told to stop"
		case <-s.connections.gone():
			why = "no connection left"
		case <-limit.C:
			why = "waited long enough"
		case <-tick.C:
			// Seen twice: whoever found this socket just before the path changed has
			// had a tick's time to be accepted.
			if s.socket != nil && s.socket.succeeded() {
				if seen++; seen == 2 {
					why = "a successor owns the socket"
				}
			}
		}
	}
	s.log.Info("front door closes", "because", why, "connections", s.connections.count(), "in_flight", s.inFlight.Load())
}

func (s *Server) drain() {
	s.health.end()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		s.carry.GracefulStop()
	}()
	limit := time.NewTimer(max(0, s.config.Grace))
	defer limit.Stop()
	select {
	case <-drained:
		return
	case <-s.halted:
	case <-limit.C:
		s.log.Warn("cut off", "connections", s.connections.count(), "in_flight", s.inFlight.Load())
	}
	// Not waited for: a check that does not heed its deadline would hold up the end.
	s.carry.Stop()
}

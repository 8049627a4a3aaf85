package jwks

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// Run keeps the set fresh until ctx ends, which is no error. It may run once.
func (s *Set) Run(ctx context.Context) error {
	if s.running.Swap(true) {
		return errors.New("key set already runs")
	}
	defer s.stop()
	for {
		s.depart()
		pause := s.refresh(ctx)
		s.arrive()
		if !s.pause(ctx, pause) {
			return nil
		}
	}
}

// depart begins a fetch: the one that is wanted, if any.
func (s *Set) depart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.underway, s.wanted = s.wanted, nil
	if s.underway == nil {
		s.underway = &flight{done: make(chan struct{})}
	}
}

// arrive ends it.
func (s *Set) arrive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.underway.done)
	s.underway = nil
	select {
	case <-s.first:
	default:
		close(s.first)
	}
}

// stop lets everybody go who still waits.
func (s *Set) stop() {
	s.source.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	if s.wanted != nil {
		close(s.wanted.done)
		s.wanted = nil
	}
}

// pause waits until the next fetch is due or wanted; false when ctx has ended.
func (s *Set) pause(ctx context.Context, d time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	due := s.after(d)
	for {
		select {
		case <-ctx.Done():
			return false
		case <-due:
			return true
		case <-s.wake:
			s.mu.Lock()
			wanted := s.wanted != nil
			s.mu.Unlock()
			if wanted { // else a fetch that was due has served it already
				return true
			}
		}
	}
}

// refresh fetches once and says how long to wait before the next time.
func (s *Set) refresh(ctx context.Context) time.Duration {
	fresh, err := s.take(ctx)
	if ctx.Err() != nil {
		return 0 // cut off by our own end: says nothing of the issuer
	}
	failures := s.note(err)
	switch {
	case s.cfg.File != "":
		return min(fileRefresh, s.cfg.MaxRefresh)
	case err != nil:
		return backoff(failures, s.cfg.MinRefresh)
	}
	return s.cfg.interval(fresh)
}

// take fetches and puts a good answer in force.
func (s *Set) take(ctx context.Context) (fresh time.Duration, err error) {
	a, err := s.source.fetch(ctx)
	if err != nil {
		return 0, err
	}
	next := snapshot{confirmed: s.now()}
	last := s.current.Load()
	if a.unchanged && last != nil {
		next.index, next.generation, next.skipped = last.index, last.generation, last.skipped
		s.current.Store(&next)
		return a.fresh, nil
	}
	keys, skipped, err := parse(a.body)
	if err != nil {
		return 0, err
	}
	next.skipped = skipped
	next.generation = generations.Add(1)
	if next.index, err = newIndex(keys, next.generation); err != nil {
		return 0, err
	}
	if last != nil && last.fingerprint == next.fingerprint {
		next.index, next.generation = last.index, last.generation
	}
	s.current.Store(&next)
	a.taken()
	if last == nil || last.generation != next.generation {
		s.log.Info("issuer keys taken in", "keys", len(next.all), "skipped", skipped)
	}
	return a.fresh, nil
}

// quietRefresh is the pause after an answer that does not say how long it is good.
const quietRefresh = 15 * time.Minute

// interval is the pause before the next refresh: as the issuer wishes within the
// bounds, a tenth of it at random, so that a fleet does not ask as one.
func (c *Config) interval(fresh time.Duration) time.Duration {
	if fresh < 0 {
		fresh = quietRefresh
	}
	fresh = min(max(fresh, c.MinRefresh), c.MaxRefresh)
	low := max(fresh-fresh/10, c.MinRefresh)
	high := min(low+fresh/10, c.MaxRefresh)
	return low + rand.N(high-low+1)
}

// backoff is the pause after so many failures in a row: a second, doubled each
// time up to limit, half of it at random.
func backoff(failures int, limit time.Duration) time.Duration {
	d := min(time.Second<<min(failures-1, 16), limit)
	return d/2 + rand.N(d/2+1)
}

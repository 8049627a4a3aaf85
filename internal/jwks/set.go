package jwks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Set is the key set of one issuer. Its methods may be called from any goroutine.
type Set struct {
	cfg    Config
	log    *slog.Logger
	source *source // the goroutine of Run

	// now and after are the clock; they are only ever replaced before Run.
	now   func() time.Time
	after func(time.Duration) <-chan time.Time

	// current is the last good set; nil before the first. Run writes, all read.
	current atomic.Pointer[snapshot]
	// first is closed when the first fetch has ended, either way.
	first chan struct{}
	// wake tells Run, between two fetches, that one is wanted.
	wake    chan struct{}
	waiters atomic.Int32
	running atomic.Bool

	mu sync.Mutex // guards what follows
	// underway is the fetch that Run makes now, wanted the one it shall make next.
	underway, wanted *flight
	// window is when the next fetch for an unknown key may be asked for.
	window  time.Time
	stopped bool
	history history
}

// snapshot is a good set and when the issuer last confirmed it.
type snapshot struct {
	*index
	generation uint64
	confirmed  time.Time
	skipped    int
}

// flight is one fetch, shared by all who wait for it.
type flight struct{ done chan struct{} }

// maxWaiters bounds the calls that wait for a fetch of one set. Beyond it callers
// are told at once that they can't be served now: a hanging issuer and a flood of
// invented key ids must not pile up the requests of everybody else.
const maxWaiters = 256

// generations numbers every content that any set of this process ever had.
var generations atomic.Uint64

// New checks the configuration and makes an empty set. It starts nothing and
// fetches nothing: Run does.
func New(cfg Config, log *slog.Logger) (*Set, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	return &Set{
		cfg:    cfg,
		log:    log.With("issuer", cfg.Name),
		source: newSource(cfg),
		now:    time.Now,
		after:  time.After,
		first:  make(chan struct{}),
		wake:   make(chan struct{}, 1),
	}, nil
}

// Key returns the key of that id for that algorithm; an empty id means that the
// token names none. It waits, within ctx and Config.MaxWait, only for the very first
// fetch and for the one that an unknown id may cause.
//
// ErrUnknown says that the issuer was asked and has no such key (or was asked so
// shortly before that it is not asked again). ErrUnavailable says that nobody can
// tell: no set, one older than Config.MaxStale, an issuer that fails, or no time.
func (s *Set) Key(ctx context.Context, id, alg string) (Key, error) {
	patience := s.cfg.MaxWait
	if s.current.Load() == nil {
		if err := s.wait(ctx, s.first, &patience); err != nil {
			return Key{}, err
		}
	}
	// A fetch that was under way when we came may have been answered just before
	// the key was published; the second one can't have been.
	for round := 0; ; round++ {
		set := s.usable()
		if set == nil {
			return Key{}, ErrUnavailable
		}
		key, err := set.find(id, alg)
		if !errors.Is(err, ErrUnknown) {
			return key, err
		}
		var coming *flight
		if round < 2 {
			coming = s.want()
		}
		if coming == nil {
			return Key{}, s.verdict()
		}
		if err := s.wait(ctx, coming.done, &patience); err != nil {
			return Key{}, err
		}
	}
}

// Generation numbers the set's present content: unique in the process, different
// after every change, 0 while there is no usable set. What was verified with a key
// of one generation is worth nothing in another.
func (s *Set) Generation() uint64 {
	if set := s.usable(); set != nil {
		return set.generation
	}
	return 0
}

// usable is the current set unless there is none or it is too old.
func (s *Set) usable() *snapshot {
	set := s.current.Load()
	if set == nil || s.now().Sub(set.confirmed) > s.cfg.MaxStale {
		return nil
	}
	return set
}

// verdict is what to say of an unknown key that no fetch will bring: that there is
// none, if the issuer answered when it was last asked.
func (s *Set) verdict() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.history.inARow > 0 {
		return fmt.Errorf("%w: the issuer can't be asked for this one", ErrUnavailable)
	}
	return ErrUnknown
}

// want returns the fetch that may bring an unknown key: one that is coming, or a
// new one where the window allows it, or nil.
func (s *Set) want() *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopped:
		return nil
	case s.wanted != nil:
		return s.wanted
	case s.underway != nil:
		return s.underway
	}
	now := s.now()
	if now.Before(s.window) {
		return nil
	}
	s.window = now.Add(s.cfg.MinRefetch)
	s.wanted = &flight{done: make(chan struct{})}
	select {
	case s.wake <- struct{}{}:
	default: // Run has been told already
	}
	return s.wanted
}

// wait waits within a call's patience, and takes from it what it took.
func (s *Set) wait(ctx context.Context, done <-chan struct{}, patience *time.Duration) error {
	select {
	case <-done:
		return nil
	default:
	}
	defer s.waiters.Add(-1)
	if s.waiters.Add(1) > maxWaiters {
		return fmt.Errorf("%w: too many wait for them", ErrUnavailable)
	}
	began := time.Now()
	defer func() { *patience -= time.Since(began) }()
	limit := time.NewTimer(*patience)
	defer limit.Stop()
	select {
	case <-done:
		return nil
	case <-limit.C:
		return fmt.Errorf("%w: not fetched within %s", ErrUnavailable, s.cfg.MaxWait)
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	}
}

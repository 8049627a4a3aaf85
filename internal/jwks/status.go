package jwks

import "time"

// Status is how a set is doing, for readiness and metrics.
type Status struct {
	Name string
	// Keys counts the usable keys, Skipped those that were published and left out.
	Keys, Skipped int
	// Age is the time since LastSuccess, when the issuer (or the file) last gave or
	// confirmed a good set; both are zero before the first.
	Age         time.Duration
	LastSuccess time.Time
	// LastError is why the last fetch failed; empty when it did not.
	LastError         string
	Fetches, Failures uint64
	// Ready says that Key answers; Stale that there is a set, but too old to be used.
	Ready, Stale bool
	Generation   uint64
}

// Status reports how the set is doing.
func (s *Set) Status() Status {
	s.mu.Lock()
	st := Status{
		Name:      s.cfg.Name,
		LastError: s.history.lastError,
		Fetches:   s.history.fetches,
		Failures:  s.history.failures,
	}
	s.mu.Unlock()
	if set := s.current.Load(); set != nil {
		st.Keys, st.Skipped = len(set.all), set.skipped
		st.Generation = set.generation
		st.LastSuccess = set.confirmed
		st.Age = max(s.now().Sub(set.confirmed), 0)
		st.Stale = st.Age > s.cfg.MaxStale
		st.Ready = !st.Stale
	}
	return st
}

// history is what became of the fetches. Set.mu guards it.
type history struct {
	fetches, failures uint64
	inARow            int // failures since the last success
	lastError         string
	logged            time.Time
	spoken            bool // the log knows of the present failure
}

// logEvery is the least time between two log lines about one failing issuer.
const logEvery = time.Minute

// note records the end of a fetch and returns how many have failed in a row. The
// log gets the first failure, at most one a minute, and the recovery from one it knows.
func (s *Set) note(err error) int {
	now := s.now()
	s.mu.Lock()
	h := &s.history
	before := h.inARow
	h.fetches++
	speak := false
	if err == nil {
		speak = h.spoken
		h.inARow, h.lastError, h.spoken = 0, "", false
	} else {
		h.failures++
		h.inARow++
		h.lastError = err.Error()
		if speak = now.Sub(h.logged) >= logEvery; speak {
			h.logged, h.spoken = now, true
		}
	}
	inARow := h.inARow
	s.mu.Unlock()

	switch {
	case speak && err != nil:
		s.log.Warn("issuer keys not refreshed", "error", err, "failures_in_a_row", inARow, "kept_old_set", s.current.Load() != nil)
	case speak:
		s.log.Info("issuer keys refreshed again", "failures_before", before)
	}
	return inARow
}

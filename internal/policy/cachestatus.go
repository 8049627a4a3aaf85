package policy

// CacheStatus says how remembering decisions has gone.
type CacheStatus struct {
	Hits, Misses, Evictions uint64
	Entries                 int
	Bytes                   int64
	// RoutesOff is how many routes are left alone at present, because looking them up
	// hardly ever found anything.
	RoutesOff int
}

func (e *Engine) cacheStatus() CacheStatus {
	s := CacheStatus{Hits: e.counts.hits.Load(), Misses: e.counts.misses.Load(), Evictions: e.counts.evictions.Load()}
	policy := e.current.Load()
	if policy == nil || policy.cache == nil {
		return s
	}
	s.Entries, s.Bytes = policy.cache.store.size()
	for _, m := range policy.cache.routes {
		if m.pause.Load() > 0 {
			s.RoutesOff++
		}
	}
	return s
}

package ratelimit

// held is one ask and what its key owes.
type held struct {
	key  digest // Memory's
	rate rate
	now  int64 // nanoseconds since the store's epoch
	had  int64 // the TAT before the call
	tat  int64 // and after the asks up to this one
	same int   // the latest earlier ask of the same key, or -1
}

// settle judges asks whose TATs are known, one after the other. If all pass, tat of
// the last ask of each key is what the key owes then.
func settle(all []held, asks []Ask) Verdict {
	v := Verdict{Allowed: true, States: make([]State, len(asks)), Refused: -1}
	for i := range all {
		h := &all[i]
		h.tat = h.had
		if h.same >= 0 {
			h.had, h.tat = all[h.same].had, all[h.same].tat
		}
		next, passes := h.rate.take(h.tat, h.now, asks[i].Cost)
		if !passes {
			v.States[i] = h.rate.state(h.tat, h.now, asks[i].Cost, false)
			if v.Allowed || v.States[i].RetryAfter > v.States[v.Refused].RetryAfter {
				v.Allowed, v.Refused = false, i
			}
			continue
		}
		if !asks[i].Peek {
			h.tat = next
		}
		v.States[i] = h.rate.state(h.tat, h.now, asks[i].Cost, true)
	}
	if v.Allowed {
		return v
	}
	// None is charged. RetryAfter stays with the ask that met its limit after the ones
	// before it.
	for i := range all {
		h, s := &all[i], &v.States[i]
		wait := s.RetryAfter
		*s = h.rate.state(h.had, h.now, asks[i].Cost, s.Allowed)
		s.RetryAfter = wait
	}
	return v
}

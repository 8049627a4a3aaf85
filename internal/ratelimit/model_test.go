package ratelimit

import (
	"context"
	"time"
)

// model is take.lua with Go's integers: what the script is held against, and the store
// of the simulation.
type model struct {
	tats   map[string]int64
	orders int
}

func newModel() *model { return &model{tats: map[string]int64{}} }

func (m *model) name(l *Limit) string { return l.Name + "/" + tag(l.Key) }

func (m *model) apart() bool { return false }

func (m *model) run(_ context.Context, at time.Time, o *order) (receipt, error) {
	m.orders++
	t := receipt{passed: true, now: at.UnixNano()}
	tat := make([]int64, len(o.keys))
	for k, key := range o.keys {
		if old, ok := m.tats[key.name]; ok {
			tat[k] = max(old-max(min(key.back.owed, key.back.owed-(t.now-key.back.since)), 0), 0)
			m.tats[key.name] = tat[k]
		}
		t.had = append(t.had, tat[k])
	}
	for _, a := range o.asks {
		next := max(tat[a.key], t.now) + a.owes
		switch {
		case a.tolerance < 0 || next-t.now > a.tolerance:
			t.passed = false
		case !a.peek:
			tat[a.key] = next
		}
	}
	for _, a := range o.asks {
		ahead := int64(0)
		if t.passed && !a.peek && a.want > 0 {
			from := max(tat[a.key], t.now)
			// The share is no matter of bounds: a unit more or less by rounding.
			units := float64(t.now+a.tolerance-from)/float64(a.interval)/4 + 1e-6
			if ahead = max(min(a.want, int64(min(units, 1e9))), 0); ahead*a.interval > t.now+a.tolerance-from {
				ahead = 0
			}
			if ahead > 0 {
				tat[a.key] = from + ahead*a.interval
			}
		}
		t.ahead = append(t.ahead, ahead)
	}
	if t.passed {
		for _, a := range o.asks {
			if !a.peek {
				m.tats[o.keys[a.key].name] = tat[a.key]
			}
		}
	}
	return t, nil
}

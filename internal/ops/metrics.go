package ops

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// maxLabels bounds the values of a label that policies choose. What comes later is
// counted as "other": a label without a bound is a memory leak with a scrape.
const maxLabels = 200

// maxSeries bounds the combinations of them: 200 reasons on 200 routes would be more
// than a scrape should carry.
const maxSeries = 2000

// Metrics counts decisions as they happen.
type Metrics struct {
	decisions *prometheus.CounterVec
	quotas    *prometheus.CounterVec
	durations *prometheus.HistogramVec
	stages    [4]prometheus.Observer
	reasons   labels
	routes    labels
	names     labels // of quotas

	// mu owns counters and asked, the handles already resolved.
	mu       sync.RWMutex
	counters map[decisionLabels]prometheus.Counter
	asked    map[quotaLabels]prometheus.Counter
}

type quotaLabels struct {
	name    string
	outcome QuotaOutcome
}

// QuotaOutcome is what a quota said of one request.
type QuotaOutcome string

// The outcomes. Those of a quota in shadow are apart, so that a dashboard does not
// take for refused what was let through.
const (
	QuotaAllowed       QuotaOutcome = "allowed"
	QuotaLimited       QuotaOutcome = "limited"        // it refused the request
	QuotaShadowAllowed QuotaOutcome = "shadow_allowed" // in shadow, and would have let it pass
	QuotaShadowLimited QuotaOutcome = "shadow_limited" // in shadow, and would have refused it
	QuotaShadowLost    QuotaOutcome = "shadow_lost"    // in shadow, and could not be counted
)

type decisionLabels struct{ outcome, reason, route string }

// Observation is one decision as metrics see it.
type Observation struct {
	Outcome string
	Reasons []string
	Route   string
	// Stage times; a stage that was not reached is zero and not observed.
	Token, Policy, Quota, Total time.Duration
}

// NewMetrics prepares the counters.
func NewMetrics() *Metrics {
	m := &Metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "authz_decisions_total",
			Help: "Decisions by outcome, first reason and route.",
		}, []string{"outcome", "reason", "route"}),
		quotas: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "authz_quota_requests_total",
			Help: "Requests by quota and what it said of them (allowed, limited; shadow_allowed, shadow_limited, shadow_lost).",
		}, []string{"quota", "outcome"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "authz_check_duration_seconds",
			Help:    "Time a decision took, by stage (token, policy, quota, total).",
			Buckets: []float64{10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1},
		}, []string{"stage"}),
		counters: map[decisionLabels]prometheus.Counter{},
		asked:    map[quotaLabels]prometheus.Counter{},
	}
	for i, stage := range []string{"token", "policy", "quota", "total"} {
		m.stages[i] = m.durations.WithLabelValues(stage)
	}
	return m
}

// Observe counts a decision. Labels seen before cost a map look-up.
func (m *Metrics) Observe(o Observation) {
	key := decisionLabels{outcome: o.Outcome, reason: "none", route: "none"}
	if len(o.Reasons) > 0 {
		key.reason = m.reasons.bounded(o.Reasons[0])
	}
	if o.Route != "" {
		key.route = m.routes.bounded(o.Route)
	}
	m.mu.RLock()
	counter := m.counters[key]
	m.mu.RUnlock()
	if counter == nil {
		counter = m.resolve(key)
	}
	counter.Inc()
	for i, d := range [...]time.Duration{o.Token, o.Policy, o.Quota, o.Total} {
		if d > 0 {
			m.stages[i].Observe(d.Seconds())
		}
	}
}

// Quota counts what a quota said of a request.
func (m *Metrics) Quota(name string, outcome QuotaOutcome) {
	key := quotaLabels{m.names.bounded(name), outcome}
	m.mu.RLock()
	counter := m.asked[key]
	m.mu.RUnlock()
	if counter == nil {
		counter = m.quotas.WithLabelValues(key.name, string(outcome))
		m.mu.Lock()
		m.asked[key] = counter
		m.mu.Unlock()
	}
	counter.Inc()
}

// resolve makes a counter for labels not seen before. Where there are too many, the
// route gives way; outcomes and reasons alone are few.
func (m *Metrics) resolve(key decisionLabels) prometheus.Counter {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.counters) >= maxSeries && m.counters[key] == nil {
		key.route = "other"
	}
	counter := m.counters[key]
	if counter == nil {
		counter = m.decisions.WithLabelValues(key.outcome, key.reason, key.route)
		m.counters[key] = counter
	}
	return counter
}

// labels bounds the values of one label, in number and in form.
type labels struct {
	mu   sync.RWMutex
	seen map[string]bool
}

func (l *labels) bounded(value string) string {
	l.mu.RLock()
	known, full := l.seen[value], len(l.seen) >= maxLabels
	l.mu.RUnlock()
	if known {
		return value
	}
	if full || !isCode(value) {
		return "other"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil {
		l.seen = map[string]bool{}
	}
	if len(l.seen) >= maxLabels && !l.seen[value] {
		return "other"
	}
	l.seen[value] = true
	return value
}

// isCode tells a stable code from text that happens to be where a code belongs.
func isCode(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

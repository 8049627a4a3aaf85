package ops

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// registry holds everything /metrics shows.
func (m *Metrics) registry(sources Sources) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(m.decisions, m.quotas, m.durations, &collector{sources},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// collector asks the other rooms when it is scraped.
type collector struct{ sources Sources }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("authz_"+name, help, labels, nil)
}

var (
	buildInfo       = describe("build_info", "Always 1; the labels say what this binary is.", "version", "go", "opa")
	policyInfo      = describe("policy_info", "Always 1 while a policy is in force; the label says which.", "revision")
	policyLoaded    = describe("policy_loaded_timestamp_seconds", "When the policy in force was loaded.")
	policyReloads   = describe("policy_reloads_total", "Policies put in force.")
	policyFailures  = describe("policy_reload_failures_total", "Policies that were refused.")
	policyRefused   = describe("policy_refused", "1 while the newest policy is refused, whatever is in force instead.")
	bundleFetches   = describe("bundle_fetches_total", "Fetches of policy bundles.")
	bundleFailures  = describe("bundle_fetch_failures_total", "Fetches of policy bundles that failed.")
	bundlesStale    = describe("bundles_stale", "Policy bundles whose last fetch failed.")
	jwksKeys        = describe("jwks_keys", "Usable keys of an issuer.", "issuer")
	jwksAge         = describe("jwks_age_seconds", "Time since an issuer's keys were last confirmed.", "issuer")
	jwksReady       = describe("jwks_ready", "1 while an issuer's tokens can be verified.", "issuer")
	jwksFetches     = describe("jwks_fetches_total", "Fetches of an issuer's keys.", "issuer")
	jwksFailures    = describe("jwks_fetch_failures_total", "Fetches of an issuer's keys that failed.", "issuer")
	tokenEntries    = describe("token_cache_entries", "Verified tokens kept.")
	tokenBytes      = describe("token_cache_bytes", "Memory of the verified tokens kept.")
	tokenHits       = describe("token_cache_hits_total", "Tokens found verified.")
	tokenMisses     = describe("token_cache_misses_total", "Tokens that had to be verified.")
	decisionEntries = describe("decision_cache_entries", "Decisions remembered.")
	decisionBytes   = describe("decision_cache_bytes", "Memory of the decisions remembered.")
	decisionHits    = describe("decision_cache_hits_total", "Decisions given again.")
	decisionMisses  = describe("decision_cache_misses_total", "Decisions that had to be made, while some are remembered.")
	decisionEvicted = describe("decision_cache_evictions_total", "Decisions forgotten for want of memory.")
	decisionOff     = describe("decision_cache_routes_off", "Routes left alone because their decisions hardly repeat.")
	quotaKeys       = describe("quota_keys", "Quota keys in memory.")
	quotaEvictions  = describe("quota_evictions_total", "Quota keys folded together because memory for them was full.")
	storeUp         = describe("quota_store_up", "1 while the shared quota store is asked, 0 while the fallback answers.")
	storeOrders     = describe("quota_store_orders_total", "Round trips to the shared quota store.")
	storeFailures   = describe("quota_store_failures_total", "Round trips to the shared quota store that failed or were late.")
	storePoisoned   = describe("quota_store_poisoned_total", "Round trips that met a key with a value that is no quota's.")
	storeFallbacks  = describe("quota_store_fallbacks_total", "Checks whose quotas the fallback answered.")
	storeLeased     = describe("quota_store_leased_total", "Checks whose quotas were answered without a round trip.")
	storeReturned   = describe("quota_store_returned_total", "Keys of which unused units were given back to the shared quota store.")
	auditWritten    = describe("audit_records_total", "Decisions written to the log.")
	auditDropped    = describe("audit_dropped_total", "Decisions not logged because the log could not keep up.")
	auditErrors     = describe("audit_write_errors_total", "Failed writes of the decision log.")
	doorInFlight    = describe("checks_in_flight", "Checks under way.")
	doorConnections = describe("connections", "Connections to the front door.")
	doorPanics      = describe("panics_total", "Panics that were turned into a refusal.")
	doorOverloads   = describe("overloads_total", "Checks refused because too many were under way.")
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	s := c.sources
	gauge(buildInfo, 1, s.Build.Version, s.Build.Go, s.Build.OPA)

	p := s.Policy()
	if p.Loaded {
		gauge(policyInfo, 1, p.Revision)
		gauge(policyLoaded, float64(p.LoadedAt.UnixNano())/1e9)
	}
	count(policyReloads, p.Reloads)
	count(policyFailures, p.Failures)
	gauge(policyRefused, map[bool]float64{true: 1}[p.LastError != ""])

	count(bundleFetches, p.Fetches)
	count(bundleFailures, p.FetchFailures)
	gauge(bundlesStale, float64(len(p.Unfetched)))

	for _, i := range s.Issuers() {
		gauge(jwksKeys, float64(i.Keys), i.Name)
		gauge(jwksAge, i.Age.Seconds(), i.Name)
		gauge(jwksReady, map[bool]float64{true: 1}[i.Ready], i.Name)
		count(jwksFetches, i.Fetches, i.Name)
		count(jwksFailures, i.Failures, i.Name)
	}

	t := s.Tokens()
	gauge(tokenEntries, float64(t.Entries))
	gauge(tokenBytes, float64(t.Bytes))
	count(tokenHits, t.Hits)
	count(tokenMisses, t.Misses)

	r := s.Decisions()
	gauge(decisionEntries, float64(r.Entries))
	gauge(decisionBytes, float64(r.Bytes))
	count(decisionHits, r.Hits)
	count(decisionMisses, r.Misses)
	count(decisionEvicted, r.Evictions)
	gauge(decisionOff, float64(r.RoutesOff))

	q := s.Quotas()
	gauge(quotaKeys, float64(q.Keys))
	count(quotaEvictions, q.Evictions)

	if q := q.Shared; q != nil {
		gauge(storeUp, map[bool]float64{true: 1}[q.Breaker == "closed"])
		count(storeOrders, q.Orders)
		count(storeFailures, q.Failures)
		count(storePoisoned, q.Poisoned)
		count(storeFallbacks, q.Fallbacks)
		count(storeLeased, q.Leased)
		count(storeReturned, q.Returned)
	}

	a := s.Audit()
	count(auditWritten, a.Written)
	count(auditDropped, a.Dropped)
	count(auditErrors, a.Errors)

	d := s.Door()
	gauge(doorInFlight, float64(d.InFlight))
	gauge(doorConnections, float64(d.Connections))
	count(doorPanics, d.Panics)
	count(doorOverloads, d.Overloads)
}

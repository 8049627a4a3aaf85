package lintenvoy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Bounds of the sidecar's own defaults (docs/configuration.md).
const (
	sidecarMessage = 4 << 20
	checkTimeout   = 800 * time.Millisecond
	longestCheck   = time.Second
	clientAddress  = "x-authz-client-address"
)

// extAuthz judges the filter's own settings.
func (l *linter) extAuthz(f node) {
	l.judged = true
	if !f.at("deny_at_disable.default_value").isTrue() {
		if partly(f.at("filter_enabled")) {
			l.report("AZE003", f, "filter_enabled")
		}
		if f.at("filter_enabled_metadata").ok() {
			l.report("AZE003", f, "filter_enabled_metadata")
		}
	}
	if f.at("failure_mode_allow").isTrue() {
		l.report("AZE005", f, "failure_mode_allow")
	}
	if f.at("failure_mode_allow_header_add").isTrue() {
		l.report("AZE006", f, "failure_mode_allow_header_add")
	}
	if code := f.at("status_on_error.code"); !fiveHundreds(code) {
		message := rules["AZE007"].message
		if code.ok() {
			message = fmt.Sprintf("an outage of the sidecar answers %s, which is no failure to clients and monitors", code.text())
		}
		l.report("AZE007", f, "status_on_error", message)
	}
	if !f.at("transport_api_version").oneOf("V3", "2") {
		l.report("AZE008", f, "transport_api_version")
	}
	if !f.at("validate_mutations").isTrue() {
		l.report("AZE009", f, "validate_mutations")
	}
	if body := f.at("with_request_body"); body.ok() {
		if !body.at("pack_as_bytes").isTrue() {
			l.report("AZE010", body, "pack_as_bytes")
		}
		if body.at("allow_partial_message").isTrue() {
			l.report("AZE011", body, "allow_partial_message")
		}
		if body.at("max_request_bytes").number() >= sidecarMessage {
			l.report("AZE012", body, "max_request_bytes")
		}
	}
	if allowed := f.at("allowed_headers"); allowed.ok() && !matches(allowed, "authorization") {
		l.report("AZE013", f, "allowed_headers")
	}
	if matches(f.at("disallowed_headers"), "authorization") {
		l.report("AZE013", f, "disallowed_headers")
	}
	if f.at("clear_route_cache").isTrue() {
		l.report("AZE014", f, "clear_route_cache")
	}
	if !f.at("encode_raw_headers").isTrue() {
		l.report("AZE018", f, "encode_raw_headers")
	}
	if f.at("shadow_mode").isTrue() {
		l.report("AZE020", f, "shadow_mode")
	}
	if f.at("http_service").ok() {
		l.report("AZE019", f, "http_service")
		return
	}
	l.grpcService(f.at("grpc_service"))
}

func (l *linter) grpcService(g node) {
	if name := g.at("envoy_grpc.cluster_name").text(); name != "" {
		l.asked[name] = struct{}{}
	}
	timeout, ok := g.at("timeout").duration()
	switch {
	case !ok:
		l.report("AZE015", g, "timeout", "no timeout: Envoy waits 200 ms, less than the sidecar may take (listen.check_timeout, 800 ms)")
		timeout = 200 * time.Millisecond
	case timeout == 0:
		l.report("AZE015", g, "timeout", "no end to the wait: requests pile up behind a sidecar that hangs")
	case timeout < checkTimeout:
		l.report("AZE015", g, "timeout", "Envoy gives up before the sidecar does (listen.check_timeout, 800 ms): clients get Envoy's refusal, not the sidecar's")
	case timeout > longestCheck:
		l.report("AZE015", g, "timeout", "requests pile up behind a sidecar that hangs: more than 1 s each")
	}
	interval := g.at("retry_policy.retry_back_off.max_interval")
	if d, ok := interval.duration(); ok && d < timeout {
		l.report("AZE016", g.at("retry_policy.retry_back_off"), "max_interval")
	}
}

// isHTTPFilter tells the filter for requests from the one for connections, which has
// the same name.
func isHTTPFilter(n node) bool { return strings.Contains(n.at("@type").text(), ".http.ext_authz.") }

// partly says whether a share of requests is less than all of them, or may become so
// by runtime.
func partly(share node) bool {
	if !share.ok() {
		return false
	}
	all := int64(100)
	switch share.at("default_value.denominator").text() {
	case "TEN_THOUSAND", "1":
		all = 10_000
	case "MILLION", "2":
		all = 1_000_000
	}
	return share.at("runtime_key").ok() || share.at("default_value.numerator").number() < all
}

// sendsClientAddress says whether the filter passes the resolved address on.
func sendsClientAddress(f node) bool {
	return slices.ContainsFunc(f.at("grpc_service.initial_metadata").items(), func(m node) bool {
		return strings.EqualFold(m.at("key").text(), clientAddress)
	})
}

// perRoute finds the check switched off for a route, in the filter's own words.
func (l *linter) perRoute(n node) {
	l.judged = true
	if n.at("disabled").isTrue() {
		l.report("AZE002", n, "disabled")
	}
}

// perFilterConfig finds it in Envoy's general words, which name the filter.
func (l *linter) perFilterConfig(n node) {
	for name, config := range n.at("typed_per_filter_config").entries() {
		if strings.HasSuffix(config.typeName(), "FilterConfig") && config.at("disabled").isTrue() &&
			(strings.Contains(name, "ext_authz") || config.at("config").typeName() == "ExtAuthzPerRoute") {
			l.judged = true
			l.report("AZE002", config, "disabled")
		}
	}
}

// fiveHundreds says whether a status is a failure of the server, by number or by the
// name of Envoy's enum.
func fiveHundreds(n node) bool {
	names := []string{"InternalServerError", "NotImplemented", "BadGateway", "ServiceUnavailable", "GatewayTimeout"}
	code := n.number()
	return code >= 500 && code <= 599 || slices.Contains(names, n.text())
}

// matches says whether a list of string matchers takes the name.
func matches(list node, name string) bool {
	for _, p := range list.at("patterns").items() {
		ignoreCase := p.at("ignore_case").isTrue()
		test := func(key string, match func(s, part string) bool) bool {
			if !p.at(key).ok() {
				return false
			}
			part := p.at(key).text()
			if ignoreCase {
				part = strings.ToLower(part)
			}
			return match(name, part)
		}
		if test("exact", func(s, part string) bool { return s == part }) ||
			test("prefix", strings.HasPrefix) || test("suffix", strings.HasSuffix) || test("contains", strings.Contains) {
			return true
		}
		if expression := p.at("safe_regex.regex"); expression.ok() {
			if re, err := regexp.Compile("^(?:" + expression.text() + ")$"); err == nil && re.MatchString(name) {
				return true
			}
		}
	}
	return false
}

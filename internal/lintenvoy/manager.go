package lintenvoy

import (
	"fmt"
	"slices"
	"strings"
)

// mostProxies is how many proxies of one's own may reasonably stand in front: a CDN, a
// load balancer, an ingress.
const mostProxies = 3

// answering are filters that answer a request, or rewrite it, by what somebody wrote
// into them; before ext_authz, that happens to requests that were not judged.
var answering = []string{"router", "cache", "cache_v2", "health_check", "lua", "wasm", "golang", "dynamic_modules", "ext_proc",
	"file_server", "aws_lambda", "dynamic_forward_proxy", "grpc_json_transcoder"}

// connectionManager judges how requests are read before they are judged.
func (l *linter) connectionManager(m node) {
	l.judged = true
	l.filters(m)
	l.identity(m)
	l.reading(m)
	l.limits(m)
	l.disclosure(m)
}

// filters judges whether the check is there, on, and first.
func (l *linter) filters(m node) {
	var before []node
	for _, f := range m.at("http_filters").items() {
		if !isExtAuthz(f) {
			before = append(before, f)
			continue
		}
		if f.at("disabled").isTrue() {
			l.report("AZE003", f, "disabled")
		}
		for _, b := range before {
			if name := filterKind(b); slices.Contains(answering, name) {
				l.report("AZE004", b, "name", fmt.Sprintf("%s stands before ext_authz: it answers or changes requests that were not judged", name))
			}
		}
		hops := m.at("xff_num_trusted_hops").number()
		if (hops > 0 || m.at("original_ip_detection_extensions").ok()) && !sendsClientAddress(f.at("typed_config")) {
			l.report("AZE017", f.at("typed_config.grpc_service"), "initial_metadata")
		}
		return
	}
	if m.at("http_filters").ok() && !passesToTheLetter(m) {
		l.report("AZE001", m, "http_filters")
	}
}

// passesToTheLetter reports whether every route takes one request only, its query
// included: a listener for probes, which have no token, and nothing else.
func passesToTheLetter(m node) bool {
	routes := 0
	for _, host := range m.at("route_config.virtual_hosts").items() {
		for _, route := range host.at("routes").items() {
			routes++
			exact := false
			for _, h := range route.at("match.headers").items() {
				exact = exact || h.at("name").text() == ":path" && h.at("string_match.exact").text() != "" && !h.at("invert_match").isTrue()
			}
			if !exact {
				return false
			}
		}
	}
	return routes > 0
}

// isExtAuthz looks into the filter too: it may be wrapped (ExtensionWithMatcher).
func isExtAuthz(f node) bool {
	found := f.at("name").text() == "envoy.filters.http.ext_authz"
	f.walk(func(n node) { found = found || n.typeName() == "ExtAuthz" && isHTTPFilter(n) })
	return found
}

// filterKind is a filter's name as its type has it: the name is free, the type is not.
func filterKind(f node) string {
	parts := strings.Split(f.at("typed_config.@type").text(), ".")
	if len(parts) > 3 {
		return parts[len(parts)-3]
	}
	return strings.TrimPrefix(f.at("name").text(), "envoy.filters.http.")
}

// identity judges by what a client says who and where it is.
func (l *linter) identity(m node) {
	detected := m.at("original_ip_detection_extensions").ok()
	if !m.at("use_remote_address").isTrue() && !detected {
		l.report("AZE101", m, "use_remote_address")
	}
	if m.at("xff_num_trusted_hops").number() > mostProxies {
		l.report("AZE102", m, "xff_num_trusted_hops")
	}
	if internal := m.at("internal_address_config"); internal.ok() && everybody(internal.at("cidr_ranges")) {
		l.report("AZE107", m, "internal_address_config")
	}
	if m.at("preserve_external_request_id").isTrue() {
		l.report("AZE108", m, "preserve_external_request_id")
	}
	if cert := m.at("forward_client_cert_details"); cert.ok() && !cert.oneOf("SANITIZE", "0", "SANITIZE_SET", "3") {
		l.report("AZE109", m, "forward_client_cert_details")
	}
}

// everybody says whether ranges are none, which Envoy takes for all private ones, or
// hold one that is all addresses.
func everybody(ranges node) bool {
	items := ranges.items()
	for _, r := range items {
		if r.at("prefix_len").number() == 0 {
			return true
		}
	}
	return len(items) == 0
}

// reading judges whether the check and the app read one and the same request.
func (l *linter) reading(m node) {
	if !m.at("normalize_path").isTrue() {
		l.report("AZE103", m, "normalize_path")
	}
	if !m.at("merge_slashes").isTrue() {
		l.report("AZE104", m, "merge_slashes")
	}
	if !m.at("path_with_escaped_slashes_action").oneOf("REJECT_REQUEST", "2", "UNESCAPE_AND_REDIRECT", "3", "UNESCAPE_AND_FORWARD", "4") {
		l.report("AZE105", m, "path_with_escaped_slashes_action")
	}
	if !m.at("common_http_protocol_options.headers_with_underscores_action").oneOf("REJECT_REQUEST", "1", "DROP_HEADER", "2") {
		l.report("AZE106", m, "common_http_protocol_options.headers_with_underscores_action")
	}
	if m.at("http_protocol_options.accept_http_10").isTrue() {
		l.report("AZE113", m, "http_protocol_options.accept_http_10")
	}
	if m.at("http_protocol_options.allow_chunked_length").isTrue() {
		l.report("AZE114", m, "http_protocol_options.allow_chunked_length")
	}
	for _, key := range []string{
		"stream_error_on_invalid_http_message",
		"http_protocol_options.override_stream_error_on_invalid_http_message",
		"http2_protocol_options.override_stream_error_on_invalid_http_message",
	} {
		if m.at(key).isTrue() {
			l.report("AZE116", m, key)
		}
	}
}

// limits judges what a client may hold.
func (l *linter) limits(m node) {
	for _, t := range []struct {
		key, what string
		byDefault bool // Envoy has a bound of its own where nothing is written
	}{
		{"request_headers_timeout", "a client may take for ever over its headers", false},
		{"request_timeout", "a client may take for ever over its body", false},
		{"stream_idle_timeout", "a silent stream is kept for ever", true},
	} {
		d, ok := m.at(t.key).duration()
		if ok && d == 0 || !ok && !t.byDefault {
			l.report("AZE110", m, t.key, t.what)
		}
	}
	if m.at("codec_type").oneOf("HTTP1", "1") {
		return
	}
	if n := m.at("http2_protocol_options.max_concurrent_streams").number(); n == 0 || n > 1000 {
		l.report("AZE115", m, "http2_protocol_options.max_concurrent_streams")
	}
}

// disclosure judges what answers give away.
func (l *linter) disclosure(m node) {
	if !m.at("local_reply_config").ok() {
		l.report("AZE111", m, "local_reply_config")
	}
	if !m.at("server_header_transformation").oneOf("PASS_THROUGH", "2") && !m.at("server_name").ok() {
		l.report("AZE112", m, "server_header_transformation", "answers say `server: envoy`")
	}
	routes := m.at("route_config")
	if !routes.ok() {
		return
	}
	hosts := append(routes.at("virtual_hosts").items(), routes)
	for _, name := range []string{"server", "x-powered-by"} {
		if name == "server" && !m.at("server_header_transformation").oneOf("PASS_THROUGH", "2") {
			continue // Envoy writes it anew
		}
		if !removes(hosts, name) {
			l.report("AZE112", routes, "response_headers_to_remove", "the app's "+name+" reaches the client")
		}
	}
}

// removes says whether one of the places, or all but the last together, take the
// header out of answers.
func removes(places []node, name string) bool {
	has := func(n node) bool {
		for _, h := range n.at("response_headers_to_remove").items() {
			if strings.EqualFold(h.text(), name) {
				return true
			}
		}
		return false
	}
	last := len(places) - 1
	if has(places[last]) {
		return true
	}
	for _, p := range places[:last] {
		if !has(p) {
			return false
		}
	}
	return last > 0
}

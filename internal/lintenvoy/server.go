package lintenvoy

import (
	"net/netip"
	"slices"
	"strings"
)

// bootstrap judges what the server itself offers.
func (l *linter) bootstrap(root node) {
	if admin := root.at("admin"); admin.at("address").ok() {
		l.judged = true
		pipe := admin.at("address.pipe").ok()
		if !pipe && !loopback(admin.at("address")) {
			l.report("AZE201", admin, "address")
		}
		if !pipe && !admin.at("allow_paths").ok() {
			l.report("AZE202", admin, "allow_paths")
		}
	}
	if root.at("static_resources.listeners").ok() && !boundsConnections(root) {
		l.report("AZE204", root, "overload_manager")
	}
}

func boundsConnections(root node) bool {
	if slices.ContainsFunc(root.at("overload_manager.resource_monitors").items(), func(m node) bool {
		return m.at("name").text() == "envoy.resource_monitors.global_downstream_max_connections"
	}) {
		return true
	}
	found := false // the older way, by runtime
	root.at("layered_runtime").walk(func(n node) {
		for key := range n.entries() {
			found = found || strings.HasSuffix(key, "global_downstream_max_connections") || key == "global_downstream_max_connections"
		}
	})
	return found
}

// authzCluster judges the way to the sidecar.
func (l *linter) authzCluster(c node) {
	if !c.at("transport_socket").ok() {
		for _, endpoints := range c.at("load_assignment.endpoints").items() {
			for _, e := range endpoints.at("lb_endpoints").items() {
				if a := e.at("endpoint.address"); a.ok() && !a.at("pipe").ok() && !loopback(a) {
					l.report("AZE203", e, "endpoint.address")
				}
			}
		}
	}
	if !speaksHTTP2(c) {
		l.report("AZE205", c, "typed_extension_protocol_options")
	}
}

func speaksHTTP2(c node) bool {
	if c.at("http2_protocol_options").ok() {
		return true // the older way
	}
	for _, options := range c.at("typed_extension_protocol_options").entries() {
		for _, path := range []string{"explicit_http_config.http2_protocol_options", "use_downstream_protocol_config.http2_protocol_options", "auto_config"} {
			if options.at(path).ok() {
				return true
			}
		}
	}
	return false
}

// loopback says whether an address can be reached from this host only.
func loopback(address node) bool {
	host := address.at("socket_address.address").text()
	if a, err := netip.ParseAddr(host); err == nil {
		return a.IsLoopback()
	}
	return host == "localhost"
}

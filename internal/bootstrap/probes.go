package bootstrap

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// probesListener is served to everybody: it passes nothing but the requests in its
// routes, each to the letter, its query included. Full memory or a flood at the
// other listener must not make the kubelet restart the pod.
const probesListener = `
name: probes
ignore_global_conn_limit: true
bypass_overload_manager: true
per_connection_buffer_limit_bytes: 32768
filter_chains:
  - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: probes
          codec_type: AUTO
          use_remote_address: true
          normalize_path: true
          merge_slashes: true
          path_with_escaped_slashes_action: REJECT_REQUEST
          max_request_headers_kb: 8
          request_headers_timeout: 5s
          request_timeout: 60s
          stream_idle_timeout: 60s
          common_http_protocol_options: { idle_timeout: 60s, max_headers_count: 32, headers_with_underscores_action: REJECT_REQUEST }
          http2_protocol_options: { max_concurrent_streams: 100, initial_stream_window_size: 65536, initial_connection_window_size: 1048576 }
          server_header_transformation: PASS_THROUGH
          local_reply_config: { body_format: { text_format_source: { inline_string: "%RESPONSE_CODE%\n" } } }
          http_filters:
            - name: envoy.filters.http.router
              typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router, suppress_envoy_headers: true }
          route_config:
            name: probes
            response_headers_to_remove: [server, x-powered-by, x-aspnet-version, x-aspnetmvc-version, x-generator, x-runtime]
            virtual_hosts:
              - { name: probes, domains: ["*"], routes: [] }
`

// addProbes adds the listener and the clusters it needs.
func (p Place) addProbes(root, resources *yaml.Node) error {
	admin := at(root, "admin", "address", "socket_address")
	if admin == nil {
		return errors.New("Envoy's configuration has no admin address, where readiness and figures come from")
	}
	clusters := at(resources, "clusters")
	add(clusters, node(map[string]any{
		"name": "admin", "type": "STATIC", "connect_timeout": "1s",
		"load_assignment": map[string]any{"cluster_name": "admin", "endpoints": []any{map[string]any{
			"lb_endpoints": []any{map[string]any{"endpoint": map[string]any{"address": map[string]any{"socket_address": admin}}}},
		}}},
	}))
	var listener yaml.Node
	if err := yaml.Unmarshal([]byte(probesListener), &listener); err != nil {
		return fmt.Errorf("reading the listener for probes: %w", err)
	}
	l := listener.Content[0]
	p.listenOn(l, p.ProbePort)
	routes := at(l, "filter_chains", "0", "filters", "0", "typed_config", "route_config", "virtual_hosts", "0", "routes")
	route := func(method, path, cluster, target string) {
		action := map[string]any{"cluster": cluster, "timeout": "60s"}
		if target != path {
			action["prefix_rewrite"] = target
		}
		add(routes, node(map[string]any{
			"match": map[string]any{"prefix": path, "headers": []any{exact(":path", path), exact(":method", method)}},
			"route": action,
		}))
	}
	route("GET", readyPath, "admin", readyPath)
	route("GET", statsPath, "admin", statsPath)
	filters := at(l, "filter_chains", "0", "filters", "0", "typed_config", "http_filters")
	for _, probe := range p.Probes {
		behind, err := p.behind(probe.Port)
		if err != nil {
			return err
		}
		if probe.Target == "" && probe.Path != "" {
			cluster := fmt.Sprintf("accepts-%d", probe.Port)
			filters.Content = append([]*yaml.Node{node(acceptsFilter(probe.Path, cluster))}, filters.Content...)
			if named(clusters, cluster) == nil {
				add(clusters, node(acceptsCluster(cluster, endpointAt(behind.App))))
			}
			continue
		}
		// A cluster of its own: the app's may be full, and the app alive.
		cluster := fmt.Sprintf("probes-%d", probe.Port)
		if named(clusters, cluster) == nil {
			c := copied(named(clusters, "app"))
			c.HeadComment = ""
			set(c, "name", cluster)
			if err := fitApp(c, behind.App, behind.H2C); err != nil {
				return err
			}
			add(clusters, c)
		}
		if probe.Path == "" {
			route("POST", grpcHealth, cluster, grpcHealth)
		} else {
			route("GET", probe.Path, cluster, probe.Target)
		}
	}
	routes.Style = 0
	add(at(resources, "listeners"), l)
	return nil
}

// behind is what is served of the application's port.
func (p Place) behind(port uint16) (Serve, error) {
	for _, s := range p.Serves {
		if s.App.Port() == port {
			return s, nil
		}
	}
	return Serve{}, fmt.Errorf("a probe asks port %d, and no app is there", port)
}

const grpcHealth = "/grpc.health.v1.Health/Check"

// acceptsFilter answers a path by whether the app's port accepts connections.
func acceptsFilter(path, cluster string) map[string]any {
	return map[string]any{"name": "envoy.filters.http.health_check", "typed_config": map[string]any{
		"@type":                           "type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck",
		"pass_through_mode":               false,
		"headers":                         []any{exact(":path", path)},
		"cluster_min_healthy_percentages": map[string]any{cluster: map[string]any{"value": 100}},
	}}
}

// acceptsCluster is where Envoy finds that out, each second. No request goes there.
func acceptsCluster(name string, endpoints []any) map[string]any {
	return map[string]any{
		"name": name, "type": "STATIC", "connect_timeout": "1s",
		"health_checks": []any{map[string]any{
			"timeout": "1s", "interval": "1s", "no_traffic_interval": "1s", "healthy_threshold": 1, "unhealthy_threshold": 1,
			"tcp_health_check": map[string]any{},
		}},
		"load_assignment": map[string]any{"cluster_name": name, "endpoints": endpoints},
	}
}

func exact(header, value string) map[string]any {
	return map[string]any{"name": header, "string_match": map[string]any{"exact": value}}
}

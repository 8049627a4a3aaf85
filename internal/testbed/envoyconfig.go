package testbed

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Places in envoy/envoy.yaml, for Edit.Path.
const (
	Listener = "static_resources.listeners.0"
	HCM      = Listener + ".filter_chains.0.filters.0.typed_config"
	ExtAuthz = HCM + ".http_filters.0.typed_config"
	AppHost  = HCM + ".route_config.virtual_hosts.0"
	App0     = "static_resources.clusters.0"
	Authz0   = "static_resources.clusters.1"
)

// Edit changes one value of the shipped configuration.
type Edit struct {
	// Path leads to it: keys and list indices, joined by dots. A missing map on the
	// way is made; the index one past a list's end appends.
	Path string
	// Value replaces it: plain maps, lists and scalars. Nil removes the key.
	Value any
}

// hardening is what Plain takes away: an Envoy as most people first set it up.
var hardening = []string{
	"admin.allow_paths",
	"overload_manager",
	Listener + ".per_connection_buffer_limit_bytes",
	HCM + ".use_remote_address",
	HCM + ".xff_num_trusted_hops",
	HCM + ".internal_address_config",
	HCM + ".early_header_mutation_extensions",
	HCM + ".always_set_request_id_in_response",
	HCM + ".normalize_path",
	HCM + ".merge_slashes",
	HCM + ".path_with_escaped_slashes_action",
	HCM + ".strip_trailing_host_dot",
	HCM + ".common_http_protocol_options",
	HCM + ".max_request_headers_kb",
	HCM + ".server_header_transformation",
	HCM + ".local_reply_config",
	HCM + ".route_config.response_headers_to_remove",
	ExtAuthz + ".status_on_error",
	ExtAuthz + ".validate_mutations",
	ExtAuthz + ".encode_raw_headers",
	ExtAuthz + ".grpc_service.initial_metadata",
	ExtAuthz + ".grpc_service.retry_policy",
}

// envoyConfig is the configuration with ports of the kernel's choice and the changes
// that the options ask for.
func envoyConfig(o EnvoyOptions) ([]byte, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	file := "envoy/envoy.yaml"
	if o.Config != "" {
		file = o.Config
	}
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
	if err != nil {
		return nil, fmt.Errorf("testbed: %w", err)
	}
	var config any
	if err := yaml.Unmarshal(text, &config); err != nil {
		return nil, fmt.Errorf("testbed: %s: %w", file, err)
	}
	edits := []Edit{
		{"admin.address.socket_address.port_value", 0},
		{Listener + ".address.socket_address.address", "127.0.0.1"},
		{Listener + ".address.socket_address.port_value", 0},
	}
	if o.App != "" {
		edits = append(edits, Edit{App0 + ".load_assignment.endpoints.0.lb_endpoints.0.endpoint.address", address(o.App)})
	}
	if o.Sidecar != "" {
		edits = append(edits, Edit{Authz0 + ".load_assignment.endpoints.0.lb_endpoints.0.endpoint.address", address(o.Sidecar)})
	}
	if o.Plain {
		for _, path := range hardening {
			edits = append(edits, Edit{path, nil})
		}
		edits = append(edits, Edit{ExtAuthz + ".with_request_body", map[string]any{
			"max_request_bytes": 65536, "allow_partial_message": true}})
	}
	if o.FailureModeAllow {
		edits = append(edits, Edit{ExtAuthz + ".failure_mode_allow", true})
	}
	if config, err = Apply(config, append(edits, o.Edits...)...); err != nil {
		return nil, err
	}
	return yaml.Marshal(config)
}

// Apply makes the edits, in order, in a tree of plain maps, lists and scalars. It
// changes the tree that it is given.
func Apply(config any, edits ...Edit) (any, error) {
	for _, e := range edits {
		var err error
		if config, err = edit(config, strings.Split(e.Path, "."), e.Value); err != nil {
			return nil, fmt.Errorf("testbed: editing %s: %w", e.Path, err)
		}
	}
	return config, nil
}

// address is a Unix socket (a path with a slash) or host:port, as Envoy writes it.
func address(s string) any {
	if strings.Contains(s, "/") {
		return map[string]any{"pipe": map[string]any{"path": s}}
	}
	host, port, _ := strings.Cut(s, ":")
	n, _ := strconv.Atoi(port)
	return map[string]any{"socket_address": map[string]any{"address": host, "port_value": n}}
}

// edit returns node with the value at path replaced, or removed when value is nil.
func edit(node any, path []string, value any) (any, error) {
	if len(path) == 0 {
		return value, nil
	}
	key, rest := path[0], path[1:]
	switch n := node.(type) {
	case nil:
		child, err := edit(nil, rest, value)
		if err != nil || child == nil {
			return nil, err
		}
		return map[string]any{key: child}, nil
	case map[string]any:
		child, err := edit(n[key], rest, value)
		if err != nil {
			return nil, err
		}
		if child == nil {
			delete(n, key)
		} else {
			n[key] = child
		}
		return n, nil
	case []any:
		i, err := strconv.Atoi(key)
		if err != nil || i < 0 || i > len(n) {
			return nil, fmt.Errorf("%q is no index into a list of %d", key, len(n))
		}
		if i == len(n) {
			n = append(n, nil)
		}
		child, err := edit(n[i], rest, value)
		if err != nil {
			return nil, err
		}
		if child == nil {
			return append(n[:i:i], n[i+1:]...), nil
		}
		n[i] = child
		return n, nil
	}
	return nil, fmt.Errorf("%q: %v is neither a map nor a list", key, node)
}

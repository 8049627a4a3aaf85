// Package bootstrap fits an Envoy configuration to its place: which port and
// addresses it serves, where the app is, how much memory it may use, and a second
// listener for those who can't send a token: the kubelet's probes and Prometheus.
//
// It changes named places of a configuration (by default envoy/envoy.yaml) and
// keeps the rest with its comments: the listener named ingress, the cluster named
// app, the heap of the overload manager. What it can't find is an error, since a
// configuration that was fitted in part might serve the wrong port.
package bootstrap

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Place is where Envoy runs.
type Place struct {
	// Addresses are IPs to serve on, and Port is the port.
	Addresses []string
	Port      int
	// App is the application's host:port, and H2C whether it speaks HTTP/2.
	App string
	H2C bool
	// Memory is the limit of Envoy's memory in bytes; 0 leaves the heap as it is.
	Memory int64
	// ProbePort serves /ready, /stats/prometheus and the Probes; 0: there is none.
	ProbePort int
	Probes    []Probe
	// Drainable opens the admin interface for Drain.
	Drainable bool
}

// Probe is one request that is passed to the app without a decision.
type Probe struct {
	// Path is what is asked for, to the letter, and Target what the app is asked
	// instead. Both empty: gRPC's health check. Path alone: whether the app's port
	// accepts connections.
	Path, Target string
}

// ParseProbe reads /path=/target, /path=tcp, or grpc.
func ParseProbe(s string) (Probe, error) {
	if s == "grpc" {
		return Probe{}, nil
	}
	path, target, ok := strings.Cut(s, "=")
	if target == "tcp" && strings.HasPrefix(path, "/") {
		return Probe{Path: path}, nil
	}
	if !ok || !strings.HasPrefix(path, "/") || !strings.HasPrefix(target, "/") || path == readyPath || path == statsPath {
		return Probe{}, fmt.Errorf("probe %q: write /path=/path-of-the-app, /path=tcp, or grpc", s)
	}
	return Probe{path, target}, nil
}

const (
	readyPath = "/ready"
	statsPath = "/stats/prometheus"
)

// Fit returns the configuration fitted to the place.
func Fit(config []byte, p Place) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(config, &doc); err != nil {
		return nil, fmt.Errorf("reading Envoy's configuration: %w", err)
	}
	if len(doc.Content) == 0 {
		return nil, errors.New("Envoy's configuration is empty")
	}
	root := doc.Content[0]
	resources := at(root, "static_resources")
	listener := named(at(resources, "listeners"), "ingress")
	app := named(at(resources, "clusters"), "app")
	if listener == nil || app == nil {
		return nil, errors.New("Envoy's configuration needs a listener named ingress and a cluster named app under static_resources")
	}
	if err := p.fitListener(listener); err != nil {
		return nil, err
	}
	if err := p.fitApp(app); err != nil {
		return nil, err
	}
	if p.Memory > 0 {
		if err := fitHeap(root, p.Memory); err != nil {
			return nil, err
		}
	}
	if p.Drainable {
		if err := allowDrain(root); err != nil {
			return nil, err
		}
	}
	if p.ProbePort > 0 {
		if err := p.addProbes(root, resources, app); err != nil {
			return nil, err
		}
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(&doc); err != nil {
		return nil, fmt.Errorf("writing Envoy's configuration: %w", err)
	}
	return out.Bytes(), nil
}

func (p Place) fitListener(listener *yaml.Node) error {
	if len(p.Addresses) == 0 {
		return errors.New("no address to listen on")
	}
	for _, a := range p.Addresses {
		if net.ParseIP(a) == nil {
			return fmt.Errorf("listening on %q: it is no IP address", a)
		}
	}
	p.listenOn(listener, p.Port)
	// Whoever binds the port on all addresses must fail, even if it is ready to share.
	set(listener, "enable_reuse_port", false)
	return nil
}

// listenOn gives a listener every address, with that port.
func (p Place) listenOn(listener *yaml.Node, port int) {
	set(listener, "address", socketAddress(p.Addresses[0], port))
	drop(listener, "additional_addresses")
	var more []any
	for _, a := range p.Addresses[1:] {
		more = append(more, map[string]any{"address": socketAddress(a, port)})
	}
	if len(more) > 0 {
		set(listener, "additional_addresses", more)
	}
}

func socketAddress(host string, port int) map[string]any {
	return map[string]any{"socket_address": map[string]any{"address": host, "port_value": port}}
}

func (p Place) fitApp(app *yaml.Node) error {
	host, port, err := net.SplitHostPort(p.App)
	n, err2 := strconv.ParseUint(port, 10, 16)
	if err != nil || err2 != nil || net.ParseIP(host) == nil || n == 0 {
		return fmt.Errorf("the app's address %q: write IP:port", p.App)
	}
	endpoints := at(app, "load_assignment", "endpoints")
	if endpoints == nil {
		return errors.New("the cluster app has no load_assignment.endpoints")
	}
	assign(endpoints, []any{map[string]any{"lb_endpoints": []any{map[string]any{"endpoint": map[string]any{"address": socketAddress(host, int(n))}}}}})
	options := at(app, "typed_extension_protocol_options", "envoy.extensions.upstreams.http.v3.HttpProtocolOptions")
	if options == nil {
		return errors.New("the cluster app has no HttpProtocolOptions")
	}
	protocol := "http_protocol_options"
	if p.H2C {
		protocol = "http2_protocol_options"
	}
	set(options, "explicit_http_config", map[string]any{protocol: map[string]any{}})
	return nil
}

// fitHeap leaves a fifth of the memory to what is not on the heap.
func fitHeap(root *yaml.Node, memory int64) error {
	monitor := named(at(root, "overload_manager", "resource_monitors"), "envoy.resource_monitors.fixed_heap")
	heap := at(monitor, "typed_config")
	if heap == nil {
		return errors.New("Envoy's configuration has no overload_manager with envoy.resource_monitors.fixed_heap, so that it can't be held within its memory")
	}
	set(heap, "max_heap_size_bytes", memory/5*4)
	return nil
}

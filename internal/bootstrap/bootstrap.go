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
	"net/netip"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Place is where Envoy runs.
type Place struct {
	// Addresses are IPs to serve on; Serves are the ports, and what is behind them.
	Addresses []string
	Serves    []Serve
	// Memory is the limit of Envoy's memory in bytes; 0 leaves the heap as it is.
	Memory int64
	// ProbePort serves /ready, /stats/prometheus and the Probes; 0: there is none.
	ProbePort int
	Probes    []Probe
	// Drainable opens the admin interface for Drain.
	Drainable bool
}

// Serve is a port of Envoy's and the application behind it.
type Serve struct {
	Port int
	// App is its IP:port, and H2C whether it speaks HTTP/2.
	App netip.AddrPort
	H2C bool
}

// Probe is one request that is passed to the app without a decision.
type Probe struct {
	// Path is what is asked for, to the letter, and Target what the app is asked
	// instead, on its Port. Both empty: gRPC's health check. Path alone: whether the
	// port accepts connections.
	Path, Target string
	Port         uint16
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
	if err := p.checkAddresses(); err != nil {
		return nil, err
	}
	if err := p.serve(resources, listener, app); err != nil {
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
		if err := p.addProbes(root, resources); err != nil {
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

func (p Place) checkAddresses() error {
	if len(p.Addresses) == 0 || len(p.Serves) == 0 {
		return errors.New("no address to listen on, or no port to serve")
	}
	for _, a := range p.Addresses {
		if net.ParseIP(a) == nil {
			return fmt.Errorf("listening on %q: it is no IP address", a)
		}
	}
	return nil
}

// serve fits the listener and the cluster to the first port, and makes copies of
// them for the others.
func (p Place) serve(resources, listener, app *yaml.Node) error {
	for i, s := range slices.Backward(p.Serves) {
		l, c := listener, app
		if i > 0 {
			l, c = copied(listener), copied(app)
			own := fmt.Sprintf("app-%d", s.App.Port())
			set(l, "name", fmt.Sprintf("ingress-%d", s.Port))
			rename(l, "cluster", "app", own)
			set(c, "name", own)
			add(at(resources, "listeners"), l)
			add(at(resources, "clusters"), c)
		}
		p.listenOn(l, s.Port)
		// Whoever binds the port on all addresses must fail, even if it is ready to share.
		set(l, "enable_reuse_port", false)
		if err := fitApp(c, s.App, s.H2C); err != nil {
			return err
		}
	}
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

// fitApp leads a cluster to an application.
func fitApp(cluster *yaml.Node, app netip.AddrPort, h2c bool) error {
	assignment, endpoints := at(cluster, "load_assignment"), at(cluster, "load_assignment", "endpoints")
	if endpoints == nil {
		return errors.New("the cluster app has no load_assignment.endpoints")
	}
	set(assignment, "cluster_name", at(cluster, "name").Value)
	assign(endpoints, endpointAt(app))
	options := at(cluster, "typed_extension_protocol_options", "envoy.extensions.upstreams.http.v3.HttpProtocolOptions")
	if options == nil {
		return errors.New("the cluster app has no HttpProtocolOptions")
	}
	protocol := "http_protocol_options"
	if h2c {
		protocol = "http2_protocol_options"
	}
	set(options, "explicit_http_config", map[string]any{protocol: map[string]any{}})
	return nil
}

func endpointAt(app netip.AddrPort) []any {
	return []any{map[string]any{"lb_endpoints": []any{map[string]any{"endpoint": map[string]any{
		"address": socketAddress(app.Addr().String(), int(app.Port())),
	}}}}}
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

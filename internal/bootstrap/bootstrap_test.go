package bootstrap

import (
	"net/netip"
	"strings"
	"testing"

	"authz/envoy"
)

// What the shipped configuration becomes in a pod. That a real Envoy takes it and
// serves as it should is shown beside envoy/envoy.yaml.
func TestFit(t *testing.T) {
	out, err := Fit(envoy.Config, Place{
		Addresses: []string{"10.0.0.7", "fd00::7"},
		Serves:    []Serve{{8080, netip.MustParseAddrPort("127.0.0.1:8080"), false}, {9000, netip.MustParseAddrPort("127.0.0.1:9000"), true}},
		Memory:    256 << 20, ProbePort: 9903, Probes: []Probe{{"/app/liveness", "/healthz?full=1", 8080}, {"", "", 9000}, {"/app/startup", "", 9000}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"address: 10.0.0.7", "address: fd00::7", "port_value: 8080", "port_value: 9903", "enable_reuse_port: false",
		"max_heap_size_bytes: 214748364", "http2_protocol_options: {}", "prefix_rewrite: '/healthz?full=1'", "exact: /app/liveness",
		"/grpc.health.v1.Health/Check", "# One reading of the request", "name: probes-8080", "name: probes-9000",
		"name: accepts-9000", "name: ingress-9000", "cluster: app-9000", "name: app-9000",
	} {
		if !strings.Contains(strings.ReplaceAll(string(out), "── ", ""), want) {
			t.Errorf("there is no %q", want)
		}
	}
	for _, gone := range []string{"0.0.0.0, port_value", "port_value: 3000"} {
		if strings.Contains(string(out), gone) {
			t.Errorf("there is still %q", gone)
		}
	}
}

func TestFitRefuses(t *testing.T) {
	good := Place{Addresses: []string{"0.0.0.0"}, Serves: []Serve{{8080, netip.MustParseAddrPort("127.0.0.1:3000"), false}}}
	with := func(f func(*Place)) Place { p := good; f(&p); return p }
	tests := map[string]struct {
		config string
		place  Place
		want   string
	}{
		"no YAML":           {"a: [", good, "reading Envoy's configuration"},
		"nothing":           {"", good, "is empty"},
		"no listener":       {"static_resources: {clusters: [{name: app}]}", good, "a listener named ingress and a cluster named app"},
		"a list":            {"[]", good, "a listener named ingress"},
		"no endpoints":      {"static_resources: {listeners: [{name: ingress}], clusters: [{name: app}]}", good, "load_assignment"},
		"nothing to serve":  {string(envoy.Config), with(func(p *Place) { p.Serves = nil }), "no port to serve"},
		"a probe elsewhere": {string(envoy.Config), with(func(p *Place) { p.ProbePort = 9903; p.Probes = []Probe{{"/a", "/b", 81}} }), "a probe asks port 81"},
		"no address":        {string(envoy.Config), with(func(p *Place) { p.Addresses = nil }), "no address to listen on"},
		"a bad address":     {string(envoy.Config), with(func(p *Place) { p.Addresses = []string{"$(POD_IPS)"} }), "no IP address"},
		"no heap": {strings.ReplaceAll(string(envoy.Config), "fixed_heap", "other"), with(func(p *Place) { p.Memory = 1 << 20 }),
			"overload_manager"},
		"no admin": {strings.Replace(string(envoy.Config), "\nadmin:", "\nother:", 1), with(func(p *Place) { p.ProbePort = 9903 }), "admin address"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := Fit([]byte(test.config), test.place); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, and not %q", err, test.want)
			}
		})
	}
	for _, s := range []string{"", "/a", "a=80/b", "/a=b", "/a=/b", "/a=0/b", "/a=65536", "/ready=80/x", "grpc", "grpc=80/x"} {
		if _, err := ParseProbe(s); err == nil {
			t.Errorf("probe %q is taken", s)
		}
	}
	for _, s := range []string{"", "8080", "8080=3000", "8080=app:80", "8080=127.0.0.1:0", "0=127.0.0.1:80", "8080=127.0.0.1:80/h3", "65536=127.0.0.1:80"} {
		if _, err := ParseServe(s); err == nil {
			t.Errorf("%q is served", s)
		}
	}
}

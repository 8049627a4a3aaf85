package bootstrap

import (
	"strings"
	"testing"

	"authz/envoy"
)

// What the shipped configuration becomes in a pod. That a real Envoy takes it and
// serves as it should is shown beside envoy/envoy.yaml.
func TestFit(t *testing.T) {
	out, err := Fit(envoy.Config, Place{
		Addresses: []string{"10.0.0.7", "fd00::7"}, Port: 8080, App: "127.0.0.1:8080", H2C: true,
		Memory: 256 << 20, ProbePort: 9903, Probes: []Probe{{"/app/liveness", "/healthz?full=1"}, {}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"address: 10.0.0.7", "address: fd00::7", "port_value: 8080", "port_value: 9903", "enable_reuse_port: false",
		"max_heap_size_bytes: 214748364", "http2_protocol_options: {}", "prefix_rewrite: '/healthz?full=1'", "exact: /app/liveness",
		"/grpc.health.v1.Health/Check", "# One reading of the request", "name: app-probes",
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
	good := Place{Addresses: []string{"0.0.0.0"}, Port: 8080, App: "127.0.0.1:3000"}
	with := func(f func(*Place)) Place { p := good; f(&p); return p }
	tests := map[string]struct {
		config string
		place  Place
		want   string
	}{
		"no YAML":       {"a: [", good, "reading Envoy's configuration"},
		"nothing":       {"", good, "is empty"},
		"no listener":   {"static_resources: {clusters: [{name: app}]}", good, "a listener named ingress and a cluster named app"},
		"a list":        {"[]", good, "a listener named ingress"},
		"no endpoints":  {"static_resources: {listeners: [{name: ingress}], clusters: [{name: app}]}", good, "load_assignment"},
		"a host name":   {string(envoy.Config), with(func(p *Place) { p.App = "app:80" }), `"app:80": write IP:port`},
		"no app port":   {string(envoy.Config), with(func(p *Place) { p.App = "127.0.0.1:0" }), "write IP:port"},
		"no address":    {string(envoy.Config), with(func(p *Place) { p.Addresses = nil }), "no address to listen on"},
		"a bad address": {string(envoy.Config), with(func(p *Place) { p.Addresses = []string{"$(POD_IPS)"} }), "no IP address"},
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
	for _, s := range []string{"", "/a", "a=/b", "/a=b", "/ready=/x"} {
		if _, err := ParseProbe(s); err == nil {
			t.Errorf("probe %q is taken", s)
		}
	}
}

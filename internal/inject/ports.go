package inject

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// appPort is a port that Envoy takes over.
type appPort struct {
	number int
	// container declares it, by that name if it has one; empty if none does.
	container, name string
	h2c             bool
}

// maxPorts is how many ports of a pod can be taken over: each takes one of ours where
// the kernel redirects.
const maxPorts = 4

// findApp finds the ports that wanted names, with commas, or the only candidate.
func findApp(spec Object, wanted, protocol string) ([]appPort, error) {
	declared := declaredPorts(spec)
	if wanted == "" {
		p, err := onlyPort(declared)
		p.h2c = protocol == "h2c"
		return []appPort{p}, err
	}
	var list []appPort
	for item := range strings.SplitSeq(wanted, ",") {
		item, suffix, _ := strings.Cut(item, "/")
		p, err := onePort(declared, item)
		if err != nil {
			return nil, err
		}
		switch suffix {
		case "":
			p.h2c = protocol == "h2c"
		case "http", "h2c":
			p.h2c = suffix == "h2c"
		default:
			return nil, refuse("annotation %sapp-port: behind a port write /h2c or /http, not /%s", Prefix, suffix)
		}
		if slices.ContainsFunc(list, func(q appPort) bool { return q.number == p.number }) {
			return nil, refuse("annotation %sapp-port: port %d is there twice", Prefix, p.number)
		}
		list = append(list, p)
	}
	if len(list) > maxPorts {
		return nil, refuse("annotation %sapp-port: %d ports; Envoy takes over %d at most", Prefix, len(list), maxPorts)
	}
	return list, nil
}

// declaredPorts are the TCP ports that the containers declare.
func declaredPorts(spec Object) (list []appPort) {
	for _, c := range objects(spec["containers"]) {
		for _, p := range objects(c["ports"]) {
			n, ok := integer(p["containerPort"])
			if proto := textAt(p, "protocol"); ok && n > 0 && n <= 65535 && (proto == "" || proto == "TCP") {
				list = append(list, appPort{number: n, container: textAt(c, "name"), name: textAt(p, "name")})
			}
		}
	}
	return list
}

// onePort is a port given by number or by name.
func onePort(declared []appPort, wanted string) (appPort, error) {
	n, err := strconv.Atoi(wanted)
	for _, p := range declared {
		if err == nil && p.number == n || err != nil && p.name == wanted {
			return p, nil
		}
	}
	switch {
	case err != nil:
		return appPort{}, refuse("annotation %sapp-port: no container has a TCP port named %q (there are: %s)", Prefix, wanted, said(declared))
	case n < 1 || n > 65535 || slices.Contains(ownPorts, n):
		return appPort{}, refuse("annotation %sapp-port: %d can't be the app's port (1 to 65535, but none of %v)", Prefix, n, ownPorts)
	}
	return appPort{number: n}, nil
}

// onlyPort is the one that is meant where none is named.
func onlyPort(declared []appPort) (appPort, error) {
	for _, p := range declared {
		if p.name == "http" || len(declared) == 1 {
			return p, nil
		}
	}
	if len(declared) == 0 {
		return appPort{}, refuse("no container declares a TCP port; say which one the app serves, on the pod template: annotation %sapp-port: \"8080\"", Prefix)
	}
	return appPort{}, refuse("several ports (%s) and none named http; say which Envoy takes over, with commas, on the pod template: annotation %sapp-port: \"%d\"", said(declared), Prefix, declared[0].number)
}

func said(ports []appPort) string {
	var list []string
	for _, p := range ports {
		list = append(list, strings.TrimSpace(fmt.Sprintf("%d %s", p.number, p.name)))
	}
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// taken finds a port among those that are taken over.
func taken(app []appPort, number int) (appPort, bool) {
	if i := slices.IndexFunc(app, func(p appPort) bool { return p.number == number }); i >= 0 {
		return app[i], true
	}
	return appPort{}, false
}

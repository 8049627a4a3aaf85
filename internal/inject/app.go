package inject

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// appPort is the port that Envoy takes over.
type appPort struct {
	number int
	// container declares it; empty if none does.
	container string
}

// findApp finds the port that wanted names, or the only candidate.
func findApp(spec Object, wanted string) (appPort, error) {
	var all, named []appPort
	var list []string
	for _, c := range objects(spec["containers"]) {
		for _, p := range objects(c["ports"]) {
			n, ok := integer(p["containerPort"])
			if proto := textAt(p, "protocol"); !ok || n < 1 || n > 65535 || proto != "" && proto != "TCP" {
				continue
			}
			found := appPort{n, textAt(c, "name")}
			all = append(all, found)
			name := textAt(p, "name")
			if name != "" && name == wanted || wanted == "" && name == "http" {
				named = append(named, found)
			}
			list = append(list, strings.TrimSpace(fmt.Sprintf("%d %s", n, name)))
		}
	}
	if n, err := strconv.Atoi(wanted); err == nil {
		if n < 1 || n > 65535 || slices.Contains(ownPorts, n) {
			return appPort{}, refuse("annotation %sapp-port: %d can't be the app's port (1 to 65535, but none of %v)", Prefix, n, ownPorts)
		}
		for _, p := range all {
			if p.number == n {
				return p, nil
			}
		}
		return appPort{number: n}, nil
	}
	switch {
	case len(named) > 0:
		return named[0], nil
	case wanted != "":
		return appPort{}, refuse("annotation %sapp-port: no container has a TCP port named %q (there are: %s)", Prefix, wanted, orNone(list))
	case len(all) == 1:
		return all[0], nil
	case len(all) == 0:
		return appPort{}, refuse("no container declares a TCP port; say which one the app serves, on the pod template: annotation %sapp-port: \"8080\"", Prefix)
	}
	return appPort{}, refuse("several ports (%s) and none named http; say which one Envoy takes over, on the pod template: annotation %sapp-port: \"%d\"", orNone(list), Prefix, all[0].number)
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// The probes and hooks of a container that the kubelet carries out over the
// network, and what they are called in Envoy's paths.
var handlers = []struct{ field, name string }{
	{"startupProbe", "startup"}, {"readinessProbe", "readiness"}, {"livenessProbe", "liveness"},
	{"lifecycle.postStart", "post-start"}, {"lifecycle.preStop", "pre-stop"},
}

// takeHandlers points the probes and hooks that ask the app's port at Envoy's
// probe port, since at the app's own they would be refused for want of a token. It
// returns what Envoy must answer there, in the form of `authz envoy-config --probe`.
func takeHandlers(spec Object, app appPort, protocol string, st *status) (probes, notes []string) {
	for _, c := range slices.Concat(objects(spec["initContainers"]), objects(spec["containers"])) {
		name := textAt(c, "name")
		for _, h := range handlers {
			handler, where := c, h.field
			if outer, inner, nested := strings.Cut(h.field, "."); nested {
				handler, where = object(c[outer]), inner
			}
			handler = object(handler[where])
			if handler == nil {
				continue
			}
			before := clone(handler)
			probe, note := takeHandler(c, handler, app, protocol, name+"/"+h.name)
			if note != "" {
				notes = append(notes, fmt.Sprintf("container %s: %s: %s", name, h.field, note))
			}
			if probe == "" {
				continue
			}
			probes = append(probes, probe)
			if st.Handlers == nil {
				st.Handlers = map[string]any{}
			}
			st.Handlers[name+"/"+h.field] = before
		}
	}
	return probes, notes
}

// takeHandler changes one probe or hook in place.
func takeHandler(container, handler Object, app appPort, protocol, id string) (probe, note string) {
	for _, kind := range []string{"httpGet", "grpc", "tcpSocket"} {
		action := object(handler[kind])
		if action == nil || textAt(action, "host") != "" || portOf(container, action["port"]) != app.number {
			continue
		}
		switch {
		case kind == "tcpSocket":
			// Envoy has the port, so it would answer for the app: it is asked what it knows.
			delete(handler, kind)
			handler["httpGet"] = Object{"path": "/" + id, "port": probePort}
			return "/" + id + "=tcp", ""
		case kind == "grpc" && protocol != "h2c":
			return "", fmt.Sprintf("gRPC needs the annotation %sapp-protocol: h2c; without it the probe fails", Prefix)
		case kind == "grpc":
			action["port"] = probePort
			return "grpc", ""
		case strings.EqualFold(textAt(action, "scheme"), "HTTPS"):
			return "", "it speaks TLS to the app's port, but Envoy speaks plain HTTP there: the probe will fail; let the app serve HTTP on loopback"
		}
		path := textAt(action, "path")
		if !strings.HasPrefix(path, "/") {
			path = "/" + path
		}
		action["port"] = probePort
		action["path"] = "/" + id
		return "/" + id + "=" + path, ""
	}
	return "", ""
}

// portOf is the number of a port given by number or by name.
func portOf(container Object, port any) int {
	if n, ok := integer(port); ok {
		return n
	}
	name, _ := port.(string)
	for _, p := range objects(container["ports"]) {
		if textAt(p, "name") == name {
			n, _ := integer(p["containerPort"])
			return n
		}
	}
	n, _ := strconv.Atoi(name)
	return n
}

// drain gives the containers that have no preStop hook one that waits: a pod is
// told to stop at the same moment as the others are told to send it no more, and
// what is under way in between must be served.
func drain(spec Object, app appPort, seconds int, st *status) (notes []string) {
	if seconds == 0 {
		return nil
	}
	grace, ok := integer(spec["terminationGracePeriodSeconds"])
	if !ok {
		grace = 30
	}
	// The API server takes a sleep only if it is shorter than the grace period.
	if seconds >= grace {
		return []string{fmt.Sprintf("terminationGracePeriodSeconds is %d, too short to drain for %d s: requests are lost when the pod stops; raise it, or set %sdrain-seconds", grace, seconds, Prefix)}
	}
	for _, c := range objects(spec["containers"]) {
		if object(object(c["lifecycle"])["preStop"]) == nil {
			child(c, "lifecycle")["preStop"] = Object{"sleep": Object{"seconds": seconds}}
			st.PreStop = append(st.PreStop, textAt(c, "name"))
		} else if textAt(c, "name") == app.container {
			notes = append(notes, fmt.Sprintf("container %s: its preStop hook must take %d s or more: until then others still send to the pod", app.container, seconds))
		}
	}
	return notes
}

// openPorts notes the ports that stay reachable without a decision.
func openPorts(spec Object, app appPort, s settings) (notes []string) {
	for _, c := range objects(spec["containers"]) {
		for _, p := range objects(c["ports"]) {
			if n, ok := integer(p["containerPort"]); ok && n != app.number {
				notes = append(notes, fmt.Sprintf("container %s: port %d is not behind Envoy: whoever reaches the pod reaches it; bind it to 127.0.0.1 or close it with a NetworkPolicy", textAt(c, "name"), n))
			}
		}
	}
	if s.value("capture") == CaptureBind {
		notes = append(notes, fmt.Sprintf("the app must listen on 127.0.0.1:%d; Envoy has the port on the pod's other addresses, so that an app which binds them all can't start", app.number))
	}
	return notes
}

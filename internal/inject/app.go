package inject

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The probes and hooks of a container that the kubelet carries out over the
// network, and what they are called in Envoy's paths.
var handlers = []struct{ field, name string }{
	{"startupProbe", "startup"}, {"readinessProbe", "readiness"}, {"livenessProbe", "liveness"},
	{"lifecycle.postStart", "post-start"}, {"lifecycle.preStop", "pre-stop"},
}

// takeHandlers points the probes and hooks that ask the app's port at Envoy's
// probe port, since at the app's own they would be refused for want of a token. It
// returns what Envoy must answer there, in the form of `authz envoy-config --probe`.
func takeHandlers(spec Object, app []appPort, st *status) (probes, notes []string) {
	grpc := ""
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
			probe, note := takeHandler(c, handler, app, name+"/"+h.name)
			if strings.HasPrefix(probe, "grpc=") {
				if grpc != "" && grpc != probe {
					// All gRPC probes ask for one path: Envoy could not tell the ports apart.
					handler["grpc"] = object(before)["grpc"]
					probe, note = "", "gRPC probes can ask one port only, and another has one; this one fails: make it httpGet, tcpSocket or exec"
				} else {
					grpc = probe
				}
			}
			if note != "" {
				notes = append(notes, fmt.Sprintf("container %s: %s: %s", name, h.field, note))
			}
			if probe == "" {
				continue
			}
			if !slices.Contains(probes, probe) {
				probes = append(probes, probe)
			}
			if st.Handlers == nil {
				st.Handlers = map[string]any{}
			}
			st.Handlers[name+"/"+h.field] = before
		}
	}
	return probes, notes
}

// takeHandler changes one probe or hook in place.
func takeHandler(container, handler Object, app []appPort, id string) (probe, note string) {
	for _, kind := range []string{"httpGet", "grpc", "tcpSocket"} {
		action := object(handler[kind])
		port, ok := taken(app, portOf(container, action["port"]))
		if action == nil || textAt(action, "host") != "" || !ok {
			continue
		}
		switch {
		case kind == "tcpSocket":
			// Envoy has the port, so it would answer for the app: it is asked what it knows.
			delete(handler, kind)
			handler["httpGet"] = Object{"path": "/" + id, "port": probePort}
			return fmt.Sprintf("/%s=%d", id, port.number), ""
		case kind == "grpc" && !port.h2c:
			return "", fmt.Sprintf("gRPC needs HTTP/2, annotation %sapp-port: %d/h2c; without it the probe fails", Prefix, port.number)
		case kind == "grpc":
			action["port"] = probePort
			return fmt.Sprintf("grpc=%d", port.number), ""
		case strings.EqualFold(textAt(action, "scheme"), "HTTPS"):
			return "", "it speaks TLS to the app's port, but Envoy speaks plain HTTP there: the probe will fail; let the app serve HTTP on loopback"
		}
		path := textAt(action, "path")
		if !strings.HasPrefix(path, "/") {
			path = "/" + path
		}
		action["port"] = probePort
		action["path"] = "/" + id
		return fmt.Sprintf("/%s=%d%s", id, port.number, path), ""
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
func drain(spec Object, app []appPort, seconds int, st *status) (notes []string) {
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
		} else if name := textAt(c, "name"); slices.ContainsFunc(app, func(p appPort) bool { return p.container == name }) {
			notes = append(notes, fmt.Sprintf("container %s: its preStop hook must take %d s or more: until then others still send to the pod", name, seconds))
		}
	}
	return notes
}

// openPorts notes the ports that stay reachable without a decision.
func openPorts(spec Object, app []appPort, s settings) (notes []string) {
	for _, c := range objects(spec["containers"]) {
		for _, p := range objects(c["ports"]) {
			n, ok := integer(p["containerPort"])
			if _, ours := taken(app, n); ok && !ours {
				notes = append(notes, fmt.Sprintf("container %s: port %d is not behind Envoy: whoever reaches the pod reaches it; bind it to 127.0.0.1 or close it with a NetworkPolicy", textAt(c, "name"), n))
			}
		}
	}
	if s.value("capture") == CaptureBind {
		for _, p := range app {
			notes = append(notes, fmt.Sprintf("the app must listen on 127.0.0.1:%d; Envoy has the port on the pod's other addresses, so that an app which binds them all can't start", p.number))
		}
	}
	return notes
}

package inject

import (
	"fmt"
	"strconv"
	"strings"
)

// Ports of the sidecars in the pod. None of them is one that a mesh uses.
const (
	redirectPort = 9900 // Envoy, where the kernel redirects to (CaptureRedirect); more ports count down
	opsPort      = 9901 // authz: /livez, /readyz, /metrics
	adminPort    = 9902 // Envoy's admin interface, on loopback
	probePort    = 9903 // Envoy: /ready, /stats/prometheus and the app's probes
)

var ownPorts = []int{redirectPort - 3, redirectPort - 2, redirectPort - 1, redirectPort, opsPort, adminPort, probePort}

// Names of what is added; whatever bears one of them is ours.
var (
	ownContainers = []string{"authz-redirect", "authz-setup", "authz", "envoy"}
	ownVolumes    = []string{"authz-run", "authz-envoy", "authz-state", "authz-config", "authz-envoy-config", "authz-secret", "authz-cluster-ca", "authz-policies"}
)

const (
	runDir       = "/run/authz"          // the socket
	envoyDir     = "/run/envoy"          // Envoy's configuration, written by authz-setup
	stateDir     = "/var/lib/authz"      // bundles that were fetched, for a restart without their server
	policiesDir  = "/etc/authz/policies" // one directory a ConfigMap
	configDir    = "/etc/authz/config"
	baseDir      = "/etc/authz/envoy"
	secretDir    = "/etc/authz/secret"                             //nolint:gosec // a directory
	tokenDir     = "/var/run/secrets/kubernetes.io/serviceaccount" //nolint:gosec // a directory
	authzBinary  = "/authz"                                        // in its image
	sidecarUser  = 65532
	configFile   = "authz.yaml"
	envoyFile    = "envoy.yaml"
	setupMemory  = "64Mi"
	logAllowance = "256Mi" // container logs count as ephemeral storage
)

// sidecars are the init containers in their order: each is started when the one
// before it has finished or passed its startup probe, and the app after them all.
func sidecars(s settings, app []appPort, probes []string) []any {
	var list []any
	if s.value("capture") == CaptureRedirect {
		list = append(list, redirectContainer(s, app))
	}
	return append(list, setupContainer(s, app, probes), authzContainer(s), envoyContainer(s))
}

// redirectContainer sets the kernel's rule for the app's port, and ends.
func redirectContainer(s settings, app []appPort) Object {
	c := container("authz-redirect", s.Image, s.PullPolicy)
	args := []any{"redirect"}
	for i, p := range app {
		args = append(args, fmt.Sprintf("%d=%d", p.number, redirectPort-i))
	}
	c["args"] = args
	c["resources"] = resources("10m", "1", "16Mi", setupMemory)
	// To change rules takes root and this one capability; the namespace must admit it
	// (Pod Security "privileged").
	c["securityContext"] = Object{
		"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
		"runAsNonRoot": false, "runAsUser": 0, "runAsGroup": 0,
		"capabilities":   Object{"drop": []any{"ALL"}, "add": []any{"NET_ADMIN"}},
		"seccompProfile": Object{"type": "RuntimeDefault"},
	}
	c["volumeMounts"] = []any{noToken}
	return c
}

// setupContainer writes Envoy's configuration for this pod, and ends.
func setupContainer(s settings, app []appPort, probes []string) Object {
	c := container("authz-setup", s.Image, s.PullPolicy)
	// The pod's own addresses, so that 127.0.0.1 with the same port is left to the app.
	c["env"] = []any{Object{"name": "POD_IPS", "valueFrom": Object{"fieldRef": Object{"fieldPath": "status.podIPs"}}}}
	args := []any{"envoy-config", "--output=" + envoyDir + "/" + envoyFile, "--listen=$(POD_IPS)"}
	for i, p := range app {
		port, suffix := p.number, ""
		if s.value("capture") == CaptureRedirect {
			port = redirectPort - i
		}
		if p.h2c {
			suffix = "/h2c"
		}
		args = append(args, fmt.Sprintf("--serve=%d=127.0.0.1:%d%s", port, p.number, suffix))
	}
	args = append(args, "--memory="+strconv.FormatInt(octets(s.value("envoy-memory-limit")), 10), fmt.Sprintf("--probe-port=%d", probePort))
	if s.drain > 0 {
		args = append(args, "--drainable")
	}
	for _, p := range probes {
		args = append(args, "--probe="+p)
	}
	mounts := []any{mount("authz-envoy", envoyDir, false), noToken}
	if s.value("envoy-config") != none {
		args = append(args, "--base="+baseDir+"/"+envoyFile)
		mounts = append(mounts, mount("authz-envoy-config", baseDir, true))
	}
	c["args"] = args
	c["resources"] = resources("10m", "1", "16Mi", setupMemory)
	c["volumeMounts"] = mounts
	return c
}

func authzContainer(s settings) Object {
	c := container("authz", s.Image, s.PullPolicy)
	args := []any{"run", "--listen.socket=" + runDir + "/authz.sock", fmt.Sprintf("--ops.address=:%d", opsPort), "--log.level=" + s.value("log-level")}
	mounts := []any{mount("authz-run", runDir, false), mount("authz-state", stateDir, false), noToken}
	if s.inline() || s.value("config") != none {
		args = append(args, "--config="+configDir+"/"+configFile)
		mounts = append(mounts, mount("authz-config", configDir, true))
	}
	if list := policyMaps(s); len(list) > 0 {
		args = append(args, "--policy.paths="+policiesDir)
		mounts = append(mounts, mount("authz-policies", policiesDir, true))
	}
	if s.value("secret") != none {
		mounts = append(mounts, mount("authz-secret", secretDir, true))
	}
	c["args"] = args
	c["restartPolicy"] = "Always"
	// The garbage collector works harder before the kernel's limit is met.
	c["env"] = []any{Object{"name": "GOMEMLIMIT", "value": strconv.FormatInt(octets(s.value("memory-limit"))/10*9, 10)}}
	c["ports"] = []any{Object{"name": "authz-ops", "containerPort": opsPort, "protocol": "TCP"}}
	if s.drain > 0 {
		// Hooks of all containers run at once when the pod begins to stop; the sidecars
		// themselves are stopped after the app, Envoy before authz.
		c["lifecycle"] = Object{"preStop": Object{"exec": Object{"command": []any{authzBinary, "envoy-drain", fmt.Sprintf("--admin=127.0.0.1:%d", adminPort)}}}}
	}
	// Listening means that the policies compiled. Keys of issuers may take longer:
	// until they are there the pod is not ready, but the app may start.
	c["startupProbe"] = get(opsPort, "/livez", 1, 120)
	c["readinessProbe"] = get(opsPort, "/readyz", 2, 2)
	c["livenessProbe"] = get(opsPort, "/livez", 10, 6)
	c["resources"] = resources(s.value("cpu-request"), s.value("cpu-limit"), s.value("memory-request"), s.value("memory-limit"))
	c["volumeMounts"] = mounts
	return c
}

func envoyContainer(s settings) Object {
	c := container("envoy", s.EnvoyImage, s.PullPolicy)
	// The official image's entrypoint is a script that changes users; the program
	// itself needs neither it nor a shell.
	c["command"] = []any{"envoy"}
	c["args"] = []any{"--config-path", envoyDir + "/" + envoyFile, "--disable-hot-restart", "--drain-strategy", "immediate",
		"--concurrency", s.value("envoy-concurrency"), "--log-level", s.value("envoy-log-level")}
	c["restartPolicy"] = "Always"
	c["ports"] = []any{Object{"name": "envoy-probes", "containerPort": probePort, "protocol": "TCP"}}
	c["startupProbe"] = get(probePort, "/ready", 1, 120)
	c["readinessProbe"] = get(probePort, "/ready", 2, 2)
	c["livenessProbe"] = get(probePort, "/ready", 10, 6)
	c["resources"] = resources(s.value("envoy-cpu-request"), s.value("envoy-cpu-limit"), s.value("envoy-memory-request"), s.value("envoy-memory-limit"))
	c["volumeMounts"] = []any{mount("authz-run", runDir, true), mount("authz-envoy", envoyDir, true), noToken}
	return c
}

// volumes are what the sidecars mount; the app's containers mount none of them.
func volumes(s settings) []any {
	list := []any{
		Object{"name": "authz-run", "emptyDir": Object{"medium": "Memory", "sizeLimit": "1Mi"}},
		Object{"name": "authz-envoy", "emptyDir": Object{"medium": "Memory", "sizeLimit": "1Mi"}},
		Object{"name": "authz-state", "emptyDir": Object{"sizeLimit": "128Mi"}},
		// In every namespace; see noToken.
		Object{"name": "authz-cluster-ca", "configMap": Object{"name": "kube-root-ca.crt", "optional": true}},
	}
	if name := s.value("config"); s.inline() {
		list = append(list, Object{"name": "authz-config", "downwardAPI": Object{"items": []any{
			Object{"path": configFile, "fieldRef": Object{"fieldPath": "metadata.annotations['" + configAnnotation + "']"}},
		}}})
	} else if name != none {
		list = append(list, configMap("authz-config", name))
	}
	if maps := policyMaps(s); len(maps) > 0 {
		sources := []any{}
		for _, name := range maps {
			sources = append(sources, Object{"configMap": Object{"name": name}})
		}
		list = append(list, Object{"name": "authz-policies", "projected": Object{"sources": sources}})
	}
	if name := s.value("envoy-config"); name != none {
		list = append(list, configMap("authz-envoy-config", name))
	}
	if name := s.value("secret"); name != none {
		list = append(list, Object{"name": "authz-secret", "secret": Object{"secretName": name}})
	}
	return list
}

func policyMaps(s settings) []string {
	if s.value("policies") == none {
		return nil
	}
	return strings.Split(s.value("policies"), ",")
}

// container is what all of them have in common.
func container(name, image, pull string) Object {
	c := Object{
		"name": name, "image": image,
		"securityContext": Object{
			"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
			"runAsNonRoot": true, "runAsUser": sidecarUser, "runAsGroup": sidecarUser,
			"capabilities":   Object{"drop": []any{"ALL"}},
			"seccompProfile": Object{"type": "RuntimeDefault"},
		},
	}
	if pull != "" {
		c["imagePullPolicy"] = pull
	}
	return c
}

// noToken keeps the service account's token out of a sidecar although the app may
// have it: admission mounts it only where nothing else is mounted. What is mounted
// instead is the cluster's CA, by which keys can be fetched from the API server.
var noToken = mount("authz-cluster-ca", tokenDir, true)

func mount(volume, path string, readOnly bool) Object {
	m := Object{"name": volume, "mountPath": path}
	if readOnly {
		m["readOnly"] = true
	}
	return m
}

func configMap(volume, name string) Object {
	return Object{"name": volume, "configMap": Object{"name": name}}
}

func get(port int, path string, period, failures int) Object {
	return Object{"httpGet": Object{"path": path, "port": port}, "periodSeconds": period, "timeoutSeconds": 2, "failureThreshold": failures}
}

func resources(cpu, cpuLimit, memory, memoryLimit string) Object {
	return Object{
		"requests": Object{"cpu": cpu, "memory": memory, "ephemeral-storage": "16Mi"},
		"limits":   Object{"cpu": cpuLimit, "memory": memoryLimit, "ephemeral-storage": logAllowance},
	}
}

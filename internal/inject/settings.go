package inject

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Setting is an annotation that a pod may carry: Prefix and Name.
type Setting struct {
	Name, Default, Doc string
	// fault says what is wrong with a value, "" if nothing is.
	fault func(string) string
}

// Settings are all annotations that are read, in the order of the documentation.
var Settings = []Setting{
	{"app-port", "", "The ports that Envoy takes over, with commas, four at most: numbers, or names of container ports; `/h2c` or `/http` behind one says what it speaks. Default: the pod's only TCP port, or the one named http.", nil},
	{"app-protocol", "http", "What the app speaks on ports that don't say: `http` (HTTP/1.1) or `h2c` (HTTP/2 without TLS; gRPC needs it).", oneOf("http", "h2c")},
	{"capture", CaptureBind, "How the port is taken over: `bind` (the app listens on 127.0.0.1) or `redirect` (the kernel redirects; takes NET_ADMIN).", oneOf(CaptureBind, CaptureRedirect)},
	{"policies", "authz-policies", "ConfigMaps with Rego and data files, with commas. `none`: the configuration says where policies are.", names},
	{"config", "authz-config", "ConfigMap with the sidecar's configuration in its key `authz.yaml`. `none`: defaults and no issuers. Where the platform gives a configuration, that is the default.", oneName},
	{"envoy-config", "none", "ConfigMap with an Envoy configuration in its key `envoy.yaml` to use in place of the built-in one. Port, app and probes are filled in all the same.", oneName},
	{"secret", "none", "Secret to mount at `/etc/authz/secret`, for `file:` values in the configuration.", oneName},
	{"log-level", "info", "Operating log of authz: `debug`, `info`, `warn` or `error`.", oneOf("debug", "info", "warn", "error")},
	{"envoy-log-level", "warn", "Log of Envoy: `trace`, `debug`, `info`, `warn`, `error`, `critical` or `off`.", oneOf("trace", "debug", "info", "warn", "error", "critical", "off")},
	{"envoy-concurrency", "2", "Worker threads of Envoy.", between(1, 128)},
	{"drain-seconds", "5", "How long a stopping pod goes on serving, so that those who still send to it lose nothing. 0: not at all.", between(0, 3600)},
	{"cpu-request", "50m", "CPU that authz asks for.", quantity},
	{"cpu-limit", "1", "CPU that authz may use.", quantity},
	{"memory-request", "64Mi", "Memory that authz asks for.", quantity},
	{"memory-limit", "256Mi", "Memory that authz may use.", quantity},
	{"envoy-cpu-request", "50m", "CPU that Envoy asks for.", quantity},
	{"envoy-cpu-limit", "2", "CPU that Envoy may use.", quantity},
	{"envoy-memory-request", "64Mi", "Memory that Envoy asks for.", quantity},
	{"envoy-memory-limit", "256Mi", "Memory that Envoy may use.", quantity},
}

// How the application's port is taken over.
const (
	// CaptureBind: Envoy listens on the port at the pod's addresses, the application
	// on the same port at 127.0.0.1. An application that binds every address can't
	// start, since Envoy has the port already and does not share it.
	CaptureBind = "bind"
	// CaptureRedirect: the kernel redirects what arrives for the port to Envoy, by
	// rules that an init container with NET_ADMIN sets. The application binds as it
	// likes.
	CaptureRedirect = "redirect"
)

// none as a value means that there is no such object.
const none = "none"

// settings are a pod's annotations over the platform's defaults over ours.
type settings struct {
	Options
	values map[string]string
	// given are those values that are neither the pod's nor ours.
	given map[string]string
	// named: the pod or the platform named a ConfigMap with the configuration.
	named bool
	drain int
}

func (s settings) value(name string) string { return s.values[name] }

// inline reports whether the platform's configuration is the pod's.
func (s settings) inline() bool { return s.Config != "" && !s.named }

// readSettings reads a pod's annotations over what the platform gives, over what it
// gave before. All faults are told at once.
func readSettings(annotations Object, o Options, before map[string]string) (settings, error) {
	s := settings{Options: o, values: map[string]string{}, given: map[string]string{}}
	var faults []error
	for _, name := range keys(o.Defaults) {
		if !known(name) {
			faults = append(faults, fmt.Errorf("%q is no setting", name))
		}
	}
	for _, key := range keys(annotations) {
		name, ours := strings.CutPrefix(key, Prefix)
		switch {
		case !ours || key == statusAnnotation || key == configAnnotation:
		case key == InjectLabel:
			faults = append(faults, fmt.Errorf("%s is a label, not an annotation", key))
		case !known(name):
			faults = append(faults, fmt.Errorf("annotation %s: there is no such setting", key))
		}
	}
	for _, setting := range Settings {
		value, source := setting.Default, setting.Name
		for _, given := range []map[string]string{before, o.Defaults} {
			if v, ok := given[setting.Name]; ok {
				value = v
				s.given[setting.Name] = v
			}
		}
		if v, ok := annotations[Prefix+setting.Name]; ok {
			source = "annotation " + Prefix + setting.Name
			delete(s.given, setting.Name)
			if value, ok = v.(string); !ok {
				faults = append(faults, fmt.Errorf("%s: annotations are strings: quote it: %q", source, fmt.Sprint(v)))
				continue
			}
		}
		if setting.fault != nil {
			if fault := setting.fault(value); fault != "" {
				faults = append(faults, fmt.Errorf("%s: %q: %s", source, value, fault))
			}
		}
		s.values[setting.Name] = value
	}
	if len(faults) > 0 {
		return s, fmt.Errorf("%w: %w", ErrRefused, errors.Join(faults...))
	}
	_, byPod := annotations[Prefix+"config"]
	_, byPlatform := s.given["config"]
	s.named = byPod || byPlatform
	s.drain, _ = strconv.Atoi(s.value("drain-seconds")) // checked
	return s, nil
}

// Check says what is wrong with the platform's own values.
func (o Options) Check() error {
	_, err := readSettings(nil, o, nil)
	return err
}

func known(name string) bool {
	return slices.ContainsFunc(Settings, func(s Setting) bool { return s.Name == name })
}

func oneOf(list ...string) func(string) string {
	return func(v string) string {
		if slices.Contains(list, v) {
			return ""
		}
		return "write " + strings.Join(list[:len(list)-1], ", ") + " or " + list[len(list)-1]
	}
}

func between(low, high int) func(string) string {
	return func(v string) string {
		if n, err := strconv.Atoi(v); err == nil && n >= low && n <= high {
			return ""
		}
		return fmt.Sprintf("write a whole number from %d to %d", low, high)
	}
}

// A name of an object: RFC 1123.
var nameRE = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)

func oneName(v string) string {
	if len(v) <= 253 && nameRE.MatchString(v) {
		return ""
	}
	return "write the name of an object in the pod's namespace, or none"
}

func names(v string) string {
	for name := range strings.SplitSeq(v, ",") {
		if fault := oneName(name); fault != "" {
			return fault
		}
	}
	return ""
}

// The quantities that make sense for CPU and memory; Kubernetes knows more forms.
var quantityRE = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?(m|k|M|G|Ki|Mi|Gi)?$`)

func quantity(v string) string {
	if quantityRE.MatchString(v) {
		return ""
	}
	return "write a quantity such as 100m, 1.5 or 256Mi"
}

// octets reads a quantity of memory that was checked.
func octets(v string) int64 {
	digits := strings.TrimRight(v, "mkMGKi")
	n, _ := strconv.ParseFloat(digits, 64)
	unit := map[string]float64{"": 1, "m": 0.001, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}[v[len(digits):]]
	return int64(n * unit)
}

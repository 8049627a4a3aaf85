// Package inject puts the sidecars into a pod: authz, and Envoy before the
// application. It is the single source of what a protected pod looks like; `authz
// inject` applies it to manifests, the admission webhook to pods.
//
// The contract:
//
//   - Nothing reaches the application's port but through Envoy, and Envoy asks authz
//     about every request. Services need no change: Envoy takes the port over at the
//     pod's address, and the application listens on loopback (see Capture).
//   - Injecting is idempotent. What was there before is remembered in an annotation,
//     so that a newer version replaces the sidecars in place and Remove brings the
//     pod back as it was.
//   - A pod that can't be protected is refused with the way out. It is never let
//     through half protected.
//
// A pod is worked on as the generic tree that JSON and YAML decode to: fields that
// this program does not know pass through untouched.
package inject

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Prefix begins every label and annotation that this package reads or writes.
const Prefix = "authz.dev/"

// InjectLabel on a pod asks for the sidecars ("true") or declines them ("false").
const InjectLabel = Prefix + "inject"

// InjectedLabel says that the sidecars are in the pod, for those who select pods: a
// monitor, a network policy.
const InjectedLabel = Prefix + "injected"

// statusAnnotation holds what Remove needs. Its presence says that the containers
// named authz and envoy are ours.
const statusAnnotation = Prefix + "injected"

// configAnnotation holds the platform's configuration, mounted as a file.
const configAnnotation = Prefix + "platform-config"

// Object is a YAML mapping or a JSON object.
type Object = map[string]any

// Options are what the platform decides; what a pod decides is in its annotations.
type Options struct {
	// Version of the program, remembered in the pod.
	Version string
	// Image and EnvoyImage are run; PullPolicy is their imagePullPolicy.
	Image, EnvoyImage, PullPolicy string
	// Config is the sidecar's configuration for pods that name no ConfigMap with one. It
	// travels in an annotation of the pod.
	Config string
	// Defaults are values for annotations, by name without the prefix, that pods
	// don't carry themselves.
	Defaults map[string]string
}

// ErrRefused is what every refusal wraps: the pod can't be protected as it is.
var ErrRefused = errors.New("not injected")

// refuse says why a pod is not injected, and the way out.
func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrRefused}, args...)...)
}

// status is what is remembered in the pod. It holds no list of what was added:
// that is known by its names.
type status struct {
	Version string `json:"version"`
	// Handlers are the probes and hooks that were pointed at Envoy, as they were, by
	// "container/field".
	Handlers map[string]any `json:"handlers,omitempty"`
	// Settings are those that the platform gave and the pod does not carry. They hold
	// until the platform gives others.
	Settings map[string]string `json:"settings,omitempty"`
	// PreStop are the containers that were given a preStop hook.
	PreStop []string `json:"preStop,omitempty"`
}

// Declined reports whether the pod says that it wants no sidecars.
func Declined(pod Object) bool {
	return textAt(object(object(pod["metadata"])["labels"]), InjectLabel) == "false"
}

// Asked reports whether the pod asks for the sidecars by its label.
func Asked(pod Object) bool {
	return textAt(object(object(pod["metadata"])["labels"]), InjectLabel) == "true"
}

// Pod returns the pod, or pod template, with the sidecars in it, and notes for
// the person who asked. The pod itself is not changed.
func Pod(pod Object, o Options) (Object, []string, error) {
	if err := wellFormed(pod); err != nil {
		return nil, nil, err
	}
	before, err := remembered(pod)
	if err != nil {
		return nil, nil, err
	}
	if o.Config == "" {
		o.Config = textAt(object(object(pod["metadata"])["annotations"]), configAnnotation) // what it was given before
	}
	if pod, err = Remove(pod); err != nil {
		return nil, nil, err
	}
	spec := object(pod["spec"])
	if err := suitable(spec); err != nil {
		return nil, nil, err
	}
	meta := child(pod, "metadata")
	s, err := readSettings(object(meta["annotations"]), o, before.Settings)
	if err != nil {
		return nil, nil, err
	}
	app, err := findApp(spec, s.value("app-port"), s.value("app-protocol"))
	if err != nil {
		return nil, nil, err
	}
	st := status{Version: o.Version, Settings: s.given}
	probes, notes := takeHandlers(spec, app, &st)
	notes = append(notes, drain(spec, app, s.drain, &st)...)
	notes = append(notes, openPorts(spec, app, s)...)

	prepend(spec, "initContainers", sidecars(s, app, probes)...)
	prepend(spec, "volumes", volumes(s)...)
	text, err := json.Marshal(st)
	if err != nil {
		return nil, nil, fmt.Errorf("writing %s: %w", statusAnnotation, err)
	}
	child(meta, "annotations")[statusAnnotation] = string(text)
	if s.inline() {
		child(meta, "annotations")[configAnnotation] = o.Config
	}
	child(meta, "labels")[InjectedLabel] = "true"
	return pod, notes, nil
}

// Remove returns the pod as it was before Pod. A pod without sidecars comes back
// as it is.
func Remove(pod Object) (Object, error) {
	pod, _ = clone(pod).(Object)
	annotations := object(object(pod["metadata"])["annotations"])
	if _, injected := annotations[statusAnnotation]; !injected {
		return pod, nil
	}
	st, err := remembered(pod)
	if err != nil {
		return nil, err
	}
	delete(annotations, statusAnnotation)
	delete(annotations, configAnnotation)
	spec := object(pod["spec"])
	remove(spec, "initContainers", ownContainers)
	remove(spec, "volumes", ownVolumes)
	for key, handler := range st.Handlers {
		name, field, _ := strings.Cut(key, "/")
		if c := named(spec, name); c != nil {
			setPath(c, field, integers(handler))
		}
	}
	for _, name := range st.PreStop {
		if c := named(spec, name); c != nil {
			hooks := object(c["lifecycle"])
			delete(hooks, "preStop")
			if len(hooks) == 0 {
				delete(c, "lifecycle")
			}
		}
	}
	delete(object(object(pod["metadata"])["labels"]), InjectedLabel)
	dropEmpty(object(pod["metadata"]), "labels")
	dropEmpty(object(pod["metadata"]), "annotations")
	dropEmpty(pod, "metadata")
	dropEmpty(spec, "initContainers")
	dropEmpty(spec, "volumes")
	return pod, nil
}

// remembered is the status that an earlier injection left, empty if there was none.
func remembered(pod Object) (status, error) {
	var st status
	v, injected := object(object(pod["metadata"])["annotations"])[statusAnnotation]
	if !injected {
		return st, nil
	}
	text, _ := v.(string)
	if err := json.Unmarshal([]byte(text), &st); err != nil {
		return st, refuse("the annotation %s can't be read (%v); take it out by hand, and with it the containers and volumes named authz… and envoy", statusAnnotation, err)
	}
	return st, nil
}

// suitable refuses pods that the sidecars can't protect or that are in their way.
func suitable(spec Object) error {
	if spec == nil {
		return refuse("the pod has no spec")
	}
	if textAt(object(spec["os"]), "name") == "windows" || textAt(object(spec["nodeSelector"]), "kubernetes.io/os") == "windows" {
		return refuse("a Windows pod: the sidecars run on Linux only; set the label %s: \"false\" on it", InjectLabel)
	}
	if yes, _ := spec["hostNetwork"].(bool); yes {
		return refuse("hostNetwork: the pod shares the node's addresses, so whatever runs on the node reaches the app around Envoy; remove hostNetwork, or set the label %s: \"false\"", InjectLabel)
	}
	for _, list := range []string{"initContainers", "containers", "ephemeralContainers"} {
		for _, c := range objects(spec[list]) {
			if name := textAt(c, "name"); slices.Contains(ownContainers, name) {
				return refuse("the pod has a container named %s already that was not injected; remove it or rename it", name)
			}
			for _, p := range objects(c["ports"]) {
				if n, ok := integer(p["containerPort"]); ok && slices.Contains(ownPorts, n) && textAt(p, "protocol") != "UDP" {
					return refuse("container %s uses port %d, which the sidecars need (%v); give it another", textAt(c, "name"), n, ownPorts)
				}
			}
		}
	}
	for _, v := range objects(spec["volumes"]) {
		if name := textAt(v, "name"); slices.Contains(ownVolumes, name) {
			return refuse("the pod has a volume named %s already that was not injected; rename it", name)
		}
	}
	if len(objects(spec["containers"])) == 0 {
		return refuse("the pod has no containers")
	}
	return nil
}

// prepend puts items before what is in the list at key.
func prepend(spec Object, key string, items ...any) {
	rest, _ := spec[key].([]any)
	spec[key] = slices.Concat(items, rest)
}

// remove takes the items with these names out of the list at key.
func remove(spec Object, key string, names []string) {
	if items, ok := spec[key].([]any); ok {
		spec[key] = slices.DeleteFunc(items, func(item any) bool {
			return slices.Contains(names, textAt(object(item), "name"))
		})
	}
}

// dropEmpty removes a list or mapping that has nothing in it.
func dropEmpty(o Object, key string) {
	switch v := o[key].(type) {
	case []any:
		if len(v) == 0 {
			delete(o, key)
		}
	case Object:
		if len(v) == 0 {
			delete(o, key)
		}
	}
}

// named is the container or sidecar of that name, nil if there is none.
func named(spec Object, name string) Object {
	for _, c := range slices.Concat(objects(spec["initContainers"]), objects(spec["containers"])) {
		if textAt(c, "name") == name {
			return c
		}
	}
	return nil
}

// keys are sorted, so that what is written is the same each time.
func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

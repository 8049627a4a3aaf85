package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
)

// Where the injector is installed.
const (
	injector          = "authz-injector"
	injectorNamespace = "authz-system"
	injectorManifests = "k8s/injector"
)

// barePod is a pod as the injector meets it; %[1]s are labels, %[2]s further fields.
const barePod = `
apiVersion: v1
kind: Pod
metadata: { name: bare, namespace: %s, labels: { app: bare%s } }
spec:
  automountServiceAccountToken: false
  securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: RuntimeDefault } }%s
  containers:
    - name: app
      image: localhost/app:test
      imagePullPolicy: Never
      args: [serve, "127.0.0.1:3000"]
      ports: [{ name: http, containerPort: 3000 }]
      securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: [ALL] } }
`

const asked = `, authz.dev/inject: "true"`

// installed puts the shipped manifests in place, with the images of this run.
func (w *world) installed() (string, error) {
	objects, err := w.kubectl("", "kustomize", injectorManifests)
	if err != nil {
		return "", err
	}
	objects, err = withImages(objects)
	if err != nil {
		return "", err
	}
	warnings, err := w.apply(objects)
	if err != nil {
		return "", err
	}
	if warnings != "" {
		return "", errors.New(warnings)
	}
	if _, err := w.kubectl("", "-n", injectorNamespace, "rollout", "status", "deployment/"+injector, "--timeout=150s"); err != nil {
		pods, _ := w.kubectl("", "-n", injectorNamespace, "get", "pods", "-o", "wide")
		logs, _ := w.kubectl("", "-n", injectorNamespace, "logs", "deployment/"+injector, "--tail=10")
		events, _ := w.kubectl("", "-n", injectorNamespace, "get", "events")
		return "", fmt.Errorf("%w\n%s\n%s\n%s", err, pods, logs, tail(events, 10))
	}
	// The configuration says whom to trust as soon as the first replica has made it.
	took, err := w.until("the API server trusts the webhook", func() error {
		_, err := w.dryRunPod(fmt.Sprintf(barePod, namespace, asked, ""))
		return err
	})
	return fmt.Sprintf("from %s; its first pod %.1f s after it was ready, with a certificate of its own making", injectorManifests, took.Seconds()), err
}

// dryRunPod is the pod as the API server would store it.
func (w *world) dryRunPod(object string) (map[string]any, error) {
	out, err := w.kubectl(object, "create", "--dry-run=server", "--validate=strict", "-f", "-", "-o", "json")
	if err != nil {
		return nil, err
	}
	var pod map[string]any
	err = json.Unmarshal([]byte(out), &pod)
	return pod, err
}

// sidecarsIn names the init containers of a pod.
func sidecarsIn(pod map[string]any) string {
	spec, _ := pod["spec"].(map[string]any)
	list, _ := spec["initContainers"].([]any)
	var names []string
	for _, c := range list {
		c, _ := c.(map[string]any)
		names = append(names, fmt.Sprint(c["name"]))
	}
	return strings.Join(names, " ")
}

// injects: the webhook makes of a pod what `authz inject` makes of it, and leaves a
// pod that has the sidecars as it is.
func (w *world) injects() (string, error) {
	bare := fmt.Sprintf(barePod, namespace, asked, "")
	byHook, err := w.dryRunPod(bare)
	if err != nil {
		return "", err
	}
	names := sidecarsIn(byHook)
	if !strings.HasSuffix(names, "authz envoy") {
		return "", fmt.Errorf("sidecars: %q", names)
	}
	injected, err := w.inject(bare)
	if err != nil {
		return "", err
	}
	again, err := w.dryRunPod(injected)
	if err != nil {
		return "", err
	}
	if !reflect.DeepEqual(byHook["spec"], again["spec"]) {
		return "", fmt.Errorf("the webhook and authz inject, injected again, differ:\n%v\n%v", byHook["spec"], again["spec"])
	}
	return names + ": the same by the webhook, and by authz inject with the webhook after it", nil
}

// hooked: a team adds a label to the Deployment that it has, and is protected.
func (w *world) hooked() (string, error) {
	text, err := readText("store/app.yaml")
	if err != nil {
		return "", err
	}
	text = strings.NewReplacer("name: shop", "name: hooked", "app: shop", "app: hooked", "labels: { app: shop }", "labels: { app: hooked"+asked+" }",
		"replicas: 2", "replicas: 1").Replace(text)
	if _, err := w.apply(text); err != nil {
		return "", err
	}
	if err := w.rollout("hooked"); err != nil {
		return "", err
	}
	url, err := w.service("hooked")
	if err != nil {
		return "", err
	}
	alice, err := w.token("alice", "shop")
	if err != nil {
		return "", err
	}
	without, with := w.ask(once, http.MethodGet, url+"/orders", ""), w.ask(once, http.MethodGet, url+"/orders", alice)
	if without.status != http.StatusUnauthorized || with.status != http.StatusOK || !with.app {
		return "", fmt.Errorf("without a token %v, with one %v", without, with)
	}
	return fmt.Sprintf("one label: without a token %v, with one %v", without, with), nil
}

// jobEnds: native sidecars are told to go when the app's containers have ended.
func (w *world) jobEnds() (string, error) {
	if _, err := w.apply(`
apiVersion: batch/v1
kind: Job
metadata: { name: once, namespace: ` + namespace + ` }
spec:
  backoffLimit: 0
  template:
    metadata: { labels: { app: once` + asked + ` }, annotations: { authz.dev/app-port: "3000" } }
    spec:
      restartPolicy: Never
      automountServiceAccountToken: false
      securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: RuntimeDefault } }
      containers:
        - name: app
          image: localhost/app:test
          imagePullPolicy: Never
          args: [get, "http://127.0.0.1:9902/ready"]
          securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: [ALL] } }
`); err != nil {
		return "", err
	}
	took, err := w.until("the Job is complete", func() error {
		done, err := w.get("job", "once", ".status.succeeded")
		if err == nil && done != "1" {
			err = errors.New("not yet")
		}
		return err
	})
	if err != nil {
		return "", err
	}
	said, err := w.kubectl("", "-n", namespace, "logs", "job/once", "-c", "app")
	if err != nil {
		return "", err
	}
	if said = strings.TrimSpace(said); said != "200" {
		return "", fmt.Errorf("Envoy was not there before the Job's own container began: %s", said)
	}
	return fmt.Sprintf("Envoy answered its first request; complete %.1f s after it was made", took.Seconds()), nil
}

// leftAlone: whoever has not asked is not touched, and the webhook is in nobody's way.
func (w *world) leftAlone() (string, error) {
	var faults []error
	for what, object := range map[string]string{
		"no label":             fmt.Sprintf(barePod, namespace, "", ""),
		"declined":             fmt.Sprintf(barePod, namespace, `, authz.dev/inject: "false"`, ""),
		"kube-system":          fmt.Sprintf(barePod, "kube-system", "", ""),
		"its own namespace":    fmt.Sprintf(barePod, injectorNamespace, asked, ""),
		"host network, no ask": fmt.Sprintf(barePod, "default", "", "\n  hostNetwork: true"),
	} {
		switch pod, err := w.dryRunPod(object); {
		case err != nil:
			faults = append(faults, fmt.Errorf("%s: %w", what, err))
		case sidecarsIn(pod) != "":
			faults = append(faults, fmt.Errorf("%s: injected %s", what, sidecarsIn(pod)))
		}
	}
	_, err := w.dryRunPod(fmt.Sprintf(barePod, "default", asked, "\n  hostNetwork: true"))
	if err := refusedWith(err, "hostNetwork"); err != nil {
		faults = append(faults, fmt.Errorf("a pod that can't be protected: %w", err))
	}
	return "5 kinds of pods that have not asked come through as they are; one that can't be protected is refused with the reason", errors.Join(faults...)
}

// down: without the webhook nobody who asked for protection runs without it, and
// nobody else notices.
func (w *world) down() (string, error) {
	scale := func(n string) error {
		_, err := w.kubectl("", "-n", injectorNamespace, "scale", "deployment/"+injector, "--replicas="+n)
		return err
	}
	replicas, err := w.kubectl("", "-n", injectorNamespace, "get", "deployment", injector, "-o", "jsonpath={.spec.replicas}")
	if err != nil {
		return "", err
	}
	if err := scale("0"); err != nil {
		return "", err
	}
	var said string
	if _, err := w.until("labelled pods are refused", func() error {
		_, err := w.dryRunPod(fmt.Sprintf(barePod, namespace, asked, ""))
		if err := refusedWith(err, "failed calling webhook"); err != nil {
			return fmt.Errorf("a labelled pod: %w", err)
		}
		said = err.Error()
		return nil
	}); err != nil {
		return "", err
	}
	for _, place := range []string{namespace, "default", "kube-system", injectorNamespace} {
		if _, err := w.dryRunPod(fmt.Sprintf(barePod, place, "", "")); err != nil {
			return "", fmt.Errorf("a pod of %s that has not asked: %w", place, err)
		}
	}
	if err := scale(replicas); err != nil {
		return "", err
	}
	took, err := w.until("the webhook is back", func() error {
		_, err := w.dryRunPod(fmt.Sprintf(barePod, namespace, asked, ""))
		return err
	})
	_, reason, _ := strings.Cut(said, "failed calling webhook")
	return fmt.Sprintf("labelled pods refused (failed calling webhook%.60s…), others created; %.1f s from scaling up to the next injected pod", reason, took.Seconds()), err
}

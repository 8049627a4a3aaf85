package manifests

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"

	"authz/internal/inject"
)

var update = flag.Bool("update", false, "write k8s/overlays/static/deployment.yaml")

// The webhook stands in nobody's way: who is asked about has a label, and its own namespace never is.
func TestWebhookAsksOnlyAboutTheLabelled(t *testing.T) {
	all := objects(t, build(t, "k8s/injector"))
	for _, w := range all["MutatingWebhookConfiguration <nil>/authz-injector"].(map[string]any)["webhooks"].([]any) {
		w := w.(map[string]any)
		if !slices.Contains(neverAsked(w), "authz-system") {
			t.Errorf("%v: asked about its own namespace", w["name"])
		}
		labelled := false
		for _, key := range []string{"objectSelector", "namespaceSelector"} {
			labels, _ := w[key].(map[string]any)["matchLabels"].(map[string]any)
			labelled = labelled || labels[inject.InjectLabel] == "true"
		}
		if !labelled {
			t.Errorf("%v: asked about pods that nobody labelled", w["name"])
		}
	}
}

// The webhook may read and write two objects, by name, and nothing else.
func TestInjectorMayLittle(t *testing.T) {
	all := objects(t, build(t, "k8s/injector"))
	for name, want := range map[string]string{
		"Role authz-system/authz-injector": `[map[apiGroups:[] resourceNames:[authz-injector-tls] resources:[secrets] verbs:[get update]]]`,
		"ClusterRole <nil>/authz-injector": `[map[apiGroups:[admissionregistration.k8s.io] resourceNames:[authz-injector] resources:[mutatingwebhookconfigurations] verbs:[get update]]]`,
	} {
		if got := fmt.Sprint(all[name].(map[string]any)["rules"]); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Where there is no webhook the manifest holds the sidecars: those that the webhook would put in.
func TestStaticIsInjected(t *testing.T) {
	const name = "Deployment shop/shop"
	plain, err := yaml.Marshal(objects(t, build(t, "k8s/base"))[name])
	if err != nil {
		t.Fatal(err)
	}
	injected, _, err := inject.Manifests(plain, inject.Options{
		Version: "1.0.0", Image: "registry.example.com/authz:1.0.0",
		EnvoyImage: "docker.io/envoyproxy/envoy:distroless-v1.40.0", PullPolicy: "IfNotPresent",
	})
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		writeStatic(t, injected)
	}
	want, got := objects(t, injected)[name], objects(t, build(t, "k8s/overlays/static"))[name]
	if !reflect.DeepEqual(got, want) {
		t.Errorf("k8s/overlays/static is not what authz inject makes of k8s/base: go test ./test/manifests -run Static -update\n%v\n%v", got, want)
	}
}

func writeStatic(t *testing.T, injected []byte) {
	t.Helper()
	const head = "# Made by `authz inject` from k8s/base: go test ./test/manifests -run Static -update\n"
	if err := os.WriteFile(in(t, "k8s/overlays/static/deployment.yaml"), append([]byte(head), injected...), 0o644); err != nil {
		t.Fatal(err)
	}
}

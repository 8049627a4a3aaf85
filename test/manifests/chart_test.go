package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// objects are the documents of a manifest, by kind and name.
func objects(t *testing.T, manifest []byte) map[string]any {
	t.Helper()
	found := map[string]any{}
	for decoder := yaml.NewDecoder(bytes.NewReader(manifest)); ; {
		var o map[string]any
		if err := decoder.Decode(&o); errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		if o != nil {
			meta := o["metadata"].(map[string]any)
			found[fmt.Sprintf("%v %v/%v", o["kind"], meta["namespace"], meta["name"])] = o
		}
	}
}

func template(t *testing.T, args ...string) []byte {
	t.Helper()
	return output(t, nil, tool(t, "helm"), append([]string{"template", "authz", "k8s/chart/authz", "--namespace", "authz-system"}, args...)...)
}

// The chart makes the objects that kustomize makes. The namespace is Helm's to make.
func TestChartIsTheSame(t *testing.T) {
	for _, c := range []struct {
		dir  string
		args []string
	}{
		{"k8s/injector", nil},
		{"k8s/overlays/platform", []string{"--set", "monitoring.enabled=true"}},
		{"k8s/overlays/platform-config", []string{"--set-file", "sidecarConfig=k8s/components/platform-config/config/authz.yaml"}},
	} {
		t.Run(c.dir, func(t *testing.T) {
			byKustomize, byHelm := objects(t, build(t, c.dir)), objects(t, template(t, c.args...))
			delete(byKustomize, "Namespace <nil>/authz-system")
			for name, want := range byKustomize {
				if got := byHelm[name]; !reflect.DeepEqual(got, want) {
					t.Errorf("%s: the chart has\n%v\nkustomize has\n%v", name, got, want)
				}
			}
			for name := range byHelm {
				if byKustomize[name] == nil {
					t.Errorf("%s: only the chart has it", name)
				}
			}
		})
	}
}

// What is copied into the chart, because Helm reads nothing outside of it, is a copy.
func TestChartFiles(t *testing.T) {
	for _, name := range []string{"prometheusrule.yaml", "dashboard.json"} {
		if !bytes.Equal(read(t, "k8s/chart/authz/files", name), read(t, "k8s/components/monitoring", name)) {
			t.Errorf("k8s/chart/authz/files/%s is not k8s/components/monitoring/%s: copy it", name, name)
		}
	}
}

// Values get where they belong, and what is no value is refused.
func TestChartValues(t *testing.T) {
	got := template(t, "--set", "image.repository=example.net/a,image.tag=v7,replicas=3,settings.cpu-limit=2,excludeNamespaces={infra,ci},imagePullSecrets[0].name=pull")
	conform(t, got)
	score(t, got)
	deployment := objects(t, got)["Deployment authz-system/authz-injector"].(map[string]any)
	text, err := yaml.Marshal(deployment)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"image: example.net/a:v7", "- --image=example.net/a:v7", "replicas: 3", "- --set=cpu-limit=2", "- name: pull"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	webhooks := objects(t, got)["MutatingWebhookConfiguration <nil>/authz-injector"].(map[string]any)["webhooks"].([]any)
	for _, w := range webhooks {
		if never := neverAsked(w.(map[string]any)); !slices.Equal(never, []any{"authz-system", "kube-system", "infra", "ci"}) {
			t.Errorf("%v: never asked about %v", w.(map[string]any)["name"], never)
		}
	}
	if out, err := run(t, nil, tool(t, "helm"), "template", "authz", "k8s/chart/authz", "--set", "replica=3"); err == nil {
		t.Errorf("a value that there is not was taken: %.200s", out)
	}
	output(t, nil, tool(t, "helm"), "lint", "--strict", "k8s/chart/authz")
}

// neverAsked are the namespaces that a webhook leaves out by name.
func neverAsked(webhook map[string]any) []any {
	selector := webhook["namespaceSelector"].(map[string]any)
	for _, e := range selector["matchExpressions"].([]any) {
		if e := e.(map[string]any); e["key"] == "kubernetes.io/metadata.name" && e["operator"] == "NotIn" {
			return e["values"].([]any)
		}
	}
	return nil
}

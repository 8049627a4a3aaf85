package manifests

import (
	"encoding/json"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"authz/internal/testbed"
)

// variants are all folders of k8s/ that kustomize can build. Components can't be built alone; folders that have them can.
func variants(t *testing.T) (list []string) {
	t.Helper()
	root := in(t)
	err := filepath.WalkDir(in(t, "k8s"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "kustomization.yaml" {
			return err
		}
		var k struct{ Kind string }
		dir, _ := filepath.Rel(root, filepath.Dir(path))
		if err := yaml.Unmarshal(read(t, dir, "kustomization.yaml"), &k); err != nil {
			return err
		}
		if k.Kind == "Kustomization" {
			list = append(list, dir)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func build(t *testing.T, dir string) []byte {
	t.Helper()
	return output(t, nil, tool(t, "kustomize"), "build", dir)
}

// Every variant is what the API server expects, field by field, and kube-score has nothing critical to say. What it is
// told to overlook is explained where the annotation kube-score/ignore stands.
func TestVariants(t *testing.T) {
	for _, dir := range variants(t) {
		t.Run(strings.TrimPrefix(dir, "k8s/"), func(t *testing.T) {
			objects := build(t, dir)
			conform(t, objects)
			score(t, objects)
		})
	}
}

func score(t *testing.T, objects []byte) {
	t.Helper()
	// Images are never pulled twice for a tag that does not move: IfNotPresent.
	got, err := run(t, objects, tool(t, "kube-score"), "score", "--kubernetes-version", "v1.37", "--output-format", "ci",
		"--ignore-test", "container-image-pull-policy", "-")
	if err != nil {
		t.Errorf("kube-score: %v", err)
		for line := range strings.Lines(string(got)) {
			if strings.Contains(line, "[CRITICAL]") {
				t.Error(strings.TrimSpace(line))
			}
		}
	}
}

// Istio reads the mesh configuration of the example.
func TestMeshConfig(t *testing.T) {
	tool(t, "kubeconform") // where there are no tools, Istio's module is not fetched either
	var values struct {
		MeshConfig map[string]any `yaml:"meshConfig"`
	}
	if err := yaml.Unmarshal(read(t, "k8s/examples/istio/meshconfig.yaml"), &values); err != nil {
		t.Fatal(err)
	}
	good, err := json.Marshal(values.MeshConfig)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, good, "go", "-C", "test/meshconfig", "run", "."); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	values.MeshConfig["extensionProvider"] = nil // the s is missing
	bad, _ := json.Marshal(values.MeshConfig)
	if out, err := run(t, bad, "go", "-C", "test/meshconfig", "run", "."); err == nil {
		t.Errorf("an unknown key went through: %s", out)
	}
}

// The sidecar finds nothing wrong with the configuration and the policies that the variants put into ConfigMaps.
func TestConfigurations(t *testing.T) {
	sidecar, err := testbed.SidecarBinary()
	if err != nil {
		t.Fatal(err)
	}
	configs, err := filepath.Glob(in(t, "k8s/*/config/authz.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(in(t, "k8s/*/*/config/authz.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if configs = append(configs, more...); len(configs) < 3 {
		t.Errorf("only found %q", configs)
	}
	for _, config := range configs {
		args := []string{"validate", "--config", config}
		// What stands on the sidecar's command line in the pod.
		policies := filepath.Join(filepath.Dir(config), "../policies")
		if strings.Contains(config, "/components/") {
			policies = in(t, "k8s/base/policies")
		}
		args = append(args, "--policy.paths", policies)
		if !strings.Contains(config, "/examples/") {
			args = append(args, "--listen.socket", "/run/authz/authz.sock")
		}
		if out, err := run(t, nil, sidecar, args...); err != nil {
			t.Errorf("%s: %v\n%s", config, err, out)
		}
	}
}

package inject

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var renew = flag.Bool("update", false, "write testdata/golden anew")

var platform = Options{Version: "1.2.3", Image: "registry.example/authz:1.2.3", EnvoyImage: "registry.example/envoy:1.40.0", PullPolicy: "IfNotPresent"}

// Every workload in testdata/shapes comes out as testdata/golden has it: NAME.yaml
// is standard output, NAME.txt what is said beside it.
func TestShapes(t *testing.T) {
	shapes, err := filepath.Glob("testdata/shapes/*.yaml")
	if err != nil || len(shapes) < 30 {
		t.Fatalf("%d shapes, %v", len(shapes), err)
	}
	for _, file := range shapes {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			in := read(t, file)
			out, notes, err := Manifests(in, platform)
			said := strings.Join(notes, "\n")
			if err != nil {
				if !errors.Is(err, ErrRefused) {
					t.Errorf("a refusal that is none: %v", err)
				}
				said = err.Error()
			}
			golden(t, name+".txt", []byte(said))
			golden(t, name+".yaml", out)
			if err != nil {
				return
			}

			again, _, err := Manifests(out, platform)
			if err != nil || !bytes.Equal(again, out) {
				t.Errorf("injected again it changes: %v\n%s", err, again)
			}
			old := platform
			old.Version, old.Image, old.EnvoyImage = "1.0.0", "old/authz", "old/envoy"
			older, _, err := Manifests(in, old)
			if err != nil {
				t.Fatal(err)
			}
			updated, _, err := Manifests(older, platform)
			if err != nil || !bytes.Equal(updated, out) {
				t.Errorf("an older injection does not become this one: %v\n%s", err, updated)
			}
			removed, err := RemoveFrom(out)
			if err != nil || !reflect.DeepEqual(decoded(t, removed), decoded(t, in)) {
				t.Errorf("taken out again it is not what it was: %v\n%s", err, removed)
			}
		})
	}
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// golden compares with a file; no file is as good as an empty one.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name)
	if len(got) > 0 && got[len(got)-1] != '\n' {
		got = append(got, '\n')
	}
	if *renew {
		if len(got) == 0 {
			_ = os.Remove(file)
		} else if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what it should be (go test ./internal/inject -update writes it anew); got:\n%s", file, got)
	}
}

func decoded(t *testing.T, text []byte) []any {
	t.Helper()
	var out []any
	for _, doc := range documents(text) {
		var v any
		if err := yaml.Unmarshal(doc, &v); err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

// The platform's configuration is for pods that name none, and is kept until it
// gives another.
func TestPlatformConfig(t *testing.T) {
	with := platform
	with.Config = "issuers: []\n"
	pod := func(annotations Object) Object {
		return Object{"metadata": Object{"annotations": annotations}, "spec": Object{"containers": []any{
			Object{"name": "app", "ports": []any{Object{"containerPort": 8080}}}}}}
	}
	config := func(pod Object, o Options) (text string, out Object) {
		t.Helper()
		out, _, err := Pod(pod, o)
		if err != nil {
			t.Fatal(err)
		}
		return textAt(object(object(out["metadata"])["annotations"]), configAnnotation), out
	}
	text, injected := config(pod(nil), with)
	if text != with.Config {
		t.Errorf("%q", text)
	}
	if text, _ := config(injected, platform); text != with.Config {
		t.Errorf("forgotten: %q", text)
	}
	other := with
	other.Config = "issuers: [{}]\n"
	if text, _ := config(injected, other); text != other.Config {
		t.Errorf("not replaced: %q", text)
	}
	if text, _ := config(pod(Object{Prefix + "config": "mine"}), with); text != "" {
		t.Errorf("the pod's own is not used: %q", text)
	}
	with.Defaults = map[string]string{"config": "ours"}
	if text, _ := config(pod(nil), with); text != "" {
		t.Errorf("the platform's ConfigMap is not used: %q", text)
	}
}

package inject

import (
	"bytes"
	"path/filepath"
	"reflect"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Whatever is piped in, there is no panic; and what is injected is injected once and
// for all, and can be taken out again.
func FuzzManifests(f *testing.F) {
	shapes, err := filepath.Glob("testdata/shapes/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range shapes {
		f.Add(read(f, file))
	}
	f.Add([]byte("kind: Pod\napiVersion: v1\n&anchor : kept\nspec: {containers: [{name: a, ports: [{containerPort: 1}]}]}\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		out, _, err := Manifests(in, platform)
		if err != nil {
			return
		}
		again, _, err := Manifests(out, platform)
		if err != nil || !alike(out, again) {
			t.Errorf("injected again it changes: %v\n%s\n---- again\n%s", err, out, again)
		}
		if bytes.Contains(in, []byte(Prefix)) {
			return // it pretends to be injected already, or declines
		}
		removed, err := RemoveFrom(out)
		if err != nil {
			t.Fatal(err)
		}
		if !alike(in, removed) {
			t.Errorf("taken out again it is not what it was:\n%s\n----\n%s", in, removed)
		}
	})
}

// alike compares what two streams say.
func alike(a, b []byte) bool {
	before, after := documents(a), documents(b)
	for i := range before {
		var x, y any
		if len(before) != len(after) || yaml.Unmarshal(before[i], &x) != nil || yaml.Unmarshal(after[i], &y) != nil ||
			!reflect.DeepEqual(full(integers(x)), full(integers(y))) {
			return false
		}
	}
	return true
}

// full is a tree without its empty mappings and lists: removing takes those away that
// injecting filled.
func full(v any) any {
	switch v := v.(type) {
	case Object:
		out := Object{}
		for k := range v {
			if f := full(v[k]); f != nil {
				out[k] = f
			}
		}
		if len(out) > 0 {
			return out
		}
		return nil
	case []any:
		var out []any
		for _, item := range v {
			out = append(out, full(item))
		}
		if len(out) > 0 {
			return out
		}
		return nil
	}
	return v
}

package manifests

import (
	"os"
	"path/filepath"
	"testing"
)

// What authz inject makes of every shape of workload is what Kubernetes takes, field
// for field. Left out are shapes that hold what no schema knows.
func TestInjectedShapes(t *testing.T) {
	files, err := filepath.Glob(in(t, "internal/inject/testdata/golden/*.yaml"))
	if err != nil || len(files) < 25 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		switch filepath.Base(file) {
		case "unknown-fields.yaml", "knative.yaml", "comments-only.yaml":
			continue
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			conform(t, text)
		})
	}
}

// Package manifests judges what stands in k8s/, without a cluster: schemas, rules, dashboards and that what is said twice
// is the same both times. What only a cluster can say is tested in test/kubernetes.
//
// The tools are pinned in tools/get-manifest-tools. `make test-manifests` gets them and then runs everything; a plain
// `go test` leaves out what needs a tool that is not there.
package manifests

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"authz/internal/testbed"
)

// in is a path in the repository.
func in(t *testing.T, elements ...string) string {
	t.Helper()
	root, err := testbed.Root()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(append([]string{root}, elements...)...)
}

func read(t *testing.T, elements ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(in(t, elements...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tool is a program in .cache/bin.
func tool(t *testing.T, name string) string {
	t.Helper()
	path := in(t, ".cache", "bin", name)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("MANIFEST_TOOLS") == "required" {
			t.Fatal(err)
		}
		t.Skipf("%s is not there; make test-manifests gets it", name)
	}
	return path
}

// run runs a program in the repository and returns all that it wrote.
func run(t *testing.T, stdin []byte, name string, args ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Stdin = in(t), bytes.NewReader(stdin)
	return cmd.CombinedOutput()
}

// output is run for a program that must succeed, and returns its standard output only.
func output(t *testing.T, stdin []byte, name string, args ...string) []byte {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = in(t), bytes.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %q: %v\n%s%s", filepath.Base(name), args, err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.Bytes()
}

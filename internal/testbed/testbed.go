// Package testbed builds the world around the sidecar, for the end-to-end tests and
// the demo: a real Envoy that runs the shipped envoy/envoy.yaml, an OpenID Connect
// issuer that can be told to fail, an application without any security code, and the
// sidecar itself as a process.
//
// Everything listens on loopback, on ports that the kernel chose. Whatever is
// started here is stopped by its Stop or Close, and dies with the test process. The
// package is for tests: nothing that ships imports it, and it may read the environment.
//
//	TESTBED_ENVOY    the Envoy binary (default: .cache/bin/envoy, then PATH)
//	TESTBED_SIDECAR  a built authz to test instead of building cmd/authz
package testbed

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// Root is the directory of the module, found upwards from the working directory.
var Root = sync.OnceValues(func() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("testbed: not inside the module: no go.mod upwards of the working directory")
		}
		dir = up
	}
})

// EnvoyBinary says which Envoy runs.
func EnvoyBinary() (string, error) {
	if path := os.Getenv("TESTBED_ENVOY"); path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("testbed: TESTBED_ENVOY: %w (`make envoy` puts one at .cache/bin/envoy)", err)
		}
		return path, nil
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	if path := filepath.Join(root, ".cache", "bin", "envoy"); exists(path) {
		return path, nil
	}
	if path, err := exec.LookPath("envoy"); err == nil {
		return path, nil
	}
	return "", errors.New("testbed: no Envoy: run `make envoy`, or name one in TESTBED_ENVOY")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

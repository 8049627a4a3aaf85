// Kubernetes proves on a real cluster of one node what the manifests, the injector
// and the sidecar promise together. `make test-kubernetes` runs it:
//
//	kubernetes -cluster DIR -image authz-image.tar -authz bin/authz
//
// It makes images of the app and of Envoy, starts the cluster in namespaces of its
// own (the script beside this file), runs itself in there to make the checks, takes
// everything down, and looks whether anything is left. The last line is
// `N passed, N failed`.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

type options struct {
	cluster string // folder with the components
	image   string // the sidecar's image, named sidecarImage
	authz   string // the sidecar's binary, for the command line
	only    string
	work    string
	inside  bool
}

func main() {
	var o options
	flag.StringVar(&o.cluster, "cluster", "", "folder with the Kubernetes components")
	flag.StringVar(&o.image, "image", ".cache/release/authz-image.tar", "the sidecar's image")
	flag.StringVar(&o.authz, "authz", ".cache/release/authz-linux-"+runtime.GOARCH, "the sidecar's binary")
	flag.StringVar(&o.only, "only", "", "only the checks whose name holds this")
	flag.StringVar(&o.work, "work", "", "internal: the folder of the run")
	flag.BoolVar(&o.inside, "inside", false, "internal: the cluster runs; check it")
	flag.Parse()
	os.Exit(run(o))
}

func run(o options) (code int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if o.inside {
		result := inside(ctx, o)
		if err := result.save(o.work); err != nil {
			fmt.Println("kubernetes:", err)
			return 1
		}
		return 0
	}
	result, err := outside(ctx, o)
	if err != nil {
		fmt.Println("kubernetes:", err)
		result.failed++
	}
	fmt.Printf("%d passed, %d failed\n", result.passed, result.failed)
	if result.failed > 0 || result.passed == 0 {
		return 1
	}
	return 0
}

// outside prepares, starts the cluster with this program in it, and cleans up.
func outside(ctx context.Context, o options) (tally, error) {
	var result tally
	before, err := takeStock()
	if err != nil {
		return result, err
	}
	work, err := os.MkdirTemp("", "authz-kubernetes-")
	if err != nil {
		return result, err
	}
	group := filepath.Base(work)
	err = o.runCluster(ctx, work, group)
	result.load(work)
	if err != nil {
		printLogs(work)
	}
	removeGroups(group)
	if err := os.RemoveAll(work); err != nil {
		fmt.Println("kubernetes:", err)
	}
	result.report("nothing is left behind", func() (string, error) { return before.compare(group) })
	return result, err
}

func (o options) runCluster(ctx context.Context, work, group string) error {
	images, err := makeImages(ctx, work)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	script, err := filepath.Abs("test/kubernetes/cluster")
	if err != nil {
		return err
	}
	sidecar, err := filepath.Abs(o.image)
	if err != nil {
		return err
	}
	authz, err := filepath.Abs(o.authz)
	if err != nil {
		return err
	}
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	// env -C: the cluster's script works in its own folder, the checks in the repository.
	cmd := exec.CommandContext(ctx, script, "env", "-C", root, self, "-inside", "-work", work, "-authz", authz, "-only", o.only)
	cmd.Env = append(os.Environ(), "KUBERNETES="+o.cluster, "WORK="+work, "CGROUP="+group, "IMAGES="+strings.Join(append(images, sidecar), " "))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	// An interrupt kills the script, and the kernel with it all that is in its namespaces.
	fmt.Println("== cluster")
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the cluster: %w", err)
	}
	return nil
}

// printLogs shows the end of what the components said.
func printLogs(work string) {
	files, _ := filepath.Glob(filepath.Join(work, "log", "*.log"))
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil || len(data) == 0 {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(data)), "\n")
		fmt.Printf("-- %s\n%s\n", filepath.Base(file), strings.Join(lines[max(0, len(lines)-5):], "\n"))
	}
}

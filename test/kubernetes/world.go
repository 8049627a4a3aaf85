package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// namespace is the team's.
const namespace = "store"

// world is the cluster seen from its node: kubectl, the node's container runtime,
// and the network of the pods.
type world struct {
	ctx   context.Context //nolint:containedctx // one run, one context
	work  string
	authz string
}

// patience is how long anything may take on a machine that is busy with other things.
const patience = 3 * time.Minute

// kubectl runs it, with input on its standard input if it is not empty.
func (w *world) kubectl(input string, args ...string) (string, error) {
	return w.run(input, "kubectl", args...)
}

// run returns standard output; an error holds everything that was said.
func (w *world) run(input, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(input)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, &said, &out)
	}
	return out.String(), nil
}

// apply creates or changes objects and returns the warnings of the API server, which
// are about what will not work although it was accepted.
func (w *world) apply(objects string) (warnings string, err error) {
	return w.say(objects, "apply", "--validate=strict", "-f", "-")
}

// say runs kubectl for what it says on standard error.
func (w *world) say(input string, args ...string) (said string, err error) {
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "kubectl", args...)
	cmd.Stdin = strings.NewReader(input)
	var text bytes.Buffer
	cmd.Stderr = &text
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, &text)
	}
	return strings.TrimSpace(text.String()), nil
}

// injected is what `authz inject` makes of a manifest in testdata.
func (w *world) injected(manifest string, args ...string) (string, error) {
	text, err := os.ReadFile(testdata(manifest))
	if err != nil {
		return "", err
	}
	return w.inject(string(text), args...)
}

func (w *world) inject(objects string, args ...string) (string, error) {
	return w.run(objects, w.authz, append([]string{"inject", "--image", sidecarImage, "--envoy-image", envoyImage, "--pull-policy", "Never"}, args...)...)
}

func testdata(name string) string { return filepath.Join("test", "kubernetes", "testdata", name) }

// configMap makes or replaces one from files.
func (w *world) configMap(name string, files ...string) error {
	args := []string{"-n", namespace, "create", "configmap", name, "--dry-run=client", "-o", "yaml"}
	for _, file := range files {
		args = append(args, "--from-file="+file)
	}
	objects, err := w.kubectl("", args...)
	if err != nil {
		return err
	}
	_, err = w.apply(objects)
	return err
}

// rollout waits until a deployment has all its new pods ready and none of the old.
func (w *world) rollout(name string) error {
	_, err := w.kubectl("", "-n", namespace, "rollout", "status", "deployment/"+name, "--timeout=150s")
	if err == nil {
		return nil
	}
	pods, _ := w.kubectl("", "-n", namespace, "get", "pods", "-o", "wide")
	events, _ := w.kubectl("", "-n", namespace, "get", "events", "--sort-by=.lastTimestamp")
	logs, _ := w.kubectl("", "-n", namespace, "logs", "deployment/"+name, "--all-containers", "--tail=5", "--ignore-errors")
	return fmt.Errorf("%w\n%s\n%s\n%s", err, pods, tail(events, 15), logs)
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// get reads one field of an object, as a JSON path.
func (w *world) get(kind, name, path string) (string, error) {
	out, err := w.kubectl("", "-n", namespace, "get", kind, name, "-o", "jsonpath={"+path+"}")
	return strings.TrimSpace(out), err
}

// pod is what the checks want to know of one.
type pod struct {
	Metadata struct {
		Name, DeletionTimestamp string
	}
	Status struct {
		PodIP                                    string
		ContainerStatuses, InitContainerStatuses []containerStatus
	}
}

type containerStatus struct {
	Name, ContainerID string
	RestartCount      int
}

func (p pod) container(name string) containerStatus {
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if c.Name == name {
			return c
		}
	}
	return containerStatus{}
}

// pods are the running pods of an app, without those that are told to go.
func (w *world) pods(app string) ([]pod, error) {
	out, err := w.kubectl("", "-n", namespace, "get", "pods", "-l", "app="+app, "--field-selector", "status.phase=Running", "-o", "json")
	if err != nil {
		return nil, err
	}
	var list struct{ Items []pod }
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, err
	}
	list.Items = slices.DeleteFunc(list.Items, func(p pod) bool { return p.Metadata.DeletionTimestamp != "" })
	if len(list.Items) == 0 {
		return nil, errors.New("no pod of " + app + " runs")
	}
	return list.Items, nil
}

// process is the process of a container on the node, and the container's id there.
func (w *world) process(p pod, container string) (pid, id string, err error) {
	id = strings.TrimPrefix(p.container(container).ContainerID, "containerd://")
	tasks, err := w.run("", "ctr", "-n", "k8s.io", "tasks", "list")
	if err != nil {
		return "", "", err
	}
	for line := range strings.Lines(tasks) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == id && id != "" {
			return fields[1], id, nil
		}
	}
	return "", "", fmt.Errorf("container %s of pod %s (%q) does not run:\n%s", container, p.Metadata.Name, id, tasks)
}

// until asks again until the answer is yes, or patience ends with the last reason.
func (w *world) until(what string, yes func() error) (time.Duration, error) {
	start := time.Now()
	for {
		err := yes()
		if err == nil {
			return time.Since(start), nil
		}
		if time.Since(start) > patience || w.ctx.Err() != nil {
			return 0, fmt.Errorf("%s: %w", what, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// refusedWith is nil if an error is there and says the text.
func refusedWith(err error, text string) error {
	switch {
	case err == nil:
		return errors.New("it was accepted")
	case !strings.Contains(err.Error(), text):
		return fmt.Errorf("refused, but not with %q: %w", text, err)
	}
	return nil
}

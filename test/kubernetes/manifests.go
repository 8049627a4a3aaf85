package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// shapes: what the API server accepts without the sidecars it accepts with them, and
// it warns of nothing new. The workloads are those of the injector's own tests.
func (w *world) shapes() (string, error) {
	files, err := filepath.Glob("internal/inject/testdata/shapes/*.yaml")
	if err != nil || len(files) < 30 {
		return "", fmt.Errorf("want 30 shapes, there are %d: %w", len(files), err)
	}
	var accepted int
	var left []string
	var faults []error
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		before, err := w.dryRun(string(text))
		if err != nil {
			left = append(left, name)
			continue
		}
		after, err := w.inject(string(text))
		if err != nil { // refused, as the golden files have it
			left = append(left, name)
			continue
		}
		warnings, err := w.dryRun(after)
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("%s: %w", name, err))
		case len(warnings) > len(before):
			faults = append(faults, fmt.Errorf("%s: the API server now warns: %s", name, warnings))
		default:
			accepted++
		}
	}
	if accepted < 20 {
		faults = append(faults, fmt.Errorf("only %d shapes were accepted at all", accepted))
	}
	return fmt.Sprintf("%d of %d shapes accepted with the sidecars; %s: refused with or without them", accepted, len(files), strings.Join(left, ", ")), errors.Join(faults...)
}

// dryRun has the API server go through everything but the writing.
func (w *world) dryRun(objects string) (warnings string, err error) {
	return w.say(objects, "create", "--dry-run=server", "--validate=strict", "-f", "-")
}

// variants: everything in k8s/ that kustomize builds, and the Helm chart, under the
// strictest Pod Security.
func (w *world) variants() (string, error) {
	dirs, err := kustomizations("k8s")
	if err != nil {
		return "", err
	}
	known, err := w.kubectl("", "api-versions")
	if err != nil {
		return "", err
	}
	var figures []string
	var faults []error
	note := func(name, objects string, err error) {
		var line string
		if err == nil {
			line, err = w.judge(objects, strings.Fields(known))
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", name, err))
			return
		}
		figures = append(figures, name+": "+line)
	}
	for _, dir := range dirs {
		objects, err := w.kubectl("", "kustomize", dir)
		note(dir, objects, err)
	}
	const helm, chart = ".cache/bin/helm", "k8s/chart/authz"
	if _, err := os.Stat(helm); err == nil {
		objects, err := w.run("", helm, "template", "authz", chart, "--namespace", injectorNamespace)
		note(chart, objects, err)
	} else {
		figures = append(figures, chart+": not tried, there is no helm (make test-manifests gets it)")
	}
	return strings.Join(figures, "\n"), errors.Join(faults...)
}

// judge has the API server look at what it knows of a manifest, and says what that was.
func (w *world) judge(objects string, versions []string) (string, error) {
	here, elsewhere, err := w.split(objects, versions)
	if err != nil {
		return "", err
	}
	selectors, err := selects(here.text.String())
	if err != nil {
		return "", err
	}
	warnings, err := w.say(here.text.String(), "apply", "--dry-run=server", "--validate=strict", "-f", "-")
	if err != nil {
		return "", err
	}
	if warnings != "" {
		return "", errors.New(warnings)
	}
	line := fmt.Sprintf("%d objects, %d of them select its pods", here.count, selectors)
	if elsewhere.count > 0 {
		line += fmt.Sprintf(", and %d of kinds that this cluster does not have (%s)", elsewhere.count, strings.Join(elsewhere.kinds, ", "))
	}
	return line, nil
}

// kustomizations are the folders that can be built; components can't, alone.
func kustomizations(root string) (dirs []string, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "kustomization.yaml" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var head struct {
			Kind string `yaml:"kind"`
		}
		if err := yaml.Unmarshal(text, &head); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if head.Kind != "Component" {
			dirs = append(dirs, filepath.Dir(path))
		}
		return nil
	})
	return dirs, err
}

// part is some of the documents of a manifest.
type part struct {
	text  strings.Builder
	count int
	kinds []string
}

// split parts the documents by whether the cluster knows their kinds, and makes the
// namespaces that they are to be in: a dry run makes none.
func (w *world) split(objects string, versions []string) (here, elsewhere part, err error) {
	for decoder := yaml.NewDecoder(strings.NewReader(objects)); ; {
		var document yaml.Node
		if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
			return here, elsewhere, nil
		} else if err != nil {
			return here, elsewhere, err
		}
		var head struct {
			APIVersion string `yaml:"apiVersion"`
			Kind       string `yaml:"kind"`
			Metadata   struct {
				Namespace string `yaml:"namespace"`
			} `yaml:"metadata"`
		}
		if err := document.Decode(&head); err != nil {
			return here, elsewhere, err
		}
		to := &here
		if !slices.Contains(versions, head.APIVersion) {
			to = &elsewhere
		} else if err := w.strictNamespace(head.Metadata.Namespace); err != nil {
			return here, elsewhere, err
		}
		text, err := yaml.Marshal(&document)
		if err != nil {
			return here, elsewhere, err
		}
		to.text.WriteString("---\n" + string(text))
		to.count++
		if !slices.Contains(to.kinds, head.Kind) {
			to.kinds = append(to.kinds, head.Kind)
		}
	}
}

// strictNamespace makes a namespace that warns of whatever is not restricted: a
// Deployment is not refused for its pods, its pods would be.
func (w *world) strictNamespace(name string) error {
	if name == "" || name == namespace {
		return nil
	}
	_, err := w.apply(fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: %s\n  labels: { pod-security.kubernetes.io/warn: restricted }\n", name))
	return err
}

package manifests

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The page for platform teams names folders that are there, and its commands can be carried out.
func TestKubernetesPage(t *testing.T) {
	page := string(read(t, "docs/kubernetes.md"))
	for _, path := range regexp.MustCompile(`\bk8s/[\w./-]*\w`).FindAllString(page, -1) {
		if _, err := os.Stat(in(t, path)); err != nil {
			t.Error(err)
		}
	}
	applied := regexp.MustCompile(`kubectl apply -k (\S+)`).FindAllStringSubmatch(page, -1)
	for _, command := range applied {
		build(t, command[1])
	}
	charts := regexp.MustCompile(`helm install (.*)`).FindAllStringSubmatch(page, -1)
	for _, command := range charts {
		output(t, nil, tool(t, "helm"), append([]string{"template"}, strings.Fields(command[1])...)...)
	}
	if len(applied) < 3 || len(charts) == 0 {
		t.Errorf("only found %q and %q", applied, charts)
	}
}

// Each variant is told of.
func TestVariantsAreTold(t *testing.T) {
	page := string(read(t, "docs/kubernetes.md"))
	for _, dir := range variants(t) {
		if !strings.Contains(page, "](../"+dir+")") && dir != "k8s/examples/service" {
			t.Errorf("docs/kubernetes.md does not tell of %s", dir)
		}
	}
}

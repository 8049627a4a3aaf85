package manifests

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// sources are the modules that hold the schemas: Kubernetes' own OpenAPI, and the CRDs of those whose objects k8s/ makes.
var sources = []struct{ module, files string }{
	{"k8s.io/kubernetes@v1.37.2", "api/openapi-spec/swagger.json"},
	{"github.com/prometheus-operator/prometheus-operator@v0.85.0", "example/prometheus-operator-crd/*.yaml"},
	{"istio.io/api@v1.31.4", "kubernetes/customresourcedefinitions.gen.yaml"},
	{"sigs.k8s.io/gateway-api@v1.6.3", "config/crd/experimental/*.yaml"},
	{"github.com/envoyproxy/gateway@v1.9.1", "charts/gateway-crds-helm/templates/generated/*.yaml"},
}

// schemas returns a folder of strict JSON Schemas, one a kind: KIND-GROUP-VERSION.json. It is made once and kept in
// .cache; its name holds what it is made from.
func schemas(t *testing.T) string {
	t.Helper()
	name := sha256.New()
	fmt.Fprint(name, sources)
	name.Write(read(t, "test/manifests/schemas_test.go"))
	dir := in(t, ".cache", "schemas-"+hex.EncodeToString(name.Sum(nil))[:12])
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	fresh, err := os.MkdirTemp(in(t, ".cache"), "schemas-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(fresh)
	for _, source := range sources {
		var module struct{ Dir string }
		if err := json.Unmarshal(output(t, nil, "go", "mod", "download", "-json", source.module), &module); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(module.Dir, source.files))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has no %s (%v)", source.module, source.files, err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var made map[string]any
			if filepath.Ext(file) == ".json" {
				made, err = fromOpenAPI(content)
			} else {
				made, err = fromCRDs(content)
			}
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			for name, schema := range made {
				content, err := json.Marshal(schema)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(fresh, name+".json"), content, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := os.Rename(fresh, dir); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	return dir
}

// schemaName is how kubeconform asks for a schema. For the core group it takes the version for the group.
func schemaName(kind, group, version string) string {
	if group == "" {
		group = version
	}
	return strings.ToLower(kind) + "-" + group + "-" + version
}

// fromOpenAPI makes a schema of each kind in a swagger.json, and one of everything they refer to.
func fromOpenAPI(content []byte) (map[string]any, error) {
	var swagger struct {
		Definitions map[string]map[string]any `json:"definitions"`
	}
	if err := json.Unmarshal(content, &swagger); err != nil {
		return nil, err
	}
	text := map[string]any{"oneOf": []any{map[string]any{"type": "string"}, map[string]any{"type": "number"}}}
	definitions := map[string]any{}
	for name, definition := range swagger.Definitions {
		definitions[name] = strict(definition)
	}
	definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = text
	definitions["io.k8s.apimachinery.pkg.util.intstr.IntOrString"] = text
	made := map[string]any{"_definitions": map[string]any{"definitions": definitions}}
	for name, definition := range swagger.Definitions {
		kinds, _ := definition["x-kubernetes-group-version-kind"].([]any)
		for _, k := range kinds {
			k := k.(map[string]any)
			kind, group, version := k["kind"].(string), k["group"].(string), k["version"].(string)
			made[schemaName(kind, group, version)] = identified(definitions[name].(map[string]any), kind, group, version)
		}
	}
	return made, nil
}

// fromCRDs makes a schema of each version in a file of CustomResourceDefinitions. Lines of Helm around them are left out.
func fromCRDs(content []byte) (map[string]any, error) {
	lines := slices.Collect(bytes.Lines(content))
	lines = slices.DeleteFunc(lines, func(line []byte) bool { return bytes.HasPrefix(line, []byte("{{")) })
	decoder := yaml.NewDecoder(bytes.NewReader(bytes.Join(lines, nil)))
	made := map[string]any{}
	for {
		var crd struct {
			Kind string
			Spec struct {
				Group    string
				Names    struct{ Kind string }
				Versions []struct {
					Name   string
					Schema struct {
						OpenAPI map[string]any `yaml:"openAPIV3Schema"`
					}
				}
			}
		}
		if err := decoder.Decode(&crd); errors.Is(err, io.EOF) {
			return made, nil
		} else if err != nil {
			return nil, err
		}
		if crd.Kind != "CustomResourceDefinition" {
			continue
		}
		for _, v := range crd.Spec.Versions {
			schema := strict(v.Schema.OpenAPI).(map[string]any)
			made[schemaName(crd.Spec.Names.Kind, crd.Spec.Group, v.Name)] = identified(schema, crd.Spec.Names.Kind, crd.Spec.Group, v.Name)
		}
	}
}

// identified is a schema of one kind in one version only.
func identified(schema map[string]any, kind, group, version string) map[string]any {
	if group != "" {
		version = group + "/" + version
	}
	out, properties := map[string]any{}, map[string]any{"metadata": map[string]any{"type": "object"}}
	for k, v := range schema {
		out[k] = v
	}
	if p, ok := schema["properties"].(map[string]any); ok {
		for k, v := range p {
			properties[k] = v
		}
	}
	properties["kind"] = map[string]any{"enum": []string{kind}}
	properties["apiVersion"] = map[string]any{"enum": []string{version}}
	required, _ := schema["required"].([]any)
	out["properties"], out["required"] = properties, append([]any{"kind", "apiVersion"}, required...)
	return out
}

// strict turns a schema as Kubernetes writes it into one that refuses what it does not name.
func strict(node any) any {
	switch node := node.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, v := range node {
			out[k] = strict(v)
		}
		if ref, ok := out["$ref"].(string); ok {
			out["$ref"] = strings.Replace(ref, "#/", "_definitions.json#/", 1)
		}
		if properties, ok := out["properties"].(map[string]any); ok {
			if _, has := out["additionalProperties"]; !has && out["x-kubernetes-preserve-unknown-fields"] != true && len(properties) > 0 {
				out["additionalProperties"] = false
			}
		}
		if out["format"] == "int-or-string" || out["x-kubernetes-int-or-string"] == true {
			return map[string]any{"oneOf": []any{map[string]any{"type": "string"}, map[string]any{"type": "integer"}}}
		}
		if _, isSchema := out["type"].(string); isSchema && out["nullable"] == true {
			return map[string]any{"anyOf": []any{out, map[string]any{"type": "null"}}}
		}
		return out
	case []any:
		out := make([]any, len(node))
		for i, v := range node {
			out[i] = strict(v)
		}
		return out
	}
	return node
}

// conform lets kubeconform judge objects, and wants every one of them to have a schema.
func conform(t *testing.T, objects []byte) {
	t.Helper()
	kubeconform := tool(t, "kubeconform")
	location := schemas(t) + "/{{.ResourceKind}}-{{.Group}}-{{.ResourceAPIVersion}}.json"
	output(t, objects, kubeconform, "-strict", "-summary", "-schema-location", location)
}

// The schemas refuse what the API server would refuse, or would silently drop.
func TestSchemasRefuse(t *testing.T) {
	kubeconform := tool(t, "kubeconform")
	location := schemas(t) + "/{{.ResourceKind}}-{{.Group}}-{{.ResourceAPIVersion}}.json"
	const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: a, %s}]}\n"
	const policy = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a}\nspec: {%s}\n"
	for _, c := range []struct{ name, object, want string }{
		{"a pod", fmt.Sprintf(pod, "ports: [{containerPort: 80}]"), ""},
		{"an unknown field", fmt.Sprintf(pod, "readynessProbe: {}"), "readynessProbe"},
		{"a wrong type", fmt.Sprintf(pod, "ports: [{containerPort: http}]"), "containerPort"},
		{"a kind nobody knows", "apiVersion: v1\nkind: Pot\nmetadata: {name: a}\n", "could not find schema"},
		{"an Istio policy", fmt.Sprintf(policy, "action: CUSTOM, provider: {name: authz}, rules: [{}]"), ""},
		{"an Istio policy with an unknown action", fmt.Sprintf(policy, "action: CUSTOMS"), "action"},
		{"an Istio policy with an unknown field", fmt.Sprintf(policy, "providers: {name: authz}"), "providers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := run(t, []byte(c.object), kubeconform, "-strict", "-schema-location", location)
			if (err != nil) != (c.want != "") || !strings.Contains(string(got), c.want) {
				t.Errorf("%v: %s", err, got)
			}
		})
	}
}

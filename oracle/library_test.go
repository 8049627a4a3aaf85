// Package oracle asks others what the policy library should say of a body: the JSON
// Schema Test Suite with a second validator (suite_test.go), and Joi, which most
// people who will write these schemas know (joi_test.go). The library answers as it
// does in the sidecar: from the bytes of a request through the policy engine, with
// schemas as a team has them in its data. Wherever the answers differ the difference
// is listed and explained in docs/policies/input.md, and the list is exact.
package oracle

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"authz/internal/check"
	"authz/internal/policy"
	"authz/policies"
)

// library is the policy library with one route for each schema.
type library struct {
	engine *policy.Engine
	// refused are the schemas that it does not load, as a team would be told at once.
	refused map[string]bool
}

// newLibrary loads the schemas by their names. Those that the library calls none are left out.
func newLibrary(t *testing.T, schemas map[string]any) *library {
	t.Helper()
	l := &library{refused: map[string]bool{}}
	routes := map[string]any{}
	for name, schema := range schemas {
		if _, ok := schema.(map[string]any); !ok { // a schema that is true or false
			l.refused[name] = true
			continue
		}
		routes[name] = map[string]any{"methods": []string{"POST"}, "path": "/" + name, "public": true, "body": schema}
	}
	for {
		err := l.load(t, routes)
		if err == nil {
			return l
		}
		faulty := inRoute.FindAllStringSubmatch(err.Error(), -1)
		if len(faulty) == 0 {
			t.Fatal(err)
		}
		for _, f := range faulty {
			l.refused[f[1]] = true
			delete(routes, f[1])
		}
	}
}

// inRoute finds the routes that an error is about.
var inRoute = regexp.MustCompile(`routes\.([a-z0-9]+)\.body`)

func (l *library) load(t *testing.T, routes map[string]any) error {
	t.Helper()
	dir := t.TempDir()
	config := map[string]any{"routes": routes, "xss": map[string]any{"mode": "off"}}
	data, err := json.Marshal(map[string]any{"authz": map[string]any{"config": config}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	// A busy machine takes its time, and no verdict may depend on it.
	l.engine, err = policy.New(policy.Config{Paths: []string{dir}, Library: policies.Library, Timeout: time.Minute}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return l.engine.Load(t.Context())
}

// judge is what the library says of a body: nothing if it passes, else what is wrong
// with it.
func (l *library) judge(t *testing.T, name, body string) []string {
	t.Helper()
	r := &check.Request{
		HTTP: check.HTTP{
			Method: "POST", Path: "/" + name, Host: "api.example.com", Scheme: "https", Protocol: "HTTP/2", Size: int64(len(body)),
			Headers: check.Headers{{Name: "content-type", Value: "application/json"}, {Name: "content-length", Value: strconv.Itoa(len(body))}},
		},
		Path:   []string{name},
		Client: check.Client{IP: "192.0.2.1", IPBlock: "192.0.2.1", Scheme: "https"},
	}
	var fault *check.Fault
	if r.Body, fault = check.ParseBody(check.BodyInput{Headers: r.HTTP.Headers, Body: body, Strict: true}); fault != nil {
		return []string{fault.Code}
	}
	result, err := l.engine.Eval(t.Context(), r, &check.Token{Status: check.TokenAbsent})
	if err != nil {
		t.Fatalf("%s: %s: %v", name, body, err)
	}
	if result.Allowed {
		return nil
	}
	if result.Body == nil {
		return result.Reasons
	}
	var problem struct {
		Errors []struct{ Field, Rule string }
	}
	if err := json.Unmarshal([]byte(*result.Body), &problem); err != nil {
		t.Fatal(err)
	}
	var faults []string
	for _, e := range problem.Errors {
		faults = append(faults, fmt.Sprintf("%s: %s", e.Field, e.Rule))
	}
	slices.Sort(faults)
	return faults
}

package policy

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
)

// Tools read the data of the policy in force, and never change it.
func TestData(t *testing.T) {
	files := tree{
		"a.rego":    "package authz\n\ndecision := data.list[0] == 1\n",
		"data.yaml": "list: [1, two]\nauthz: {config: {routes: {orders: {methods: [GET], path: /orders}}}}\n",
	}
	e := newEngine(t, files, Config{})
	if _, err := e.Data(t.Context(), "list"); !errors.Is(err, ErrNotLoaded) {
		t.Errorf("before a load: %v, want %v", err, ErrNotLoaded)
	}
	if id, ok := e.Match("GET", []string{"orders"}); ok {
		t.Errorf("before a load: matched %q", id)
	}
	if err := e.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		want any
	}{
		{"list", []any{json.Number("1"), "two"}},
		{"authz/config/routes", map[string]any{"orders": map[string]any{"methods": []any{"GET"}, "path": "/orders"}}},
		{"authz/config/roles", nil},
		{"authz/decision", nil}, // a rule
	} {
		for range 2 {
			got, err := e.Data(t.Context(), c.path)
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s: got %#v, %v, want %#v", c.path, got, err, c.want)
			}
			if list, ok := got.([]any); ok {
				list[0] = "changed"
			}
		}
	}
	if _, err := e.Data(t.Context(), "a//b"); err == nil {
		t.Error("a//b was taken for a path")
	}
	for _, c := range []struct {
		method string
		path   []string
		want   string
	}{{"GET", []string{"orders"}, "orders"}, {"HEAD", []string{"orders"}, "orders"}, {"POST", []string{"orders"}, ""}, {"GET", []string{"x"}, ""}} {
		if id, ok := e.Match(c.method, c.path); id != c.want || ok != (c.want != "") {
			t.Errorf("%s %v: got %q, %t, want %q", c.method, c.path, id, ok, c.want)
		}
	}
}

package project

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var shop = Settings{Name: "shop", OPA: "1.2.3"}

// A new project holds the team's files and the copies, and says what it is.
func TestCreate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "shop")
	names, err := Create(dir, shop, false)
	if err != nil {
		t.Fatal(err)
	}
	if got := tree(t, dir); !reflect.DeepEqual(got, names) {
		t.Errorf("wrote %q, said %q", got, names)
	}
	for _, want := range []string{
		".github/workflows/policies.yml", ".gitignore", "Makefile", "README.md", "authz.yaml",
		"library/authz/decision.rego", "policies/app/app.rego", "policies/data.yaml", "policy_test/app/app_test.rego",
		"policy_test/routes/routes_test.rego", "schemas/input.json", "testkit/kit.rego",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("no %s in %q", want, names)
		}
	}
	for name, want := range map[string]string{"README.md": "# shop: who may do what\n", ".github/workflows/policies.yml": `version: "1.2.3"`} {
		if text := read(t, dir, name); !strings.Contains(text, want) || strings.Contains(text, "{{") {
			t.Errorf("%s: without %q, or not filled in:\n%s", name, want, text)
		}
	}
}

func TestCreateIntoWhatIsThere(t *testing.T) {
	t.Run("a repository without files", func(t *testing.T) {
		dir := t.TempDir()
		put(t, dir, ".git/HEAD", "ref")
		if _, err := Create(dir, shop, false); err != nil {
			t.Error(err)
		}
	})
	t.Run("another file", func(t *testing.T) {
		dir := t.TempDir()
		put(t, dir, "main.go", "package main")
		if _, err := Create(dir, shop, false); !errors.Is(err, ErrNotEmpty) {
			t.Errorf("got %v, want %v", err, ErrNotEmpty)
		}
		if got := tree(t, dir); !reflect.DeepEqual(got, []string{"main.go"}) {
			t.Errorf("refused, and wrote %q", got)
		}
		if _, err := Create(dir, shop, true); err != nil {
			t.Error(err)
		}
		if got := read(t, dir, "main.go"); got != "package main" {
			t.Errorf("the file beside is now %q", got)
		}
	})
	t.Run("a file of the same name", func(t *testing.T) {
		dir := t.TempDir()
		put(t, dir, "README.md", "mine")
		put(t, dir, "policies/data.yaml", "mine")
		_, err := Create(dir, shop, true)
		if err == nil || !strings.Contains(err.Error(), "there already: README.md, policies/data.yaml") {
			t.Errorf("got %v", err)
		}
		if got := tree(t, dir); !reflect.DeepEqual(got, []string{"README.md", "policies/data.yaml"}) {
			t.Errorf("refused, and wrote %q", got)
		}
	})
	t.Run("a file instead of a directory", func(t *testing.T) {
		dir := t.TempDir()
		put(t, dir, "shop", "")
		if _, err := Create(filepath.Join(dir, "shop"), shop, true); err == nil {
			t.Error("wrote into a file")
		}
	})
}

// Refresh replaces the copies whole and touches nothing else.
func TestRefresh(t *testing.T) {
	dir := t.TempDir()
	names, err := Create(dir, shop, false)
	if err != nil {
		t.Fatal(err)
	}
	original := read(t, dir, "library/authz/decision.rego")
	put(t, dir, "library/authz/decision.rego", "package old")
	put(t, dir, "library/authz/gone/gone.rego", "package gone")
	put(t, dir, "policies/data.yaml", "mine")
	if err := os.RemoveAll(filepath.Join(dir, "testkit")); err != nil {
		t.Fatal(err)
	}
	replaced, err := Refresh(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := tree(t, dir); !reflect.DeepEqual(got, names) {
		t.Errorf("after the refresh: got %q, want %q", got, names)
	}
	if got := read(t, dir, "library/authz/decision.rego"); got != original {
		t.Errorf("the old file is still there: %q", got)
	}
	if got := read(t, dir, "policies/data.yaml"); got != "mine" {
		t.Errorf("a file of the team is now %q", got)
	}
	for _, name := range replaced {
		if top, _, _ := strings.Cut(name, "/"); !slices.Contains(Copies, top) {
			t.Errorf("%s is none of the copies", name)
		}
	}
}

func TestRefreshWithoutProject(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "library/mine.rego", "package mine")
	if _, err := Refresh(dir); !errors.Is(err, ErrNoProject) {
		t.Errorf("got %v, want %v", err, ErrNoProject)
	}
	if got := tree(t, dir); !reflect.DeepEqual(got, []string{"library/mine.rego"}) {
		t.Errorf("refused, and now there is %q", got)
	}
}

// tree lists the files below dir.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

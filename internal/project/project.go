// Package project writes the project that `authz new` makes: a team's API as data,
// a rule of its own with its tests, and copies of what they stand on, so that a
// stock opa tests all of it.
//
// It never overwrites a file that it did not write: a new project goes into an
// empty directory, or beside what is there. Only Refresh replaces something, and
// only the directories that are copies.
package project

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"authz/policies"
	"authz/policy_test/kit"
	"authz/schemas"
)

//go:embed all:template
var template embed.FS

// Copies are the directories of a project that are not the team's: the policy
// library, the test kit, and the schema of a policy's input.
var Copies = []string{"library", "testkit", "schemas"}

// What keeps a project from being written.
var (
	// ErrNotEmpty: there is something in the directory.
	ErrNotEmpty = errors.New("the directory is not empty")
	// ErrNoProject: there is nothing to refresh.
	ErrNoProject = errors.New("no project is there")
)

// Settings are what the project says of its surroundings.
type Settings struct {
	// Name is the project's, for its README.
	Name string
	// OPA is the version that its CI installs.
	OPA string
}

// Create writes a new project into dir, which is made if need be and must be
// empty but for a .git. With beside it may hold other files, none of which has the
// name of one to be written. It returns the names of the files, sorted.
func Create(dir string, s Settings, beside bool) ([]string, error) {
	files, err := all(s)
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(files))
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.Name() == ".git" })
	if len(entries) > 0 && !beside {
		return nil, ErrNotEmpty
	}
	var taken []string
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(name))); err == nil {
			taken = append(taken, name)
		}
	}
	if len(taken) > 0 {
		return nil, fmt.Errorf("nothing is written, because these are there already: %s", strings.Join(taken, ", "))
	}
	return names, write(dir, files)
}

// Refresh replaces the copies in a project by those of this program.
func Refresh(dir string) ([]string, error) {
	for _, name := range []string{"library/authz/decision.rego", "policies"} {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name))); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoProject, err)
		}
	}
	files, err := copies()
	if err != nil {
		return nil, err
	}
	// Written whole beside the old ones first: a full disk leaves those.
	fresh, err := os.MkdirTemp(dir, ".refresh-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(fresh)
	if err := write(fresh, files); err != nil {
		return nil, err
	}
	for _, name := range Copies {
		old := filepath.Join(dir, name)
		if err := os.Rename(old, filepath.Join(fresh, "old-"+name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err := os.Rename(filepath.Join(fresh, name), old); err != nil {
			return nil, err
		}
	}
	return slices.Sorted(maps.Keys(files)), nil
}

// all is the whole project: file name, with slashes, to content.
func all(s Settings) (map[string][]byte, error) {
	files, err := copies()
	if err != nil {
		return nil, err
	}
	own := map[string][]byte{}
	if err := collect(own, template, "template", ""); err != nil {
		return nil, err
	}
	fill := strings.NewReplacer("{{name}}", s.Name, "{{opa}}", s.OPA)
	for name, text := range own {
		files[name] = []byte(fill.Replace(string(text)))
	}
	return files, nil
}

func copies() (map[string][]byte, error) {
	files := map[string][]byte{"schemas/input.json": schemas.Input, "testkit/kit.rego": kit.Rego}
	return files, collect(files, policies.Library, ".", "library")
}

// collect takes the files below root.
func collect(into map[string][]byte, from fs.FS, root, to string) error {
	return fs.WalkDir(from, root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(from, name)
		below := strings.TrimPrefix(strings.TrimPrefix(name, root), "/")
		into[path.Join(to, below)] = text
		return err
	})
}

// write makes the files and never replaces one.
func write(dir string, files map[string][]byte) error {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		target := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil { //nolint:gosec // a repository, for all who may read the place
			return err
		}
		f, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // as above
		if err != nil {
			return err
		}
		_, err = f.Write(files[name])
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

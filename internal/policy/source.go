package policy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/loader/filter"
)

// Bounds on what is read, so that a path set to "/" fails soon.
const (
	maxFiles    = 10_000
	maxBytes    = 128 << 20
	maxDepth    = 32 // also ends a circle of symbolic links
	maxReadings = 5
)

// errUnsettled: the files changed under every attempt to read them.
var errUnsettled = errors.New("the policy files keep changing")

// source is one path as it was read: a directory's files, or a bundle's bytes.
type source struct {
	name  string // for messages and module names
	files []file // of a directory, in order
	tar   []byte // of a bundle
	// verify holds a fetched bundle to its signature.
	verify *bundle.VerificationConfig
}

type file struct {
	path string // slash-separated, below the root
	data []byte
}

// readSources reads everything until two readings agree: a directory has no
// snapshot, and a policy made of old and new files was never anybody's.
func readSources(ctx context.Context, s *settings) ([]source, string, error) {
	last := ""
	for range maxReadings {
		if err := ctx.Err(); err != nil {
			return nil, "", err
		}
		sources, err := readOnce(s)
		if err != nil {
			return nil, "", err
		}
		digest := digestOf(sources)
		if digest == last {
			return sources, digest, nil
		}
		last = digest
	}
	return nil, "", errUnsettled
}

func readOnce(s *settings) ([]source, error) {
	var sources []source
	if s.Library != nil {
		files, err := readTree(s.Library)
		if err != nil {
			return nil, fmt.Errorf("reading the policy library: %w", err)
		}
		sources = append(sources, source{name: "library", files: files})
	}
	for _, name := range s.Paths {
		one, err := readPath(name)
		if err != nil {
			return nil, fmt.Errorf("reading the policy at %s: %w", name, err)
		}
		sources = append(sources, one)
	}
	for _, r := range s.remotes {
		one, err := r.read()
		if err != nil {
			return nil, fmt.Errorf("reading the policy: %w", err)
		}
		sources = append(sources, one)
	}
	return sources, nil
}

func readPath(name string) (source, error) {
	// A directory that is a link is resolved once, so that its files come from
	// one target even while the link moves.
	target, err := filepath.EvalSymlinks(name)
	if err != nil {
		return source{}, err
	}
	info, err := os.Stat(target)
	if err != nil {
		return source{}, err
	}
	if info.IsDir() {
		files, err := readTree(os.DirFS(target))
		return source{name: name, files: files}, err
	}
	if info.Size() > maxBytes {
		return source{}, fmt.Errorf("%s: larger than %d bytes", name, maxBytes)
	}
	data, err := os.ReadFile(target)
	return source{name: name, tar: data}, err
}

// readTree reads a directory, following links to files and directories.
func readTree(fsys fs.FS) ([]file, error) {
	var files []file
	budget := int64(maxBytes)
	var walk func(dir string, depth int) error
	walk = func(dir string, depth int) error {
		if depth > maxDepth {
			return fmt.Errorf("%s: more than %d directories deep", dir, maxDepth)
		}
		entries, err := fs.ReadDir(fsys, dir)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			name := path.Join(dir, entry.Name())
			if ignored(name) {
				continue
			}
			info, err := fs.Stat(fsys, name)
			if err != nil {
				return err
			}
			if info.IsDir() {
				if err := walk(name, depth+1); err != nil {
					return err
				}
				continue
			}
			if !isPolicyFile(name) {
				continue
			}
			if budget -= info.Size(); budget < 0 || len(files) == maxFiles {
				return fmt.Errorf("%s: more than %d files or %d bytes", name, maxFiles, maxBytes)
			}
			data, err := fs.ReadFile(fsys, name)
			if err != nil {
				return err
			}
			files = append(files, file{name, data})
		}
		return nil
	}
	return files, walk(".", 0)
}

// manifestName is the one dot file that is read, at the root.
const manifestName = ".manifest"

// ignored leaves out tests and hidden names. Kubernetes keeps the real files of
// a mounted ConfigMap in hidden directories, beside links to them: read both
// and every rule is there twice.
func ignored(name string) bool {
	base := path.Base(name)
	return strings.HasSuffix(base, "_test.rego") || strings.HasPrefix(base, ".") && name != manifestName
}

// isPolicyFile also takes other JSON and YAML, only to warn of it.
func isPolicyFile(name string) bool {
	switch path.Ext(name) {
	case ".rego", ".json", ".yaml", ".yml", manifestName:
		return true
	}
	return false
}

func digestOf(sources []source) string {
	hash := sha256.New()
	for _, s := range sources {
		fmt.Fprintf(hash, "%q %d\n", s.name, len(s.tar))
		hash.Write(s.tar)
		for _, f := range s.files {
			fmt.Fprintf(hash, "%q %d\n", f.path, len(f.data))
			hash.Write(f.data)
		}
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// bundle parses a source the way OPA reads a bundle.
func (s *source) bundle(caps *ast.Capabilities) (*bundle.Bundle, error) {
	if err := s.verified(); err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	var files bundle.DirectoryLoader = &memory{files: s.files}
	if s.tar != nil {
		files = bundle.NewTarballLoaderWithBaseURL(bytes.NewReader(s.tar), s.name).
			WithFilter(func(name string, info fs.FileInfo, _ int) bool {
				return !info.IsDir() && strings.HasSuffix(name, "_test.rego")
			})
	}
	b, err := bundle.NewCustomReader(files).
		WithBaseDir(s.name).
		WithSizeLimitBytes(maxBytes).
		WithSkipBundleVerification(true).
		WithProcessAnnotations(true).
		WithCapabilities(caps).
		Read()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	if b.Type() != bundle.SnapshotBundleType {
		return nil, fmt.Errorf("%s: a delta bundle is not a whole policy", s.name)
	}
	return &b, nil
}

// verified reads all of a bundle that must be signed: a signature is of every file,
// also of those that are left out.
func (s *source) verified() error {
	if s.verify == nil {
		return nil
	}
	_, err := bundle.NewCustomReader(bundle.NewTarballLoaderWithBaseURL(bytes.NewReader(s.tar), s.name)).
		WithSizeLimitBytes(maxBytes).
		WithBundleVerificationConfig(s.verify).
		Read()
	return err
}

// strays names the files that look like data but are not loaded.
func (s *source) strays() []string {
	var out []string
	for _, f := range s.files {
		ext := path.Ext(f.path)
		base := path.Base(f.path)
		if ext != ".rego" && base != manifestName && !slices.Contains([]string{"data.json", "data.yaml", "data.yml"}, base) {
			out = append(out, fmt.Sprintf("%s/%s is not loaded: data files are named data.json or data.yaml", s.name, f.path))
		}
	}
	return out
}

// memory gives files that were read already to OPA's bundle reader, so that what
// was hashed is what is compiled.
type memory struct {
	files []file
	next  int
}

func (m *memory) NextFile() (*bundle.Descriptor, error) {
	if m.next == len(m.files) {
		return nil, io.EOF
	}
	f := m.files[m.next]
	m.next++
	return bundle.NewDescriptor("/"+f.path, "/"+f.path, bytes.NewReader(f.data)).
		WithCloser(io.NopCloser(nil)), nil
}

// The rest of bundle.DirectoryLoader is about reading a disk.

func (m *memory) WithFilter(filter.LoaderFilter) bundle.DirectoryLoader         { return m }
func (m *memory) WithPathFormat(bundle.PathFormat) bundle.DirectoryLoader       { return m }
func (m *memory) WithSizeLimitBytes(int64) bundle.DirectoryLoader               { return m }
func (m *memory) WithFollowSymlinks(followSymlinks bool) bundle.DirectoryLoader { return m }

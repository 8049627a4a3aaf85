package openapi

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// MaxSize is the longest document, all its files together.
const MaxSize = 10 << 20

// maxFiles bounds how many files a document may consist of.
const maxFiles = 1000

// library is a document and the files it refers to, each read once.
type library struct {
	root  *file
	dir   *os.Root // nil: the document stands alone
	files map[string]*file
	size  int
}

// file is one file of a document.
type file struct {
	name  string // for messages: "" in pointers into the root
	path  string // slash path in the folder
	value any
}

// place is a value and where it stands.
type place struct {
	file    *file
	pointer string // RFC 6901
	value   any
}

func (p place) String() string {
	name := ""
	if p.file != nil {
		name = p.file.path
	}
	return name + "#" + (&url.URL{Fragment: p.pointer}).EscapedFragment()
}

// key tells places apart.
func (p place) key() string { return p.file.path + "#" + p.pointer }

// at is the place of a member or, with a number, of an item; its value is nil
// where there is none.
func (p place) at(name string) place {
	out := place{file: p.file, pointer: p.pointer + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)}
	switch v := p.value.(type) {
	case map[string]any:
		out.value = v[name]
	case []any:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(v) {
			out.value = v[i]
		}
	}
	return out
}

func (p place) object() map[string]any { v, _ := p.value.(map[string]any); return v }
func (p place) text() string           { v, _ := p.value.(string); return v }
func (p place) flag() bool             { v, _ := p.value.(bool); return v }
func (p place) texts() []string        { return texts(p.value) }
func (p place) has(name string) bool   { _, ok := p.object()[name]; return ok }

func (p place) items() []place {
	list, _ := p.value.([]any)
	out := make([]place, len(list))
	for i := range list {
		out[i] = p.at(strconv.Itoa(i))
	}
	return out
}

func texts(v any) []string {
	list, _ := v.([]any)
	out := make([]string, 0, len(list))
	for _, item := range list {
		if s, ok := item.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func openFile(name string) (*library, error) {
	dir, err := os.OpenRoot(filepath.Dir(name))
	if err != nil {
		return nil, err
	}
	l := &library{dir: dir, files: map[string]*file{}}
	base := filepath.Base(name)
	l.root, err = l.load(base)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	l.setRoot(name, base)
	return l, nil
}

func openText(name string, text []byte) (*library, error) {
	l := &library{files: map[string]*file{}}
	var err error
	if l.root, err = l.add(name, text); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	l.setRoot(name, name)
	return l, nil
}

// setRoot leaves the root's own name out of pointers.
func (l *library) setRoot(name, base string) {
	l.root.name, l.root.path = name, ""
	l.files[base] = l.root
}

// load reads a file of the folder by its slash path. os.Root holds it inside,
// symbolic links included.
func (l *library) load(name string) (*file, error) {
	if f := l.files[name]; f != nil {
		return f, nil
	}
	if l.dir == nil {
		return nil, errors.New("a document that is not a file of a folder cannot refer to other files")
	}
	if len(l.files) >= maxFiles {
		return nil, fmt.Errorf("more than %d files", maxFiles)
	}
	f, err := l.dir.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, fmt.Errorf("%w (references may lead to files in the document's own folder only)", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(errors.New("not a regular file"), err)
	}
	text, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, err
	}
	return l.add(name, text)
}

func (l *library) add(name string, text []byte) (*file, error) {
	if l.size += len(text); l.size > MaxSize {
		return nil, fmt.Errorf("the document is larger than %d MiB", MaxSize>>20)
	}
	value, err := parse(text)
	if err != nil {
		return nil, err
	}
	f := &file{name: name, path: name, value: value}
	l.files[name] = f
	return f, nil
}

// follow finds what a $ref at a place leads to.
func (l *library) follow(from *file, ref string) (place, error) {
	u, err := url.Parse(ref)
	if err != nil {
		return place{}, err
	}
	target := from
	if u.Scheme != "" || u.Host != "" || u.Path != "" {
		name, err := l.fileName(from, u)
		if err != nil {
			return place{}, err
		}
		if target, err = l.load(name); err != nil {
			return place{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	p := place{file: target, value: target.value}
	if u.Fragment == "" {
		return p, nil
	}
	if !strings.HasPrefix(u.Fragment, "/") {
		return place{}, fmt.Errorf("%q is a named anchor, not a JSON pointer", "#"+u.Fragment)
	}
	for name := range strings.SplitSeq(u.Fragment[1:], "/") {
		p = p.at(strings.NewReplacer("~1", "/", "~0", "~").Replace(name))
		if p.value == nil {
			return place{}, fmt.Errorf("%q leads nowhere", ref)
		}
	}
	return p, nil
}

// fileName is the slash path, in the folder, of the file that a reference in a
// file leads to.
func (l *library) fileName(from *file, u *url.URL) (string, error) {
	if u.Scheme != "" || u.Host != "" {
		return "", fmt.Errorf("%q: nothing is fetched; keep a copy beside the document and refer to that", u)
	}
	name := path.Join(path.Dir(from.path), u.Path)
	if path.IsAbs(u.Path) || !filepath.IsLocal(filepath.FromSlash(name)) {
		return "", fmt.Errorf("%q: outside the document's folder", u)
	}
	return name, nil
}

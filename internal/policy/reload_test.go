package policy

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/bundle"
)

// numbered is a policy that says its number, by way of a rule and of data: an
// answer made of two policies would show.
func numbered(n int) tree {
	return tree{
		"a.rego":    fmt.Sprintf("package authz\n\ndecision := {\"allowed\": true, \"reason\": [\"%d\", sprintf(\"%%d\", [data.n])]}\n", n),
		"data.json": fmt.Sprintf(`{"n": %d}`, n),
	}
}

// numberOf reads it back; -1 when the two halves differ.
func numberOf(r *Result) int {
	if len(r.Reasons) != 2 || r.Reasons[0] != r.Reasons[1] {
		return -1
	}
	n, err := strconv.Atoi(r.Reasons[0])
	if err != nil {
		return -1
	}
	return n
}

// threats.md, Engine: a policy or data change never serves a decision made with
// the old one after the swap is announced. A hundred reloads under load: no
// error, no mixture, and no answer older than the policy that was announced when
// its request began.
func TestReloadUnderLoad(t *testing.T) {
	const reloads = 100
	dir := t.TempDir()
	engine := loadedEngine(t, numbered(0), Config{Path: dir})
	var announced atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var group sync.WaitGroup
	var asked atomic.Int64
	for range 4 {
		group.Go(func() {
			for ctx.Err() == nil {
				oldest := int(announced.Load())
				result, err := engine.Eval(context.Background(), get(), anonymous())
				if err != nil {
					t.Errorf("eval: %v", err)
					return
				}
				if n := numberOf(result); n < oldest {
					t.Errorf("answer of policy %d (%q) to a request that began under %d", n, result.Reasons, oldest)
					return
				}
				asked.Add(1)
			}
		})
	}
	for n := 1; n <= reloads; n++ {
		numbered(n).write(t, dir)
		if err := engine.Load(t.Context()); err != nil {
			t.Errorf("load %d: %v", n, err)
		}
		announced.Store(int64(n))
		before := asked.Load()
		await(t, "an answer", func() bool { return asked.Load() > before || t.Failed() })
	}
	stop()
	group.Wait()
	if got := engine.Status(); got.Reloads != reloads || got.Failures != 0 {
		t.Errorf("status %+v", got)
	}
}

// threats.md, Engine: a broken new policy leaves the old one in force, says so,
// and counts it.
func TestBrokenPolicyKeepsTheOld(t *testing.T) {
	dir, book := t.TempDir(), &logbook{}
	numbered(1).write(t, dir)
	engine, err := New(Config{Path: dir}, book.logger())
	if err != nil {
		t.Fatal(err)
	}
	load := func() error { return engine.Load(t.Context()) }
	if err := load(); err != nil {
		t.Fatal(err)
	}
	good := engine.Status()

	tree{"a.rego": "package authz\n\ndecision := input.tokn\n"}.write(t, dir)
	for range 3 { // the same failure is one failure
		if err := load(); err == nil {
			t.Fatal("the broken policy was loaded")
		}
	}
	got := engine.Status()
	if got.Failures != 1 || got.Reloads != 0 || got.Revision != good.Revision || !strings.Contains(got.LastError, "input.tokn") {
		t.Errorf("status %+v", got)
	}
	if n := numberOf(eval(t, engine, get())); n != 1 {
		t.Errorf("policy %d decides", n)
	}
	if n := book.count("level=ERROR"); n != 1 || book.count("the old one stays in force") != 1 {
		t.Errorf("%d errors in the log", n)
	}

	if err := os.Remove(filepath.Join(dir, "a.rego")); err != nil { // another failure
		t.Fatal(err)
	}
	if err := load(); err == nil {
		t.Fatal("a policy without an entry point was loaded")
	}
	numbered(2).write(t, dir)
	if err := load(); err != nil {
		t.Fatal(err)
	}
	got = engine.Status()
	if got.Failures != 2 || got.Reloads != 1 || got.LastError != "" || got.Revision == good.Revision {
		t.Errorf("status %+v", got)
	}
	if n := numberOf(eval(t, engine, get())); n != 2 {
		t.Errorf("policy %d decides", n)
	}
}

// Back to what is in force: nothing is compiled or counted, and the failure is
// over.
func TestUndoneChange(t *testing.T) {
	dir := t.TempDir()
	engine := loadedEngine(t, numbered(1), Config{Path: dir})
	good := engine.Status()
	tree{"a.rego": "broken"}.write(t, dir)
	if err := engine.Load(t.Context()); err == nil {
		t.Fatal("the broken policy was loaded")
	}
	numbered(1).write(t, dir)
	if err := engine.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := engine.Status()
	if got.Failures != 1 || got.LastError != "" || got.Reloads != 0 || got.LoadedAt != good.LoadedAt || got.Revision != good.Revision {
		t.Errorf("status %+v, was %+v", got, good)
	}
}

// A load that was called off says nothing about the policy.
func TestCancelledLoad(t *testing.T) {
	engine := newEngine(t, numbered(1), Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := engine.Load(ctx); err == nil || engine.Status().Failures != 0 {
		t.Errorf("error %v, status %+v", err, engine.Status())
	}
	if err := engine.Load(t.Context()); err != nil {
		t.Error(err)
	}
}

// The revision is that of the content: the same anywhere in the tree's life.
func TestRevisionFollowsContent(t *testing.T) {
	dir := t.TempDir()
	engine := loadedEngine(t, numbered(1), Config{Path: dir})
	first := engine.Status().Revision
	for _, row := range []struct {
		files tree
		same  bool
	}{
		{tree{"a_test.rego": "package authz_test\n"}, true},
		{tree{"README.md": "x"}, true},
		{tree{"b.rego": "package b\n"}, false},
	} {
		row.files.write(t, dir)
		if err := engine.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := engine.Status().Revision; (got == first) != row.same {
			t.Errorf("%v: revision %s, was %s", row.files, got, first)
		}
	}
}

// The ways in which files change on a real disk. Poll is an hour: only notices
// can be what is seen.
func TestWatch(t *testing.T) {
	replace := func(t *testing.T, from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	link := func(t *testing.T, target, name string) {
		t.Helper()
		if err := os.Symlink(target, name+".new"); err != nil {
			t.Fatal(err)
		}
		replace(t, name+".new", name)
	}
	// A ConfigMap as kubelet mounts it: links to ..data, which is a link to a
	// hidden directory, which is what changes.
	mount := func(t *testing.T, dir string, n int) {
		t.Helper()
		hidden := fmt.Sprintf("..2026_01_%02d", n)
		numbered(n).write(t, filepath.Join(dir, hidden))
		link(t, hidden, filepath.Join(dir, "..data"))
		for name := range numbered(n) {
			if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
				link(t, "..data/"+name, filepath.Join(dir, name))
			}
		}
		if err := os.RemoveAll(filepath.Join(dir, fmt.Sprintf("..2026_01_%02d", n-1))); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		name   string
		before func(t *testing.T, dir string) (path string)
		after  func(t *testing.T, dir string)
	}{
		{"files written in place",
			func(t *testing.T, dir string) string { numbered(1).write(t, dir); return dir },
			func(t *testing.T, dir string) { numbered(2).write(t, dir) }},
		{"files replaced by renames",
			func(t *testing.T, dir string) string { numbered(1).write(t, dir); return dir },
			func(t *testing.T, dir string) {
				aside := t.TempDir()
				numbered(2).write(t, aside)
				for name := range numbered(2) {
					replace(t, filepath.Join(aside, name), filepath.Join(dir, name))
				}
			}},
		{"a ConfigMap",
			func(t *testing.T, dir string) string { mount(t, dir, 1); return dir },
			func(t *testing.T, dir string) { mount(t, dir, 2) }},
		{"a link to another directory",
			func(t *testing.T, dir string) string {
				numbered(1).write(t, filepath.Join(dir, "one"))
				link(t, "one", filepath.Join(dir, "current"))
				return filepath.Join(dir, "current")
			},
			func(t *testing.T, dir string) {
				numbered(2).write(t, filepath.Join(dir, "two"))
				link(t, "two", filepath.Join(dir, "current"))
			}},
		{"a directory replaced by another",
			func(t *testing.T, dir string) string {
				numbered(1).write(t, filepath.Join(dir, "policy"))
				return filepath.Join(dir, "policy")
			},
			func(t *testing.T, dir string) {
				numbered(2).write(t, filepath.Join(dir, "next"))
				replace(t, filepath.Join(dir, "policy"), filepath.Join(dir, "last"))
				replace(t, filepath.Join(dir, "next"), filepath.Join(dir, "policy"))
			}},
		{"a new directory below",
			func(t *testing.T, dir string) string { numbered(1).write(t, dir); return dir },
			func(t *testing.T, dir string) {
				for name := range numbered(1) {
					if err := os.Remove(filepath.Join(dir, name)); err != nil {
						t.Fatal(err)
					}
				}
				deep := filepath.Join(dir, "x", "y")
				tree{"a.rego": numbered(2)["a.rego"]}.write(t, deep)
				tree{"data.json": numbered(2)["data.json"]}.write(t, dir)
			}},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			path := row.before(t, dir)
			engine, err := New(Config{Path: path, Timeout: 30 * time.Second, Poll: time.Hour}, newLog())
			if err != nil {
				t.Fatal(err)
			}
			start(t, engine.Watch)
			decides := func(n int) func() bool {
				return func() bool {
					result, err := engine.Eval(t.Context(), get(), anonymous())
					return err == nil && numberOf(result) == n
				}
			}
			await(t, "policy 1", decides(1))
			row.after(t, dir)
			await(t, "policy 2", decides(2))
		})
	}
}

func manifestOf(n int) bundle.Manifest {
	return bundle.Manifest{Revision: fmt.Sprintf("v%d", n), Roots: &[]string{""}}
}

// A bundle that is replaced under its name.
func TestWatchBundle(t *testing.T) {
	dir := t.TempDir()
	bundleOf := func(n int, name string) {
		writeBundle(t, dir, name, manifestOf(n), map[string]any{"n": n}, tree{"/a.rego": numbered(n)["a.rego"]})
	}
	bundleOf(1, "b.tar.gz")
	engine, err := New(Config{Path: dir + "/b.tar.gz", Poll: time.Hour}, newLog())
	if err != nil {
		t.Fatal(err)
	}
	start(t, engine.Watch)
	await(t, "revision v1", func() bool { return engine.Status().Revision == "v1" })
	bundleOf(2, "next.tar.gz")
	if err := os.Rename(dir+"/next.tar.gz", dir+"/b.tar.gz"); err != nil {
		t.Fatal(err)
	}
	await(t, "revision v2", func() bool { return engine.Status().Revision == "v2" })
}

// Where no notice comes, looking now and then is what is left; and a policy that
// is not there yet is found when it comes.
func TestPoll(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b") // no parent to watch
	engine, err := New(Config{Path: dir, Poll: 5 * time.Millisecond}, newLog())
	if err != nil {
		t.Fatal(err)
	}
	start(t, engine.Watch)
	await(t, "a failure", func() bool { return engine.Status().Failures == 1 })
	numbered(1).write(t, dir)
	await(t, "the policy", func() bool { return engine.Status().Loaded })
}

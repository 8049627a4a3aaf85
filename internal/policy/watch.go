package policy

import (
	"context"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long after the first sign of a change the files are read: most
// changes come as several events. It is not extended by further ones, so that a
// file written to without end cannot keep a change out.
const settle = 100 * time.Millisecond

// Watch loads the policy, then again whenever its files change, until ctx ends.
// A change is noticed by notification, which does not work on every file system,
// and by looking every Poll. A failed load is in the log and in the status; Watch
// goes on.
func (e *Engine) Watch(ctx context.Context) error {
	w := newWatcher(e)
	defer w.close()
	poll := time.NewTicker(e.settings.Poll)
	defer poll.Stop()
	var settled <-chan time.Time
	w.follow()
	for {
		// Load comes after follow, so that nothing between the two is missed.
		_ = e.Load(ctx) // recorded by Load
	wait:
		for {
			select {
			case <-ctx.Done():
				return nil
			case event := <-w.events():
				if settled == nil && w.concerns(event) {
					settled = time.After(settle)
				}
			case err := <-w.errors():
				e.log.Warn("watching the policy files", "error", err)
			case <-settled:
				settled = nil
				break wait
			case <-e.fetched:
				break wait
			case <-poll.C:
				break wait
			}
		}
		w.follow()
	}
}

// watcher knows the directories to watch. Owned by Watch's goroutine.
type watcher struct {
	notify *fsnotify.Watcher // nil where the system has none to give
	engine *Engine
	// trees are the directories in which every event counts; names are the paths
	// themselves, watched in their parents, where much else may happen.
	trees, names map[string]bool
	watched      map[string]bool
}

func newWatcher(e *Engine) *watcher {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		e.log.Warn("no change notices for the policy files; looking at them instead",
			"every", e.settings.Poll, "error", err)
		notify = nil
	}
	return &watcher{notify: notify, engine: e}
}

// events and errors of a nil watcher are channels that never deliver.

func (w *watcher) events() <-chan fsnotify.Event {
	if w.notify == nil {
		return nil
	}
	return w.notify.Events
}

func (w *watcher) errors() <-chan error {
	if w.notify == nil {
		return nil
	}
	return w.notify.Errors
}

func (w *watcher) close() {
	if w.notify != nil {
		_ = w.notify.Close() // nothing is left to be told
	}
}

// concerns leaves out what cannot have changed the content.
func (w *watcher) concerns(event fsnotify.Event) bool {
	if event.Op == fsnotify.Chmod {
		return false
	}
	return w.trees[filepath.Dir(event.Name)] || w.names[event.Name]
}

// follow brings the watched directories in line with what is there now. Files
// are watched through their directories, because a file that is replaced by a
// rename takes its own watch along. All are added anew: the kernel forgets a
// directory that was removed, even when another of its name has come.
func (w *watcher) follow() {
	if w.notify == nil {
		return
	}
	w.trees, w.names = map[string]bool{}, map[string]bool{}
	for _, path := range w.engine.settings.Paths {
		collectDirs(path, 0, w.trees)
	}
	for _, path := range w.engine.settings.Paths {
		w.names[filepath.Clean(path)] = true
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			w.trees[filepath.Dir(path)] = true // a bundle may be a link to a link
		}
	}
	now := maps.Clone(w.trees)
	for name := range w.names {
		now[filepath.Dir(name)] = true
	}
	for dir := range now {
		if err := w.notify.Add(dir); err != nil && !w.watched[dir] {
			w.engine.log.Warn("watching the policy files", "directory", dir, "error", err)
		}
	}
	for dir := range w.watched {
		if !now[dir] {
			_ = w.notify.Remove(dir) // mostly gone already
		}
	}
	w.watched = now
}

// collectDirs adds a directory and those below it, hidden ones and the targets
// of links included, each by its real name.
func collectDirs(dir string, depth int, into map[string]bool) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil || into[dir] || depth > maxDepth || len(into) > maxFiles {
		return
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	into[dir] = true
	for _, entry := range entries {
		if entry.Type()&(fs.ModeDir|fs.ModeSymlink) != 0 {
			collectDirs(filepath.Join(dir, entry.Name()), depth+1, into)
		}
	}
}

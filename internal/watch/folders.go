package watch

import (
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"
)

// A notifier reports what happens to the entries of folders.
type notifier interface {
	Add(dir string) error
	Remove(dir string) error
	Events() <-chan fsnotify.Event
	Errors() <-chan error
	Close() error
}

type systemNotifier struct{ *fsnotify.Watcher }

func newNotifier() (notifier, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	return systemNotifier{w}, nil
}

func (n systemNotifier) Events() <-chan fsnotify.Event { return n.Watcher.Events }
func (n systemNotifier) Errors() <-chan error          { return n.Watcher.Errors }

// folders keeps the notifier on the folders that matter at present.
type folders struct {
	logger   *zap.Logger
	notifier notifier                   // nil: polling only
	names    map[string]map[string]bool // folder → entries that matter
	watched  map[string]folder
}

// A folder is one that the notifier was asked to watch.
type folder struct {
	info fs.FileInfo // tells a folder from another that took its name
	deaf bool        // the notifier refused; the poll tries again
}

func (f *folders) channels() (<-chan fsnotify.Event, <-chan error) {
	if f.notifier == nil {
		return nil, nil
	}
	return f.notifier.Events(), f.notifier.Errors()
}

// concerns tells whether an event can mean a change of a watched file
// (relevant), and whether the folders to watch may be others now (moved).
func (f *folders) concerns(e fsnotify.Event) (moved, relevant bool) {
	const structure = fsnotify.Create | fsnotify.Remove | fsnotify.Rename
	path := filepath.Clean(e.Name)
	if _, ok := f.watched[path]; ok && e.Op&(fsnotify.Remove|fsnotify.Rename) != 0 {
		// The folder itself is gone, and the notifier's watch with it.
		f.drop(path)
		return true, true
	}
	if !f.names[filepath.Dir(path)][filepath.Base(path)] {
		return false, false
	}
	// Permissions change under backups, indexers and virus scanners all the
	// time, and on removal.
	return e.Op&structure != 0, e.Op&(structure|fsnotify.Write) != 0
}

// follow brings the watched folders up to date with where paths lead now.
func (f *folders) follow(paths []string) {
	if f.notifier == nil {
		return
	}
	// What changed between looking and watching went unheard, so look again
	// after each new watch. A tree that never holds still is left to the poll.
	for range 8 {
		f.names = points(paths)
		if !f.update() {
			return
		}
	}
}

// update watches the folders of f.names and no others, and reports whether a
// watch was added.
func (f *folders) update() (added bool) {
	for dir := range f.watched {
		if f.names[dir] == nil {
			f.drop(dir)
		}
	}
	for dir := range f.names {
		info, err := os.Stat(dir)
		if err != nil {
			continue // just gone
		}
		old, known := f.watched[dir]
		if known && !old.deaf && os.SameFile(old.info, info) {
			continue
		}
		if known && !old.deaf {
			f.drop(dir)
		}
		if err := f.notifier.Add(dir); err != nil {
			if !known {
				f.logger.Warn("cannot watch folder, polling only", zap.String("file", dir), zap.Error(err))
			}
			f.watched[dir] = folder{deaf: true}
			continue
		}
		f.watched[dir] = folder{info: info}
		added = true
	}
	return added
}

func (f *folders) drop(dir string) {
	if !f.watched[dir].deaf {
		// An error says that the watch has gone with its folder.
		f.notifier.Remove(dir)
	}
	delete(f.watched, dir)
}

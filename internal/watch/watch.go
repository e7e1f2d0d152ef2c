// Package watch tells when files have changed and the change has settled.
//
// Editors and deployment tools change a file in many ways: they write in
// place, rename another file over it, swap a symbolic link somewhere along its
// path, or delete and create it again. Run therefore watches folders, never
// files: the folder of the file itself and of every link that leads to it,
// or, while something on the way is missing, the nearest folder that exists.
// What notifications miss (network file systems, bind mounts, exhausted
// limits of the kernel) a slow poll finds.
//
// The package does not read what the files mean; that is the caller's part.
package watch

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	defaultQuiet = 100 * time.Millisecond
	defaultPoll  = 2 * time.Second

	// maxQuiets is how many quiet times a file that never comes to rest may
	// put off the report.
	maxQuiets = 10
)

// Config says what to watch.
type Config struct {
	// Paths are the files to watch; they need not exist. A relative path is
	// taken from the working directory at the time of Run. At least one.
	Paths []string

	// Quiet is how long nothing must have happened before a change counts as
	// settled; 0 means 100 ms. A file that is written to without pause is
	// reported every ten quiet times.
	Quiet time.Duration

	// Poll is the time between two looks at the files themselves; 0 means 2 s.
	Poll time.Duration

	// Armed, unless nil, is called once, before any call of changed, when
	// every later change will be reported. Changes before it are not, so a
	// caller that acts on the files' content reads them after it.
	Armed func()

	// Logger may be nil.
	Logger *zap.Logger
}

// Run watches until ctx is done, then returns nil. It calls changed after the
// content or modification time of a file, or whether it exists or can be read,
// has changed; permissions alone do not count. Calls of changed never overlap;
// changes during one lead to another. Run returns after the last call has.
//
// An error is returned at once and means that cfg makes no sense. Where
// notifications are not to be had, Run logs a warning and polls.
func Run(ctx context.Context, cfg Config, changed func()) error {
	return run(ctx, cfg, newNotifier, changed)
}

func run(ctx context.Context, cfg Config, newNotifier func() (notifier, error), changed func()) error {
	if len(cfg.Paths) == 0 {
		return errors.New("watch: no paths")
	}
	if cfg.Quiet < 0 || cfg.Poll < 0 {
		return fmt.Errorf("watch: negative time: quiet %v, poll %v", cfg.Quiet, cfg.Poll)
	}
	if cfg.Quiet == 0 {
		cfg.Quiet = defaultQuiet
	}
	if cfg.Poll == 0 {
		cfg.Poll = defaultPoll
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	paths := make([]string, len(cfg.Paths))
	for i, p := range cfg.Paths {
		abs, err := filepath.Abs(p)
		if err != nil {
			return fmt.Errorf("watch %s: %v", p, err)
		}
		paths[i] = abs
	}
	logger := cfg.Logger.Named("watch")

	w := &watcher{paths: paths, poll: cfg.Poll, stirred: make(chan struct{}, 1)}
	w.folders = folders{logger: logger, watched: make(map[string]folder)}
	n, err := newNotifier()
	if err != nil {
		logger.Warn("file notifications unavailable, polling only",
			zap.Error(err), zap.Duration("interval", cfg.Poll))
	} else {
		defer n.Close()
		w.folders.notifier = n
	}

	w.folders.follow(paths)
	first := look(paths)
	if cfg.Armed != nil {
		cfg.Armed()
	}

	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		reported := first
		settle(ctx, w.stirred, cfg.Quiet, maxQuiets*cfg.Quiet, func() {
			// A stir may come to nothing: an editor's probe file, a folder
			// that went and came back.
			if now := look(paths); !slices.Equal(now, reported) {
				reported = now
				changed()
			}
		})
	})
	w.watch(ctx, first)
	return nil
}

// A watcher turns notifications and polls into stirs.
type watcher struct {
	paths   []string
	poll    time.Duration
	folders folders
	stirred chan struct{} // holds one, so that no stir is lost while changed runs
}

func (w *watcher) watch(ctx context.Context, seen []state) {
	poll := time.NewTimer(untilPoll(time.Now(), w.poll))
	defer poll.Stop()
	events, errs := w.folders.channels()
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-events:
			if !ok {
				events, errs = nil, nil
				break
			}
			moved, relevant := w.folders.concerns(e)
			if moved {
				w.folders.follow(w.paths)
			}
			if relevant {
				w.stir()
			}
		case err, ok := <-errs:
			if !ok {
				errs = nil
				break
			}
			// Most often the kernel's queue ran over: anything may have
			// changed.
			w.folders.logger.Debug("file notifications lost", zap.Error(err))
			w.folders.follow(w.paths)
			w.stir()
		case <-poll.C:
			poll.Reset(untilPoll(time.Now(), w.poll))
			w.folders.follow(w.paths)
			if now := look(w.paths); !slices.Equal(now, seen) {
				seen = now
				w.stir()
			}
		}
	}
}

// untilPoll returns the time from now to the next multiple of every: watchers look at
// the same moments, so that the process wakes up once for all of them.
func untilPoll(now time.Time, every time.Duration) time.Duration {
	return every - now.Sub(now.Truncate(every))
}

func (w *watcher) stir() {
	select {
	case w.stirred <- struct{}{}:
	default:
	}
}

package watch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// patience is how long a test waits for what must come: far more than it takes.
const patience = 20 * time.Second

// never makes the poll irrelevant to a test.
const never = time.Hour

// A running is a Run in progress.
type running struct {
	t     *testing.T
	paths []string
	calls chan string // the first path's content at each call of changed
}

// start runs cfg until the test ends and returns once it is armed.
func start(t *testing.T, cfg Config) *running {
	t.Helper()
	return startWith(t, cfg, newNotifier)
}

func startWith(t *testing.T, cfg Config, newNotifier func() (notifier, error)) *running {
	t.Helper()
	r := &running{t: t, paths: cfg.Paths, calls: make(chan string, 1000)}
	armed := make(chan struct{})
	cfg.Armed = func() { close(armed) }
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := run(ctx, cfg, newNotifier, r.changed); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	select {
	case <-armed:
	case <-time.After(patience):
		t.Fatal("not armed")
	}
	return r
}

func (r *running) changed() {
	text, err := os.ReadFile(r.paths[0])
	if err != nil {
		text = []byte("(absent)")
	}
	r.calls <- string(text)
}

// wait waits until changed was called with the first path holding content.
func (r *running) wait(content string) {
	r.t.Helper()
	timeout := time.After(patience)
	var seen []string
	for {
		select {
		case got := <-r.calls:
			if got == content {
				return
			}
			seen = append(seen, got)
		case <-timeout:
			r.t.Fatalf("no call with content %q; calls: %q", content, seen)
		}
	}
}

// quiet checks that nothing is reported for a while.
func (r *running) quiet() {
	r.t.Helper()
	select {
	case got := <-r.calls:
		r.t.Fatalf("unexpected call with content %q", got)
	case <-time.After(3 * defaultQuiet):
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Skipf("symbolic links: %v", err)
	}
}

// changes are the ways in which a file comes to hold "new". dir is empty
// before prepare, and the file is dir/sub/file.
var changes = []struct {
	name    string
	prepare func(t *testing.T, dir, file string)
	change  func(t *testing.T, dir, file string)
}{
	{"in place", plainFile, func(t *testing.T, dir, file string) {
		write(t, file, "new")
	}},
	{"append", func(t *testing.T, dir, file string) {
		mkdir(t, filepath.Dir(file))
		write(t, file, "ne")
	}, func(t *testing.T, dir, file string) {
		f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString("w"); err != nil {
			t.Fatal(err)
		}
	}},
	{"rename over, as most editors", plainFile, func(t *testing.T, dir, file string) {
		write(t, file+".tmp", "new")
		rename(t, file+".tmp", file)
	}},
	{"rename over from another folder", plainFile, func(t *testing.T, dir, file string) {
		write(t, filepath.Join(dir, "tmp"), "new")
		rename(t, filepath.Join(dir, "tmp"), file)
	}},
	{"away and anew, as vim", plainFile, func(t *testing.T, dir, file string) {
		write(t, filepath.Join(filepath.Dir(file), "4913"), "")
		remove(t, filepath.Join(filepath.Dir(file), "4913"))
		rename(t, file, file+"~")
		write(t, file, "new")
		remove(t, file+"~")
	}},
	{"truncated, then written", plainFile, func(t *testing.T, dir, file string) {
		if err := os.Truncate(file, 0); err != nil {
			t.Fatal(err)
		}
		write(t, file, "new")
	}},
	{"deleted and created", plainFile, func(t *testing.T, dir, file string) {
		remove(t, file)
		write(t, file, "new")
	}},
	{"created in a folder", func(t *testing.T, dir, file string) {
		mkdir(t, filepath.Dir(file))
	}, func(t *testing.T, dir, file string) {
		write(t, file, "new")
	}},
	{"created with its folder", func(*testing.T, string, string) {}, func(t *testing.T, dir, file string) {
		mkdir(t, filepath.Dir(file))
		write(t, file, "new")
	}},
	{"folder deleted and created", plainFile, func(t *testing.T, dir, file string) {
		remove(t, filepath.Dir(file))
		mkdir(t, filepath.Dir(file))
		write(t, file, "new")
	}},
	{"folder moved away and created", plainFile, func(t *testing.T, dir, file string) {
		rename(t, filepath.Dir(file), filepath.Join(dir, "old"))
		mkdir(t, filepath.Dir(file))
		write(t, file, "new")
	}},
	{"behind a link", linkedFile, func(t *testing.T, dir, file string) {
		write(t, filepath.Join(dir, "one", "target"), "new")
	}},
	{"renamed over behind a link", linkedFile, func(t *testing.T, dir, file string) {
		write(t, filepath.Join(dir, "one", "tmp"), "new")
		rename(t, filepath.Join(dir, "one", "tmp"), filepath.Join(dir, "one", "target"))
	}},
	{"link replaced", linkedFile, func(t *testing.T, dir, file string) {
		mkdir(t, filepath.Join(dir, "two"))
		write(t, filepath.Join(dir, "two", "target"), "new")
		symlink(t, filepath.Join(dir, "two", "target"), file+".tmp")
		rename(t, file+".tmp", file)
	}},
	{"dangling link's target created", func(t *testing.T, dir, file string) {
		mkdir(t, filepath.Dir(file))
		symlink(t, "../one/target", file)
	}, func(t *testing.T, dir, file string) {
		mkdir(t, filepath.Join(dir, "one"))
		write(t, filepath.Join(dir, "one", "target"), "new")
	}},
	{"mounted config map swapped", func(t *testing.T, dir, file string) {
		// sub/file → ..data/file, ..data → ..1: how Kubernetes mounts them.
		version := filepath.Join(filepath.Dir(file), "..1")
		mkdir(t, version)
		write(t, filepath.Join(version, "file"), "old")
		symlink(t, "..1", filepath.Join(filepath.Dir(file), "..data"))
		symlink(t, "..data/file", file)
	}, func(t *testing.T, dir, file string) {
		sub := filepath.Dir(file)
		mkdir(t, filepath.Join(sub, "..2"))
		write(t, filepath.Join(sub, "..2", "file"), "new")
		symlink(t, "..2", filepath.Join(sub, "..data_tmp"))
		rename(t, filepath.Join(sub, "..data_tmp"), filepath.Join(sub, "..data"))
		remove(t, filepath.Join(sub, "..1"))
	}},
}

func plainFile(t *testing.T, dir, file string) {
	mkdir(t, filepath.Dir(file))
	write(t, file, "old")
}

func linkedFile(t *testing.T, dir, file string) {
	mkdir(t, filepath.Dir(file))
	mkdir(t, filepath.Join(dir, "one"))
	write(t, filepath.Join(dir, "one", "target"), "old")
	symlink(t, "../one/target", file)
}

func TestChanges(t *testing.T) {
	for _, tt := range changes {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "sub", "file")
			tt.prepare(t, dir, file)
			r := start(t, Config{Paths: []string{file}, Poll: never})
			tt.change(t, dir, file)
			r.wait("new")
			// The watch must have followed the file to its new place.
			write(t, file, "newer")
			r.wait("newer")
			remove(t, file)
			r.wait("(absent)")
		})
	}
}

func TestChangesByPollingAlone(t *testing.T) {
	failing := func() (notifier, error) { return nil, errors.New("too many open files") }
	for _, tt := range changes {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "sub", "file")
			tt.prepare(t, dir, file)
			logger, logs := observed()
			r := startWith(t, Config{Paths: []string{file}, Poll: 10 * time.Millisecond, Quiet: time.Millisecond, Logger: logger}, failing)
			tt.change(t, dir, file)
			r.wait("new")
			if n := logs.FilterMessage("file notifications unavailable, polling only").Len(); n != 1 {
				t.Errorf("%d warnings, want 1", n)
			}
		})
	}
}

func observed() (*zap.Logger, *observer.ObservedLogs) {
	core, logs := observer.New(zapcore.DebugLevel)
	return zap.New(core), logs
}

// Only the poll can see that a folder further up was exchanged.
func TestGrandparentExchanged(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a", "b", "file")
	mkdir(t, filepath.Dir(file))
	write(t, file, "old")
	r := start(t, Config{Paths: []string{file}, Poll: 20 * time.Millisecond})
	rename(t, filepath.Join(dir, "a"), filepath.Join(dir, "old"))
	mkdir(t, filepath.Dir(file))
	write(t, file, "new")
	r.wait("new")
}

func TestLatency(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	r := start(t, Config{Paths: []string{file}})
	// The best of a few: a busy machine can hold up any one of them.
	const want = 300 * time.Millisecond
	best := patience
	for try := 0; try < 5 && best > want; try++ {
		content := strings.Repeat("x", try+1)
		begin := time.Now()
		write(t, file, content)
		r.wait(content)
		took := time.Since(begin)
		if took < defaultQuiet {
			t.Errorf("reported after %v, before the quiet time of %v", took, defaultQuiet)
		}
		best = min(best, took)
	}
	if best > want {
		t.Errorf("reported after %v at best, want at most %v", best, want)
	}
}

func TestTwoPaths(t *testing.T) {
	one := filepath.Join(t.TempDir(), "one")
	two := filepath.Join(t.TempDir(), "two")
	write(t, one, "1")
	r := start(t, Config{Paths: []string{one, two}, Poll: never})
	write(t, two, "2") // created after the start
	r.wait("1")
	write(t, one, "1a")
	r.wait("1a")
}

func TestUnrelatedIgnored(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	write(t, file, "old")
	r := start(t, Config{Paths: []string{file}})

	write(t, filepath.Join(dir, "file2"), "x")
	write(t, filepath.Join(dir, ".file.swp"), "x")
	mkdir(t, filepath.Join(dir, "sub"))
	write(t, filepath.Join(dir, "sub", "file"), "x")
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	r.quiet()

	write(t, file, "new") // it was listening all the while
	r.wait("new")
}

func TestUnwatchableFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	logger, logs := observed()
	r := startWith(t, Config{Paths: []string{file}, Poll: 5 * time.Millisecond, Quiet: time.Millisecond, Logger: logger},
		func() (notifier, error) { return &fakeNotifier{err: errors.New("no space left on device")}, nil })
	for _, content := range []string{"one", "two"} {
		write(t, file, content)
		r.wait(content)
	}
	if n := logs.FilterMessage("cannot watch folder, polling only").Len(); n != 1 {
		t.Errorf("%d warnings, want 1 for many polls", n)
	}
}

func TestRunReturnsWhenDone(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		cfg := Config{Paths: []string{filepath.Join(t.TempDir(), "file")}, Armed: cancel}
		if err := Run(ctx, cfg, func() { t.Error("changed called") }); err != nil {
			t.Fatal(err)
		}
	}
	// Goroutines of the runtime and of parallel tests may come; 20 would be ours.
	if after := runtime.NumGoroutine(); after >= before+20 {
		t.Errorf("%d goroutines before, %d after", before, after)
	}
}

func TestRunWaitsForChanged(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	ctx, cancel := context.WithCancel(t.Context())
	done := false
	armed := func() { write(t, file, "new") }
	err := Run(ctx, Config{Paths: []string{file}, Quiet: time.Millisecond, Armed: armed}, func() {
		cancel()
		<-ctx.Done()
		done = true // the race detector objects if Run did not wait
	})
	if err != nil || !done {
		t.Errorf("Run = %v, changed done: %v; want nil, true", err, done)
	}
}

func TestRunRefuses(t *testing.T) {
	for want, cfg := range map[string]Config{
		"no paths":      {},
		"negative time": {Paths: []string{"x"}, Quiet: -1},
		"poll -1s":      {Paths: []string{"x"}, Poll: -time.Second},
	} {
		if err := Run(t.Context(), cfg, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Run(%+v) = %v, want an error with %q", cfg, err, want)
		}
	}
}

package watch

import (
	"context"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
)

func TestSettle(t *testing.T) {
	const quiet, limit = 100 * time.Millisecond, time.Second
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	every := func(step, until int) (at []time.Duration) {
		for n := 0; n <= until; n += step {
			at = append(at, ms(n))
		}
		return at
	}
	for _, tt := range []struct {
		name  string
		stirs []time.Duration // since the start, ascending
		fires []time.Duration
	}{
		{"none", nil, nil},
		{"one", []time.Duration{0}, []time.Duration{ms(100)}},
		{"burst", []time.Duration{0, 0, ms(1), ms(60)}, []time.Duration{ms(160)}},
		{"just apart", []time.Duration{0, ms(101)}, []time.Duration{ms(100), ms(201)}},
		{"two", []time.Duration{0, ms(500)}, []time.Duration{ms(100), ms(600)}},
		{"restless", every(30, 1500), []time.Duration{ms(1000), ms(1600)}},
		{"restless for long", every(70, 2500), []time.Duration{ms(1000), ms(2050), ms(2550)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				begin := time.Now()
				stirred := make(chan struct{}, 1)
				var fires []time.Duration
				done := make(chan struct{})
				go func() {
					defer close(done)
					settle(ctx, stirred, quiet, limit, func() { fires = append(fires, time.Since(begin)) })
				}()
				for _, at := range tt.stirs {
					time.Sleep(at - time.Since(begin))
					stirred <- struct{}{}
				}
				time.Sleep(time.Minute)
				cancel()
				<-done
				if !slices.Equal(fires, tt.fires) {
					t.Errorf("fired at %v, want %v", fires, tt.fires)
				}
			})
		})
	}
}

// A fakeNotifier says what a test tells it to.
type fakeNotifier struct {
	err     error            // of Add
	onAdd   func(dir string) // may be nil
	events  chan fsnotify.Event
	errors  chan error
	watched []string
}

func (n *fakeNotifier) Add(dir string) error {
	n.watched = append(n.watched, dir)
	if n.onAdd != nil {
		n.onAdd(dir)
	}
	return n.err
}
func (n *fakeNotifier) Remove(string) error           { return nil }
func (n *fakeNotifier) Events() <-chan fsnotify.Event { return n.events }
func (n *fakeNotifier) Errors() <-chan error          { return n.errors }
func (n *fakeNotifier) Close() error                  { return nil }

// Each event comes when the file has in fact changed, so only the filter can
// keep it from being reported at once; otherwise the poll does, later.
func TestEventFilter(t *testing.T) {
	const poll = time.Hour
	for _, tt := range []struct {
		name string
		op   fsnotify.Op
		file string // in the watched file's folder; "" is the folder itself
		want bool
	}{
		{"write", fsnotify.Write, "file", true},
		{"create", fsnotify.Create, "file", true},
		{"remove", fsnotify.Remove, "file", true},
		{"rename", fsnotify.Rename, "file", true},
		{"write and chmod", fsnotify.Write | fsnotify.Chmod, "file", true},
		{"chmod", fsnotify.Chmod, "file", false},
		{"other file", fsnotify.Write, "file2", false},
		{"folder removed", fsnotify.Remove, "", true},
		{"folder renamed", fsnotify.Rename, "", true},
		{"folder's entries", fsnotify.Write, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := physical(t, t.TempDir())
			file := filepath.Join(dir, "file")
			write(t, file, "old")
			synctest.Test(t, func(t *testing.T) {
				n := &fakeNotifier{events: make(chan fsnotify.Event)}
				calls, stop := countCalls(t, Config{Paths: []string{file}, Poll: poll}, n)
				defer stop()
				write(t, file, "new")
				n.events <- fsnotify.Event{Name: filepath.Join(dir, tt.file), Op: tt.op}
				time.Sleep(time.Second)
				if got := calls.Load() == 1; got != tt.want {
					t.Errorf("%d calls after the event, want reported: %v", calls.Load(), tt.want)
				}
				time.Sleep(poll)
				if calls.Load() != 1 {
					t.Errorf("%d calls after the poll, want 1", calls.Load())
				}
			})
		})
	}
}

// countCalls runs in the background with a fake notifier.
func countCalls(t *testing.T, cfg Config, n notifier) (calls *atomic.Int32, stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	calls = new(atomic.Int32)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(ctx, cfg, func() (notifier, error) { return n, nil }, func() { calls.Add(1) }); err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	synctest.Wait()
	return calls, func() { cancel(); <-done }
}

func TestLostEvents(t *testing.T) {
	file := filepath.Join(physical(t, t.TempDir()), "file")
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNotifier{events: make(chan fsnotify.Event), errors: make(chan error)}
		calls, stop := countCalls(t, Config{Paths: []string{file}, Poll: time.Hour}, n)
		defer stop()
		write(t, file, "new")
		n.errors <- fsnotify.ErrEventOverflow
		time.Sleep(time.Second)
		if calls.Load() != 1 {
			t.Errorf("%d calls after lost events, want 1", calls.Load())
		}
		// A notifier that gives up leaves the poll.
		close(n.events)
		close(n.errors)
		write(t, file, "newer")
		time.Sleep(2 * time.Hour)
		if calls.Load() != 2 {
			t.Errorf("%d calls after the notifier's end, want 2", calls.Load())
		}
	})
}

func TestEventWithoutChange(t *testing.T) {
	file := filepath.Join(physical(t, t.TempDir()), "file")
	write(t, file, "old")
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNotifier{events: make(chan fsnotify.Event)}
		calls, stop := countCalls(t, Config{Paths: []string{file}}, n)
		defer stop()
		n.events <- fsnotify.Event{Name: file, Op: fsnotify.Write}
		time.Sleep(time.Minute)
		if calls.Load() != 0 {
			t.Errorf("%d calls, want 0", calls.Load())
		}
	})
}

func TestContinuousWrites(t *testing.T) {
	file := filepath.Join(physical(t, t.TempDir()), "file")
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNotifier{events: make(chan fsnotify.Event)}
		calls, stop := countCalls(t, Config{Paths: []string{file}, Poll: time.Hour}, n)
		defer stop()
		content := ""
		for range 100 { // five seconds without a pause
			content += "x"
			write(t, file, content)
			n.events <- fsnotify.Event{Name: file, Op: fsnotify.Write}
			time.Sleep(50 * time.Millisecond)
		}
		if calls.Load() < 3 || calls.Load() > 5 {
			t.Errorf("%d calls in 5 s of writing, want about one per second", calls.Load())
		}
	})
}

// Polling again and again must neither add watches nor report.
func TestPollIsIdle(t *testing.T) {
	file := filepath.Join(physical(t, t.TempDir()), "file")
	write(t, file, "old")
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNotifier{}
		calls, stop := countCalls(t, Config{Paths: []string{file}}, n)
		defer stop()
		time.Sleep(time.Minute)
		synctest.Wait()
		if calls.Load() != 0 || len(n.watched) != 1 {
			t.Errorf("%d calls, watched %q; want none, one folder once", calls.Load(), n.watched)
		}
	})
}

func TestFoldersFollowed(t *testing.T) {
	for _, tt := range []struct {
		name    string
		arrange func(t *testing.T, dir string, n *fakeNotifier)
		act     func(t *testing.T, dir string, n *fakeNotifier)
		want    []string // folders watched, in this order
	}{
		{"created while watching the one above", func(t *testing.T, dir string, n *fakeNotifier) {
			n.onAdd = func(at string) {
				if at == dir {
					mkdir(t, filepath.Join(dir, "a", "b"))
				}
			}
		}, nil, []string{"", "a/b"}},
		{"exchanged from above", func(t *testing.T, dir string, n *fakeNotifier) {
			mkdir(t, filepath.Join(dir, "a", "b"))
		}, func(t *testing.T, dir string, n *fakeNotifier) {
			rename(t, filepath.Join(dir, "a"), filepath.Join(dir, "old"))
			mkdir(t, filepath.Join(dir, "a", "b"))
		}, []string{"a/b", "a/b"}},
		// The new folder can have the old one's number.
		{"removed and created as if the same", func(t *testing.T, dir string, n *fakeNotifier) {
			mkdir(t, filepath.Join(dir, "a", "b"))
		}, func(t *testing.T, dir string, n *fakeNotifier) {
			n.events <- fsnotify.Event{Name: filepath.Join(dir, "a", "b"), Op: fsnotify.Remove}
		}, []string{"a/b", "a/b"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := physical(t, t.TempDir())
			synctest.Test(t, func(t *testing.T) {
				n := &fakeNotifier{events: make(chan fsnotify.Event)}
				tt.arrange(t, dir, n)
				_, stop := countCalls(t, Config{Paths: []string{filepath.Join(dir, "a", "b", "file")}}, n)
				if tt.act != nil { // else it must be right from the start
					tt.act(t, dir, n)
					time.Sleep(time.Minute)
				}
				stop()
				want := make([]string, len(tt.want))
				for i, at := range tt.want {
					want[i] = filepath.Join(dir, filepath.FromSlash(at))
				}
				if !slices.Equal(n.watched, want) {
					t.Errorf("watched %q, want %q", n.watched, want)
				}
			})
		})
	}
}

func physical(t *testing.T, dir string) string {
	t.Helper()
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	return real
}

// Watchers that were started at different times poll together, each once.
func TestPollsTogether(t *testing.T) {
	const every = 2 * time.Second
	for _, now := range []time.Duration{0, 1, time.Second, 1999 * time.Millisecond, every - 1} {
		began := time.Unix(1_800_000_000, 0)
		if got, want := untilPoll(began.Add(now), every), every-now; got != want {
			t.Errorf("after %v: got %v, want %v", now, got, want)
		}
	}
	if got := untilPoll(time.Now(), every); got <= 0 || got > every {
		t.Errorf("got %v from now, want more than nothing and %v at most", got, every)
	}
}

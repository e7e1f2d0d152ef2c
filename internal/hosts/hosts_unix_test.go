//go:build linux || darwin

package hosts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"devproxy/internal/elevate"
)

const original = "127.0.0.1 localhost\n::1 localhost # both"

func directly() func(context.Context, []elevate.Command) error {
	return elevate.New(elevate.Config{Root: true}).Run
}

// newFile returns a hosts file with the original content and a folder to
// stage in.
func newFile(t *testing.T) File {
	t.Helper()
	f := File{Path: filepath.Join(t.TempDir(), "hosts"), Dir: t.TempDir()}
	write(t, f.Path, original)
	return f
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func plan(t *testing.T, f File, names ...string) *Change {
	t.Helper()
	c, err := f.Plan(names)
	if err != nil {
		t.Fatalf("Plan(%q): %v", names, err)
	}
	return c
}

func apply(t *testing.T, f File, names ...string) {
	t.Helper()
	if err := plan(t, f, names...).Apply(t.Context(), directly()); err != nil {
		t.Fatalf("Apply(%q): %v", names, err)
	}
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// roundTrip adds and removes a block and checks what must hold afterwards.
func roundTrip(t *testing.T, f File) {
	t.Helper()
	before := content(t, f.Path)
	info, err := os.Stat(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := update([]byte(before), []string{"a.test"}, loopback())
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		names []string
		want  string
	}{{[]string{"a.test"}, string(want)}, {nil, before}} {
		apply(t, f, step.names...)
		if got := content(t, f.Path); got != step.want {
			t.Errorf("with %q: %d bytes %.300q, want %d bytes %.300q", step.names, len(got), got, len(step.want), step.want)
		}
		now, err := os.Stat(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		if now.Mode() != info.Mode() || owner(now) != owner(info) {
			t.Errorf("with %q: mode and owner %v %s, want %v %s", step.names, now.Mode(), owner(now), info.Mode(), owner(info))
		}
		if c := plan(t, f, step.names...); !c.Unchanged || c.Commands != nil {
			t.Errorf("with %q again: commands %v, want none", step.names, c.Commands)
		}
	}
	if left := entries(t, f.Dir); left != nil {
		t.Errorf("left in the staging folder: %q", left)
	}
}

// asRoot reports whether this is root. If not, and in CI, the test runs again
// through sudo, and that decides; elsewhere it is skipped.
func asRoot(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() == 0 {
		return true
	}
	if os.Getenv("CI") != "true" {
		t.Skip("needs root; with CI=true it runs through sudo, which must not ask for a password")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sudo", "-n", "--", "env", "CI=true", self, "-test.run=^"+t.Name()+"$", "-test.v")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()+" ") {
		t.Errorf("%s: %v\n%s", cmd, err, out)
	}
	return false
}

func TestApply(t *testing.T) {
	f := newFile(t)
	roundTrip(t, f)
	if got := entries(t, filepath.Dir(f.Path)); !slices.Equal(got, []string{"hosts"}) {
		t.Errorf("folder holds %q, want only the file", got)
	}
}

func TestApplyKeepsModeAndOwner(t *testing.T) {
	f := newFile(t)
	if os.Getuid() == 0 {
		if err := os.Chown(f.Path, 12, 34); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(f.Path, 0o664); err != nil {
		t.Fatal(err)
	}
	roundTrip(t, f)
}

func TestApplyToReadOnlyFile(t *testing.T) {
	if !asRoot(t) { // as the commands are
		return
	}
	f := newFile(t)
	if err := os.Chmod(f.Path, 0o444); err != nil {
		t.Fatal(err)
	}
	roundTrip(t, f)
}

func TestApplyToHugeFile(t *testing.T) {
	f := newFile(t)
	write(t, f.Path, strings.Repeat("0.0.0.0 ads.example # block list\n", 100_000))
	roundTrip(t, f)
}

func TestApplyLeftOverTemporary(t *testing.T) {
	f := newFile(t)
	write(t, f.Path+".devproxy-new", strings.Repeat("from a run that was killed\n", 100))
	roundTrip(t, f)
}

func TestApplyThroughLinks(t *testing.T) {
	f := newFile(t)
	dir := t.TempDir()
	link, second := filepath.Join(dir, "hosts"), filepath.Join(dir, "second")
	rel, err := filepath.Rel(dir, f.Path)
	if err != nil {
		t.Fatal(err)
	}
	for at, target := range map[string]string{second: rel, link: "second"} {
		if err := os.Symlink(target, at); err != nil {
			t.Fatal(err)
		}
	}
	roundTrip(t, File{Path: link, Dir: f.Dir})
	if got, err := os.Readlink(link); got != "second" {
		t.Errorf("link leads to %q, %v; want it kept", got, err)
	}
	if got := entries(t, filepath.Dir(f.Path)); !slices.Equal(got, []string{"hosts"}) {
		t.Errorf("the target's folder holds %q, want only the file", got)
	}
}

func TestApplyCreates(t *testing.T) {
	f := File{Path: filepath.Join(t.TempDir(), "hosts"), Dir: t.TempDir()}
	if c := plan(t, f); !c.Unchanged {
		t.Errorf("nothing to remove from no file, yet commands %v", c.Commands)
	}
	apply(t, f, "a.test")
	if got := content(t, f.Path); got != oneBlock {
		t.Errorf("file holds %q, want %q", got, oneBlock)
	}
	if info, err := os.Stat(f.Path); err != nil || info.Mode() != 0o644 {
		t.Errorf("mode %v, %v; want 0644", info.Mode(), err)
	}
	apply(t, f)
	if got := content(t, f.Path); got != "" {
		t.Errorf("after removal the file holds %q", got)
	}
}

func TestChangeNames(t *testing.T) {
	c := plan(t, newFile(t), "B.test", "a.test", "b.test.")
	if want := []string{"a.test", "b.test"}; !slices.Equal(c.Names, want) {
		t.Errorf("Names = %q, want %q", c.Names, want)
	}
}

func TestPlanRefuses(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("broken"), "x\n# devproxy begin\n")
	if err := os.Symlink("nowhere", at("dangling")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(at("pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	write(t, at("endless"), "")
	if err := os.Truncate(at("endless"), maxSize+1); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"broken":      at("broken") + `: line 2: devproxy block without "# devproxy end"`,
		"dangling":    "is a link to a file that does not exist",
		"pipe":        "is not a regular file",
		".":           "is not a regular file",
		"endless":     "is larger than 64 MiB",
		"no/such/dir": "no such file or directory",
	} {
		c, err := File{Path: at(name), Dir: t.TempDir()}.Plan([]string{"a.test"})
		if c != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: Plan = %v, %v; want the error %q", name, c, err, want)
		}
	}
	if _, err := newFile(t).Plan([]string{"a.test\n1.2.3.4 bank.example"}); err == nil {
		t.Error("Plan accepts a name with a newline")
	}
}

func TestApplyWhenFileChangedMeanwhile(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"written": func(path string) error { return os.WriteFile(path, []byte("10.0.0.1 vpn\n"), 0o644) },
		"removed": os.Remove,
	} {
		f := newFile(t)
		c := plan(t, f, "a.test")
		if err := change(f.Path); err != nil {
			t.Fatal(err)
		}
		err := c.Apply(t.Context(), func(context.Context, []elevate.Command) error {
			t.Errorf("%s: commands were run", name)
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), "changed by another program") {
			t.Errorf("%s: Apply = %v", name, err)
		}
		if left := entries(t, f.Dir); left != nil {
			t.Errorf("%s: left in the staging folder: %q", name, left)
		}
	}
}

func TestApplyUnchangedRunsNothing(t *testing.T) {
	c := plan(t, newFile(t))
	if err := c.Apply(t.Context(), nil); err != nil {
		t.Errorf("Apply = %v, want nil", err)
	}
}

// Where sudo is out of reach an administrator gets the commands; they must
// work as printed.
func TestCommandsWorkAsPrinted(t *testing.T) {
	f := newFile(t)
	f.Dir = filepath.Join(f.Dir, "it's a folder")
	if err := os.Mkdir(f.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c := plan(t, f, "a.test")
	err := c.Apply(t.Context(), func(context.Context, []elevate.Command) error { return elevate.ErrUnavailable })
	if !errors.Is(err, elevate.ErrUnavailable) {
		t.Fatalf("Apply = %v, want ErrUnavailable", err)
	}
	if got := content(t, f.Path); got != original {
		t.Fatalf("file holds %q, want it untouched", got)
	}
	for _, command := range c.Commands {
		if out, err := exec.Command("/bin/sh", "-c", command.String()).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
	}
	if got, want := content(t, f.Path), original+"\n"+bare(oneBlock); got != want {
		t.Errorf("file holds %q, want %q", got, want)
	}
}

func TestApplyReadsBack(t *testing.T) {
	f := newFile(t)
	idle := func(context.Context, []elevate.Command) error { return nil }
	if err := plan(t, f, "a.test").Apply(t.Context(), idle); err == nil || !strings.Contains(err.Error(), "does not hold what was written") {
		t.Errorf("Apply with commands that do nothing = %v", err)
	}
	careless := func(ctx context.Context, commands []elevate.Command) error {
		if err := directly()(ctx, commands); err != nil {
			return err
		}
		return os.Chmod(f.Path, 0o600)
	}
	if err := plan(t, f, "a.test").Apply(t.Context(), careless); err == nil || !strings.Contains(err.Error(), "mode and owner became -rw-------") {
		t.Errorf("Apply with commands that lose the mode = %v", err)
	}
}

// A reader that has the old file open goes on reading the old content.
func TestReplacedByRename(t *testing.T) {
	f := newFile(t)
	if inPlace, err := mustWriteInPlace(f.Path); inPlace || err != nil {
		t.Skip("this system writes in place")
	}
	reader, err := os.Open(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	apply(t, f, "a.test")
	if got, err := io.ReadAll(reader); err != nil || string(got) != original {
		t.Errorf("reader sees %q, %v; want the old content", got, err)
	}
}

func TestDiskFull(t *testing.T) {
	f := newFile(t)
	c := plan(t, f, "a.test")
	c.backup = filepath.Join(f.Dir, "hosts.old") // as for a write in place
	err := c.Apply(t.Context(), func(context.Context, []elevate.Command) error {
		if err := os.WriteFile(f.Path, []byte("127.0"), 0o644); err != nil {
			return err
		}
		return fmt.Errorf("write: %w", syscall.ENOSPC)
	})
	if err == nil || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), c.backup) {
		t.Errorf("Apply = %v, want the place of the old content", err)
	}
	if got := content(t, c.backup); got != original {
		t.Errorf("backup holds %q", got)
	}
	if info, err := os.Stat(c.backup); err != nil || info.Mode() != fs.FileMode(0o600) {
		t.Errorf("backup's mode %v, %v", info.Mode(), err)
	}
}

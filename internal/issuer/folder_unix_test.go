//go:build unix

package issuer

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// problem returns what err, an *Error, says, and fails the test if it has no
// hint or path.
func problem(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Path == "" || e.Hint == "" {
		t.Errorf("%#v, want an *Error with a path and a hint", err)
		return ""
	}
	return e.Problem
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

func TestModes(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077} {
		dir := stateFolder(t)
		// No test of this package runs beside another one.
		old := syscall.Umask(umask)
		_, _, err := LoadOrCreate(dir, nil)
		if err == nil {
			_, err = Rotate(dir, nil)
		}
		syscall.Umask(old)
		if err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]fs.FileMode{
			filepath.Dir(dir): fs.ModeDir | 0o700,
			dir:               fs.ModeDir | 0o700,
			Path(dir):         0o600,
			RootPath(dir):     0o644,
		} {
			if info, err := os.Lstat(path); err != nil || info.Mode() != want {
				t.Errorf("umask %03o: %s has mode %v, %v; want %v", umask, filepath.Base(path), info.Mode(), err, want)
			}
		}
	}
}

func TestOpenFile(t *testing.T) {
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o644, 0o666} {
		dir, old := create(t)
		if err := os.Chmod(Path(dir), mode); err != nil {
			t.Fatal(err)
		}
		_, loadErr := Load(dir)
		_, _, createErr := LoadOrCreate(dir, nil)
		for _, err := range []error{loadErr, createErr} {
			if got, want := problem(t, err), "open to others (mode "; !strings.Contains(got, want) {
				t.Errorf("mode %v: %q, want %q", mode, got, want)
			}
		}
		if info, err := os.Lstat(Path(dir)); err != nil || info.Mode() != mode {
			t.Errorf("mode %v was changed to %v, %v", mode, info.Mode(), err)
		}
		ca, err := Rotate(dir, nil)
		if err != nil || sameRoot(ca, old) {
			t.Errorf("mode %v: rotate: %v", mode, err)
		}
		aside, err := filepath.Glob(Path(dir) + ".bad-*")
		if err != nil || len(aside) != 1 {
			t.Fatalf("kept aside: %q, %v", aside, err)
		}
		if info, err := os.Lstat(aside[0]); err != nil || info.Mode() != 0o600 {
			t.Errorf("kept aside with mode %v, %v; want 0600", info.Mode(), err)
		}
	}
}

func TestUnreadableFile(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root can read everything")
	}
	dir, _ := create(t)
	if err := os.Chmod(Path(dir), 0o000); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v, want fs.ErrPermission", err)
	}
}

func TestReadOnlyFolder(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root can write everywhere")
	}
	dir, want := create(t)
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(dir, 0o700) })
	if got, _, err := LoadOrCreate(dir, nil); err != nil || !sameRoot(got, want) {
		t.Errorf("an existing CA: %v", err)
	}
	if _, err := Rotate(dir, nil); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("rotate: %v, want fs.ErrPermission", err)
	}
	if !sameRoot(consistent(t, dir), want) {
		t.Error("the CA has changed")
	}
}

func TestNamedPipe(t *testing.T) {
	dir, _ := create(t)
	if err := errors.Join(os.Remove(Path(dir)), syscall.Mkfifo(Path(dir), 0o600)); err != nil {
		t.Skip(err)
	}
	if _, err := Load(dir); !strings.Contains(problem(t, err), "not a regular file") {
		t.Errorf("%v, want a refusal without blocking", err)
	}
}

func TestSomebodyElses(t *testing.T) {
	if !asRoot(t) { // nobody else can give files away
		return
	}
	const other = 12345
	for what, tt := range map[string]struct {
		path   func(dir string) string
		want   string
		rotate bool
	}{
		"file":     {Path, "belongs to user 12345", true},
		"folder":   {func(dir string) string { return dir }, "the folder belongs to user 12345", false},
		"ancestor": {filepath.Dir, "belongs to user 12345, who could replace the CA", false},
	} {
		dir, old := create(t)
		if err := os.Chown(tt.path(dir), other, other); err != nil {
			t.Fatal(err)
		}
		_, loadErr := Load(dir)
		_, _, createErr := LoadOrCreate(dir, nil)
		for _, err := range []error{loadErr, createErr} {
			if got := problem(t, err); !strings.Contains(got, tt.want) {
				t.Errorf("%s: %q, want %q", what, got, tt.want)
			}
		}
		ca, err := Rotate(dir, nil)
		if (err == nil) != tt.rotate {
			t.Errorf("%s: rotate: %v, want success %v", what, err, tt.rotate)
		}
		if err == nil && sameRoot(ca, old) {
			t.Errorf("%s: rotation kept the root", what)
		}
	}
}

// TestSomebodyElsesLink: in a folder like /tmp the owner of a link can point it
// elsewhere.
func TestSomebodyElsesLink(t *testing.T) {
	if !asRoot(t) { // nobody else can give files away
		return
	}
	dir, _ := create(t)
	shared := t.TempDir()
	chmod(t, shared, 0o777|fs.ModeSticky)
	path := link(t, filepath.Dir(dir), filepath.Join(shared, "link"))
	if _, err := Load(filepath.Join(path, "devproxy")); err != nil {
		t.Errorf("our own link: %v", err)
	}
	if err := os.Lchown(path, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	_, err := Load(filepath.Join(path, "devproxy"))
	if got, want := problem(t, err), "belongs to user 12345"; !strings.Contains(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestFolder(t *testing.T) {
	for what, tt := range map[string]struct {
		spoil func(t *testing.T, base, dir string) string // returns the folder to use
		want  string                                      // "" if it is accepted
	}{
		"as created": {func(_ *testing.T, _, dir string) string { return dir }, ""},
		"not clean":  {func(_ *testing.T, _, dir string) string { return dir + "/../devproxy/./" }, ""},
		"readable":   {chmodFolder(0o750), "the folder is open to others (mode 0750)"},
		"writable":   {chmodFolder(0o707), "the folder is open to others (mode 0707)"},
		"ancestor writable": {func(t *testing.T, base, dir string) string {
			chmod(t, base, 0o777)
			return dir
		}, "can be written by every user (mode 0777), who could replace the CA"},
		"ancestor sticky": {func(t *testing.T, base, dir string) string {
			chmod(t, base, 0o777|fs.ModeSticky)
			return dir
		}, ""},
		"through a link": {func(t *testing.T, base, dir string) string {
			return filepath.Join(link(t, filepath.Dir(dir), filepath.Join(base, "other")), "devproxy")
		}, ""},
		"a link itself": {func(t *testing.T, base, dir string) string {
			return link(t, dir, filepath.Join(base, "other"))
		}, ""},
		"through a relative link": {func(t *testing.T, base, dir string) string {
			chmod(t, mkdir(t, base, "a"), 0o700)
			link(t, "../data", filepath.Join(base, "a", "l"))
			return filepath.Join(base, "a", "l", "devproxy")
		}, ""},
		"link in a writable folder": {func(t *testing.T, base, dir string) string {
			open := mkdir(t, base, "open")
			link(t, filepath.Dir(dir), filepath.Join(open, "l"))
			chmod(t, open, 0o777)
			return filepath.Join(open, "l", "devproxy")
		}, "can be written by every user"},
		"link into a writable folder": {func(t *testing.T, base, dir string) string {
			open := mkdir(t, base, "open")
			chmod(t, mkdir(t, open, "devproxy"), 0o700)
			chmod(t, open, 0o777)
			return link(t, filepath.Join(open, "devproxy"), filepath.Join(base, "l"))
		}, "can be written by every user"},
		"links in a circle": {func(t *testing.T, base, dir string) string {
			link(t, "b", filepath.Join(base, "a"))
			return link(t, "a", filepath.Join(base, "b"))
		}, "too many symbolic links"},
		"a file above": {func(t *testing.T, base, dir string) string {
			return filepath.Join(Path(dir), "devproxy")
		}, "is not a folder"},
	} {
		t.Run(what, func(t *testing.T) {
			dir, _ := create(t)
			base := filepath.Dir(filepath.Dir(dir))
			chmod(t, base, 0o755)
			_, err := Load(tt.spoil(t, base, dir))
			got := ""
			if e, ok := errors.AsType[*Error](err); ok {
				got = e.Problem
				if e.Rotate {
					t.Error("rotation does not mend a folder")
				}
			}
			if (err == nil) != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func chmodFolder(mode fs.FileMode) func(*testing.T, string, string) string {
	return func(t *testing.T, _, dir string) string {
		chmod(t, dir, mode)
		return dir
	}
}

func mkdir(t *testing.T, base, name string) string {
	t.Helper()
	path := filepath.Join(base, name)
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func link(t *testing.T, target, path string) string {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestFolderIsNotMadeAnywhere: nothing is created in a place that others rule.
func TestFolderIsNotMadeAnywhere(t *testing.T) {
	open := t.TempDir()
	chmod(t, open, 0o777)
	if _, _, err := LoadOrCreate(filepath.Join(open, "data", "devproxy"), nil); err == nil {
		t.Error("made a CA in a folder that every user can write")
	}
	if entries, _ := os.ReadDir(open); len(entries) > 0 {
		t.Errorf("made %v", entries)
	}
}

func TestAncestorProblem(t *testing.T) {
	const self = 1000
	for _, tt := range []struct {
		uid, gid int
		mode     fs.FileMode
		ok       bool
	}{
		{self, self, 0o755, true},
		{0, 0, 0o755, true},
		{0, 0, 0o777 | fs.ModeSticky, true}, // as /tmp
		{self, self, 0o775, true},           // a group of one's own
		{0, 0, 0o775, true},
		{self, 100, 0o755, true},
		{0, 0, 0o777 | fs.ModeSymlink, true},
		{self, self, 0o777 | fs.ModeSymlink, true},

		{self, 100, 0o775, false},
		{0, 50, 0o775, false}, // as Debian's /usr/local, of group staff
		{self, self, 0o777, false},
		{0, 0, 0o757, false},
		{1001, 1001, 0o755, false},
		{1001, 1001, 0o777 | fs.ModeSticky, false}, // its owner may rename all the same
		{1001, 1001, 0o777 | fs.ModeSymlink, false},
	} {
		got := ancestorProblem(owner{tt.uid, tt.gid, tt.mode | fs.ModeDir}, self)
		if (got == "") != tt.ok {
			t.Errorf("user %d, group %d, mode %v: %q, want accepted %v", tt.uid, tt.gid, tt.mode, got, tt.ok)
		}
	}
}

func TestHintsCanBePasted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's here", "devproxy")
	if _, _, err := LoadOrCreate(dir, nil); err != nil {
		t.Fatal(err)
	}
	chmod(t, dir, 0o755)
	_, err := Load(dir)
	e, _ := errors.AsType[*Error](err)
	if want := "chmod 700 '" + strings.ReplaceAll(dir, "'", `'\''`) + "'"; e == nil || e.Hint != want {
		t.Errorf("%#v, want the hint %s", e, want)
	}
}

func TestComponents(t *testing.T) {
	for path, want := range map[string][]string{
		"/":            nil,
		"/a//b/./c/":   {"a", "b", "c"},
		"../a/../b":    {"..", "a", "..", "b"},
		"relative/dir": {"relative", "dir"},
	} {
		if got := components(path); !slices.Equal(got, want) {
			t.Errorf("components(%q) = %q, want %q", path, got, want)
		}
	}
}

// TestNobodyIsToldToCloseOtherFolders: a state folder set to the wrong place
// must not end in chmod 700 /etc.
func TestNobodyIsToldToCloseOtherFolders(t *testing.T) {
	dir := t.TempDir()
	chmod(t, dir, 0o755)
	hint := func() string {
		t.Helper()
		e, ok := errors.AsType[*Error](PrepareFolder(dir))
		if !ok {
			t.Fatal("an open folder was accepted")
		}
		return e.Hint
	}
	if got := hint(); !strings.Contains(got, "chmod 700") {
		t.Errorf("empty folder: hint %q, want chmod", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "passwd"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := hint(); strings.Contains(got, "chmod") {
		t.Errorf("folder with other files: hint %q, want no chmod", got)
	}
	if err := os.WriteFile(Path(dir), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := hint(); !strings.Contains(got, "chmod 700") {
		t.Errorf("folder with a CA: hint %q, want chmod", got)
	}
}

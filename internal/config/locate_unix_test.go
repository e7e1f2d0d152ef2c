//go:build unix

package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLocateTrust(t *testing.T) {
	me := os.Getuid()
	for _, tt := range []struct {
		name   string
		mode   os.FileMode
		uid    int // of the user who searches
		gid    int // of the folder; -1 leaves it
		reason string
	}{
		{"own", 0o755, me, -1, ""},
		{"any owner", 0o777, -1, -1, ""},
		{"of another user", 0o755, me + 1, -1, "the folder belongs to another user"},
		{"for everybody", 0o777, me, -1, "the folder can be written by everybody"},
		{"for everybody, sticky", 0o777 | os.ModeSticky, me, -1, "the folder can be written by everybody"},
		{"for the user's own group", 0o775, me, me, ""},
		{"for a group", 0o775, me, me + 1, "the folder can be written by a group"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := tree(t, fileName, "p/"+fileName, "p/a/")
			untrusted := filepath.Join(root, "p")
			if me == 0 && tt.uid > 0 { // root's own folders are anybody's to trust
				if err := os.Chown(untrusted, tt.uid+1, -1); err != nil {
					t.Fatal(err)
				}
			}
			if tt.gid >= 0 {
				if err := os.Chown(untrusted, -1, tt.gid); err != nil {
					t.Skipf("needs root to give files away: %v", err)
				}
			}
			if err := os.Chmod(untrusted, tt.mode); err != nil {
				t.Fatal(err)
			}
			search := Search{Dir: untrusted, Home: root, UID: tt.uid}
			found, err := search.Locate()
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(untrusted, fileName)
			if tt.reason == "" {
				if found.Path != path || len(found.Skipped) > 0 {
					t.Errorf("Path = %q, Skipped = %v; want %q", found.Path, found.Skipped, path)
				}
				return
			}
			if found.Path != "" || len(found.Candidates) > 0 {
				t.Errorf("Path = %q, Candidates = %q; want none: the search stops", found.Path, found.Candidates)
			}
			if want := (Skip{path, tt.reason}); len(found.Skipped) != 1 || found.Skipped[0] != want {
				t.Errorf("Skipped = %v, want %v", found.Skipped, want)
			}
		})
	}
}

// Without a file in it, an untrusted folder just ends the search.
func TestLocateTrustWithoutFile(t *testing.T) {
	root := tree(t, fileName, "p/a/")
	if err := os.Chmod(filepath.Join(root, "p"), 0o777); err != nil {
		t.Fatal(err)
	}
	found, err := Search{Dir: filepath.Join(root, "p", "a"), Home: root, UID: os.Getuid()}.Locate()
	if err != nil {
		t.Fatal(err)
	}
	if found.Path != "" || len(found.Skipped) > 0 || len(found.Candidates) != 1 {
		t.Errorf("found %+v, want one candidate", found)
	}
}

// A file that others may change is as bad as a folder that they may.
func TestTrusted(t *testing.T) {
	me := os.Getuid()
	const everybody, group, stranger = "can be written by everybody", "can be written by a group", "belongs to another user"
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, root string) // p/devproxy.toml, q/real.toml
		uid    int
		reason string // ROOT is root
	}{
		{"own", nil, me, ""},
		{"of another user", chown("p", me+2, -1), me + 1, "the folder " + stranger},
		{"any owner", chmod("p/"+fileName, 0o666), -1, ""},
		{"for everybody", chmod("p/"+fileName, 0o666), me, "it " + everybody},
		{"for the user's own group", steps(chown("p/"+fileName, -1, me), chmod("p/"+fileName, 0o664)), me, ""},
		{"for a group", steps(chown("p/"+fileName, -1, me+1), chmod("p/"+fileName, 0o664)), me, "it " + group},
		{"given away", chown("p/"+fileName, me+1, -1), me, "it " + stranger},
		{"link", link, me, ""},
		{"link to a file for everybody", steps(link, chmod("q/real.toml", 0o666)), me, `it is a link to "ROOT/q/real.toml", which ` + everybody},
		{"link to a file given away", steps(link, chown("q/real.toml", me+1, -1)), me, `it is a link to "ROOT/q/real.toml", which ` + stranger},
		{"link into a folder for everybody", steps(link, chmod("q", 0o777)), me, `it is a link into the folder "ROOT/q", which ` + everybody},
		{"link into a folder of another user", steps(link, chown("q", me+1, -1)), me, `it is a link into the folder "ROOT/q", which ` + stranger},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root, err := filepath.EvalSymlinks(tree(t, "p/"+fileName, "q/real.toml"))
			if err != nil {
				t.Fatal(err)
			}
			if tt.change != nil {
				tt.change(t, root)
			}
			path := filepath.Join(root, "p", fileName)
			search := Search{Dir: filepath.Dir(path), Home: root, UID: tt.uid}
			err = search.Trusted(path)
			found, locateErr := search.Locate()
			if locateErr != nil {
				t.Fatal(locateErr)
			}
			if tt.reason == "" {
				if err != nil || found.Path != path || len(found.Skipped) > 0 {
					t.Errorf("Trusted: %v; Locate: %+v; want it taken", err, found)
				}
				return
			}
			reason := strings.ReplaceAll(tt.reason, "ROOT", root)
			if want := path + ": the file is not used: " + reason; err == nil || err.Error() != want || len(Errors(err)) != 1 {
				t.Errorf("Trusted: %v, want %q", err, want)
			}
			if want := (Skip{path, reason}); found.Path != "" || len(found.Skipped) != 1 || found.Skipped[0] != want {
				t.Errorf("Locate: %+v, want %v skipped", found, want)
			}
		})
	}
}

func steps(all ...func(*testing.T, string)) func(*testing.T, string) {
	return func(t *testing.T, root string) {
		for _, step := range all {
			step(t, root)
		}
	}
}

func chmod(path string, mode os.FileMode) func(*testing.T, string) {
	return func(t *testing.T, root string) {
		if err := os.Chmod(filepath.Join(root, path), mode); err != nil {
			t.Fatal(err)
		}
	}
}

func chown(path string, uid, gid int) func(*testing.T, string) {
	return func(t *testing.T, root string) {
		if err := os.Chown(filepath.Join(root, path), uid, gid); err != nil {
			t.Skipf("needs root to give files away: %v", err)
		}
	}
}

// link makes p/devproxy.toml a link to q/real.toml.
func link(t *testing.T, root string) {
	path := filepath.Join(root, "p", fileName)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join("..", "q", "real.toml"), path); err != nil {
		t.Fatal(err)
	}
}

// What cannot be looked at is not trusted, and says why.
func TestTrustedAbsent(t *testing.T) {
	root := tree(t, "p/")
	search := Search{Dir: root, UID: os.Getuid()}
	dangling := filepath.Join(root, fileName)
	if err := os.Symlink("nowhere", dangling); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(root, "p", fileName), dangling} {
		if err := search.Trusted(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Trusted(%q) = %v, want an error that matches ErrNotExist", path, err)
		}
	}
}

// The folder below ConfigHome is no exception.
func TestLocateTrustConfigHome(t *testing.T) {
	root := tree(t, "p/", "c/devproxy/"+fileName)
	chmod("c/devproxy", 0o777)(t, root)
	found, err := Search{Dir: filepath.Join(root, "p"), Home: filepath.Join(root, "p"), ConfigHome: filepath.Join(root, "c"), UID: os.Getuid()}.Locate()
	if err != nil {
		t.Fatal(err)
	}
	want := Skip{filepath.Join(root, "c", "devproxy", fileName), "the folder can be written by everybody"}
	if found.Path != "" || len(found.Skipped) != 1 || found.Skipped[0] != want {
		t.Errorf("found %+v, want %v skipped", found, want)
	}
}

// What is root's may be read by everybody: root could change anything anyway.
// Containers and system-wide installations have such files.
func TestTrustedRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs files that belong to root")
	}
	root := tree(t, "p/"+fileName)
	path := filepath.Join(root, "p", fileName)
	const somebody = 54321
	if err := (Search{Dir: filepath.Dir(path), Home: root, UID: somebody}).Trusted(path); err != nil {
		t.Errorf("got %v, want root's file taken", err)
	}
}

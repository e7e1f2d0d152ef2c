//go:build unix

package config

import (
	"os"
	"path/filepath"
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
			if tt.gid >= 0 {
				if err := os.Chown(untrusted, -1, tt.gid); err != nil {
					t.Skip(err)
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

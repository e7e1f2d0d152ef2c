package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// tree makes the folders and files (with content) of a test below a new folder
// and returns that. A path ending in a slash is a folder.
func tree(t *testing.T, paths ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, p := range paths {
		full := filepath.Join(root, filepath.FromSlash(p))
		dir := full
		if p[len(p)-1] != '/' {
			dir = filepath.Dir(full)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if dir != full {
			if err := os.WriteFile(full, []byte("# empty\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return root
}

func TestLocate(t *testing.T) {
	const name = fileName
	tests := []struct {
		name             string
		files            []string
		dir, home, confs string
		want             string
		candidates       []string
	}{
		{
			name: "here", files: []string{"h/p/" + name, "h/" + name}, dir: "h/p", home: "h", confs: "h/.config",
			want:       "h/p/" + name,
			candidates: []string{"h/p/" + name, "h/" + name, "h/.config/devproxy/" + name},
		},
		{
			name: "parent", files: []string{"h/p/" + name, "h/p/a/b/"}, dir: "h/p/a/b", home: "h",
			want:       "h/p/" + name,
			candidates: []string{"h/p/a/b/" + name, "h/p/a/" + name, "h/p/" + name, "h/" + name},
		},
		{
			name: "home is the last", files: []string{name, "h/p/"}, dir: "h/p", home: "h",
			candidates: []string{"h/p/" + name, "h/" + name},
		},
		{
			name: "config home", files: []string{"h/p/", "c/devproxy/" + name}, dir: "h/p", home: "h", confs: "c",
			want:       "c/devproxy/" + name,
			candidates: []string{"h/p/" + name, "h/" + name, "c/devproxy/" + name},
		},
		{
			name: "inside config home", files: []string{"h/c/devproxy/" + name}, dir: "h/c/devproxy", home: "h", confs: "h/c",
			want:       "h/c/devproxy/" + name,
			candidates: []string{"h/c/devproxy/" + name, "h/c/" + name, "h/" + name},
		},
		{
			name: "none", files: []string{"h/"}, dir: "h", home: "h",
			candidates: []string{"h/" + name},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := tree(t, tt.files...)
			in := func(p string) string {
				if p == "" {
					return ""
				}
				return filepath.Join(root, filepath.FromSlash(p))
			}
			found, err := Search{Dir: in(tt.dir), Home: in(tt.home), ConfigHome: in(tt.confs), UID: -1}.Locate()
			if err != nil {
				t.Fatal(err)
			}
			if found.Path != in(tt.want) {
				t.Errorf("Path = %q, want %q", found.Path, in(tt.want))
			}
			var candidates []string
			for _, c := range tt.candidates {
				candidates = append(candidates, in(c))
			}
			if !slices.Equal(found.Candidates, candidates) {
				t.Errorf("Candidates = %q, want %q", found.Candidates, candidates)
			}
			if len(found.Skipped) > 0 {
				t.Errorf("Skipped = %v, want none", found.Skipped)
			}
		})
	}
}

func TestLocateWithoutHome(t *testing.T) {
	root := tree(t, "a/b/")
	found, err := Search{Dir: filepath.Join(root, "a", "b"), UID: -1}.Locate()
	if err != nil {
		t.Fatal(err)
	}
	top := filepath.Join(filepath.VolumeName(root)+string(filepath.Separator), fileName)
	if last := found.Candidates[len(found.Candidates)-1]; last != top {
		t.Errorf("the last candidate is %q, want %q", last, top)
	}
}

func TestLocateSkips(t *testing.T) {
	t.Run("folder of that name", func(t *testing.T) {
		root := tree(t, "p/"+fileName+"/", fileName)
		found, err := Search{Dir: filepath.Join(root, "p"), Home: root, UID: -1}.Locate()
		if err != nil {
			t.Fatal(err)
		}
		want := Skip{filepath.Join(root, "p", fileName), "it is not a regular file"}
		if len(found.Skipped) != 1 || found.Skipped[0] != want {
			t.Errorf("Skipped = %v, want %v", found.Skipped, want)
		}
		if found.Path != filepath.Join(root, fileName) {
			t.Errorf("Path = %q, want the one of the parent", found.Path)
		}
	})
	t.Run("broken link", func(t *testing.T) {
		root := tree(t, "p/")
		path := filepath.Join(root, "p", fileName)
		if err := os.Symlink("nowhere", path); err != nil {
			t.Skipf("needs symbolic links: %v", err)
		}
		found, err := Search{Dir: filepath.Join(root, "p"), Home: root, UID: -1}.Locate()
		if err != nil {
			t.Fatal(err)
		}
		want := Skip{path, "it is a link to a file that does not exist"}
		if len(found.Skipped) != 1 || found.Skipped[0] != want || found.Path != "" {
			t.Errorf("Path = %q, Skipped = %v, want %v", found.Path, found.Skipped, want)
		}
	})
	t.Run("link", func(t *testing.T) {
		root := tree(t, "p/", "real.toml")
		path := filepath.Join(root, "p", fileName)
		if err := os.Symlink(filepath.Join("..", "real.toml"), path); err != nil {
			t.Skipf("needs symbolic links: %v", err)
		}
		if found, err := (Search{Dir: filepath.Join(root, "p"), Home: root, UID: -1}).Locate(); err != nil || found.Path != path {
			t.Errorf("Path = %q, %v, want %q", found.Path, err, path)
		}
	})
}

func TestLocateErrors(t *testing.T) {
	if _, err := (Search{Dir: "relative", UID: -1}).Locate(); err == nil {
		t.Error("no error for a relative folder")
	}
	if _, err := (Search{Dir: filepath.Join(t.TempDir(), "gone"), UID: -1}).Locate(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error = %v, want one that matches ErrNotExist", err)
	}
}

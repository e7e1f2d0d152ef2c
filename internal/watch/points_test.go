package watch

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestPoints(t *testing.T) {
	dir := physical(t, t.TempDir())
	mkdir(t, filepath.Join(dir, "real", "deep"))
	write(t, filepath.Join(dir, "real", "file"), "")
	symlink(t, "real", filepath.Join(dir, "folderlink"))
	symlink(t, filepath.Join(dir, "real", "file"), filepath.Join(dir, "absolute"))
	symlink(t, "../file", filepath.Join(dir, "real", "deep", "up"))
	symlink(t, "loop", filepath.Join(dir, "loop"))
	symlink(t, "gone/x", filepath.Join(dir, "dangling"))

	for path, want := range map[string][]string{
		"real/file":       {"real/file"},
		"real/missing":    {"real/missing"},
		"no/such/folder":  {"no"},
		"real/file/below": {"real/file"},
		"folderlink/file": {"folderlink", "real/file"},
		"absolute":        {"absolute", "real/file"},
		"real/deep/up":    {"real/deep/up", "real/file"},
		"folderlink/deep": {"folderlink", "real/deep"},
		"loop":            {"loop"},
		"dangling":        {"dangling", "gone"},
	} {
		var got []string
		for folder, names := range points([]string{filepath.Join(dir, path)}) {
			for name := range names {
				rel, err := filepath.Rel(dir, filepath.Join(folder, name))
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, filepath.ToSlash(rel))
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("points(%s) = %q, want %q", path, got, want)
		}
	}
}

func TestPointsOfSeveralPaths(t *testing.T) {
	dir := physical(t, t.TempDir())
	got := points([]string{filepath.Join(dir, "a"), filepath.Join(dir, "b")})
	if len(got) != 1 || !maps.Equal(got[dir], map[string]bool{"a": true, "b": true}) {
		t.Errorf("points = %v, want a and b in %s", got, dir)
	}
}

func TestState(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	past := time.Now().Add(-time.Hour)
	put := func(content string) state {
		write(t, file, content)
		if err := os.Chtimes(file, past, past); err != nil {
			t.Fatal(err)
		}
		return stateOf(file)
	}
	one := put("one")
	if again := put("one"); again != one {
		t.Error("same content and time, different states")
	}
	if two := put("two"); two == one {
		t.Error("other content of the same size and time, same state")
	}
	if err := os.Chtimes(file, past, past.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if later := stateOf(file); later == put("two") {
		t.Error("other modification time, same state")
	}
	if got := stateOf(file + "x"); got.kind != absent {
		t.Errorf("missing file: %+v", got)
	}
	if got := stateOf(filepath.Dir(file)); got.kind != special {
		t.Errorf("folder: %+v", got)
	}
	if got := stateOf(filepath.Join(file, "below")); got.kind != unreadable && got.kind != absent {
		t.Errorf("below a file: %+v", got)
	}
	big := put(string(make([]byte, maxHashed+1)))
	if big.kind != regular || big.sum != [32]byte{} {
		t.Errorf("large file: %+v, want no hash", big)
	}
}

func BenchmarkLook(b *testing.B) {
	file := filepath.Join(b.TempDir(), "file")
	if err := os.WriteFile(file, make([]byte, 4<<10), 0o644); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		look([]string{file})
	}
}

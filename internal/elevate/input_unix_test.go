//go:build unix

package elevate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFed: what root's command gets is what was meant, or it does not run.
func TestFed(t *testing.T) {
	const content = "a root\n"
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, src string)
		ok     bool
	}{
		{"unchanged", func(*testing.T, string) {}, true},
		{"changed", func(t *testing.T, src string) { put(t, src, "b root\n") }, false},
		{"longer", func(t *testing.T, src string) { put(t, src, content+"more") }, true}, // no more than was meant is read
		{"shorter", func(t *testing.T, src string) { put(t, src, "a") }, false},
		{"a link to another file", func(t *testing.T, src string) {
			other := filepath.Join(filepath.Dir(src), "other")
			put(t, other, "secret of root's")
			if err := os.Remove(src); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(other, src); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"gone", func(t *testing.T, src string) {
			if err := os.Remove(src); err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		dir := t.TempDir()
		src, dst := filepath.Join(dir, "it's"), filepath.Join(dir, "dst")
		put(t, src, content)
		command := Fed(Command{"/bin/cp", "/dev/stdin", dst}, src, []byte(content))
		tt.change(t, src)
		err := New(Config{Root: true}).Run(t.Context(), []Command{command})
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v, want done %v", tt.name, err, tt.ok)
		}
		got, _ := os.ReadFile(dst)
		if want := map[bool]string{true: content}[tt.ok]; string(got) != want {
			t.Errorf("%s: the command was given %q, want %q", tt.name, got, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells what root has read: %v", tt.name, err)
		}
	}
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFedString: people see the command that they would type.
func TestFedString(t *testing.T) {
	command := Fed(Command{"/usr/bin/cp", "/dev/stdin", "/etc/hosts"}, "/home/a b", nil)
	if got, want := command.String(), "/usr/bin/cp '/home/a b' /etc/hosts"; got != want {
		t.Errorf("String() = %s, want %s", got, want)
	}
}

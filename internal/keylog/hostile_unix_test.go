//go:build unix

package keylog

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap/zaptest/observer"
)

// mustRefuse writes to path and wants the reason that nothing came of it.
func mustRefuse(t *testing.T, path, reason string) {
	t.Helper()
	f, logs := observed(t, path)
	f.put(t, line(1))
	mustExplain(t, logs, reason)
}

func mustExplain(t *testing.T, logs *observer.ObservedLogs, reason string) {
	t.Helper()
	all := logs.TakeAll()
	if len(all) != 1 || all[0].Message != notWritten {
		t.Fatalf("the log says %v, want one line: %q", all, notWritten)
	}
	if got, _ := all[0].ContextMap()["problem"].(string); !strings.Contains(got, reason) {
		t.Errorf("problem %q, want %q in it", got, reason)
	}
	if all[0].ContextMap()["hint"] == "" {
		t.Error("there is no hint")
	}
}

// The name of the file may be somebody else's choice: nothing but a key log of
// ours is ever changed.
func TestHostileFiles(t *testing.T) {
	const public = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJx me@here\n"
	for _, tt := range []struct {
		name, content string
		mode          os.FileMode
		reason        string
	}{
		{"authorized_keys", public, 0o600, "something else"},
		{".bashrc", "# ~/.bashrc\nexport PATH\n", 0o600, "something else"},
		{"comments", "# one\n# two\n\n", 0o600, "something else"},
		{"words", "LICENSE\n", 0o600, "something else"},
		{"blank", "\n", 0o600, "something else"},
		{"zeros", "\x00\x00\x00\x00", 0o600, "something else"},
		{"disguised", line(1) + public, 0o600, "something else"},
		{"script", "CLIENT_RANDOM $(id) 00\n" + line(1), 0o600, "something else"},
		{"empty, but open to all", "", 0o644, "mode 0644"},
		{"open to a group", line(1), 0o640, "mode 0640"},
		{"open for writing", line(1), 0o602, "mode 0602"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), tt.name)
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			mustRefuse(t, path, tt.reason)
			mustHold(t, path, tt.content)
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != tt.mode {
				t.Errorf("mode %v, %v; want %v", info.Mode(), err, tt.mode)
			}
		})
	}
}

func TestNotFiles(t *testing.T) {
	dir := t.TempDir()
	target, link, dangling := filepath.Join(dir, "target"), filepath.Join(dir, "link"), filepath.Join(dir, "dangling")
	fifo, folder := filepath.Join(dir, "fifo"), filepath.Join(dir, "folder")
	for _, err := range []error{
		os.WriteFile(target, nil, 0o600), os.Symlink(target, link),
		os.Symlink(filepath.Join(dir, "nothing"), dangling),
		syscall.Mkfifo(fifo, 0o600), os.Mkdir(folder, 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	mustRefuse(t, link, "link")
	mustHold(t, target, "")
	mustRefuse(t, dangling, "link")
	mustRefuse(t, fifo, "not a regular file") // and does not wait for its reader
	mustRefuse(t, folder, "not a regular file")
	mustRefuse(t, "/dev/null", "not a regular file")
	mustRefuse(t, filepath.Join(target, "x"), "not a directory")
	mustRefuse(t, filepath.Join(dir, "missing", "x"), "no such file")
	if _, err := os.Lstat(filepath.Join(dir, "nothing")); err == nil {
		t.Error("a dangling link was followed")
	}
}

func TestForeignFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	path := filepath.Join(t.TempDir(), "keys.log")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, path, "another user")
	mustHold(t, path, "")
}

// A file that is swapped for another while the log is written is looked at like
// the first, and one that comes to be open to others gets no more lines.
func TestSwapped(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "keys.log"), filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, swap := range map[string]func() error{
		"link":  func() error { return os.Symlink(other, path) },
		"file":  func() error { return os.Link(other, path) },
		"fifo":  func() error { return syscall.Mkfifo(path, 0o600) },
		"child": func() error { return os.Mkdir(path, 0o700) },
	} {
		f, logs := observed(t, path)
		f.put(t, line(1))
		logs.TakeAll()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := swap(); err != nil {
			t.Fatal(name, err)
		}
		f.put(t, line(2))
		mustExplain(t, logs, "it ")
		mustHold(t, other, "other")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		f.put(t, line(3)) // it goes on when the way is free
		mustSay(t, logs, written)
		mustHold(t, path, line(3))
		if err := os.Chmod(path, 0o604); err != nil {
			t.Fatal(err)
		}
		f.put(t, line(4))
		mustHold(t, path, line(3))
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		f.put(t, line(5))
		mustHold(t, path, line(3)+line(5))
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestIsKeyLog(t *testing.T) {
	long := strings.Repeat(line(1), 1000)
	for text, want := range map[string]bool{
		line(1):                            true,
		strings.TrimSpace(line(1)):         true,
		nssHeader + ", generated by NSS\n": true,
		"# mine\n\n" + line(1) + strings.ReplaceAll(line(2), "\n", "\r\n"):    true,
		"RSA 0123456789abcdef " + strings.Repeat("AB", 48) + "\n":             true,
		line(1) + "CLIENT_TRAF\n" + line(2) + "SERVER_TRAFFIC_SECRET_0 00 \n": true,
		line(1) + "x":        false,
		"CLIENT_RANDOM 00\n": false,
		long:                 true,
		long + "rm -rf /\n":  false,
	} {
		if got := isKeyLog([]byte(text)); got != want {
			t.Errorf("isKeyLog(%.100q) = %v, want %v", text, got, want)
		}
	}
	// Of a large file only the beginning is looked at, and its last line is cut.
	path := t.TempDir() + "/keys.log"
	big := strings.Repeat(line(1), headSize/len(line(1))+10)
	if err := os.WriteFile(path, []byte(big), 0o600); err != nil {
		t.Fatal(err)
	}
	f, _ := observed(t, path)
	f.put(t, line(2))
	mustHold(t, path, big+line(2))
}

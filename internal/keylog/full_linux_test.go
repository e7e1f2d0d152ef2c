package keylog

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A disk that gets full in the middle of a line costs lines, not handshakes, and
// when there is room again the next one is whole.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8k,mode=700")
	if errors.Is(err, os.ErrPermission) {
		t.Skip("only root can mount a small disk")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, 0) })
	path, ballast := filepath.Join(dir, "keys.log"), filepath.Join(dir, "ballast")
	f, logs := observed(t, path)
	mustSay(t, logs, written)
	if err := os.WriteFile(ballast, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	const lines = 4096/186 + 3 // 4 KiB are left, of which the last line gets a part
	for i := range lines {
		f.put(t, line(i))
	}
	mustExplain(t, logs, "no space left")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	f.put(t, line(lines))
	text, err := os.ReadFile(path)
	if err != nil || !strings.HasSuffix(string(text), "\n"+line(lines)) || !isKeyLog(text) {
		t.Errorf("the file ends with %q, %v; want a whole line", text[max(0, len(text)-300):], err)
	}
	mustSay(t, logs, written)
}

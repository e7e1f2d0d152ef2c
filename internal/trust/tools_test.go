package trust

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// tool returns the path of a program of the real system. Where it is missing
// the test is skipped, but not in CI.
func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s: %v", name, err)
		}
		t.Skipf("%s: %v", name, err)
	}
	return path
}

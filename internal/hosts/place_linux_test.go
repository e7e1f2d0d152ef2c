package hosts

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestIsMount(t *testing.T) {
	const mountinfo = `22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
600 22 254:0 /var/lib/docker/containers/1/hosts /etc/hosts rw,relatime - ext4 /dev/vda rw
601 22 254:0 /x /srv/with\040space\011tab\134slash rw shared:1 - ext4 /dev/vda rw
short line
`
	for path, want := range map[string]bool{
		"/etc/hosts":                   true,
		"/":                            true,
		"/etc/host":                    false,
		"/etc/hosts2":                  false,
		"/srv/with space\ttab\\slash":  true,
		"/srv/with":                    false,
		"/var/lib/docker/containers/1": false,
		"rw":                           false,
	} {
		if got := isMount(mountinfo, path); got != want {
			t.Errorf("isMount(%q) = %v, want %v", path, got, want)
		}
	}
}

// TestBindMount runs itself again in a mount namespace of its own, where the
// file is a mount, as /etc/hosts is in containers.
func TestBindMount(t *testing.T) {
	if os.Getenv("DEVPROXY_TEST_NAMESPACE") == "1" {
		bindMountInside(t)
		return
	}
	if !asRoot(t) {
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestBindMount$", "-test.v")
	cmd.Env = append(os.Environ(), "DEVPROXY_TEST_NAMESPACE=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS} // and all mounts private
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("private mount namespace: %v", err)
		}
		t.Skipf("private mount namespace: %v", err)
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), "--- PASS: TestBindMount") {
		t.Errorf("inside the namespace: %v\n%s", err, out.String())
	}
}

func bindMountInside(t *testing.T) {
	f := newFile(t)
	if err := os.Chmod(f.Path, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(f.Path, 12, 34); err != nil {
		t.Fatal(err)
	}
	mounted := filepath.Join(t.TempDir(), "hosts")
	write(t, mounted, "hidden")
	if err := syscall.Mount(f.Path, mounted, "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	defer syscall.Unmount(mounted, 0)
	if err := os.Rename(f.Path, mounted); err == nil {
		t.Fatal("rename over the mount works; the test shows nothing")
	}

	roundTrip(t, File{Path: mounted, Dir: f.Dir})
	apply(t, File{Path: mounted, Dir: f.Dir}, "a.test")
	if got, want := content(t, f.Path), original+"\n"+bare(oneBlock); got != want {
		t.Errorf("the file behind the mount holds %q, want %q", got, want)
	}
	if got := entries(t, filepath.Dir(mounted)); !slices.Equal(got, []string{"hosts"}) {
		t.Errorf("folder holds %q, want only the file", got)
	}

	// A mount that may not be written to: an error, and nothing lost.
	if err := syscall.Mount("", mounted, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	before := content(t, mounted)
	err := plan(t, File{Path: mounted, Dir: f.Dir}).Apply(t.Context(), directly())
	if err == nil || !strings.Contains(err.Error(), "Read-only file system") || strings.Contains(err.Error(), "former content") {
		t.Errorf("Apply to a read-only mount = %v", err)
	}
	if got := content(t, mounted); got != before {
		t.Errorf("read-only mount holds %q, want %q", got, before)
	}
}

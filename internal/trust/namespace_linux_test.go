package trust

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"devproxy/internal/elevate"
)

// privateEnv tells a test process that it is the child which has mounts of its
// own; its value is the mount namespace of the parent.
const privateEnv = "DEVPROXY_TEST_PRIVATE_MOUNTS"

// writable is everything that update-ca-certificates and its hooks write. In
// the child these folders are copies in memory, and all else is read-only.
var writable = []string{
	"/etc/ssl",
	"/etc/ca-certificates",
	"/usr/local/share/ca-certificates",
	"/var/lib/dpkg",
	"/var/lib/ca-certificates-java",
	"/var/log",
}

// everything reports whether slow tests are to run, and sudo may be used for
// what needs root.
func everything() bool {
	return !testing.Short() && (os.Getenv("CI") == "true" || os.Getenv("DEVPROXY_REAL_STORES") == "1")
}

// asRoot reports whether this is root. If not, and everything is to run, the
// test runs again through sudo, and that decides. Where sudo is no way it is
// skipped, but not in CI.
func asRoot(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() == 0 {
		return true
	}
	skip := func(why string) {
		t.Helper()
		if os.Getenv("CI") == "true" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	if !everything() {
		skip("needs root; with CI=true or DEVPROXY_REAL_STORES=1 it runs through sudo")
	}
	if exec.Command("sudo", "-n", "true").Run() != nil {
		skip("needs root, or sudo that does not ask for a password")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sudo", "-n", "--", "env", "CI="+os.Getenv("CI"), "DEVPROXY_REAL_STORES=1",
		self, "-test.run=^"+t.Name()+"$", "-test.v")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()+" ") {
		t.Errorf("%s: %v\n%s", cmd, err, out)
	}
	return false
}

// TestRealStores works on copies of this machine's stores with the real
// commands. It runs itself again in a mount namespace of its own.
func TestRealStores(t *testing.T) {
	if parent := os.Getenv(privateEnv); parent != "" {
		makePrivate(t, parent)
		// Whatever else was waiting to be done is not ours to be blamed for.
		runAsRoot(t, []elevate.Command{{"/usr/sbin/update-ca-certificates"}})
		t.Run("debian", testRealDebian)
		t.Run("dpkg locked", testRealDpkgLocked)
		t.Run("old receipts", testRealOldReceipts)
		t.Run("hash link", testRealHashLink)
		t.Run("killed", testRealKilled)
		t.Run("half a bundle", testRealHalfBundle)
		t.Run("read-only database", testRealReadOnly)
		return
	}
	if !everything() {
		t.Skip("takes up to a minute: runs with CI=true or DEVPROXY_REAL_STORES=1, as in make unit")
	}
	if !asRoot(t) { // for the namespace
		return
	}
	for _, name := range []string{"update-ca-certificates", "openssl", "keytool", "certutil"} {
		tool(t, name)
	}
	namespace, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	before := make(map[string]map[string]string)
	for _, dir := range writable[:3] {
		before[dir] = contents(t, dir)
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestRealStores$", "-test.v=true")
	cmd.Env = append(os.Environ(), privateEnv+"="+namespace, "TMPDIR=/tmp", "HOME=/nonexistent",
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin")
	// Go makes the new namespace's mounts private before anything else runs.
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if cmd.ProcessState == nil && os.Getenv("CI") != "true" {
		t.Skipf("no mount namespace: %v", err)
	}
	if err != nil {
		t.Errorf("in the namespace: %v", err)
	}
	for _, dir := range writable[:3] {
		checkSame(t, "the test", before[dir], contents(t, dir))
	}
}

// makePrivate makes sure that nothing done from here on reaches the machine's
// files: it gives up at the first doubt.
func makePrivate(t *testing.T, parent string) {
	t.Helper()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	own, err := os.Readlink("/proc/self/ns/mnt")
	must("read namespace", err)
	if own == parent {
		t.Fatal("still in the parent's mount namespace")
	}
	must("make mounts private", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	must("mount /tmp", unix.Mount("tmpfs", "/tmp", "tmpfs", 0, "mode=1777,size=512m"))
	for i, dir := range writable {
		if !isDir(dir) {
			continue
		}
		duplicate := fmt.Sprintf("/tmp/copy-%d", i)
		out, err := exec.Command("cp", "-a", dir, duplicate).CombinedOutput()
		must("copy "+dir+": "+string(out), err)
		must("mount "+dir, unix.Mount(duplicate, dir, "", unix.MS_BIND, ""))
	}
	// Each mount of its own that is not ours becomes read-only.
	table, err := os.ReadFile("/proc/self/mountinfo")
	must("read mounts", err)
	for line := range strings.Lines(string(table)) {
		point := strings.Fields(line)[4]
		if point == "/tmp" || slices.Contains(writable, point) ||
			slices.ContainsFunc([]string{"/proc", "/dev", "/sys"}, func(dir string) bool {
				return point == dir || strings.HasPrefix(point, dir+"/")
			}) {
			continue
		}
		var st unix.Statfs_t
		if unix.Statfs(point, &st) != nil {
			continue // hidden below another mount
		}
		keep := uintptr(st.Flags) & (unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
		must("make "+point+" read-only", unix.Mount("", point, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|keep, ""))
	}
	for _, dir := range writable {
		if !isDir(dir) {
			continue
		}
		var st unix.Statfs_t
		must("look at "+dir, unix.Statfs(dir, &st))
		if st.Type != unix.TMPFS_MAGIC {
			t.Fatalf("%s is not a copy in memory", dir)
		}
	}
	for _, dir := range []string{"/", "/etc", "/usr", "/usr/local", "/var", "/var/lib", "/root", "/home"} {
		var st unix.Statfs_t
		must("look at "+dir, unix.Statfs(dir, &st))
		if st.Flags&unix.ST_RDONLY == 0 {
			t.Fatalf("%s can be written", dir)
		}
	}
}

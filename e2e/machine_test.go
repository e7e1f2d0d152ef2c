package e2e

import (
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A machine is what there is of files where devproxy may change some: for each
// path its kind, mode, owner and content. NSS databases and Java's store are
// there with what they hold, for their bytes tell of when they were written.
type machine map[string]string

// system are the folders that are the same for everyone.
var system = []string{"/etc", "/usr/local/share", "/var/lib/ca-certificates-java"}

// javaStore is the one that Debian's JDKs share.
const javaStore = "/etc/ssl/certs/java/cacerts"

// readMachine reads the system's folders and those homes, but for devproxy's
// own state in them.
func readMachine(t *testing.T, homes ...*home) machine {
	t.Helper()
	m := make(machine)
	for _, dir := range system {
		m.read(t, dir)
	}
	for _, h := range homes {
		m.read(t, h.dir, h.state(), filepath.Join(h.dir, "tmp"))
	}
	return m
}

func (m machine) read(t *testing.T, dir string, but ...string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if slices.Contains(but, path) {
			return fs.SkipDir
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		owner := info.Sys().(*syscall.Stat_t)
		m[path] = fmt.Sprintf("%v, of %d:%d", info.Mode(), owner.Uid, owner.Gid)
		switch {
		case info.Mode().Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			m[path] += " -> " + target
			return err
		case path == javaStore:
			maps.Copy(m, javaEntries(t))
		case entry.Name() == "cert9.db" || entry.Name() == "key4.db":
			m[path] += "\n" + rows(t, path)
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			m[path] += fmt.Sprintf(", %x", sha256.Sum256(data))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// rows returns everything in an SQLite database, without regard to the order.
// Its bytes are no good: a row that came and went leaves empty pages.
func rows(t *testing.T, path string) string {
	t.Helper()
	const dump = `import sqlite3, sys
db = sqlite3.connect("file:" + sys.argv[1] + "?mode=ro", uri=True)
for name, sql in sorted(db.execute("SELECT name, sql FROM sqlite_master").fetchall()):
    print(name, sql)
    if sql and sql.startswith("CREATE TABLE"):
        print(*sorted(map(repr, db.execute("SELECT * FROM " + name).fetchall())), sep="\n")
`
	out, err := exec.Command(python(t), "-c", dump, path).CombinedOutput()
	if err != nil {
		t.Fatalf("read %s: %v\n%s", path, err, out)
	}
	return string(out)
}

// javaEntries returns the hash of each certificate in Java's store. Entries
// have a date of their own, so that bytes cannot be compared.
func javaEntries(t *testing.T) machine {
	t.Helper()
	list, err := exec.Command(tool(t, "keytool"), "-J-Xshare:auto", "-J-XX:TieredStopAtLevel=1",
		"-list", "-rfc", "-keystore", javaStore, "-storepass", "changeit").Output()
	if err != nil {
		t.Fatalf("list %s: %v\n%s", javaStore, err, list)
	}
	entries := make(machine)
	parts := regexp.MustCompile(`(?m)^Alias name: (.*)$`).FindAllSubmatchIndex(list, -1)
	for i, part := range parts {
		end := len(list)
		if i+1 < len(parts) {
			end = parts[i+1][0]
		}
		if block, _ := pem.Decode(list[part[1]:end]); block != nil {
			entries[javaStore+" "+string(list[part[2]:part[3]])] = fmt.Sprintf("%x", sha256.Sum256(block.Bytes))
		}
	}
	return entries
}

// mustBe fails the test unless two readings are the same.
func (want machine) mustBe(t *testing.T, got machine) {
	t.Helper()
	for _, path := range want.differences(got) {
		t.Errorf("%s changed:\ngot  %.1500s\nwant %.1500s", path, got[path], want[path])
	}
}

// differences returns the paths where two readings are not the same.
func (want machine) differences(got machine) []string {
	var paths []string
	all := maps.Clone(want)
	maps.Copy(all, got)
	for _, path := range slices.Sorted(maps.Keys(all)) {
		if got[path] != want[path] {
			paths = append(paths, path)
		}
	}
	return paths
}

// settle brings the machine's store up to date with its folders, which it may
// not be. The hook for Java works with root's PATH only.
func settle(t *testing.T) {
	t.Helper()
	cmd := exec.Command("/usr/sbin/update-ca-certificates")
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// certutil returns Mozilla's tool, also while it is hidden from everyone else.
func certutil(t *testing.T) string {
	t.Helper()
	path := filepath.Join(filepath.Dir(os.Getenv(envBinary)), "certutil")
	if !fileExists(path) {
		data, err := os.ReadFile(tool(t, "certutil"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// withCertutil hides the tool from everyone until the test ends, unless it may
// be seen.
func withCertutil(t *testing.T, with bool) {
	t.Helper()
	path := tool(t, "certutil")
	if certutil(t); with {
		return
	}
	if err := unix.Mount("/dev/null", path, "", unix.MS_BIND, ""); err != nil {
		t.Fatalf("hide %s: %v", path, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Errorf("show %s again: %v", path, err)
		}
	})
}

// certutilName names a test.
func certutilName(with bool) string {
	if with {
		return "certutil"
	}
	return "no certutil"
}

// nicknames returns what an NSS database trusts from devproxy, as certutil sees
// it.
func (h *home) nicknames(t *testing.T, dir string) []string {
	t.Helper()
	list := h.run(t, certutil(t), "-L", "-d", "sql:"+dir).must(t, 0).stdout
	var names []string
	for _, match := range regexp.MustCompile(`(?m)^(devproxy\S*) +C,, *$`).FindAllStringSubmatch(list, -1) {
		names = append(names, match[1])
	}
	return names
}

package trust

import (
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// withCertutil returns a Machine whose Path holds the real certutil and
// nothing else, in a home where Chromium is installed and Firefox has a used
// and an unused profile.
func withCertutil(t *testing.T) (m *Machine, dirs []string) {
	t.Helper()
	certutil := tool(t, "certutil")
	m = newMachine(t)
	bin := t.TempDir()
	if err := os.Symlink(certutil, filepath.Join(bin, "certutil")); err != nil {
		t.Fatal(err)
	}
	m.cfg.Path = "relative" + string(os.PathListSeparator) + bin
	home := m.cfg.Home
	build(t, home, "../root/usr/bin/chromium")
	build(t, home, ".config/mozilla/firefox/profiles.ini=[Profile0]\nIsRelative=1\nPath=a b.fresh\n")
	used := filepath.Join(home, ".mozilla/firefox/used")
	fresh := filepath.Join(home, ".config/mozilla/firefox/a b.fresh")
	mkdir(t, fresh)
	mkdir(t, used)
	certutilOK(t, "-N", "-d", "sql:"+used, "--empty-password")
	return m, []string{filepath.Join(home, ".local/share/pki/nssdb"), used, fresh}
}

func certutilOK(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("certutil", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("certutil %q: %v\n%s", args, err, out)
	}
	return string(out)
}

func TestCertutilRoundTrip(t *testing.T) {
	m, dirs := withCertutil(t)
	root, file := newRoot(t)
	name := anchorFor(t, root, file).name
	start := contents(t, m.cfg.Home)
	if _, err := m.Plan(t.Context(), root, file); err != nil {
		t.Fatal(err)
	}
	m.Status(t.Context(), root)
	checkSame(t, "looking", start, contents(t, m.cfg.Home))

	all := mustInstall(t, m, root, file)
	if len(all) != len(dirs) {
		t.Fatalf("got %+v, want %d stores", all, len(dirs))
	}
	for _, st := range all {
		if st.State != Trusted || !st.Changed {
			t.Errorf("got %+v, want trusted", st)
		}
	}
	for _, dir := range dirs {
		if out := certutilOK(t, "-L", "-d", "sql:"+dir); !strings.Contains(out, name) || !strings.Contains(out, "C,,") {
			t.Errorf("%s: certutil lists %s", dir, out)
		}
		// NSS's own verdict, not only its list.
		if out := certutilOK(t, "-V", "-u", "L", "-d", "sql:"+dir, "-n", name); !strings.Contains(out, "valid") {
			t.Errorf("%s: certutil says %s", dir, out)
		}
	}

	installed := contents(t, filepath.Dir(m.cfg.Home))
	for _, st := range mustInstall(t, m, root, file) {
		if st.State != Trusted || st.Changed {
			t.Errorf("second Install: got %+v, want trusted, unchanged", st)
		}
	}
	checkSame(t, "second Install", installed, contents(t, filepath.Dir(m.cfg.Home)))

	// A second root joins the first; Remove takes both, also without browsers.
	second, secondFile := newRoot(t)
	mustInstall(t, m, second, secondFile)
	if err := os.RemoveAll(filepath.Join(m.cfg.Root, "usr")); err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(m.cfg.Home, ".config/mozilla/firefox/profiles.ini"))
	all = mustRemove(t, m)
	if len(all) != len(dirs) {
		t.Errorf("Remove: got %+v, want %d stores", all, len(dirs))
	}
	for _, st := range all {
		if st.State != NotTrusted || !st.Changed {
			t.Errorf("Remove: got %+v, want not trusted", st)
		}
	}
	for _, dir := range dirs {
		if dir != dirs[1] { // devproxy made the others, and nobody used them
			if exists(filepath.Join(dir, "cert9.db")) {
				t.Errorf("%s still has a database", dir)
			}
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, "cert9.db"))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range []*x509.Certificate{root, second} {
			if strings.Contains(certutilOK(t, "-L", "-d", "sql:"+dir), namePrefix) || strings.Contains(string(data), string(r.Raw)) {
				t.Errorf("%s still holds a root", dir)
			}
		}
	}
	if got := mustRemove(t, m); got != nil {
		t.Errorf("second Remove: got %+v, want nothing", got)
	}
}

func TestCertutilPassword(t *testing.T) {
	m, dirs := withCertutil(t)
	root, file := newRoot(t)
	dir := dirs[0]
	mkdir(t, dir)
	secret := filepath.Join(t.TempDir(), "secret")
	writeFile(t, secret, []byte("secret\n"))
	certutilOK(t, "-N", "-d", "sql:"+dir, "-f", secret)

	all := mustInstall(t, m, root, file)
	got := all[0]
	if got.State != NotTrusted || !strings.Contains(got.Detail, "password") || !strings.Contains(got.Fix, "-A") {
		t.Errorf("got %+v, want not trusted for its password", got)
	}
	if all[1].State != Trusted || all[2].State != Trusted {
		t.Errorf("the others: got %+v, want trusted", all[1:])
	}
	if out := certutilOK(t, "-L", "-d", "sql:"+dir); strings.Contains(out, namePrefix) {
		t.Errorf("half a root was left: %s", out)
	}
	// What Fix names works, with the password given.
	add := m.database("", dir).tool.addCommand(dir, anchorFor(t, root, file))
	certutilOK(t, append(add[1:], "-f", secret)...)
	if got := m.Status(t.Context(), root)[0]; got.State != Trusted {
		t.Errorf("after the fix: got %+v, want trusted", got)
	}
	for _, st := range mustRemove(t, m) {
		if st.State != NotTrusted {
			t.Errorf("Remove: got %+v, want not trusted", st)
		}
	}
}

// lockSQLite takes the lock that SQLite takes when it is about to write, which
// lets others read, or the one of writing itself, which does not
// (https://sqlite.org/lockingv3.html).
func lockSQLite(t *testing.T, file string, exclusive bool) (unlock func()) {
	t.Helper()
	const pending, reserved = 0x40000000, 0x40000001
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK, Start: reserved, Len: 1}
	if exclusive {
		lock.Start, lock.Len = pending, 512
	}
	// Unlike SQLite's own, a lock of this kind survives that this process opens
	// and closes the file elsewhere.
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock); err != nil {
		t.Fatal(err)
	}
	return func() { f.Close() }
}

func TestCertutilLocked(t *testing.T) {
	if !everything() {
		t.Skip("a lock is waited for for seconds: runs with CI=true or DEVPROXY_REAL_STORES=1, as in make unit")
	}
	for _, tt := range []struct{ exclusive, certutil bool }{{false, true}, {true, false}} {
		m, dirs := withCertutil(t)
		root, file := newRoot(t)
		d := m.database("Firefox", dirs[1])
		if !tt.certutil {
			d.tool.path = ""
		}
		finds(m, d)
		unlock := lockSQLite(t, d.file(), tt.exclusive)
		begin := time.Now()
		got := only(t, mustInstall(t, m, root, file))
		if got.State == Trusted || !strings.Contains(got.Detail, "locked") || got.Fix == "" {
			t.Errorf("%+v: got %+v, want locked", tt, got)
		}
		t.Logf("%+v: given up after %v", tt, time.Since(begin))
		unlock()
		if got := only(t, mustInstall(t, m, root, file)); got.State != Trusted {
			t.Errorf("%+v: after the lock: got %+v, want trusted", tt, got)
		}
	}
}

// somebodyElses gives path to another user, or returns a folder that has one.
func somebodyElses(t *testing.T, path string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		return "/"
	}
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNothingIsWrittenInOtherHomes(t *testing.T) {
	root, file := newRoot(t)
	m, f, d := newFakeNSS(t)
	mkdir(t, m.cfg.Home)
	d.dir = filepath.Join(somebodyElses(t, m.cfg.Home), "pki", "nssdb")
	got := only(t, mustInstall(t, m, root, file))
	if got.State != NotTrusted || !strings.Contains(got.Detail, "belongs to") || got.Fix == "" || exists(d.dir) || f.runs != nil {
		t.Errorf("got %+v after %v, want a refusal", got, f.runs)
	}
	steps, err := m.Plan(t.Context(), root, file)
	if err != nil || len(steps) != 1 || steps[0].Note == "" {
		t.Errorf("Plan: got %+v, %v, want one note", steps, err)
	}
}

func TestForeignDatabaseFile(t *testing.T) {
	if !asRoot(t) { // for a file of another user
		return
	}
	root, file := newRoot(t)
	m, f, d := newFakeNSS(t)
	makeDatabase(t, d)
	somebodyElses(t, d.file())
	got := only(t, mustInstall(t, m, root, file))
	if got.State != NotTrusted || !strings.Contains(got.Detail, "belongs to") || f.runs != nil {
		t.Errorf("got %+v, want a refusal", got)
	}
}

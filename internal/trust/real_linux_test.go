package trust

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"devproxy/internal/elevate"
)

// realMachine is the Machine of the namespace's file system, for root.
func realMachine(t *testing.T) *Machine {
	t.Helper()
	m := newMachine(t)
	m.cfg.Root = "/"
	m.cfg.Path = "/usr/bin:/bin"
	m.cfg.Elevate = func(_ context.Context, _ string, commands []elevate.Command) error {
		return runAsRoot(t, commands)
	}
	m.kinds = slices.DeleteFunc(slices.Clone(m.kinds), func(k kind) bool { return k.name != kindDebian && k.name != kindSystemJava })
	return m
}

// checkAll checks that there are both stores, in that state.
func checkAll(t *testing.T, what string, all []Status, want State, changed bool) {
	t.Helper()
	if len(all) != 2 {
		t.Errorf("%s: got %+v, want the system's store and Java's", what, all)
	}
	for _, st := range all {
		// Java's is filled by the same hook, so it was changed already.
		if st.State != want || st.Store == "System" && st.Changed != changed {
			t.Errorf("%s: got %+v, want %v, changed %v", what, st, want, changed)
		}
	}
}

// lockDpkg holds one of dpkg's locks, as a running apt does, until unlock.
func lockDpkg(t *testing.T, name string) (unlock func()) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join("/var/lib/dpkg", name), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
		t.Fatal(err)
	}
	return func() { f.Close() }
}

// runAsRoot runs commands as internal/elevate does, with more patience for a
// busy machine, and shows what they print.
func runAsRoot(t *testing.T, commands []elevate.Command) error {
	t.Helper()
	for _, c := range commands {
		out, err := exec.CommandContext(t.Context(), c[0], c[1:]...).CombinedOutput()
		t.Logf("%s: %v\n%s", c, err, out)
		if err != nil {
			return fmt.Errorf("%s: %v", c, err)
		}
	}
	return nil
}

// trustedBy says which of the system's own clients trust the root in file.
func trustedBy(t *testing.T, file, alias string) (names []string) {
	t.Helper()
	for _, c := range []struct {
		name string
		argv []string
	}{
		{"bundle", []string{"openssl", "verify", "-no-CApath", "-CAfile", "/etc/ssl/certs/ca-certificates.crt", file}},
		{"hash links", []string{"openssl", "verify", "-no-CAfile", "-CApath", "/etc/ssl/certs", file}},
		{"java", []string{"keytool", "-list", "-cacerts", "-storepass", "changeit", "-alias", alias}},
	} {
		if exec.Command(c.argv[0], c.argv[1:]...).Run() == nil {
			names = append(names, c.name)
		}
	}
	return names
}

func danglingLinks(t *testing.T) (all []string) {
	t.Helper()
	entries, err := os.ReadDir("/etc/ssl/certs")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if path := filepath.Join("/etc/ssl/certs", e.Name()); e.Type()&os.ModeSymlink != 0 && !isFile(path) {
			all = append(all, path)
		}
	}
	return all
}

// systemFiles returns the system store's files but Java's, which holds dates.
func systemFiles(t *testing.T) map[string]string {
	t.Helper()
	all := contents(t, "/etc/ssl")
	for path, content := range contents(t, "/usr/local/share/ca-certificates") {
		all[path] = content
	}
	delete(all, "/etc/ssl/certs/java/cacerts")
	return all
}

func testRealDebian(t *testing.T) {
	m := realMachine(t)
	root, file := newRoot(t)
	name := anchorFor(t, root, file).name
	alias := "debian:" + name + ".pem"
	everywhere := []string{"bundle", "hash links", "java"}
	before := systemFiles(t)
	if got := trustedBy(t, file, alias); got != nil {
		t.Fatalf("before: trusted by %q", got)
	}
	checkAll(t, "Install", mustInstall(t, m, root, file), Trusted, true)
	if got := trustedBy(t, file, alias); !slices.Equal(got, everywhere) {
		t.Errorf("after Install: trusted by %q, want %q", got, everywhere)
	}
	// Superseded roots go together with the last.
	second, secondFile := newRoot(t)
	mustInstall(t, m, second, secondFile)

	checkAll(t, "Remove", mustRemove(t, m), NotTrusted, true)
	if got := trustedBy(t, file, alias); got != nil {
		t.Errorf("after Remove: trusted by %q", got)
	}
	if got := danglingLinks(t); got != nil {
		t.Errorf("after Remove: dangling %q", got)
	}
	checkSame(t, "trust and untrust", before, systemFiles(t))
	if got := mustRemove(t, m); got != nil {
		t.Errorf("second Remove: got %+v, want nothing", got)
	}
	data, err := readFile("/etc/ssl/certs/java/cacerts")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := jksAliases(data, sha256.Sum256(second.Raw)); err != nil || got != nil {
		t.Errorf("Java's store: got %q, %v, want nothing", got, err)
	}
}

// While apt runs, Debian's hook for Java does nothing and the command that
// called it says all is well (clients.md §3).
func testRealDpkgLocked(t *testing.T) {
	m := realMachine(t)
	root, file := newRoot(t)
	alias := "debian:" + anchorFor(t, root, file).name + ".pem"

	unlock := lockDpkg(t, "lock")
	all := mustInstall(t, m, root, file)
	if got := systemStatus(t, all); got.State != Trusted {
		t.Errorf("locked: got %+v, want the system's trusted", got)
	}
	if got := javaStatus(t, all); got.State != NotTrusted || len(got.Commands) != 1 || !strings.Contains(got.Fix, "apt") {
		t.Errorf("locked: got %+v, want Java's not trusted, with the command", got)
	}
	if got, want := trustedBy(t, file, alias), []string{"bundle", "hash links"}; !slices.Equal(got, want) {
		t.Errorf("locked: trusted by %q, want %q", got, want)
	}
	unlock()
	if got := javaStatus(t, mustInstall(t, m, root, file)); got.State != Trusted || !got.Changed {
		t.Errorf("unlocked: got %+v, want Java's trusted", got)
	}
	if got, want := trustedBy(t, file, alias), []string{"bundle", "hash links", "java"}; !slices.Equal(got, want) {
		t.Errorf("unlocked: trusted by %q, want %q", got, want)
	}

	unlock = lockDpkg(t, "lock-frontend")
	lockBoth := lockDpkg(t, "lock")
	all = mustRemove(t, m)
	if got := systemStatus(t, all); got.State != NotTrusted {
		t.Errorf("Remove, locked: got %+v, want the system's not trusted", got)
	}
	if got := javaStatus(t, all); got.State != Trusted || len(got.Commands) == 0 || !exists(m.receipts.file()) {
		t.Errorf("Remove, locked: got %+v, want Java's trusted still, with commands and receipt", got)
	}
	unlock()
	lockBoth()
	if got := only(t, mustRemove(t, m)); got.Store != "Java" || got.State != NotTrusted {
		t.Errorf("Remove, unlocked: got %+v, want not trusted", got)
	}
	if got := trustedBy(t, file, alias); got != nil {
		t.Errorf("Remove, unlocked: trusted by %q", got)
	}
}

// Receipts from before Java had a store of its own stand for it, too.
func testRealOldReceipts(t *testing.T) {
	m := realMachine(t)
	without(m, kindSystemJava)
	root, file := newRoot(t)
	alias := "debian:" + anchorFor(t, root, file).name + ".pem"
	mustInstall(t, m, root, file)

	unlock := lockDpkg(t, "lock")
	got := only(t, mustRemove(t, m))
	if got.State != Trusted || len(got.Commands) == 0 || !exists(m.receipts.file()) {
		t.Errorf("locked: got %+v, want trusted still, with commands and receipt", got)
	}
	if got, want := trustedBy(t, file, alias), []string{"java"}; !slices.Equal(got, want) {
		t.Errorf("locked: trusted by %q, want %q", got, want)
	}
	unlock()
	if got := only(t, mustRemove(t, m)); got.State != NotTrusted {
		t.Errorf("unlocked: got %+v, want not trusted", got)
	}
	if got := trustedBy(t, file, alias); got != nil {
		t.Errorf("unlocked: trusted by %q", got)
	}
}

// A root without its link is refused by what looks roots up by hash, and the
// tool alone makes no new one.
func testRealHashLink(t *testing.T) {
	m := realMachine(t)
	root, file := newRoot(t)
	alias := "debian:" + anchorFor(t, root, file).name + ".pem"
	before := systemFiles(t)
	mustInstall(t, m, root, file)
	hash, err := subjectHash(root.RawSubject)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove("/etc/ssl/certs/" + hash + ".0"); err != nil {
		t.Fatal(err)
	}
	runAsRoot(t, []elevate.Command{{"/usr/sbin/update-ca-certificates"}})
	if got := systemStatus(t, m.Status(t.Context(), root)); got.State != NotTrusted || !strings.Contains(got.Detail, hash) {
		t.Errorf("got %+v, want not trusted for lack of %s.0", got, hash)
	}
	if got := systemStatus(t, mustInstall(t, m, root, file)); got.State != Trusted || !got.Changed {
		t.Errorf("second Install: got %+v, want trusted", got)
	}
	if got, want := trustedBy(t, file, alias), []string{"bundle", "hash links", "java"}; !slices.Equal(got, want) {
		t.Errorf("trusted by %q, want %q", got, want)
	}
	checkAll(t, "Remove", mustRemove(t, m), NotTrusted, true)
	checkSame(t, "trust and untrust", before, systemFiles(t))
}

// Killed after any of the commands, in either direction, Remove still clears
// everything.
func testRealKilled(t *testing.T) {
	before := systemFiles(t)
	for _, tc := range []struct {
		installing bool
		survive    int // commands that were run
	}{{true, 1}, {false, 1}, {false, 2}} {
		m := realMachine(t)
		root, file := newRoot(t)
		if !tc.installing {
			mustInstall(t, m, root, file)
		}
		run := m.cfg.Elevate
		m.cfg.Elevate = func(ctx context.Context, why string, commands []elevate.Command) error {
			if err := run(ctx, why, commands[:tc.survive]); err != nil {
				t.Error(err)
			}
			panic("killed")
		}
		func() {
			defer func() { recover() }()
			if tc.installing {
				m.Install(t.Context(), root, file)
			} else {
				m.Remove(t.Context())
			}
		}()
		m.cfg.Elevate = run
		for _, got := range mustRemove(t, m) {
			if got.State != NotTrusted {
				t.Errorf("%+v: got %+v, want not trusted", tc, got)
			}
		}
		alias := "debian:" + anchorFor(t, root, file).name + ".pem"
		if got := trustedBy(t, file, alias); got != nil {
			t.Errorf("%+v: trusted by %q", tc, got)
		}
	}
	checkSame(t, "being killed", before, systemFiles(t))
}

// update-ca-certificates, killed, leaves half a bundle, which its next run adds
// to: a root whose file is gone comes back that way.
func testRealHalfBundle(t *testing.T) {
	m := realMachine(t)
	root, file := newRoot(t)
	before := systemFiles(t)
	mustInstall(t, m, root, file)
	writeFile(t, "/etc/ssl/certs/ca-certificates.crt.new", rootPEM(root))
	for _, got := range mustRemove(t, m) {
		if got.State != NotTrusted {
			t.Errorf("got %+v, want not trusted", got)
		}
	}
	checkSame(t, "half a bundle", before, systemFiles(t))
}

// Root may write to read-only files, so it takes a read-only mount.
func testRealReadOnly(t *testing.T) {
	m, dirs := withCertutil(t)
	root, file := newRoot(t)
	_, otherFile := newRoot(t)
	dir := dirs[1]
	certutilOK(t, "-A", "-d", "sql:"+dir, "-t", "C,,", "-n", "other", "-a", "-i", otherFile)
	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	if err := unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	all := mustInstall(t, m, root, file)
	i := slices.IndexFunc(all, func(s Status) bool { return s.Location == dir })
	if i < 0 || all[i].State != NotTrusted || !strings.Contains(all[i].Detail, "read-only") {
		t.Errorf("got %+v, want read-only for %s", all, dir)
	}
	for j, st := range all {
		if j != i && st.Store != "System" && st.State != Trusted {
			t.Errorf("the others: got %+v, want trusted", st)
		}
	}
	for _, st := range mustRemove(t, m) {
		if st.State != NotTrusted {
			t.Errorf("Remove: got %+v, want not trusted", st)
		}
	}
}

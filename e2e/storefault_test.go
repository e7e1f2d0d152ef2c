package e2e

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// database makes an NSS database where Chromium looks, as it leaves one.
// password "" is none.
func (h *home) database(t *testing.T, password string) string {
	t.Helper()
	dir := filepath.Join(h.dir, ".local/share/pki/nssdb")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	args := []string{"-N", "-d", "sql:" + dir, "--empty-password"}
	if password != "" {
		h.write(t, "password", password+"\n")
		args = []string{"-N", "-d", "sql:" + dir, "-f", filepath.Join(h.work, "password")}
	}
	h.run(t, certutil(t), args...).must(t, 0)
	return dir
}

// lock makes another program hold a database as a writer does, until unlock is
// called.
func (h *home) lock(t *testing.T, file string) (unlock func()) {
	t.Helper()
	cmd := h.command(t, python(t), "-c", `import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()`, file)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "locked\n" {
		t.Fatalf("%s cannot be locked: %q, %v", file, line, err)
	}
	return func() {
		stdin.Close()
		cmd.Wait()
	}
}

// TestLockedDatabase trusts and untrusts while another program writes to
// Chromium's database.
func TestLockedDatabase(t *testing.T) {
	for _, with := range []bool{true, false} {
		t.Run(certutilName(with), func(t *testing.T) {
			withCertutil(t, with)
			h := newHome(t)
			dir := h.database(t, "")
			settle(t)
			clean := readMachine(t)
			t.Cleanup(func() { h.devproxy(t, "untrust").must(t, 0) })

			refused := func(command, state, others string) {
				t.Helper()
				unlock := h.lock(t, filepath.Join(dir, "cert9.db"))
				defer unlock()
				begin := time.Now()
				got := h.devproxy(t, command).must(t, 3)
				if took := time.Since(begin); took > 2*trustLimit { // it tries again for a while
					t.Errorf("%s took %v, want at most %v", command, took, 2*trustLimit)
				} else {
					t.Logf("%s took %v", command, took.Round(time.Millisecond))
				}
				mustList(t, got, state, "Chromium")
				for _, store := range []string{"System", "Java", "Firefox"} {
					mustList(t, got, others, store)
				}
				if !strings.Contains(got.stdout, "locked") || !strings.Contains(got.stderr, "hint: Chromium: close the browser, then try again") {
					t.Errorf("the lock and what to do about it are not named:\n%s", got)
				}
			}
			refused("trust", "not trusted", "trusted")
			if got := h.nicknames(t, dir); len(got) != 0 {
				t.Errorf("%s holds %q all the same", dir, got)
			}
			mustList(t, h.timed(t, "trust"), "trusted", "Chromium")
			if got := h.nicknames(t, dir); len(got) != 1 {
				t.Errorf("%s holds %q, want one root of devproxy", dir, got)
			}

			refused("untrust", "still trusted", "removed")
			mustList(t, h.timed(t, "untrust"), "removed", "Chromium")
			if got := h.nicknames(t, dir); len(got) != 0 {
				t.Errorf("%s still holds %q", dir, got)
			}
			clean.mustBe(t, readMachine(t))
		})
	}
}

// TestPasswordDatabase trusts where Chromium's database has a password, which
// only its owner can give.
func TestPasswordDatabase(t *testing.T) {
	for _, with := range []bool{true, false} {
		t.Run(certutilName(with), func(t *testing.T) {
			withCertutil(t, with)
			h := newHome(t)
			dir := h.database(t, "fluffy tail")
			t.Cleanup(func() { h.devproxy(t, "untrust").must(t, 0) })
			files := func() string {
				var all []byte
				for _, name := range []string{"cert9.db", "key4.db", "pkcs11.txt"} {
					all = append(all, readIf(t, filepath.Join(dir, name))...)
				}
				return string(all)
			}
			before := files()
			got := h.devproxy(t, "trust").must(t, 3)
			mustList(t, got, "not trusted", "Chromium")
			for _, store := range []string{"System", "Java", "Firefox"} {
				mustList(t, got, "trusted", store)
			}
			if files() != before {
				t.Error("the database was changed")
			}
			if !strings.Contains(got.stdout, "password") {
				t.Errorf("the password is not named:\n%s", got)
			}

			// The way out, with the answer to what it asks.
			words := []string{"-A", "-d", "sql:" + dir, "-t", "C,,", "-n", "by hand", "-a", "-i", h.rootFile()}
			if _, command, ok := strings.Cut(got.stderr, "asks for the password: "); ok {
				command, _, _ = strings.Cut(command, "\n")
				words = strings.Fields(command)[1:]
			}
			if want := map[bool]string{true: "certutil " + strings.Join(words, " "), false: "import " + h.rootFile()}[with]; !strings.Contains(got.stderr, want) {
				t.Errorf("stderr lacks %q:\n%s", want, got)
			}
			h.run(t, certutil(t), append(words, "-f", filepath.Join(h.work, "password"))...).must(t, 0)
			mustList(t, h.timed(t, "trust"), "trusted", "Chromium")
			mustList(t, h.timed(t, "untrust"), "removed", "Chromium")
			if list := h.run(t, certutil(t), "-L", "-d", "sql:"+dir).must(t, 0).stdout; strings.Contains(list, "C,,") {
				t.Errorf("%s still trusts\n%s", dir, list)
			}
		})
	}
}

// TestReadOnlyHome trusts in a home that nothing can be written to, with a CA
// and without one.
func TestReadOnlyHome(t *testing.T) {
	for _, with := range []string{"no CA", "a CA"} {
		t.Run(with, func(t *testing.T) {
			h := newHome(t)
			h.database(t, "")
			if with == "a CA" {
				h.devproxy(t, "ca", "rotate").must(t, 0)
			}
			settle(t)
			if err := unix.Mount(h.dir, h.dir, "", unix.MS_BIND, ""); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { unix.Unmount(h.dir, unix.MNT_DETACH) })
			if err := unix.Mount("", h.dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
			clean := readMachine(t, h)
			for _, args := range [][]string{{"trust"}, {"trust", "--user"}} {
				got := h.devproxy(t, args...)
				if got.code == 0 || !strings.Contains(got.stderr+got.stdout, syscall.EROFS.Error()) {
					t.Errorf("%q: want a refusal for %q\n%s", args, syscall.EROFS, got)
				}
				clean.mustBe(t, readMachine(t, h))
			}
			// What looks only works as ever.
			if got := h.devproxy(t, "doctor", "--json"); got.code != 1 || got.stderr == "" {
				t.Errorf("doctor: %s", got)
			}
			h.devproxy(t, "untrust").must(t, 0)
			clean.mustBe(t, readMachine(t, h))
		})
	}
}

// TestTrustWithoutHome runs what needs a home without one.
func TestTrustWithoutHome(t *testing.T) {
	h := newHome(t).withEnv("HOME")
	clean := readMachine(t, h)
	for _, args := range [][]string{{"trust"}, {"trust", "--user"}, {"untrust"}, {"env"}, {"exec", "--", "true"}, {"ca", "rotate"}, {"ca", "show"}} {
		if got := h.devproxy(t, args...); got.code != 2 || !strings.Contains(got.stderr, "HOME is not set") {
			t.Errorf("%q: want exit code 2 and the reason\n%s", args, got)
		}
	}
	if got := h.devproxy(t, "doctor"); got.code != 1 || !strings.Contains(got.stdout, "HOME is not set") {
		t.Errorf("doctor: want exit code 1 and the reason\n%s", got)
	}
	clean.mustBe(t, readMachine(t, h))
}

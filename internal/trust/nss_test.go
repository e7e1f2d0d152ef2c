package trust

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestNSSOutcomes(t *testing.T) {
	root, file := newRoot(t)
	other, _ := newRoot(t)
	name := anchorFor(t, root, file).name
	held := func(nickname, flags string) []fakeCert {
		return []fakeCert{{entry{nickname, flags}, rootPEM(root)}}
	}
	for _, tc := range []struct {
		name      string
		before    fakeNSS
		state     State
		detail    string
		fix       string
		nicknames []string // in the end
		removed   State    // after Remove
	}{
		{name: "plain", state: Trusted, nicknames: []string{name}, removed: NotTrusted},
		{name: "there already", before: fakeNSS{certs: held(name, "C,,")}, state: Trusted, nicknames: []string{name}, removed: NotTrusted},
		{name: "under another name", before: fakeNSS{certs: held("My CA", "CT,C,")}, state: Trusted, detail: "My CA", nicknames: []string{"My CA"}},
		{name: "there, but not trusted", before: fakeNSS{certs: held("My CA", ",,")}, state: Trusted, detail: "My CA", nicknames: []string{"My CA"}, removed: NotTrusted},
		{name: "others", before: fakeNSS{certs: []fakeCert{{entry{"A  B", "C,,"}, rootPEM(other)}}}, state: Trusted, nicknames: []string{"A  B", name}, removed: NotTrusted},
		{name: "name taken", before: fakeNSS{certs: []fakeCert{{entry{name, "C,,"}, rootPEM(other)}}}, state: NotTrusted, detail: "ADDING_CERT", nicknames: []string{name}, removed: NotTrusted},
		{name: "password", before: fakeNSS{password: true}, state: NotTrusted, detail: "password", fix: "certutil -A", removed: NotTrusted},
		{name: "password, untrusted before", before: fakeNSS{password: true, certs: held("My CA", ",,")}, state: NotTrusted, detail: "password", nicknames: []string{"My CA"}, removed: NotTrusted},
		{name: "read-only", before: fakeNSS{readOnly: true}, state: NotTrusted, detail: "read-only", fix: "writable", removed: NotTrusted},
		{name: "silently nothing", before: fakeNSS{liar: true}, state: NotTrusted, detail: "no effect", removed: NotTrusted},
		{name: "locked for a while", before: fakeNSS{locked: 5}, state: Trusted, nicknames: []string{name}, removed: NotTrusted},
		{name: "locked for long", before: fakeNSS{locked: 1 << 20}, state: Unknown, detail: "locked", fix: "close the browser"},
		{name: "delete does not", before: fakeNSS{stubborn: true}, state: Trusted, nicknames: []string{name}, removed: Trusted},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, f, d := newFakeNSS(t)
				dir := f.dir
				*f = tc.before
				f.dir = dir
				writeFile(t, d.file(), []byte("SQLite format 3\x00"))
				start := time.Now()
				got := only(t, mustInstall(t, m, root, file))
				if got.State != tc.state || !strings.Contains(got.Detail, tc.detail) || !strings.Contains(got.Fix, tc.fix) {
					t.Errorf("got %+v, want %v, detail %q, fix %q", got, tc.state, tc.detail, tc.fix)
				}
				if took := time.Since(start); took > helperTimeout {
					t.Errorf("took %v, want at most %v", took, helperTimeout)
				}
				var nicknames []string
				for _, c := range f.certs {
					nicknames = append(nicknames, c.nickname)
				}
				if !slices.Equal(nicknames, tc.nicknames) {
					t.Errorf("database holds %q, want %q", nicknames, tc.nicknames)
				}
				if tc.removed == Unknown {
					if n := len(mustLoad(t, m)); n != 0 {
						t.Errorf("%d receipts for what was not changed", n)
					}
					return
				}
				got = only(t, mustRemove(t, m))
				if got.State != tc.removed {
					t.Errorf("Remove: got %+v, want %v", got, tc.removed)
				}
				if dropped := !exists(m.receipts.file()); dropped != (tc.removed == NotTrusted) {
					t.Errorf("receipts dropped: %v", dropped)
				}
			})
		})
	}
}

func TestNSSSecondInstallOnlyReads(t *testing.T) {
	root, file := newRoot(t)
	m, f, _ := newFakeNSS(t)
	mustInstall(t, m, root, file)
	f.runs = nil
	mustInstall(t, m, root, file)
	if slices.ContainsFunc(f.runs, func(s string) bool { return s != "-L" }) {
		t.Errorf("second Install ran %v, want only -L", f.runs)
	}
}

func TestNSSCreates(t *testing.T) {
	root, file := newRoot(t)
	m, f, _ := newFakeNSS(t)
	steps, err := m.Plan(t.Context(), root, file)
	if err != nil || len(steps) != 4 || steps[1].File != f.dir {
		t.Errorf("Plan: got %+v, %v, want receipts, folder, -N, -A", steps, err)
	}
	if exists(f.dir) {
		t.Fatal("Plan made the folder")
	}
	if got := only(t, m.Status(t.Context(), root)); got.State != NotTrusted || exists(f.dir) {
		t.Errorf("Status: got %+v, want not trusted, nothing made", got)
	}
	mustInstall(t, m, root, file)
	info, err := os.Stat(f.dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder: got %v, %v, want mode 700", info, err)
	}
	only(t, mustRemove(t, m))
	if len(f.certs) != 0 {
		t.Errorf("left: %v", f.certs)
	}
}

func TestNSSWithoutCertutil(t *testing.T) {
	root, file := newRoot(t)
	for _, tc := range []struct{ tool, want string }{
		{"/usr/bin/apt-get", "libnss3-tools"},
		{"/usr/bin/dnf", "nss-tools"},
		{"/usr/bin/zypper", "mozilla-nss-tools"},
		{"/usr/bin/pacman", "pacman -S nss"},
		{"/sbin/apk", "apk add nss-tools"},
		{"/bin/other", "install certutil"},
	} {
		m, f, d := newFakeNSS(t)
		d.tool.path, m.cfg.Path = "", ""
		program := filepath.Join(m.cfg.Root, tc.tool)
		writeFile(t, program, nil)
		if err := os.Chmod(program, 0o755); err != nil {
			t.Fatal(err)
		}
		got := only(t, mustInstall(t, m, root, file))
		if got.State != NotTrusted || got.Detail != errNoCertutil.Error() || !strings.Contains(got.Fix, tc.want) || exists(f.dir) {
			t.Errorf("%s: got %+v, want not trusted, fix %q, nothing made", tc.tool, got, tc.want)
		}
		// In a database that nobody can read, nothing is known.
		writeFile(t, d.file(), []byte("SQLite format 3\x00"))
		if got := only(t, m.Status(t.Context(), root)); got.State != Unknown || !strings.Contains(got.Fix, tc.want) {
			t.Errorf("%s: Status: got %+v, want unknown", tc.tool, got)
		}
	}
}

func TestNSSGarbageIsNotWaitedFor(t *testing.T) {
	root, file := newRoot(t)
	synctest.Test(t, func(t *testing.T) {
		m, f, d := newFakeNSS(t)
		writeFile(t, d.file(), []byte("garbage"))
		f.dir = "elsewhere" // every call is SEC_ERROR_BAD_DATABASE
		start := time.Now()
		got := only(t, mustInstall(t, m, root, file))
		if got.State != Unknown || !strings.Contains(got.Detail, "not a certificate database") || got.Fix == "" {
			t.Errorf("got %+v, want unknown, not a database", got)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("waited %v for it", took)
		}
	})
}

// A trust row of newer NSS, which the certutil at hand cannot see or delete.
func TestNSSNewTrustRow(t *testing.T) {
	root, file := newRoot(t)
	m, f, d := newFakeNSS(t)
	a := anchorFor(t, root, file)
	mustInstall(t, m, root, file)
	writeFile(t, d.file(), append([]byte("SQLite format 3\x00..."), a.sum[:]...))

	f.certs[0].flags = ",,"
	if got := only(t, m.Status(t.Context(), root)); got.State != Unknown {
		t.Errorf("Status: got %+v, want unknown", got)
	}
	got := only(t, mustRemove(t, m))
	if got.State != Unknown || got.Fix == "" || !exists(m.receipts.file()) {
		t.Errorf("Remove: got %+v, want unknown with a fix, receipt kept", got)
	}
}

func TestHelperThatHangs(t *testing.T) {
	root, file := newRoot(t)
	m, _, d := newFakeNSS(t)
	writeFile(t, d.file(), []byte("SQLite format 3\x00"))
	d.tool.run = func(context.Context, ...string) (result, error) {
		return result{}, errors.New("certutil did not finish in time")
	}
	if got := only(t, mustInstall(t, m, root, file)); got.State != Unknown || !strings.Contains(got.Detail, "in time") {
		t.Errorf("got %+v, want unknown", got)
	}
}

func TestNSSRemoveNeedsCertutil(t *testing.T) {
	root, file := newRoot(t)
	m, f, _ := newFakeNSS(t)
	mustInstall(t, m, root, file)
	path := m.cfg.Path
	m.cfg.Path = ""
	if got := only(t, mustRemove(t, m)); got.State != Unknown || got.Fix == "" || len(mustLoad(t, m)) != 1 {
		t.Errorf("without certutil: got %+v, want unknown with a fix, receipt kept", got)
	}
	if steps, err := m.PlanRemove(t.Context()); err != nil || len(steps) != 1 || steps[0].Note == "" {
		t.Errorf("PlanRemove without certutil: got %+v, %v, want a note", steps, err)
	}
	m.cfg.Path = path
	steps, err := m.PlanRemove(t.Context())
	if err != nil || len(steps) != 2 || !slices.Contains(steps[1].Command, "-D") || steps[1].Privileged {
		t.Errorf("PlanRemove: got %+v, %v, want receipts and -D", steps, err)
	}
	f.runs = nil
	if got := only(t, mustRemove(t, m)); got.State != NotTrusted || len(f.certs) != 0 {
		t.Errorf("with certutil: got %+v, want not trusted", got)
	}
}

// A database that went with its browser needs nothing to be removed from.
func TestNSSDatabaseIsGone(t *testing.T) {
	root, file := newRoot(t)
	m, f, _ := newFakeNSS(t)
	mustInstall(t, m, root, file)
	if err := os.RemoveAll(f.dir); err != nil {
		t.Fatal(err)
	}
	m.cfg.Path = ""
	if got := only(t, mustRemove(t, m)); got.State != NotTrusted || exists(m.receipts.file()) {
		t.Errorf("got %+v, want not trusted, no receipts", got)
	}
}

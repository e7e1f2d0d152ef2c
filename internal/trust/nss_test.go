package trust

import (
	"context"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"devproxy/internal/nssdb"
)

// databaseState says what a database is before Install.
type databaseState struct {
	name  string
	build func(t *testing.T, d *database)
	made  bool // it is devproxy that makes it
}

var databaseStates = []databaseState{
	{"no folder", func(*testing.T, *database) {}, true},
	{"empty folder", func(t *testing.T, d *database) { mkdir(t, d.dir) }, true},
	{"empty database", makeDatabase, false},
	{"others", func(t *testing.T, d *database) {
		makeDatabase(t, d)
		other, _ := newRoot(t)
		if err := nssdb.Add(t.Context(), d.dir, "A  B", other); err != nil {
			t.Fatal(err)
		}
	}, false},
	{"key4.db is gone", func(t *testing.T, d *database) {
		makeDatabase(t, d)
		if err := os.Remove(filepath.Join(d.dir, "key4.db")); err != nil {
			t.Fatal(err)
		}
	}, false},
}

func addAs(t *testing.T, d *database, nickname string, root *x509.Certificate) {
	t.Helper()
	if err := nssdb.Add(t.Context(), d.dir, nickname, root); err != nil {
		t.Fatal(err)
	}
}

func makeDatabase(t *testing.T, d *database) {
	t.Helper()
	if err := nssdb.Create(t.Context(), d.dir); err != nil {
		t.Fatal(err)
	}
}

// TestNSSOutcomes: whatever certutil does or does not, the root is trusted,
// found again and taken out, and what was there before is there after.
func TestNSSOutcomes(t *testing.T) {
	for _, state := range databaseStates {
		for _, fault := range []string{"", "absent", "fails", "lies", "hangs"} {
			t.Run(state.name+"/"+fault, func(t *testing.T) {
				root, file := newRoot(t)
				m, f, d := newFakeNSS(t)
				f.fault = fault
				if fault == "absent" {
					d.tool.path = ""
				}
				state.build(t, d)
				before, folder := rootsOf(t, d), exists(d.dir)

				got := only(t, mustInstall(t, m, root, file))
				if got.State != Trusted || !got.Changed || got.Detail != "" {
					t.Fatalf("Install: got %+v, want trusted", got)
				}
				e, held, err := nssdb.Find(t.Context(), d.dir, anchorFor(t, root, file).sum)
				if err != nil || !held || !e.Trusted || e.Nickname != anchorFor(t, root, file).name {
					t.Errorf("the database says %+v, %v, %v", e, held, err)
				}
				if info, err := os.Stat(d.dir); err != nil || state.made && !folder && info.Mode().Perm() != 0o700 {
					t.Errorf("folder: %v, %v; want mode 700", info.Mode(), err)
				}

				f.runs = nil
				bytes := contents(t, d.dir)
				if got := only(t, mustInstall(t, m, root, file)); got.State != Trusted || got.Changed || f.runs != nil {
					t.Errorf("second Install: got %+v after %v, want trusted, nothing run", got, f.runs)
				}
				checkSame(t, "second Install", bytes, contents(t, d.dir))

				// Remove needs no certutil.
				if got := only(t, mustRemove(t, m)); got.State != NotTrusted || !got.Changed {
					t.Errorf("Remove: got %+v, want removed", got)
				}
				if exists(d.file()) == state.made {
					t.Errorf("the database is there: %v, and devproxy made it: %v", exists(d.file()), state.made)
				}
				if exists(d.dir) != folder && state.made {
					t.Errorf("the folder is there: %v, before: %v", exists(d.dir), folder)
				}
				if after := rootsOf(t, d); !slices.Equal(after, before) {
					t.Errorf("roots %q, before %q", after, before)
				}
				if exists(m.receipts.file()) {
					t.Error("a receipt is left")
				}
			})
		}
	}
}

func rootsOf(t *testing.T, d *database) []string {
	t.Helper()
	if !hasDatabase(d.dir) {
		return nil
	}
	roots, err := nssdb.Roots(t.Context(), d.dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range roots {
		names = append(names, r.Subject.String())
	}
	return names
}

// TestNSSOwnedByAnother: a root that a person put there stays theirs.
func TestNSSOwnedByAnother(t *testing.T) {
	root, file := newRoot(t)
	m, _, d := newFakeNSS(t)
	makeDatabase(t, d)
	if err := nssdb.Add(t.Context(), d.dir, "My CA", root); err != nil {
		t.Fatal(err)
	}
	got := only(t, mustInstall(t, m, root, file))
	if got.State != Trusted || got.Changed || got.Detail != `as "My CA"` {
		t.Errorf("got %+v, want trusted as My CA", got)
	}
	if got := mustRemove(t, m); len(got) != 0 || len(rootsOf(t, d)) != 1 {
		t.Errorf("Remove: got %+v, want nothing done", got)
	}
}

func TestNSSNicknameIsTaken(t *testing.T) {
	root, file := newRoot(t)
	other, _ := newRoot(t)
	m, _, d := newFakeNSS(t)
	makeDatabase(t, d)
	if err := nssdb.Add(t.Context(), d.dir, anchorFor(t, root, file).name, other); err != nil {
		t.Fatal(err)
	}
	if got := only(t, mustInstall(t, m, root, file)); got.State != NotTrusted || !strings.Contains(got.Detail, "nickname") {
		t.Errorf("got %+v, want not trusted for its nickname", got)
	}
	if got := only(t, mustRemove(t, m)); got.State != NotTrusted || len(rootsOf(t, d)) != 1 {
		t.Errorf("Remove: got %+v, want the other root left", got)
	}
}

// TestNSSUsedMeanwhile: a database that devproxy made stays once somebody has
// put something in it or has it open.
func TestNSSUsedMeanwhile(t *testing.T) {
	for _, tt := range []struct {
		name string
		use  func(t *testing.T, m *Machine, d *database)
	}{
		{"a root", func(t *testing.T, _ *Machine, d *database) {
			other, _ := newRoot(t)
			addAs(t, d, "mine", other)
		}},
		{"a module", func(t *testing.T, _ *Machine, d *database) {
			f, err := os.OpenFile(filepath.Join(d.dir, "pkcs11.txt"), os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteString("library=/usr/lib/opensc-pkcs11.so\nname=card\n")
				f.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
		}},
		{"a link", func(t *testing.T, _ *Machine, d *database) {
			if err := os.Rename(d.dir, d.dir+".real"); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(d.dir+".real", d.dir); err != nil {
				t.Fatal(err)
			}
		}},
		{"open", func(_ *testing.T, m *Machine, _ *database) { m.busy = func(string) bool { return true } }},
	} {
		root, file := newRoot(t)
		m, _, d := newFakeNSS(t)
		m.busy = func(string) bool { return false }
		mustInstall(t, m, root, file)
		tt.use(t, m, d)
		if got := only(t, mustRemove(t, m)); got.State != NotTrusted || !got.Changed {
			t.Errorf("%s: got %+v, want removed", tt.name, got)
		}
		if !exists(d.file()) || exists(m.receipts.file()) {
			t.Errorf("%s: database kept %v, receipt kept %v", tt.name, exists(d.file()), exists(m.receipts.file()))
		}
	}
}

// TestNSSMadeForTwo: the database goes with the last root, whichever came
// first, and not before.
func TestNSSMadeForTwo(t *testing.T) {
	old, oldFile := newRoot(t)
	next, nextFile := newRoot(t)
	m, _, d := newFakeNSS(t)
	mustInstall(t, m, old, oldFile)
	mustInstall(t, m, next, nextFile)
	if _, err := m.RemoveOthers(t.Context(), next); err != nil || !exists(d.file()) {
		t.Fatalf("RemoveOthers: %v, database there: %v", err, exists(d.file()))
	}
	if got := only(t, mustRemove(t, m)); got.State != NotTrusted || exists(filepath.Dir(d.dir)) {
		t.Errorf("Remove: got %+v, folder there: %v", got, exists(filepath.Dir(d.dir)))
	}
}

// TestNSSOrphan: a trust row without its certificate is something left.
func TestNSSOrphan(t *testing.T) {
	root, file := newRoot(t)
	m, _, d := newFakeNSS(t)
	makeDatabase(t, d)
	mustInstall(t, m, root, file)
	a := anchorFor(t, root, file)
	execSQL(t, d.file(), "DELETE FROM nssPublic WHERE a0 = x'00000001'")
	e, held, err := nssdb.Find(t.Context(), d.dir, a.sum)
	if err != nil || held {
		t.Fatalf("got %+v, %v, %v", e, held, err)
	}
	if got := only(t, m.Status(t.Context(), root)); got.State != NotTrusted {
		t.Errorf("Status: got %+v, want not trusted", got)
	}
}

func TestNSSPlan(t *testing.T) {
	root, file := newRoot(t)
	for _, tt := range []struct {
		name    string
		tool    bool
		there   bool
		changes []string // files and commands
	}{
		{"certutil, nothing there", true, false, []string{"pki", "pki/nssdb", "-N", "-A"}},
		{"certutil", true, true, []string{"-A"}},
		{"nothing there", false, false, []string{"pki", "pki/nssdb", "pki/nssdb/pkcs11.txt", "pki/nssdb/key4.db", "pki/nssdb/cert9.db"}},
		{"directly", false, true, []string{"pki/nssdb/cert9.db", "pki/nssdb/key4.db"}},
	} {
		m, _, d := newFakeNSS(t)
		if !tt.tool {
			d.tool.path = ""
		}
		if tt.there {
			makeDatabase(t, d)
		}
		before := contents(t, m.cfg.Home)
		steps, err := m.Plan(t.Context(), root, file)
		if err != nil {
			t.Fatal(err)
		}
		checkSame(t, "Plan", before, contents(t, m.cfg.Home))
		var got []string
		for _, s := range steps[1:] { // after the receipts
			if s.Command != nil {
				got = append(got, s.Command[1])
			} else if rel, err := filepath.Rel(m.cfg.Home, s.File); err == nil {
				got = append(got, rel)
			}
		}
		if !slices.Equal(got, tt.changes) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.changes)
		}
	}
}

func TestNSSGarbage(t *testing.T) {
	root, file := newRoot(t)
	m, f, d := newFakeNSS(t)
	writeFile(t, d.file(), []byte("garbage"))
	got := only(t, mustInstall(t, m, root, file))
	if got.State != Unknown || !strings.Contains(got.Detail, "not a certificate database") || got.Fix == "" || f.runs != nil {
		t.Errorf("got %+v after %v, want unknown, not a database", got, f.runs)
	}
	if data, _ := os.ReadFile(d.file()); string(data) != "garbage" {
		t.Error("the file was changed")
	}
}

// TestNSSDatabaseIsGone: one that went with its browser needs nothing.
func TestNSSDatabaseIsGone(t *testing.T) {
	root, file := newRoot(t)
	m, _, d := newFakeNSS(t)
	mustInstall(t, m, root, file)
	if err := os.RemoveAll(d.dir); err != nil {
		t.Fatal(err)
	}
	if got := only(t, mustRemove(t, m)); got.State != NotTrusted || exists(m.receipts.file()) {
		t.Errorf("got %+v, want not trusted, no receipts", got)
	}
}

// TestNSSHandshake: the anchors of the handshake are those of the database.
func TestNSSHandshake(t *testing.T) {
	root, file := newRoot(t)
	other, _ := newRoot(t)
	m, _, d := newFakeNSS(t)
	makeDatabase(t, d)
	if err := nssdb.Add(t.Context(), d.dir, "other", other); err != nil {
		t.Fatal(err)
	}
	mustInstall(t, m, root, file)
	f, err := d.verify(context.Background(), anchorFor(t, root, file))
	if err != nil || f.roots == nil {
		t.Fatalf("got %+v, %v", f, err)
	}
	if !f.roots.Equal(poolOf(root, other)) {
		t.Error("the pool is not what the database trusts")
	}
}

package trust

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"devproxy/internal/elevate"
)

// fakeSystem is a distribution in a folder, whose tool makes a bundle, and
// Java's store if that is there, from all anchors.
type fakeSystem struct {
	t    *testing.T
	m    *Machine
	l    layout
	fail error
	runs []elevate.Command
}

func newFakeSystem(t *testing.T, m *Machine, name string, more ...string) *fakeSystem {
	t.Helper()
	all := layouts()
	f := &fakeSystem{t: t, m: m, l: all[slices.IndexFunc(all, func(l layout) bool { return l.kind == name })]}
	runnable(t, m.at("/usr/bin/install"))
	for _, what := range more {
		if dir, ok := strings.CutSuffix(what, "/"); ok {
			mkdir(t, m.at(dir))
		} else {
			runnable(t, m.at(what))
		}
	}
	mkdir(t, filepath.Dir(m.at(f.l.bundle)))
	m.cfg.Elevate = func(_ context.Context, why string, commands []elevate.Command) error {
		for _, c := range commands {
			f.runs = append(f.runs, c)
			if f.fail != nil {
				return f.fail
			}
			f.do(c)
		}
		return nil
	}
	other, _ := newRoot(t)
	writeFile(t, filepath.Join(m.system(f.l).anchors, "company"+f.l.ext), rootPEM(other))
	f.refresh()
	return f
}

func (f *fakeSystem) do(c elevate.Command) {
	f.t.Helper()
	s := f.m.system(f.l)
	switch {
	case isInstall(c):
		doInstall(f.t, c)
	case c[0] == "/bin/rm":
		for _, file := range c[2:] {
			os.Remove(file)
		}
	case slices.Equal(c, s.refresh):
		f.refresh()
	default:
		f.t.Fatalf("unexpected command: %s", c)
	}
}

func (f *fakeSystem) refresh() {
	f.t.Helper()
	s := f.m.system(f.l)
	var bundle []byte
	var java []jksEntry
	for _, dir := range append([]string{s.anchors}, s.sources...) {
		files, _ := filepath.Glob(filepath.Join(dir, "*"))
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.t.Fatal(err)
			}
			bundle = append(bundle, data...)
			in, err := readBundle(file)
			if err != nil {
				f.t.Fatal(err)
			}
			for _, der := range in {
				java = append(java, jksEntry{alias: filepath.Base(file), der: der})
			}
			if s.links != "" {
				name := s.prefix + strings.TrimSuffix(filepath.Base(file), s.ext) + ".pem"
				os.Symlink(file, filepath.Join(s.links, name))
				os.Symlink(name, filepath.Join(s.links, "hash-of-"+name))
			}
		}
	}
	writeFile(f.t, s.bundle, bundle)
	if file := f.m.at(f.l.java[0]); isDir(filepath.Dir(file)) {
		writeFile(f.t, file, makeJKS(2, java...))
	}
}

// systems is what is on the disks of distributions, and what they run.
var systems = map[string]struct {
	kind   string
	disk   []string
	anchor string // folder and extension
	tool   string
}{
	"Fedora":                    {kindRedHat, []string{"/etc/pki/ca-trust/source/anchors/", "/usr/bin/update-ca-trust"}, "/etc/pki/ca-trust/source/anchors/*.pem", "/usr/bin/update-ca-trust extract"},
	"Arch":                      {kindArch, []string{"/etc/ca-certificates/trust-source/anchors/", "/usr/bin/trust", "/usr/bin/update-ca-trust"}, "/etc/ca-certificates/trust-source/anchors/*.crt", "/usr/bin/update-ca-trust"},
	"Arch, p11-kit alone":       {kindArch, []string{"/etc/ca-certificates/trust-source/anchors/", "/usr/bin/trust"}, "/etc/ca-certificates/trust-source/anchors/*.crt", "/usr/bin/trust extract-compat"},
	"SUSE":                      {kindSUSE, []string{"/etc/pki/trust/anchors/", "/usr/share/pki/trust/anchors/", "/usr/sbin/update-ca-certificates"}, "/etc/pki/trust/anchors/*.pem", "/usr/sbin/update-ca-certificates"},
	"SUSE, the vendor's folder": {kindSUSE, []string{"/usr/share/pki/trust/anchors/", "/usr/sbin/update-ca-certificates"}, "/usr/share/pki/trust/anchors/*.pem", "/usr/sbin/update-ca-certificates"},
	"SUSE with Debian's folder": {kindSUSE, []string{"/usr/local/share/ca-certificates/", "/etc/pki/trust/anchors/", "/usr/sbin/update-ca-certificates"}, "/etc/pki/trust/anchors/*.pem", "/usr/sbin/update-ca-certificates"},
	"Alpine":                    {kindAlpine, []string{"/etc/ca-certificates/update.d/certhash", "/usr/local/share/ca-certificates/", "/usr/sbin/update-ca-certificates"}, "/usr/local/share/ca-certificates/*.crt", "/usr/sbin/update-ca-certificates"},
	"Fedora with Java":          {kindRedHat, []string{"/etc/pki/ca-trust/extracted/java/", "/etc/pki/ca-trust/source/anchors/", "/usr/bin/update-ca-trust"}, "/etc/pki/ca-trust/source/anchors/*.pem", "/usr/bin/update-ca-trust extract"},
	"Arch with Java":            {kindArch, []string{"/etc/ssl/certs/java/", "/etc/ca-certificates/trust-source/anchors/", "/usr/bin/trust", "/usr/bin/update-ca-trust"}, "/etc/ca-certificates/trust-source/anchors/*.crt", "/usr/bin/update-ca-trust"},
}

func TestSystems(t *testing.T) {
	for name, tt := range systems {
		t.Run(name, func(t *testing.T) {
			root, file := newRoot(t)
			m := newMachine(t)
			f := newFakeSystem(t, m, tt.kind, tt.disk...)
			a := anchorFor(t, root, file)
			place := strings.Replace(m.at(tt.anchor), "*", a.name, 1)
			tool := m.cfg.Root + tt.tool
			before := contents(t, m.cfg.Root)

			steps, err := m.Plan(t.Context(), root, file)
			if err != nil {
				t.Fatal(err)
			}
			for _, st := range mustInstall(t, m, root, file) {
				if st.State != Trusted {
					t.Errorf("Install: got %+v, want trusted", st)
				}
			}
			var got []string
			for _, c := range f.runs {
				got = append(got, c.String())
			}
			install := a.feed(elevate.Command{m.at("/usr/bin/install"), "-m", "0644", "/dev/stdin", place})
			if want := []string{install.String(), tool}; !slices.Equal(got, want) {
				t.Errorf("Install ran %q, want %q", got, want)
			}
			checkPlanned(t, steps, f.runs)
			f.runs = nil
			for _, st := range mustInstall(t, m, root, file) {
				if st.State != Trusted || st.Changed || f.runs != nil {
					t.Errorf("second Install: got %+v after %v, want no change", st, f.runs)
				}
			}
			found, err := m.system(f.l).verify(t.Context(), a)
			//lint:ignore SA1019 this is not the system's pool
			if err != nil || found.roots == nil || len(found.roots.Subjects()) < 2 {
				t.Errorf("got %+v, %v, want the bundle's certificates as roots", found, err)
			}
			steps, err = m.PlanRemove(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, st := range mustRemove(t, m) {
				if st.State != NotTrusted {
					t.Errorf("Remove: got %+v, want not trusted", st)
				}
			}
			checkPlanned(t, steps, f.runs)
			checkSame(t, "trust and untrust", before, contents(t, m.cfg.Root))
			f.runs = nil
			if got := mustRemove(t, m); got != nil || f.runs != nil {
				t.Errorf("second Remove: got %+v after %v, want nothing", got, f.runs)
			}
		})
	}
}

// What goes wrong in a system's store, whichever it is.
func TestSystemFailures(t *testing.T) {
	for name, tt := range systems {
		t.Run(name, func(t *testing.T) {
			root, file := newRoot(t)
			other, _ := newRoot(t)
			m := newMachine(t)
			f := newFakeSystem(t, m, tt.kind, tt.disk...)
			a := anchorFor(t, root, file)
			place := strings.Replace(m.at(tt.anchor), "*", a.name, 1)

			f.fail = errors.New("broken")
			if got := systemStatus(t, mustInstall(t, m, root, file)); got.State != NotTrusted || got.Detail != "broken" || len(got.Commands) != 2 {
				t.Errorf("failing tool: got %+v, want not trusted, broken, with the commands", got)
			}
			f.fail = nil
			if got := systemStatus(t, mustInstall(t, m, root, file)); got.State != Trusted {
				t.Errorf("then: got %+v, want trusted", got)
			}
			// Taken out behind our back, it comes again, and untrust has nothing to do.
			os.Remove(place)
			f.refresh()
			if got := systemStatus(t, m.Status(t.Context(), root)); got.State != NotTrusted {
				t.Errorf("removed by somebody: got %+v, want not trusted", got)
			}
			f.runs = nil
			if got := systemStatus(t, mustInstall(t, m, root, file)); got.State != Trusted || len(f.runs) < 2 {
				t.Errorf("again: got %+v after %v, want trusted", got, f.runs)
			}
			f.fail = errors.New("broken")
			if got := systemStatus(t, mustRemove(t, m)); got.State != Trusted || got.Detail != "broken" || !exists(m.receipts.file()) {
				t.Errorf("Remove: got %+v, want trusted still, and the receipt", got)
			}
			f.fail = nil
			mustRemove(t, m)

			writeFile(t, place, rootPEM(other))
			f.refresh()
			f.runs = nil
			if got := systemStatus(t, mustInstall(t, m, root, file)); got.State != NotTrusted || got.Fix == "" || f.runs != nil {
				t.Errorf("other content: got %+v after %v, want no command", got, f.runs)
			}
			os.Remove(place)

			// The same root by another name is trusted, and not ours to take out.
			byHand := filepath.Join(filepath.Dir(place), "by-hand"+f.l.ext)
			writeFile(t, byHand, rootPEM(root))
			f.refresh()
			if got := systemStatus(t, mustInstall(t, m, root, file)); got.State != Trusted || !strings.Contains(got.Detail, byHand) || f.runs != nil {
				t.Errorf("by hand: got %+v after %v, want trusted through %s", got, f.runs, byHand)
			}
		})
	}
}

func TestSystemWithoutWayIn(t *testing.T) {
	root, file := newRoot(t)
	m := newMachine(t)
	f := newFakeSystem(t, m, kindRedHat, systems["Fedora"].disk...)
	s := m.system(f.l)
	s.readOnly = func(path string) bool { return path == s.anchors }
	finds(m, s)
	got := systemStatus(t, mustInstall(t, m, root, file))
	if got.State != NotTrusted || !strings.Contains(got.Detail, "read-only") || got.Fix == "" || f.runs != nil {
		t.Errorf("read-only: got %+v after %v, want not trusted with a fix, no command", got, f.runs)
	}
	os.Remove(m.at("/usr/bin/install"))
	finds(m, m.system(f.l))
	got = systemStatus(t, mustInstall(t, m, root, file))
	if got.State != NotTrusted || !strings.Contains(got.Detail, "install") || !strings.Contains(got.Fix, s.refresh.String()) || f.runs != nil {
		t.Errorf("no install: got %+v after %v, want not trusted with the commands to run", got, f.runs)
	}
}

func TestNoSystem(t *testing.T) {
	root, file := newRoot(t)
	shelf := newShelf("/shelf")
	m := newMachine(t)
	mkdir(t, m.at("/etc"))
	m.kinds = append(slices.Clone(m.kinds), kind{find: func(*Machine, anchor) ([]store, []Status) { return []store{shelf}, nil }})
	got := mustInstall(t, m, root, file)
	if len(got) != 2 || got[0].State != Trusted || got[1].State != Unknown || got[1].Location != "" || !strings.Contains(got[1].Fix, file) {
		t.Errorf("got %+v, want the other store trusted and a word on the system's", got)
	}
	m.cfg.UserOnly = true
	if got := only(t, mustInstall(t, m, root, file)); got.State != Trusted {
		t.Errorf("with UserOnly: got %+v", got)
	}
}

func TestNixOS(t *testing.T) {
	root, file := newRoot(t)
	other, _ := newRoot(t)
	m := newMachine(t)
	writeFile(t, m.at("/etc/NIXOS"), nil)
	bundle := m.at("/etc/ssl/certs/ca-certificates.crt")
	writeFile(t, bundle, rootPEM(other))
	got := only(t, mustInstall(t, m, root, file))
	line := "security.pki.certificateFiles = [ \"" + file + "\" ];"
	if got.State != NotTrusted || !strings.Contains(got.Fix, line) {
		t.Errorf("got %+v, want not trusted and %s", got, line)
	}
	steps, err := m.Plan(t.Context(), root, file)
	if err != nil || len(steps) != 1 || !strings.Contains(steps[0].Note, line) {
		t.Errorf("Plan: got %+v, %v, want a note with the line", steps, err)
	}
	writeFile(t, bundle, append(rootPEM(other), rootPEM(root)...))
	if got := only(t, mustInstall(t, m, root, file)); got.State != Trusted || got.Changed {
		t.Errorf("once it is there: got %+v, want trusted", got)
	}
	if got := only(t, mustRemove(t, m)); got.State != Trusted || !strings.Contains(got.Fix, "certificateFiles") {
		t.Errorf("Remove: got %+v, want a word on the line", got)
	}
	if steps, err := m.PlanRemove(t.Context()); err != nil || len(steps) != 1 || steps[0].Note == "" {
		t.Errorf("PlanRemove: got %+v, %v, want a note", steps, err)
	}
	writeFile(t, bundle, rootPEM(other))
	if got := only(t, mustRemove(t, m)); got.State != NotTrusted || exists(m.receipts.file()) {
		t.Errorf("Remove at last: got %+v, want not trusted, no receipt", got)
	}
}

//go:build linux

package trust

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"devproxy/internal/elevate"
)

func systemStatus(t *testing.T, all []Status) Status {
	t.Helper()
	i := slices.IndexFunc(all, func(s Status) bool { return s.Store == "System" })
	if i < 0 {
		t.Fatalf("no system store among %+v", all)
	}
	return all[i]
}

func javaStatus(t *testing.T, all []Status) Status {
	t.Helper()
	i := slices.IndexFunc(all, func(s Status) bool { return s.Store == "Java" })
	if i < 0 {
		t.Fatalf("no Java store among %+v", all)
	}
	return all[i]
}

func TestDebianRoundTrip(t *testing.T) {
	root, file := newRoot(t)
	m := newMachine(t)
	f := newOldDebian(t, m)
	before := f.files()
	a := anchorFor(t, root, file)

	steps, err := m.Plan(t.Context(), root, file)
	if err != nil {
		t.Fatal(err)
	}
	got := systemStatus(t, mustInstall(t, m, root, file))
	if got.State != Trusted || !got.Changed {
		t.Fatalf("Install: got %+v, want trusted", got)
	}
	want := []elevate.Command{
		a.feed(elevate.Command{f.d.installer, "-m", "0644", "/dev/stdin", filepath.Join(f.d.anchors, a.name+".crt")}),
		f.d.refresh,
	}
	if !slices.EqualFunc(f.runs, want, slices.Equal[elevate.Command]) {
		t.Errorf("Install ran %v, want %v", f.runs, want)
	}
	checkPlanned(t, steps, f.runs)
	if len(f.reasons) != 1 || f.reasons[0] == "" {
		t.Errorf("reasons given: %q, want one", f.reasons)
	}

	f.runs = nil
	if got := systemStatus(t, mustInstall(t, m, root, file)); got.State != Trusted || got.Changed || f.runs != nil {
		t.Errorf("second Install: got %+v after %v, want trusted, no command", got, f.runs)
	}
	if got := systemStatus(t, m.Status(t.Context(), root)); got.State != Trusted {
		t.Errorf("Status: got %+v, want trusted", got)
	}

	steps, err = m.PlanRemove(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := systemStatus(t, mustRemove(t, m)); got.State != NotTrusted || !got.Changed {
		t.Errorf("Remove: got %+v, want not trusted", got)
	}
	checkPlanned(t, steps, f.runs)
	if _, ok := f.java["debian:"+a.name+".pem"]; ok {
		t.Error("Java's store still has the root")
	}
	after := f.files()
	delete(before, f.d.java.file) // the fake writes entries in any order
	delete(after, f.d.java.file)
	for path, content := range after {
		if before[path] != content {
			t.Errorf("after Remove %s holds %.80q", path, content)
		}
		delete(before, path)
	}
	if len(before) > 0 {
		t.Errorf("Remove deleted %v", before)
	}
	f.runs = nil
	if got := mustRemove(t, m); got != nil || f.runs != nil {
		t.Errorf("second Remove: got %+v after %v, want nothing", got, f.runs)
	}
}

// checkPlanned compares a plan with what was then done.
func checkPlanned(t *testing.T, steps []Step, runs []elevate.Command) {
	t.Helper()
	var planned []elevate.Command
	for _, s := range steps {
		if s.Privileged {
			planned = append(planned, s.Command)
		}
	}
	if !slices.EqualFunc(planned, runs, slices.Equal[elevate.Command]) {
		t.Errorf("planned %v, ran %v", planned, runs)
	}
}

func TestDebianSupersededRoots(t *testing.T) {
	m := newMachine(t)
	f := newOldDebian(t, m)
	for range 3 {
		root, file := newRoot(t)
		mustInstall(t, m, root, file)
	}
	never, neverFile := newRoot(t)
	if err := m.receipts.add(receiptOf(f.d, anchorFor(t, never, neverFile))); err != nil {
		t.Fatal(err)
	}
	f.runs = nil
	if got := only(t, mustRemove(t, m)); got.State != NotTrusted {
		t.Errorf("got %+v, want not trusted", got)
	}
	if len(f.runs) != 3 {
		t.Errorf("ran %v, want three commands for all roots together", f.runs)
	}
	if left, _ := filepath.Glob(filepath.Join(f.d.links, "*"+namePrefix+"*")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestDebianWithoutPrivilege(t *testing.T) {
	root, file := newRoot(t)
	m := newMachine(t)
	f := newOldDebian(t, m)
	m.cfg.Elevate = func(context.Context, string, []elevate.Command) error { return elevate.ErrUnavailable }
	got := systemStatus(t, mustInstall(t, m, root, file))
	if got.State != NotTrusted || got.Fix == "" || len(got.Commands) != 2 {
		t.Fatalf("got %+v, want not trusted, with two commands", got)
	}
	// The administrator runs them; the receipt is there already.
	for _, c := range got.Commands {
		f.do(c)
	}
	if got := systemStatus(t, mustInstall(t, m, root, file)); got.State != Trusted {
		t.Errorf("after the commands: got %+v, want trusted", got)
	}
	got = only(t, mustRemove(t, m))
	if got.State != Trusted || len(got.Commands) != 3 {
		t.Fatalf("Remove: got %+v, want trusted still, with three commands", got)
	}
	for _, c := range got.Commands {
		f.do(c)
	}
	if got := only(t, mustRemove(t, m)); got.State != NotTrusted || exists(m.receipts.file()) {
		t.Errorf("after the commands: got %+v, want not trusted, no receipts", got)
	}
}

func TestDebianUserOnly(t *testing.T) {
	root, file := newRoot(t)
	m := newMachine(t)
	f := newOldDebian(t, m)
	m.cfg.UserOnly = true
	if got := mustInstall(t, m, root, file); len(got) != 0 || f.runs != nil {
		t.Errorf("Install: got %+v after %v, want nothing", got, f.runs)
	}
	m.cfg.UserOnly = false
	mustInstall(t, m, root, file)
	f.runs, m.cfg.UserOnly = nil, true
	if got := only(t, mustRemove(t, m)); got.State != Trusted || len(got.Commands) != 3 || f.runs != nil {
		t.Errorf("Remove: got %+v after %v, want trusted, with commands, none run", got, f.runs)
	}
}

// Whatever half of a change was done, the next run does the other.
func TestDebianInterrupted(t *testing.T) {
	broken := errors.New("broken")
	t.Run("install", func(t *testing.T) {
		root, file := newRoot(t)
		m := newMachine(t)
		f := newOldDebian(t, m)
		f.fail["update-ca-certificates"] = broken
		if got := systemStatus(t, mustInstall(t, m, root, file)); got.State != NotTrusted || got.Detail != "broken" {
			t.Errorf("got %+v, want not trusted, broken", got)
		}
		f.fail, f.runs = nil, nil
		if got := systemStatus(t, mustInstall(t, m, root, file)); got.State != Trusted || len(f.runs) != 1 {
			t.Errorf("got %+v after %v, want trusted after one command", got, f.runs)
		}
	})
	for _, program := range []string{"rm", "update-ca-certificates", "sh"} {
		t.Run("remove, "+program, func(t *testing.T) {
			root, file := newRoot(t)
			m := newMachine(t)
			f := newOldDebian(t, m)
			mustInstall(t, m, root, file)
			f.fail[program] = broken
			if got := only(t, mustRemove(t, m)); got.State != Trusted || got.Detail != "broken" {
				t.Errorf("got %+v, want trusted, broken", got)
			}
			f.fail = nil
			if got := only(t, mustRemove(t, m)); got.State != NotTrusted || exists(m.receipts.file()) {
				t.Errorf("got %+v, want not trusted", got)
			}
		})
	}
	t.Run("trust after half a remove", func(t *testing.T) {
		root, file := newRoot(t)
		m := newMachine(t)
		f := newOldDebian(t, m)
		mustInstall(t, m, root, file)
		f.fail["update-ca-certificates"] = broken
		mustRemove(t, m)
		if got := systemStatus(t, m.Status(t.Context(), root)); got.State != Unknown {
			t.Errorf("got %+v, want unknown: the bundle has it, no file does", got)
		}
		f.fail = nil
		if got := systemStatus(t, mustInstall(t, m, root, file)); got.State != Trusted {
			t.Errorf("got %+v, want trusted", got)
		}
	})
	t.Run("killed before install", func(t *testing.T) {
		root, file := newRoot(t)
		m := newMachine(t)
		f := newOldDebian(t, m)
		mkdir(t, m.cfg.State)
		if err := m.receipts.add(receiptOf(f.d, anchorFor(t, root, file))); err != nil {
			t.Fatal(err)
		}
		if got := only(t, mustRemove(t, m)); got.State != NotTrusted || got.Changed || f.runs != nil || exists(m.receipts.file()) {
			t.Errorf("got %+v after %v, want not trusted, unchanged, no command, no receipts", got, f.runs)
		}
	})
}

func TestDebianLeavesOthersFiles(t *testing.T) {
	root, file := newRoot(t)
	other, _ := newRoot(t)
	m := newMachine(t)
	f := newOldDebian(t, m)
	a := anchorFor(t, root, file)
	mustInstall(t, m, root, file)
	writeFile(t, f.d.anchorFile(a), rootPEM(other))
	f.refresh()
	f.java["debian:"+a.name+".pem"] = other.Raw
	f.saveJava()
	f.runs = nil
	got := only(t, mustRemove(t, m))
	if got.State != Unknown || !strings.Contains(got.Detail, f.d.anchorFile(a)) || got.Fix == "" || f.runs != nil {
		t.Errorf("Remove: got %+v after %v, want a word on the file, no command", got, f.runs)
	}
	if got := systemStatus(t, mustInstall(t, m, root, file)); got.State != NotTrusted || got.Fix == "" || f.runs != nil {
		t.Errorf("Install: got %+v after %v, want not trusted, no command", got, f.runs)
	}
	if in, _ := readCertificates(f.d.anchorFile(a)); len(in) != 1 || in[0] == a.sum {
		t.Error("the file was overwritten")
	}
}

func TestDebianSameRootByOtherMeans(t *testing.T) {
	root, file := newRoot(t)
	m := newMachine(t)
	f := newOldDebian(t, m)
	byHand := filepath.Join(f.d.anchors, "by-hand.crt")
	writeFile(t, byHand, append([]byte("# mine\n"), rootPEM(root)...))
	f.refresh()
	got := systemStatus(t, mustInstall(t, m, root, file))
	if got.State != Trusted || got.Changed || !strings.Contains(got.Detail, byHand) || f.runs != nil {
		t.Errorf("Install: got %+v after %v, want trusted through %s", got, f.runs, byHand)
	}
	if len(mustLoad(t, m)) != 0 {
		t.Error("Install recorded what it did not do")
	}
	// Where both are there, ours goes and theirs stays.
	a := anchorFor(t, root, file)
	writeFile(t, f.d.anchorFile(a), rootPEM(root))
	f.refresh()
	mustInstall(t, m, root, file)
	got = only(t, mustRemove(t, m))
	if got.State != Trusted || !strings.Contains(got.Detail, byHand) || got.Fix == "" {
		t.Errorf("Remove: got %+v, want trusted through %s", got, byHand)
	}
	if exists(f.d.anchorFile(a)) || !exists(byHand) {
		t.Error("Remove took the wrong file")
	}
	f.runs = nil
	mustRemove(t, m)
	if f.runs != nil {
		t.Errorf("another Remove ran %v, want nothing", f.runs)
	}
}

func TestDebianJava(t *testing.T) {
	install := func(t *testing.T) (*Machine, *fakeDebian, *x509.Certificate) {
		root, file := newRoot(t)
		m := newMachine(t)
		f := newOldDebian(t, m)
		mustInstall(t, m, root, file)
		return m, f, root
	}
	t.Run("alias of somebody else", func(t *testing.T) {
		m, f, root := install(t)
		f.java["mykey"] = root.Raw
		f.saveJava()
		got := only(t, mustRemove(t, m))
		if got.State != Trusted || !strings.Contains(got.Detail, "mykey") || !strings.Contains(got.Fix, "keytool") {
			t.Errorf("got %+v, want trusted as mykey", got)
		}
	})
	t.Run("not JKS", func(t *testing.T) {
		m, f, _ := install(t)
		f.java = nil
		writeFile(t, f.d.java.file, []byte("0\x82PKCS #12"))
		if got := only(t, mustRemove(t, m)); got.State != Unknown || !strings.Contains(got.Detail, "Java") {
			t.Errorf("got %+v, want unknown for Java", got)
		}
	})
	t.Run("no hook", func(t *testing.T) {
		_, f, root := install(t)
		os.Remove(f.hook)
		f.d.java.keytool = "/opt/jdk/bin/keytool"
		sum := certificates(rootPEM(root))[0]
		commands, err := f.d.removeCommands([]anchor{{sum: sum, name: anchorName(sum)}})
		if err != nil {
			t.Fatal(err)
		}
		last := commands[len(commands)-1].String()
		if !strings.HasPrefix(last, "/opt/jdk/bin/keytool -delete") || !strings.HasSuffix(last, "debian:"+anchorName(sum)+".pem") {
			t.Errorf("got %s, want keytool -delete", last)
		}
	})
	t.Run("no Java", func(t *testing.T) {
		m, f, _ := install(t)
		f.java = nil
		os.RemoveAll(filepath.Dir(f.d.java.file))
		f.runs = nil
		if got := only(t, mustRemove(t, m)); got.State != NotTrusted || len(f.runs) != 2 {
			t.Errorf("got %+v after %v, want not trusted after two commands", got, f.runs)
		}
	})
}

func TestDebianAbsent(t *testing.T) {
	root, file := newRoot(t)
	m := newMachine(t)
	if got := mustInstall(t, m, root, file); len(got) != 0 {
		t.Errorf("on an empty system: got %+v, want no store", got)
	}
	f := newOldDebian(t, m)
	mustInstall(t, m, root, file)
	// The package went, the root is to go all the same.
	os.Remove(f.d.refresh[0])
	os.RemoveAll(f.d.links)
	f.runs = nil
	if got := only(t, mustRemove(t, m)); got.State != NotTrusted || len(f.runs) != 1 {
		t.Errorf("got %+v after %v, want not trusted after one command", got, f.runs)
	}
}

func TestDebianReadsWholeBundle(t *testing.T) {
	root, file := newRoot(t)
	m := newMachine(t)
	f := newOldDebian(t, m)
	a := anchorFor(t, root, file)
	// As distributions print it: headings, and text between the certificates.
	text := "# Some CA\r\n" + string(rootPEM(root)) + "trailing words\n"
	other, _ := newRoot(t)
	writeFile(t, f.d.bundle, []byte("Certificate:\n    Data:\n"+string(rootPEM(other))+"\n"+text))
	if in, err := f.d.inBundle(a); !in || err != nil {
		t.Errorf("got %v, %v, want true", in, err)
	}
}

// TestLostReceiptsOfSystem: in a store that is everybody's only a root that is
// known to be ours may go.
func TestLostReceiptsOfSystem(t *testing.T) {
	root, file := newRoot(t)
	neighbours, neighboursFile := newRoot(t)
	m := newMachine(t)
	newOldDebian(t, m)
	mustInstall(t, m, neighbours, neighboursFile)
	mustInstall(t, m, root, file)
	if err := os.RemoveAll(m.cfg.State); err != nil {
		t.Fatal(err)
	}
	if got := mustRemove(t, m); len(got) != 0 {
		t.Errorf("without a hint: got %+v, want nothing to do", got)
	}
	all, err := m.Remove(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	if got := systemStatus(t, all); got.State != NotTrusted || !got.Changed {
		t.Errorf("got %+v, want removed", got)
	}
	if got := systemStatus(t, m.Status(t.Context(), neighbours)); got.State != Trusted {
		t.Errorf("the neighbour's root: got %+v, want trusted", got)
	}
}

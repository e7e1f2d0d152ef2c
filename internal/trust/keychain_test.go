package trust

import (
	"context"
	"crypto/sha1"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"devproxy/internal/elevate"
)

// fakeMac is a macOS whose security tool keeps its state here.
type fakeMac struct {
	t       *testing.T
	held    map[string][]*x509.Certificate // by keychain
	trusted map[fingerprint]bool
	root    []elevate.Command // run as root
	asked   []elevate.Command // run where a person answers
	code    int               // of what changes anything; 0: it works
	dark    bool              // nothing can be read
}

func newFakeMac(t *testing.T, m *Machine) *fakeMac {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("paths of a Mac")
	}
	f := &fakeMac{t: t, held: map[string][]*x509.Certificate{}, trusted: map[fingerprint]bool{}}
	other, _ := newRoot(t)
	f.held[m.at(systemKeychain)] = []*x509.Certificate{other}
	writeFile(t, m.loginKeychain(), nil)
	runnable := m.at(securityTool)
	writeFile(t, runnable, nil)
	if err := os.Chmod(runnable, 0o755); err != nil {
		t.Fatal(err)
	}
	m.cfg.Elevate = func(ctx context.Context, _ string, commands []elevate.Command) error {
		for _, c := range commands {
			f.root = append(f.root, c)
			if r, _ := f.do(ctx, c...); r.code != 0 {
				return &problem{detail: r.errs}
			}
		}
		return nil
	}
	fake := func(k *keychain) *keychain {
		k.run = f.do
		k.ask = func(ctx context.Context, argv ...string) (result, error) {
			f.asked = append(f.asked, argv)
			return f.do(ctx, argv...)
		}
		return k
	}
	m.kinds = []kind{{
		name: kindKeychain,
		find: func(m *Machine, a anchor) ([]store, []Status) {
			stores, notices := findKeychain(m, a)
			for _, s := range stores {
				fake(s.(*keychain))
			}
			return stores, notices
		},
		reopen: func(m *Machine, r receipt) store {
			if k, ok := reopenKeychain(m, r).(*keychain); ok {
				return fake(k)
			}
			return nil
		},
	}}
	return f
}

func (f *fakeMac) do(_ context.Context, argv ...string) (result, error) {
	f.t.Helper()
	last := argv[len(argv)-1]
	if f.dark {
		return result{code: 1, errs: "dark"}, nil
	}
	switch argv[1] {
	case "find-certificate":
		if len(f.held[last]) == 0 {
			return result{code: 44, errs: "not found"}, nil
		}
		var out strings.Builder
		for _, c := range f.held[last] {
			out.WriteString("SHA-256 hash: …\nSHA-1 hash: …\nkeychain: \"" + last + "\"\n" + string(rootPEM(c)))
		}
		return result{out: out.String()}, nil
	case "verify-cert":
		if f.trusted[f.inFile(argv[3])] {
			return result{}, nil
		}
		return result{code: 1, errs: "CSSMERR_TP_NOT_TRUSTED"}, nil
	}
	if f.code != 0 {
		return result{code: f.code, errs: "SecTrustSettingsSetTrustSettings: The authorization was canceled by the user."}, nil
	}
	switch argv[1] {
	case "add-trusted-cert":
		data, _ := os.ReadFile(last)
		block, _ := pem.Decode(data)
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			f.t.Fatal(err)
		}
		keychain := argv[slices.Index(argv, "-k")+1]
		f.held[keychain] = append(f.held[keychain], cert)
		f.trusted[f.inFile(last)] = true
	case "remove-trusted-cert":
		delete(f.trusted, f.inFile(last))
	case "delete-certificate":
		f.held[last] = slices.DeleteFunc(f.held[last], func(c *x509.Certificate) bool {
			digest := sha1.Sum(c.Raw)
			return strings.ToUpper(hex.EncodeToString(digest[:])) == argv[3]
		})
	default:
		f.t.Errorf("unexpected command: %q", argv)
	}
	return result{}, nil
}

func (f *fakeMac) inFile(file string) fingerprint {
	f.t.Helper()
	in, err := readCertificates(file)
	if err != nil || len(in) != 1 {
		f.t.Fatalf("%s: got %v, %v, want one certificate", file, in, err)
	}
	return in[0]
}

func TestKeychainRoundTrip(t *testing.T) {
	for _, userOnly := range []bool{false, true} {
		root, file := newRoot(t)
		m := newMachine(t)
		m.cfg.UserOnly = userOnly
		f := newFakeMac(t, m)
		place, runs, name, d := m.at(systemKeychain), &f.root, "System", "-d "
		if userOnly {
			place, runs, name, d = m.loginKeychain(), &f.asked, "Login", ""
		}
		others := len(f.held[place])
		steps, err := m.Plan(t.Context(), root, file)
		if err != nil {
			t.Fatal(err)
		}
		got := only(t, mustInstall(t, m, root, file))
		if got.State != Trusted || !got.Changed || got.Store != name || got.Location != place {
			t.Errorf("Install: got %+v, want %s trusted", got, place)
		}
		want := m.at(securityTool) + " add-trusted-cert " + d + "-r trustRoot -p ssl -p basic -k " + place + " " + file
		if len(*runs) != 1 || (*runs)[0].String() != want {
			t.Errorf("Install ran %v, want %s", *runs, want)
		}
		if i := slices.IndexFunc(steps, func(s Step) bool { return s.Command != nil }); i < 0 || steps[i].Command.String() != want || steps[i].Privileged == userOnly {
			t.Errorf("Plan: got %+v, want %s", steps, want)
		}
		if asks := slices.ContainsFunc(steps, func(s Step) bool { return s.Note == keychainAsks }); asks != userOnly {
			t.Errorf("Plan: got %+v, want a word on macOS asking: %v", steps, userOnly)
		}
		*runs = nil
		if got := only(t, mustInstall(t, m, root, file)); got.State != Trusted || got.Changed || *runs != nil {
			t.Errorf("second Install: got %+v after %v, want no change", got, *runs)
		}
		if got := only(t, m.Status(t.Context(), root)); got.State != Trusted {
			t.Errorf("Status, which has no file: got %+v, want trusted", got)
		}
		// The CA is gone; what the keychain holds is enough.
		os.Remove(file)
		steps, err = m.PlanRemove(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := only(t, mustRemove(t, m)); got.State != NotTrusted || !got.Changed || len(f.trusted) != 0 || len(f.held[place]) != others {
			t.Errorf("Remove: got %+v, %d trusted, %d held", got, len(f.trusted), len(f.held[place]))
		}
		var planned []elevate.Command
		for _, s := range steps {
			if s.Command != nil {
				planned = append(planned, s.Command)
			}
		}
		if !slices.EqualFunc(planned, *runs, slices.Equal[elevate.Command]) || len(planned) != 2 {
			t.Errorf("planned %v, ran %v", planned, *runs)
		}
		if left, _ := filepath.Glob(filepath.Join(m.cfg.State, "*.pem")); left != nil {
			t.Errorf("left %q", left)
		}
		if got := mustRemove(t, m); got != nil {
			t.Errorf("second Remove: got %+v, want nothing", got)
		}
	}
}

func TestKeychainProblems(t *testing.T) {
	root, file := newRoot(t)
	m := newMachine(t)
	m.cfg.UserOnly = true
	f := newFakeMac(t, m)
	f.code = 1
	if got := only(t, mustInstall(t, m, root, file)); got.State != NotTrusted || !strings.Contains(got.Detail, "canceled") || !strings.Contains(got.Fix, "window") {
		t.Errorf("canceled: got %+v, want not trusted, and why", got)
	}
	f.code = 0
	mustInstall(t, m, root, file)
	sum := anchorFor(t, root, file).sum
	delete(f.trusted, sum)
	if got := only(t, m.Status(t.Context(), root)); got.State != NotTrusted || got.Fix == "" {
		t.Errorf("without trust: got %+v, want not trusted", got)
	}
	f.code = 1
	if got := only(t, mustRemove(t, m)); got.State != Unknown && got.State != Trusted || got.Fix == "" || !exists(m.receipts.file()) {
		t.Errorf("Remove, canceled: got %+v, want the receipt kept", got)
	}
	// Taken out with Keychain Access.
	f.held = map[string][]*x509.Certificate{}
	if got := only(t, mustRemove(t, m)); got.State != NotTrusted || exists(m.receipts.file()) {
		t.Errorf("gone already: got %+v, want not trusted", got)
	}
	f.dark = true
	if got := only(t, mustInstall(t, m, root, file)); got.State != Unknown || !strings.Contains(got.Detail, "dark") {
		t.Errorf("locked: got %+v, want unknown", got)
	}
	os.Remove(m.at(securityTool))
	if got := only(t, mustInstall(t, m, root, file)); got.State != Unknown || got.Fix == "" {
		t.Errorf("no tool: got %+v, want a word on it", got)
	}
	r := receiptOf(m.keychain(m.at(systemKeychain)), anchorFor(t, root, file))
	r.Location = m.at("/tmp/evil.keychain")
	if s := m.reopen(r); s != nil {
		t.Errorf("opened a keychain at %s", r.Location)
	}
}

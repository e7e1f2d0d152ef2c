package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"devproxy/internal/elevate"
	"devproxy/internal/issuer"
	"devproxy/internal/trust"
)

// fakeStores are trust stores in memory: which roots each trusts, by
// fingerprint.
type fakeStores struct {
	names    []string
	trusts   map[string]map[string]bool
	refuses  map[string]*trust.Status // what Install says of a store that takes no root
	hidden   map[string]bool          // needs a flag to be looked at
	stays    bool                     // nothing can be taken out
	receipts bool                     // what is trusted was recorded
	did      []string

	before func(did string, root *x509.Certificate) // each change
}

func newFakeStores(root *x509.Certificate, names ...string) *fakeStores {
	f := &fakeStores{names: names, trusts: make(map[string]map[string]bool), refuses: make(map[string]*trust.Status), hidden: make(map[string]bool), receipts: true}
	for _, n := range names {
		f.trusts[n] = make(map[string]bool)
		if root != nil {
			f.trusts[n][fingerprint(root)] = true
		}
	}
	return f
}

func (f *fakeStores) does(what string, root *x509.Certificate) {
	f.did = append(f.did, what)
	if f.before != nil {
		f.before(what, root)
	}
}

func (f *fakeStores) state(name string, root *x509.Certificate) trust.State {
	if f.trusts[name][fingerprint(root)] {
		return trust.Trusted
	}
	return trust.NotTrusted
}

func (f *fakeStores) Status(_ context.Context, root *x509.Certificate) (all []trust.Status) {
	for _, n := range f.names {
		if !f.hidden[n] {
			all = append(all, trust.Status{Store: n, Location: "/" + n, State: f.state(n, root)})
		}
	}
	return all
}

func (f *fakeStores) Install(_ context.Context, root *x509.Certificate, rootPath string) (all []trust.Status, err error) {
	f.does("install", root)
	if _, err := os.Stat(rootPath); err != nil {
		return nil, err
	}
	for _, n := range f.names {
		if f.hidden[n] {
			continue
		}
		st := trust.Status{Store: n, Location: "/" + n, State: trust.Trusted, Changed: true}
		if r := f.refuses[n]; r != nil {
			st.State, st.Detail, st.Fix = trust.NotTrusted, r.Detail, r.Fix
			for _, c := range r.Commands {
				st.Commands = append(st.Commands, append(slices.Clone(c), rootPath))
			}
		} else {
			f.trusts[n][fingerprint(root)] = true
		}
		all = append(all, st)
	}
	return all, nil
}

func (f *fakeStores) remove(which func(sum string) bool) (all []trust.Status, _ error) {
	for _, n := range f.names {
		st := trust.Status{Store: n, Location: "/" + n, State: trust.NotTrusted}
		for sum := range f.trusts[n] {
			switch {
			case !which(sum):
			case f.stays:
				st.State = trust.Trusted
			default:
				delete(f.trusts[n], sum)
				st.Changed = true
			}
		}
		all = append(all, st)
	}
	return all, nil
}

func (f *fakeStores) RemoveOthers(_ context.Context, keep *x509.Certificate) ([]trust.Status, error) {
	f.does("remove others", keep)
	return f.remove(func(sum string) bool { return sum != fingerprint(keep) })
}

func (f *fakeStores) RemoveOnly(ctx context.Context, root *x509.Certificate) ([]trust.Status, error) {
	f.does("remove only", root)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return f.remove(func(sum string) bool { return sum == fingerprint(root) })
}

func (f *fakeStores) PlanRemove(context.Context, ...*x509.Certificate) (steps []trust.Step, _ error) {
	for _, n := range f.names {
		if f.receipts && len(f.trusts[n]) > 0 {
			steps = append(steps, trust.Step{Store: n, Location: "/" + n, File: "/" + n})
		}
	}
	if len(steps) > 0 {
		steps = slices.Insert(steps, 0, trust.Step{Store: "Receipts", Location: "/receipts", File: "/receipts"})
	}
	return steps, nil
}

// rotating returns a rotation of a fresh CA, and what it prints.
func rotating(t *testing.T) (r *rotation, old *issuer.CA, out, errs *strings.Builder) {
	t.Helper()
	state := filepath.Join(t.TempDir(), "state")
	old, _, err := issuer.LoadOrCreate(state, nil)
	if err != nil {
		t.Fatal(err)
	}
	a := testApp()
	r = &rotation{app: a, state: state, patience: patience}
	return r, old, a.stdout.(*strings.Builder), a.stderr.(*strings.Builder)
}

func (r *rotation) with(f *fakeStores) {
	r.open = func(*issuer.CA, trustFlags) (rootStores, error) { return f, nil }
}

// inForce fails the test unless ca is, or is not, what the state folder holds,
// and no rotation is unfinished.
func inForce(t *testing.T, state string, ca *issuer.CA, want bool) {
	t.Helper()
	now, err := issuer.Load(state)
	if err != nil {
		t.Fatal(err)
	}
	if got := now.Root().Equal(ca.Root()); got != want {
		t.Errorf("the old CA is in force: %v, want %v", got, want)
	}
	if got := unfinishedRotation(state); got != "" {
		t.Errorf("the rotation is %s, want it at its end", got)
	}
}

func contains(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("got %q, want %q in it", text, w)
		}
	}
}

func TestRotateNeverTrusted(t *testing.T) {
	r, old, out, errs := rotating(t)
	f := newFakeStores(nil, "System", "Chromium")
	r.with(f)
	if err := r.run(t.Context(), []string{"shop.example.dev"}); err != nil {
		t.Fatal(err)
	}
	inForce(t, r.state, old, false)
	if len(f.did) > 0 {
		t.Errorf("the stores were changed: %q", f.did)
	}
	contains(t, out.String(), "new root: ", "shop.example.dev")
	contains(t, errs.String(), "hint: nothing trusts it yet: devproxy trust")
}

// TestRotateUnderServer has a real server: what it presents is trusted before
// and after every change of a store.
func TestRotateUnderServer(t *testing.T) {
	r, old, out, _ := rotating(t)
	file := filepath.Join(t.TempDir(), "devproxy.toml")
	if err := os.WriteFile(file, []byte("listen = [\"127.0.0.1:0\"]\nredirect = []\n[routes]\n\"hello.localhost\" = \"builtin:hello\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"HOME": filepath.Dir(r.state), "DEVPROXY_HOME": r.state}
	stdout, stderr := newLines(), newLines()
	ctx, stop := context.WithCancel(t.Context())
	exit := make(chan int)
	go func() {
		exit <- run(ctx, []string{"devproxy", "serve", "--config", file}, func(name string) string { return env[name] }, strings.NewReader(""), stdout, stderr)
		stdout.w.Close()
		stderr.w.Close()
	}()
	defer func() { stop(); <-exit }()
	port := stdout.wait(t, `^  https://hello\.localhost:(\d+) `)[1]
	at := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:" + port)}
	r.servers = at

	f := newFakeStores(old.Root(), "System", "Chromium")
	presents := func(root *x509.Certificate) bool { return len(presenting(t.Context(), at, root)) == 1 }
	f.before = func(what string, root *x509.Certificate) {
		inPlace, err := issuer.Load(r.state)
		if err != nil {
			t.Error(err)
			return
		}
		switch what {
		case "install":
			if !inPlace.Root().Equal(old.Root()) || !presents(old.Root()) {
				t.Error("the new CA is in force before its root is trusted")
			}
		case "remove others":
			if !inPlace.Root().Equal(root) || !presents(root) || presents(old.Root()) {
				t.Error("the old root is taken out while the server uses it")
			}
		}
	}
	r.with(f)
	if err := r.run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	inForce(t, r.state, old, false)
	if want := []string{"install", "remove others"}; !slices.Equal(f.did, want) {
		t.Errorf("did %q, want %q", f.did, want)
	}
	now, err := issuer.Load(r.state)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range f.names {
		if f.state(n, now.Root()) != trust.Trusted || f.state(n, old.Root()) != trust.NotTrusted {
			t.Errorf("%s trusts %v, want the new root only", n, f.trusts[n])
		}
	}
	contains(t, out.String(), "new root: "+fingerprint(now.Root()), "trusted  System    /System\n", "the old root was taken out again\n")
}

// TestRotateServerStays: a server that does not change over keeps its root
// trusted.
func TestRotateServerStays(t *testing.T) {
	r, old, _, _ := rotating(t)
	iss, err := issuer.New(old, issuer.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: iss.GetCertificate})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.(*tls.Conn).Handshake()
			conn.Close()
		}
	}()
	defer func() { ln.Close(); <-served }()
	f := newFakeStores(old.Root(), "System")
	r.with(f)
	r.servers, r.patience = []netip.AddrPort{addrPort(ln)}, 200*time.Millisecond
	err = r.run(t.Context(), nil)
	if !errors.Is(err, errTrustIncomplete) {
		t.Fatalf("got %v, want trust incomplete", err)
	}
	contains(t, err.Error(), "the devproxy at "+ln.Addr().String()+" still uses the old root")
	inForce(t, r.state, old, false)
	if f.state("System", old.Root()) != trust.Trusted || slices.Contains(f.did, "remove others") {
		t.Errorf("the old root was taken out: %q", f.did)
	}

	// Nobody there: no wait.
	var free net.Listener
	if free, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	free.Close()
	if late := awaitSwitch(t.Context(), []netip.AddrPort{addrPort(free)}, old.Root(), patience); len(late) > 0 {
		t.Errorf("waited for %v, where nobody listens", late)
	}
}

// TestRotateIncomplete has a store that does not take the new root.
func TestRotateIncomplete(t *testing.T) {
	broken := &trust.Status{Detail: "the database is locked", Fix: "close the browser"}
	admin := &trust.Status{Detail: "no sudo", Fix: "let an administrator run the commands", Commands: []elevate.Command{{"/usr/bin/install"}}}
	for _, tt := range []struct {
		what     string
		force    bool
		refuses  *trust.Status
		oldThere bool // the store that refuses trusts the old root
		want     []string
		replaced bool
		kept     bool // the new CA, for later
		hint     string
	}{
		{"taken back", false, broken, true, []string{"install", "remove only"}, false, false, "the new root was taken out again"},
		{"waits for an administrator", false, admin, true, []string{"install"}, false, true, "once the commands above were run"},
		{"forced", true, broken, true, []string{"install", "remove others"}, true, false, ""},
		{"forced, commands", true, admin, true, []string{"install", "remove others"}, true, false, ""},
		{"was not trusted there before", false, broken, false, []string{"install", "remove others"}, true, false, ""},
	} {
		t.Run(tt.what, func(t *testing.T) {
			r, old, out, errs := rotating(t)
			f := newFakeStores(old.Root(), "System", "Chromium")
			if !tt.oldThere {
				clear(f.trusts["System"])
			}
			f.refuses["System"] = tt.refuses
			r.with(f)
			r.flags.force = tt.force
			err := r.run(t.Context(), nil)
			if exitCode(err) != exitTrustIncomplete || !errors.Is(err, errTrustIncomplete) {
				t.Fatalf("got %v, want trust incomplete", err)
			}
			if !slices.Equal(f.did, tt.want) {
				t.Errorf("did %q, want %q", f.did, tt.want)
			}
			contains(t, out.String(), tt.refuses.Detail)
			contains(t, errs.String(), tt.refuses.Fix)
			if h, ok := errors.AsType[*hintedError](err); tt.hint != "" && (!ok || !strings.Contains(h.hint, tt.hint)) {
				t.Errorf("error %#v, want a hint with %q", err, tt.hint)
			}
			if !tt.kept {
				inForce(t, r.state, old, !tt.replaced)
				if tt.refuses == admin {
					contains(t, errs.String(), "/usr/bin/install "+issuer.RootPath(r.state)+"\n") // that is there
				}
				if !tt.replaced && (f.state("Chromium", old.Root()) != trust.Trusted || len(f.trusts["Chromium"]) != 1) {
					t.Errorf("Chromium trusts %v, want the old root only", f.trusts["Chromium"])
				}
				return
			}

			// The commands that were printed can be run, and then it goes on.
			if unfinishedRotation(r.state) != rotationStopped {
				t.Error("no trace of the rotation")
			}
			_, line, _ := strings.Cut(errs.String(), "/usr/bin/install ")
			path, _, _ := strings.Cut(line, "\n")
			if _, err := os.Stat(path); err != nil {
				t.Errorf("the file of the commands: %v", err)
			}
			delete(f.refuses, "System")
			if err := r.run(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			inForce(t, r.state, old, false)
			for n, roots := range f.trusts {
				if len(roots) != 1 || roots[fingerprint(old.Root())] {
					t.Errorf("%s trusts %v, want the new root only", n, roots)
				}
			}
		})
	}
}

// TestRotateUnasked: a store that holds the old root and is not looked at
// without a flag is not passed over.
func TestRotateUnasked(t *testing.T) {
	r, old, out, _ := rotating(t)
	f := newFakeStores(old.Root(), "System", "Java")
	f.hidden["Java"] = true
	r.with(f)
	if err := r.run(t.Context(), nil); !errors.Is(err, errTrustIncomplete) {
		t.Fatalf("got %v, want trust incomplete", err)
	}
	inForce(t, r.state, old, true)
	contains(t, out.String(), "not trusted  Java    /Java    holds the old root and was not asked")
}

// TestRotateInterrupted: Ctrl-C at sudo's question leaves all as it was.
func TestRotateInterrupted(t *testing.T) {
	r, old, _, _ := rotating(t)
	ctx, cancel := context.WithCancel(t.Context())
	f := newFakeStores(old.Root(), "System")
	f.before = func(string, *x509.Certificate) { cancel() }
	r.with(f)
	if err := r.run(ctx, nil); !errors.Is(err, errInterrupted) {
		t.Errorf("got %v, want interrupted", err)
	}
	inForce(t, r.state, old, true)
	if f.state("System", old.Root()) != trust.Trusted || len(f.trusts["System"]) != 1 {
		t.Errorf("System trusts %v, want the old root only", f.trusts["System"])
	}
}

func TestRotateOldStays(t *testing.T) {
	r, old, out, _ := rotating(t)
	f := newFakeStores(old.Root(), "System")
	f.stays = true
	r.with(f)
	err := r.run(t.Context(), nil)
	if !errors.Is(err, errTrustIncomplete) {
		t.Errorf("got %v, want trust incomplete", err)
	}
	inForce(t, r.state, old, false)
	contains(t, out.String(), "still trusted  System")
}

// TestRotateDamaged: nothing depends on a CA that cannot be used, so no store
// holds its replacement up.
func TestRotateDamaged(t *testing.T) {
	r, old, _, _ := rotating(t)
	if err := os.Truncate(issuer.Path(r.state), 9); err != nil {
		t.Fatal(err)
	}
	f := newFakeStores(old.Root(), "System", "Chromium")
	f.refuses["System"] = &trust.Status{Detail: "broken"}
	r.with(f)
	if err := r.run(t.Context(), nil); !errors.Is(err, errTrustIncomplete) {
		t.Errorf("got %v, want trust incomplete", err)
	}
	inForce(t, r.state, old, false)
	if len(f.trusts["System"]) > 0 || len(f.trusts["Chromium"]) != 1 {
		t.Errorf("stores trust %v, want the new root in Chromium only", f.trusts)
	}
}

func TestRotateDryRun(t *testing.T) {
	r, old, out, _ := rotating(t)
	f := newFakeStores(old.Root(), "System")
	r.with(f)
	cfg := testConfig(t, "shop.example.dev")
	if err := r.dryRun(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	contains(t, out.String(),
		"CA: write: "+issuer.Path(r.state)+"\n",
		"it would sign for localhost, test, internal, local, home.arpa, shop.example.dev and",
		"System: trust the new root: /System\n",
		"System: write: /System\n")
	inForce(t, r.state, old, true)
	if len(f.did) > 0 {
		t.Errorf("did %q, want nothing", f.did)
	}

	clear(f.trusts["System"])
	out.Reset()
	if err := r.dryRun(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	contains(t, out.String(), "none would be touched")
}

func TestServerPlaces(t *testing.T) {
	for _, tt := range []struct{ listen, want string }{
		{"", "[127.0.0.1:443 127.0.0.1:8443]"},
		{"127.0.0.1:443 [::1]:443", "[127.0.0.1:443 [::1]:443 127.0.0.1:8443]"},
		{"0.0.0.0:9443 127.0.0.1:0", "[127.0.0.1:9443 127.0.0.1:443 127.0.0.1:8443]"},
	} {
		cfg := testConfig(t)
		for _, addr := range strings.Fields(tt.listen) {
			cfg.Listen = append(cfg.Listen, netip.MustParseAddrPort(addr))
		}
		if got := fmt.Sprint(serverPlaces(cfg)); got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.listen, got, tt.want)
		}
	}
}

package trust

import (
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"devproxy/internal/elevate"
)

// While dpkg is locked Debian's hook does nothing and nobody says so.
func TestSystemJavaHookFails(t *testing.T) {
	root, file := newRoot(t)
	m := newMachine(t)
	f := newFakeDebian(t, m)
	a := anchorFor(t, root, file)
	before := f.files()

	f.locked = true
	all := mustInstall(t, m, root, file)
	if got := systemStatus(t, all); got.State != Trusted {
		t.Errorf("locked: got %+v, want the system's trusted", got)
	}
	if got := javaStatus(t, all); got.State != NotTrusted || got.Detail == "" || got.Changed {
		t.Errorf("locked: got %+v, want Java's not trusted, and why", got)
	}
	f.locked, f.runs = false, nil
	steps, err := m.Plan(t.Context(), root, file)
	if err != nil {
		t.Fatal(err)
	}
	if got := javaStatus(t, mustInstall(t, m, root, file)); got.State != Trusted || !got.Changed || len(f.runs) != 1 {
		t.Errorf("unlocked: got %+v after %v, want trusted after one command", got, f.runs)
	}
	checkPlanned(t, steps, f.runs)
	found, err := f.d.java.verify(t.Context(), a)
	if err != nil || !found.ours || found.roots == nil {
		t.Errorf("got %+v, %v, want ours, with roots", found, err)
	}

	f.locked, f.runs = true, nil
	steps, err = m.PlanRemove(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all = mustRemove(t, m)
	checkPlanned(t, steps, f.runs)
	if got := systemStatus(t, all); got.State != NotTrusted {
		t.Errorf("Remove, locked: got %+v, want the system's not trusted", got)
	}
	if got := javaStatus(t, all); got.State != Trusted || !strings.Contains(got.Fix, "keytool") {
		t.Errorf("Remove, locked: got %+v, want Java's trusted still, with the way out", got)
	}
	f.locked = false
	if got := only(t, mustRemove(t, m)); got.Store != "Java" || got.State != NotTrusted || exists(m.receipts.file()) {
		t.Errorf("Remove: got %+v, want Java's not trusted, no receipts", got)
	}
	after := f.files()
	delete(before, f.d.java.file)
	delete(after, f.d.java.file)
	checkSame(t, "trust and untrust", before, after)
}

// Receipts from before Java had a store of its own stand for it, too, and no
// longer once it has one.
func TestOldReceiptsCleanJava(t *testing.T) {
	root, file := newRoot(t)
	m := newMachine(t)
	f := newOldDebian(t, m)
	mustInstall(t, m, root, file)
	if len(mustLoad(t, m)) != 1 {
		t.Fatal("want one receipt")
	}
	f.runs = nil
	if got := only(t, mustRemove(t, m)); got.State != NotTrusted || len(f.java) != 1 {
		t.Errorf("got %+v after %v, want not trusted, and Java's store with what was there", got, f.runs)
	}
}

func TestSystemJavaWithoutHook(t *testing.T) {
	root, file := newRoot(t)
	m := newMachine(t)
	f := newFakeDebian(t, m)
	a := anchorFor(t, root, file)
	f.locked = true
	mustInstall(t, m, root, file)
	os.Remove(f.hook)
	j := f.d.java
	if _, err := j.installCommands(a); err == nil {
		t.Error("neither hook nor keytool: got no problem")
	}
	j.keytool = "/opt/jdk/bin/keytool"
	commands, err := j.installCommands(a)
	if err != nil || len(commands) != 1 || !slices.Equal(commands[0][:2], elevate.Command{"/opt/jdk/bin/keytool", "-importcert"}) {
		t.Errorf("got %v, %v, want keytool -importcert", commands, err)
	}
	f.java[a.name] = root.Raw
	f.saveJava()
	if found, err := j.verify(t.Context(), a); err != nil || found.state != Trusted || !found.ours {
		t.Errorf("got %+v, %v, want trusted, ours", found, err)
	}
	commands, err = j.removeCommands([]anchor{a})
	if err != nil || len(commands) != 1 || !strings.HasSuffix(commands[0].String(), "-alias "+a.name) {
		t.Errorf("got %v, %v, want keytool -delete", commands, err)
	}
	// Without the anchor in the system's store there is nothing to fill it from.
	os.Remove(f.d.anchorFile(a))
	if _, err := j.installCommands(a); err == nil {
		t.Error("no anchor: got no problem")
	}
}

// What a bundle alone shows is not what OpenSSL and Python see.
func TestDebianHashLink(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, f *fakeDebian, a anchor, link string){
		"link gone":     func(t *testing.T, f *fakeDebian, a anchor, link string) { os.Remove(link) },
		"link dangling": func(t *testing.T, f *fakeDebian, a anchor, link string) { replaceLink(t, link, "no-such.pem") },
		"name gone":     func(t *testing.T, f *fakeDebian, a anchor, link string) { os.Remove(f.d.linkFile(a)) },
		"both gone": func(t *testing.T, f *fakeDebian, a anchor, link string) {
			os.Remove(link)
			os.Remove(f.d.linkFile(a))
		},
		"bundle without it": func(t *testing.T, f *fakeDebian, a anchor, link string) { writeFile(t, f.d.bundle, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			root, file := newRoot(t)
			m := newMachine(t)
			f := newFakeDebian(t, m)
			a := anchorFor(t, root, file)
			mustInstall(t, m, root, file)
			hash, err := subjectHash(root.RawSubject)
			if err != nil {
				t.Fatal(err)
			}
			link := filepath.Join(f.d.links, hash+".0")
			if !exists(link) {
				t.Fatalf("no %s", link)
			}
			spoil(t, f, a, link)
			got := systemStatus(t, m.Status(t.Context(), root))
			if got.State != NotTrusted || got.Detail == "" || got.Fix == "" {
				t.Errorf("got %+v, want not trusted, and why", got)
			}
			f.runs = nil
			if got := systemStatus(t, mustInstall(t, m, root, file)); got.State != Trusted || !got.Changed {
				t.Errorf("second Install: got %+v after %v, want trusted", got, f.runs)
			}
		})
	}
}

func replaceLink(t *testing.T, link, target string) {
	t.Helper()
	os.Remove(link)
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
}

// Two names may share a hash: OpenSSL goes on to .1.
func TestDebianHashCollision(t *testing.T) {
	root, file := newRoot(t)
	other, _ := newRoot(t)
	m := newMachine(t)
	f := newFakeDebian(t, m)
	hash, err := subjectHash(root.RawSubject)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(f.d.links, "taken.pem"), rootPEM(other))
	replaceLink(t, filepath.Join(f.d.links, hash+".0"), "taken.pem")
	if got := systemStatus(t, mustInstall(t, m, root, file)); got.State != Trusted || !exists(filepath.Join(f.d.links, hash+".1")) {
		t.Errorf("got %+v, want trusted through .1", got)
	}
}

// makeJDK returns a home of Java whose keytool is the real one.
func makeJDK(t *testing.T, dir string, store []byte) (home string) {
	t.Helper()
	home = filepath.Join(dir, "jdk")
	writeFile(t, filepath.Join(home, "lib/security/cacerts"), store)
	mkdir(t, filepath.Join(home, "bin"))
	for _, name := range []string{"java", "keytool"} {
		real := tool(t, name)
		writeFile(t, filepath.Join(home, "bin", name), []byte("#!/bin/sh\nexec "+real+` "$@"`+"\n"))
		if err := os.Chmod(filepath.Join(home, "bin", name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

func trustStores(t *testing.T) map[string][]byte {
	t.Helper()
	other, _ := newRoot(t)
	certs := []*x509.Certificate{other}
	stores := map[string][]byte{"JKS": makeJKS(2, jksEntry{alias: "other", der: other.Raw})}
	for name, enc := range map[string]*pkcs12.Encoder{"PKCS #12": pkcs12.Modern2023, "PKCS #12, old": pkcs12.LegacyDES} {
		data, err := enc.EncodeTrustStore(certs, javaPassword)
		if err != nil {
			t.Fatal(err)
		}
		stores[name] = data
	}
	data, err := pkcs12.Passwordless.EncodeTrustStore(certs, "")
	if err != nil {
		t.Fatal(err)
	}
	stores["PKCS #12 without a password"] = data
	return stores
}

// keytool itself says what Java then trusts.
func TestJDKRoundTrip(t *testing.T) {
	keytool := tool(t, "keytool")
	for name, data := range trustStores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, file := newRoot(t)
			m := newMachine(t)
			m.cfg.Java, m.cfg.JavaHome = true, makeJDK(t, t.TempDir(), data)
			store := filepath.Join(m.cfg.JavaHome, "lib/security/cacerts")
			lists := func() bool {
				out, err := exec.Command(keytool, "-list", "-rfc", "-keystore", store, "-storepass", javaPassword).CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				return len(listedAliases(string(out), anchorFor(t, root, file).sum)) > 0
			}
			steps, err := m.Plan(t.Context(), root, file)
			if err != nil || len(steps) != 2 || steps[1].Command == nil || steps[1].Privileged {
				t.Errorf("Plan: got %+v, %v, want receipts and keytool", steps, err)
			}
			if got := only(t, mustInstall(t, m, root, file)); got.State != Trusted || !got.Changed || !lists() {
				t.Fatalf("Install: got %+v, want trusted", got)
			}
			if r := mustLoad(t, m); len(r) != 1 || r[0].Verified.IsZero() {
				t.Errorf("got receipts %+v, want one, verified", r)
			}
			if got := only(t, mustInstall(t, m, root, file)); got.State != Trusted || got.Changed {
				t.Errorf("second Install: got %+v, want no change", got)
			}
			m.cfg.Java, m.cfg.JavaHome = false, "" // receipts alone lead back
			steps, err = m.PlanRemove(t.Context())
			if err != nil || len(steps) != 2 {
				t.Errorf("PlanRemove: got %+v, %v, want receipts and keytool", steps, err)
			}
			if got := only(t, mustRemove(t, m)); got.State != NotTrusted || !got.Changed || lists() {
				t.Errorf("Remove: got %+v, want not trusted", got)
			}
			if got := mustRemove(t, m); got != nil {
				t.Errorf("second Remove: got %+v, want nothing", got)
			}
			if k, err := readKeyStore(store); err != nil || len(k.entries) != 1 {
				t.Errorf("got %d entries, %v, want the one that was there", len(k.entries), err)
			}
		})
	}
}

func TestJDKOtherAlias(t *testing.T) {
	keytool := tool(t, "keytool")
	root, file := newRoot(t)
	m := newMachine(t)
	m.cfg.Java, m.cfg.JavaHome = true, makeJDK(t, t.TempDir(), trustStores(t)["JKS"])
	mustInstall(t, m, root, file)
	store := filepath.Join(m.cfg.JavaHome, "lib/security/cacerts")
	out, err := exec.Command(keytool, "-changealias", "-keystore", store, "-storepass", javaPassword,
		"-alias", anchorFor(t, root, file).name, "-destalias", "renamed").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := only(t, mustRemove(t, m)); got.State != NotTrusted {
		t.Errorf("got %+v, want not trusted", got)
	}
}

func TestJDKProblems(t *testing.T) {
	root, file := newRoot(t)
	other, _ := newRoot(t)
	a := anchorFor(t, root, file)
	locked, err := pkcs12.Modern2023.EncodeTrustStore([]*x509.Certificate{other}, "secret")
	if err != nil {
		t.Fatal(err)
	}
	foreign := makeJKS(2, jksEntry{alias: "other", der: other.Raw})
	foreign[len(foreign)-1] ^= 1 // the digest, which another password would give another value
	for name, tt := range map[string]struct {
		store   []byte
		prepare func(j *jdk)
		state   State
		want    []string // in detail and fix
	}{
		"PKCS #12 with a password": {locked, nil, Unknown, []string{"password", "-importcert", a.name}},
		"JKS with a password":      {foreign, nil, NotTrusted, []string{"password", "-importcert", a.name}},
		"not a store":              {[]byte("words"), nil, Unknown, []string{"neither"}},
		"alias taken":              {makeJKS(2, jksEntry{alias: a.name, der: other.Raw}), nil, NotTrusted, []string{"another certificate", "-changealias"}},
		"no keytool":               {makeJKS(2), func(j *jdk) { j.tools = nil }, NotTrusted, []string{"no keytool", "install a JDK"}},
		"not ours, not root's": {makeJKS(2), func(j *jdk) {
			j.canWrite = func(string) bool { return false }
			j.mayRoot = func(string) bool { return false }
		},
			NotTrusted, []string{"belongs to somebody else"}},
		"keytool fails": {makeJKS(2), func(j *jdk) { j.tools = []string{"/bin/false"} }, NotTrusted, []string{"keytool", "to see more"}},
	} {
		m := newMachine(t)
		home := makeJDK(t, t.TempDir(), tt.store)
		j := m.jdk(filepath.Join(home, "lib/security/cacerts"))
		if tt.prepare != nil {
			tt.prepare(j)
		}
		finds(m, j)
		got := only(t, mustInstall(t, m, root, file))
		text := got.Detail + " " + got.Fix
		if got.State != tt.state || slices.ContainsFunc(tt.want, func(w string) bool { return !strings.Contains(text, w) }) {
			t.Errorf("%s: got %+v, want %v with %q", name, got, tt.state, tt.want)
		}
		if after, _ := os.ReadFile(j.file); !slices.Equal(after, tt.store) {
			t.Errorf("%s: the store was changed", name)
		}
	}
}

func TestJDKAsRoot(t *testing.T) {
	root, file := newRoot(t)
	m := newMachine(t)
	home := makeJDK(t, t.TempDir(), makeJKS(2))
	j := m.jdk(filepath.Join(home, "lib/security/cacerts"))
	j.canWrite = func(string) bool { return false }
	j.mayRoot = func(string) bool { return true }
	m.cfg.UserOnly = true
	finds(m, j)
	got := only(t, mustInstall(t, m, root, file))
	if got.State != NotTrusted || len(got.Commands) != 1 || !strings.HasPrefix(got.Commands[0].String(), j.tools[0]+" -importcert") {
		t.Errorf("got %+v, want the command for an administrator", got)
	}
	steps, err := m.Plan(t.Context(), root, file)
	if err != nil || len(steps) != 2 || !steps[1].Privileged {
		t.Errorf("Plan: got %+v, %v, want a command for root", steps, err)
	}
}

func TestFindJDKs(t *testing.T) {
	data := makeJKS(2)
	one := makeJDK(t, t.TempDir(), data)
	for name, tt := range map[string]struct {
		home string
		path string
		disk []string
		want string // store's file, or Detail of the notice
	}{
		"named":          {home: one, want: filepath.Join(one, "lib/security/cacerts")},
		"on PATH":        {path: filepath.Join(one, "bin"), want: filepath.Join(one, "lib/security/cacerts")},
		"linked on PATH": {path: "HOME/links", disk: []string{"links/", "links/java->" + filepath.Join(one, "bin/java")}, want: filepath.Join(one, "lib/security/cacerts")},
		"JRE in a JDK":   {home: "HOME/old", disk: []string{"old/jre/lib/security/cacerts=x"}, want: "HOME/old/jre/lib/security/cacerts"},
		"wrapper": {path: "HOME/shims/bin", disk: []string{"shims/bin/java=#!/bin/sh\necho '    java.home = HOME/old' >&2", "old/lib/security/cacerts=x"},
			want: "HOME/old/lib/security/cacerts"},
		"deaf wrapper":  {path: "HOME/shims/bin", disk: []string{"shims/bin/java=#!/bin/sh\nexit 1"}, want: "does not tell"},
		"none":          {path: "HOME/empty", want: "no Java found"},
		"relative home": {home: "jdk", want: "not an absolute path"},
		"home is gone":  {home: "HOME/gone", want: "no such file"},
		"not a home":    {home: "HOME/dir", disk: []string{"dir/"}, want: "is no home of a Java"},
		"a file":        {home: "HOME/file", disk: []string{"file=x"}, want: "is not a folder"},
		"link to the distribution's": {home: "HOME/deb", disk: []string{"deb/lib/security/", "deb/lib/security/cacerts->HOME/../root/etc/ssl/certs/java/cacerts"},
			want: ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			newFakeDebian(t, m)
			in := func(s string) string { return strings.ReplaceAll(s, "HOME", m.cfg.Home) }
			for _, what := range tt.disk {
				build(t, m.cfg.Home, in(what))
			}
			m.cfg.Java, m.cfg.JavaHome, m.cfg.Path = true, in(tt.home), in(tt.path)
			stores, notices := findJDKs(m, anchor{})
			var got string
			for _, s := range stores {
				_, location := s.label()
				got += location
			}
			for _, n := range notices {
				got += n.Detail
				if n.Fix == "" || n.State == Trusted {
					t.Errorf("got %+v, want a fix", n)
				}
			}
			if want := in(tt.want); want == "" && got != "" || !strings.Contains(got, want) || len(stores)+len(notices) > 1 {
				t.Errorf("got %q, want %q", got, want)
			}
			// One bad home stops nothing else.
			root, file := newRoot(t)
			if got := systemStatus(t, mustInstall(t, m, root, file)); got.State != Trusted {
				t.Errorf("the system's: got %+v, want trusted", got)
			}
		})
	}
}

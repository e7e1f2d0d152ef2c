package clientenv

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestNothingSet(t *testing.T) {
	m := newMachine(t)
	got, warnings := m.variables(t, environment{}, false)
	bundle := filepath.Join(m.Dir, "bundle.pem")
	want := environment{
		"SSL_CERT_FILE": bundle, "CURL_CA_BUNDLE": bundle, "REQUESTS_CA_BUNDLE": bundle, "PIP_CERT": bundle,
		"AWS_CA_BUNDLE": bundle, "GIT_SSL_CAINFO": bundle, "CARGO_HTTP_CAINFO": bundle, "PERL_LWP_SSL_CA_FILE": bundle,
		"NODE_EXTRA_CA_CERTS": m.RootFile, "DENO_CERT": m.RootFile,
	}
	for _, name := range noProxyNames() {
		want[name] = "localhost,127.0.0.1,::1"
	}
	if !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if len(warnings) > 0 {
		t.Errorf("warnings %q", warnings)
	}
	checkHolds(t, bundle, m.Root, m.system[0], m.system[1])
}

func TestNothingIsWrittenTwice(t *testing.T) {
	m := newMachine(t)
	env := environment{"SSL_CERT_FILE": m.file(t, "own.pem", pemOf(newRoot(t, "own")))}
	first, _ := m.variables(t, env, true)
	modified := func() map[string]int64 {
		times := map[string]int64{}
		entries, err := os.ReadDir(m.Dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				t.Fatal(err)
			}
			times[e.Name()] = info.ModTime().UnixNano()
		}
		return times
	}
	before := modified()
	if len(before) != 4 { // root.pem, bundle.pem, bundle-….pem, java.p12
		t.Fatalf("files %v", before)
	}
	second, warnings := m.variables(t, env, true)
	if !maps.Equal(first, second) || len(warnings) > 0 {
		t.Errorf("the second time\n%v %q, want\n%v", second, warnings, first)
	}
	third, warnings := m.variables(t, first, true) // in the shell that has them
	if !maps.Equal(first, third) || len(warnings) > 0 {
		t.Errorf("evaluated twice\n%v %q, want\n%v", third, warnings, first)
	}
	if _, err := m.Refresh(); err != nil {
		t.Error(err)
	}
	if after := modified(); !maps.Equal(before, after) {
		t.Errorf("files were written again: %v, before %v", after, before)
	}
}

// What a person has set is kept, also for the clients that so far followed
// another client's variable.
func TestOwnFilesAreJoined(t *testing.T) {
	m := newMachine(t)
	own := newRoot(t, "own")
	plain := slices.Concat([]*x509.Certificate{m.Root}, m.system)
	joined := append(slices.Clone(plain), own)
	path := m.file(t, "own.pem", pemOf(own))
	tests := []struct {
		set    string
		joined []string // the others keep to the plain bundle
	}{
		{"SSL_CERT_FILE", []string{"SSL_CERT_FILE", "CURL_CA_BUNDLE", "PIP_CERT", "CARGO_HTTP_CAINFO"}},
		{"CURL_CA_BUNDLE", []string{"CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "PIP_CERT"}},
		{"REQUESTS_CA_BUNDLE", []string{"REQUESTS_CA_BUNDLE", "PIP_CERT", "AWS_CA_BUNDLE"}},
		{"GIT_SSL_CAINFO", []string{"GIT_SSL_CAINFO"}},
		{"HTTPS_CA_FILE", []string{"HTTPS_CA_FILE", "PERL_LWP_SSL_CA_FILE"}},
	}
	for _, tt := range tests {
		t.Run(tt.set, func(t *testing.T) {
			env, warnings := m.variables(t, environment{tt.set: path}, false)
			if len(warnings) > 0 {
				t.Errorf("warnings %q", warnings)
			}
			for _, c := range clients {
				switch {
				case slices.Contains(tt.joined, c.name):
					checkHolds(t, env[c.name], joined...)
				case c.kind == combined && !c.onlySet:
					checkHolds(t, env[c.name], plain...)
				}
			}
		})
	}
	t.Run("NODE_EXTRA_CA_CERTS", func(t *testing.T) {
		env, _ := m.variables(t, environment{"NODE_EXTRA_CA_CERTS": path}, false)
		checkHolds(t, env["NODE_EXTRA_CA_CERTS"], m.Root, own)
		checkHolds(t, env["DENO_CERT"], m.Root)
		again, _ := m.variables(t, env, false)
		if !maps.Equal(env, again) {
			t.Errorf("nested %v, want %v", again, env)
		}
	})
}

func TestRelativePathIsOfTheFolderWhereItWasSet(t *testing.T) {
	m := newMachine(t)
	own := newRoot(t, "own")
	m.file(t, "own.pem", pemOf(own))
	t.Chdir(m.work)
	env, _ := m.variables(t, environment{"GIT_SSL_CAINFO": "own.pem"}, false)
	t.Chdir(m.Dir)
	again, warnings := m.variables(t, env, false)
	if again["GIT_SSL_CAINFO"] != env["GIT_SSL_CAINFO"] || len(warnings) > 0 {
		t.Errorf("from another folder %s, want %s; warnings %q", again["GIT_SSL_CAINFO"], env["GIT_SSL_CAINFO"], warnings)
	}
	checkHolds(t, again["GIT_SSL_CAINFO"], m.Root, m.system[0], m.system[1], own)
}

// Files that add nothing make no bundles of their own.
func TestKnownFilesAreNotJoined(t *testing.T) {
	m := newMachine(t)
	link := filepath.Join(m.work, "link.pem")
	if err := os.Symlink(m.System[1], link); err != nil {
		t.Skip(err)
	}
	for _, value := range []string{m.RootFile, m.System[1], link, filepath.Join(m.Dir, "bundle.pem")} {
		env, warnings := m.variables(t, environment{"SSL_CERT_FILE": value, "NODE_EXTRA_CA_CERTS": value}, false)
		if got, want := env["SSL_CERT_FILE"], filepath.Join(m.Dir, "bundle.pem"); got != want || len(warnings) > 0 {
			t.Errorf("SSL_CERT_FILE=%s: got %s, want %s; warnings %q", value, got, want, warnings)
		}
		if got, want := env["NODE_EXTRA_CA_CERTS"], m.RootFile; got != want {
			t.Errorf("NODE_EXTRA_CA_CERTS=%s: got %s, want %s", value, got, want)
		}
	}
}

// A value that cannot be joined stays, and so do the clients that follow it.
func TestUnusableFilesAreLeftAlone(t *testing.T) {
	m := newMachine(t)
	own := newRoot(t, "own")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	keyOnly := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	good := pemOf(own)
	tests := []struct {
		name, value, warning string
	}{
		{"missing", filepath.Join(m.work, "missing.pem"), "no such file"},
		{"folder", m.work, "is a folder"},
		{"empty", m.file(t, "empty.pem", nil), "holds no certificate"},
		{"not PEM", m.file(t, "der.pem", own.Raw), "holds no certificate"},
		{"key only", m.file(t, "key.pem", keyOnly), "holds no certificate"},
		{"cut short", m.file(t, "cut.pem", append(slices.Clone(good), good[:len(good)/2]...)), "2 certificates begin and 1 can be read"},
		{"not a certificate", m.file(t, "wrong.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})), "its certificate 1 cannot be read"},
		{"of OpenSSL", m.file(t, "trusted.pem", slices.Concat(good, pem.EncodeToMemory(&pem.Block{Type: "TRUSTED CERTIFICATE", Bytes: own.Raw}))), `"TRUSTED CERTIFICATE"`},
		{"large", m.file(t, "large.pem", append(slices.Clone(good), make([]byte, maxFile)...)), "larger than 8 MiB"},
		{"bundle that is gone", filepath.Join(m.Dir, "bundle-0123456789abcdef.pem"), "no such file"},
		{"bundle that was changed", writeFile(t, filepath.Join(m.Dir, "bundle-0000000000000000.pem"), good), "has lost its first line"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			vars, warnings, err := m.Variables(Request{Env: environment{"REQUESTS_CA_BUNDLE": tt.value, "DENO_CERT": tt.value}.get})
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range vars {
				if slices.Contains([]string{"REQUESTS_CA_BUNDLE", "PIP_CERT", "AWS_CA_BUNDLE", "DENO_CERT"}, v.Name) {
					t.Errorf("%s was set to %s", v.Name, v.Value)
				}
			}
			if !slices.ContainsFunc(vars, func(v Variable) bool { return v.Name == "SSL_CERT_FILE" }) {
				t.Error("SSL_CERT_FILE, which has nothing to do with it, was not set")
			}
			if len(warnings) != 2 {
				t.Fatalf("warnings %q, want one for each variable", warnings)
			}
			for i, name := range []string{"REQUESTS_CA_BUNDLE", "DENO_CERT"} {
				if w := warnings[i]; !strings.HasPrefix(w, name+" stays") || !strings.Contains(w, tt.value) || !strings.Contains(w, tt.warning) {
					t.Errorf("warning %q, want one on %s, %s: %s", w, name, tt.value, tt.warning)
				}
			}
		})
	}
}

// Whatever can be set, the second evaluation agrees with the first.
func TestEvaluatedTwice(t *testing.T) {
	m := newMachine(t)
	missing := filepath.Join(m.work, "missing.pem")
	own := m.file(t, "own.pem", pemOf(newRoot(t, "own")))
	for _, value := range []string{own, missing, m.work} {
		for _, c := range clients {
			env := environment{c.name: value}
			first, _ := m.variables(t, env, false)
			if second, _ := m.variables(t, first, false); !maps.Equal(first, second) {
				t.Errorf("%v: got  %v\nwant %v", env, second, first)
			}
		}
	}
}

func TestPrivateKeysStayWhereTheyAre(t *testing.T) {
	m := newMachine(t)
	own := newRoot(t, "own")
	secret := []byte("this must not be copied anywhere")
	mixed := slices.Concat(
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
		[]byte("a comment with secret words\n"), pemOf(own, own),
		pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}, Bytes: secret}))
	env, _ := m.variables(t, environment{"SSL_CERT_FILE": m.file(t, "mixed.pem", mixed)}, false)
	checkHolds(t, env["SSL_CERT_FILE"], m.Root, m.system[0], m.system[1], own)
	data, err := os.ReadFile(env["SSL_CERT_FILE"])
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"PRIVATE KEY", "secret words"} {
		if bytes.Contains(data, []byte(word)) {
			t.Errorf("the bundle holds %q", word)
		}
	}
}

// Without the system's roots, a file with ours would cut a program off from
// every other site; one that the person has set did so already.
func TestNoSystemRoots(t *testing.T) {
	m := newMachine(t)
	m.System = []string{filepath.Join(m.work, "missing")}
	own := newRoot(t, "own")
	env, warnings := m.variables(t, environment{"GIT_SSL_CAINFO": m.file(t, "own.pem", pemOf(own))}, true)
	checkHolds(t, env["GIT_SSL_CAINFO"], m.Root, own)
	checkHolds(t, env["NODE_EXTRA_CA_CERTS"], m.Root)
	for _, name := range []string{"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "JAVA_TOOL_OPTIONS"} {
		if env[name] != "" {
			t.Errorf("%s=%s", name, env[name])
		}
	}
	if len(warnings) != 2 || !strings.Contains(warnings[0], "are left out") || !strings.Contains(warnings[1], "JAVA_TOOL_OPTIONS is left out") {
		t.Errorf("warnings %q", warnings)
	}
}

// A folder of certificates goes on working for those who read it beside the
// file, and curl and cargo, which would not, keep to it.
func TestFolderOfCertificates(t *testing.T) {
	m := newMachine(t)
	own := newRoot(t, "own")
	for _, env := range []environment{
		{"SSL_CERT_DIR": m.work},
		{"SSL_CERT_DIR": m.work, "SSL_CERT_FILE": m.file(t, "own.pem", pemOf(own))},
	} {
		got, warnings := m.variables(t, env, false)
		for _, name := range []string{"CURL_CA_BUNDLE", "CARGO_HTTP_CAINFO"} {
			if got[name] != "" {
				t.Errorf("%v: %s=%s hides SSL_CERT_DIR", env, name, got[name])
			}
		}
		if got["SSL_CERT_DIR"] != m.work || got["SSL_CERT_FILE"] == "" {
			t.Errorf("%v: got %v", env, got)
		}
		switch hidden := env["SSL_CERT_FILE"] == ""; {
		case hidden && (len(warnings) != 1 || !strings.HasPrefix(warnings[0], "SSL_CERT_DIR stays")):
			t.Errorf("%v: warnings %q, want one on SSL_CERT_DIR", env, warnings)
		case !hidden && len(warnings) > 0:
			t.Errorf("%v: warnings %q", env, warnings)
		}
		if again, _ := m.variables(t, got, false); !maps.Equal(got, again) {
			t.Errorf("%v: evaluated twice %v, want %v", env, again, got)
		}
	}
}

// Shells that are open when a root is replaced go on working: the paths are
// the same, and whatever was joined is still there.
func TestRefresh(t *testing.T) {
	m := newMachine(t)
	own, other := newRoot(t, "own"), newRoot(t, "other")
	ownFile := m.file(t, "own.pem", pemOf(own))
	env, _ := m.variables(t, environment{"SSL_CERT_FILE": ownFile, "NODE_EXTRA_CA_CERTS": ownFile}, true)
	refresh := func() []string {
		t.Helper()
		warnings, err := m.Refresh()
		if err != nil {
			t.Fatal(err)
		}
		return warnings
	}

	old := m.Root
	m.useRoot(t, newRoot(t, "ours, later"))
	m.useSystem(t, m.system[1], newRoot(t, "system, later"), old) // trust has not followed yet
	writeFile(t, ownFile, pemOf(own, other))
	if warnings := refresh(); len(warnings) > 0 {
		t.Errorf("warnings %q", warnings)
	}
	all := append(slices.Clone(m.system), m.Root)
	checkHolds(t, env["GIT_SSL_CAINFO"], all...)
	checkHolds(t, env["SSL_CERT_FILE"], append(all, own, other)...)
	checkHolds(t, env["NODE_EXTRA_CA_CERTS"], m.Root, own, other)
	checkStore(t, filepath.Join(m.Dir, javaFile), all...)

	// What cannot be read now was there before.
	if err := os.Remove(ownFile); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(m.System[1]); err != nil {
		t.Fatal(err)
	}
	m.useRoot(t, newRoot(t, "ours, last"))
	warnings := refresh()
	if len(warnings) != 2 || !strings.Contains(warnings[0], ownFile) {
		t.Errorf("warnings %q, want one for each bundle with %s", warnings, ownFile)
	}
	all = append(slices.Clone(m.system), m.Root)
	checkHolds(t, env["GIT_SSL_CAINFO"], all...)
	checkHolds(t, env["SSL_CERT_FILE"], append(all, own, other)...)
	checkHolds(t, env["NODE_EXTRA_CA_CERTS"], m.Root, own, other)
	checkStore(t, filepath.Join(m.Dir, javaFile), all...)

	// The next shell hears of it too, and keeps what it has.
	nested, warnings := m.variables(t, environment{"SSL_CERT_FILE": env["SSL_CERT_FILE"]}, false)
	if nested["SSL_CERT_FILE"] != env["SSL_CERT_FILE"] || nested["CURL_CA_BUNDLE"] != env["SSL_CERT_FILE"] {
		t.Errorf("nested %v", nested)
	}
	if !slices.ContainsFunc(warnings, func(w string) bool {
		return strings.HasPrefix(w, "SSL_CERT_FILE: read "+ownFile) && strings.Contains(w, "keeps what it had")
	}) {
		t.Errorf("warnings %q", warnings)
	}
}

// Refresh makes nothing that nobody asked for.
func TestRefreshOfNothing(t *testing.T) {
	m := newMachine(t)
	if _, err := m.Refresh(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(m.Dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("folder holds %v, %v, want root.pem alone", entries, err)
	}
}

func TestFolderThatCannotBeWritten(t *testing.T) {
	m := newMachine(t)
	m.Dir = filepath.Join(m.Dir, "missing")
	_, _, err := m.Variables(Request{Env: environment{}.get})
	if err == nil || !strings.Contains(err.Error(), "write "+filepath.Join(m.Dir, "bundle.pem")) || strings.Contains(err.Error(), "tmp-") {
		t.Errorf("got %v", err)
	}
	if _, err := m.Refresh(); err == nil {
		t.Error("Refresh: no error")
	}
}

// A path is any bytes but NUL; each has a bundle of its own that gives it
// back.
func FuzzJoinedPath(f *testing.F) {
	for _, path := range []string{"/a", "/a b", "/a\nb", "/# devproxy: system", "/\xff", "/\"", "/ü"} {
		f.Add(path)
	}
	root := newRoot(f, "ours")
	user := newRoot(f, "own")
	f.Fuzz(func(t *testing.T, path string) {
		c, err := decode(content{joined: path, user: [][]byte{user.Raw}}.encode(root.Raw))
		if err != nil {
			t.Fatal(err)
		}
		wantUser := 1
		if path == "" {
			wantUser = 0
		}
		if c.joined != path || len(c.user) != wantUser || len(c.system) != 0 {
			t.Errorf("joined %q with %d and %d certificates, want %q", c.joined, len(c.user), len(c.system), path)
		}
	})
}

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Two passphrases of a CA's key.
const (
	sesame = "open sesame: ä€ $x"
	thyme  = "shut thyme"
)

const helloRoute = head + `routes."hello.localhost" = "builtin:hello"`

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// secretFile writes a passphrase to a file of the home.
func (h *home) secretFile(t *testing.T, name, passphrase string) string {
	t.Helper()
	path := filepath.Join(h.work, name)
	h.put(t, path, passphrase+"\n", 0o600)
	return path
}

// withPassphrase makes a CA whose key has the passphrase sesame, and returns
// the file with it.
func (h *home) withPassphrase(t *testing.T) (file string) {
	t.Helper()
	file = h.secretFile(t, "sesame.txt", sesame)
	h.devproxy(t, "ca", "rotate").must(t, 0)
	h.devproxy(t, "ca", "passphrase", "--new-passphrase-file", file).must(t, 0)
	return file
}

// mustServe asks the server for its page with curl.
func (s *server) mustServe(t *testing.T) {
	t.Helper()
	got := s.home.run(t, tool(t, "curl"), "--silent", "--show-error", "--fail", "--max-time", "20",
		"--cacert", s.home.rootFile(), s.url("hello.localhost", "/"))
	if got.must(t, 0); !strings.Contains(got.stdout, "hello") {
		t.Errorf("curl: %s", got)
	}
}

// mustKeepSecret looks for the passphrases where other programs can see them.
func (s *server) mustKeepSecret(t *testing.T) {
	t.Helper()
	for what, text := range map[string]string{
		"the command line": read(t, s.proc("cmdline")), "the environment": read(t, s.proc("environ")),
		"the log": s.errors(), "the output": s.output(),
	} {
		if strings.Contains(text, sesame) || strings.Contains(text, thyme) {
			t.Errorf("%s of devproxy holds the passphrase:\n%q", what, text)
		}
	}
}

// TestPassphraseOpenSSL: others can read what devproxy writes.
func TestPassphraseOpenSSL(t *testing.T) {
	h := newHome(t)
	file := h.withPassphrase(t)
	openssl := tool(t, "openssl")
	began := time.Now()
	if got := h.run(t, openssl, "pkey", "-in", h.caFile(), "-passin", "file:"+file, "-noout", "-text").must(t, 0); !strings.Contains(got.stdout, "prime256v1") {
		t.Errorf("openssl: %s", got)
	}
	t.Logf("openssl pkey opens it in %v", time.Since(began).Round(time.Millisecond))
	if got := h.run(t, openssl, "pkey", "-in", h.caFile(), "-passin", "pass:"+thyme, "-noout"); got.code == 0 {
		t.Error("openssl opens it with another passphrase")
	}
	if got := h.run(t, openssl, "asn1parse", "-in", h.keyOnly(t)).must(t, 0); !strings.Contains(got.stdout, "PBES2") ||
		!strings.Contains(got.stdout, ":scrypt") || !strings.Contains(got.stdout, ":aes-256-cbc") {
		t.Errorf("how it is encrypted: %s", got)
	}
	if got := h.run(t, "/bin/sh", "-c", "cat /proc/self/environ").must(t, 0); strings.Contains(got.stdout, sesame) {
		t.Error("the tests themselves tell the passphrase")
	}
	env := h.withEnv("DEVPROXY_CA_PASSPHRASE_FILE=" + file)
	if got := env.devproxy(t, "exec", "--", "/bin/cat", "/proc/self/environ").must(t, 0); strings.Contains(got.stdout, sesame) {
		t.Error("programs are started with the passphrase")
	}
	env.devproxy(t, "ca", "passphrase", "--remove").must(t, 0)
	h.run(t, openssl, "pkey", "-in", h.caFile(), "-passin", "pass:", "-noout").must(t, 0)
}

// keyOnly writes the block of the key to a file of its own.
func (h *home) keyOnly(t *testing.T) string {
	t.Helper()
	_, key, found := strings.Cut(read(t, h.caFile()), "-----BEGIN ENCRYPTED PRIVATE KEY-----")
	if !found {
		t.Fatal("the key is not encrypted")
	}
	path := filepath.Join(h.work, "key.pem")
	h.put(t, path, "-----BEGIN ENCRYPTED PRIVATE KEY-----"+key, 0o600)
	return path
}

// TestPassphraseSources serves with the passphrase from each place that it may
// come from, and not at all with a wrong one.
func TestPassphraseSources(t *testing.T) {
	h := newHome(t)
	file := h.withPassphrase(t)
	wrong := h.secretFile(t, "wrong.txt", thyme)
	before, root := read(t, h.caFile()), h.root(t)
	credentials := filepath.Join(h.dir, "credentials")
	if err := os.Mkdir(credentials, 0o700); err != nil {
		t.Fatal(err)
	}
	h.put(t, filepath.Join(credentials, "ca-passphrase"), sesame, 0o400)

	for name, env := range map[string]string{
		"file":       "DEVPROXY_CA_PASSPHRASE_FILE=" + file,
		"credential": "CREDENTIALS_DIRECTORY=" + credentials,
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, h.withEnv(env), helloRoute)
			s.mustServe(t)
			s.mustKeepSecret(t)
		})
	}
	for name, tt := range map[string]struct{ env, problem string }{
		"wrong":      {"DEVPROXY_CA_PASSPHRASE_FILE=" + wrong, wrong + ": the passphrase does not open the key of the CA"},
		"none":       {"DEVPROXY_CA_PASSPHRASE_FILE=", "there is no terminal to ask on"},
		"variable":   {"DEVPROXY_CA_PASSPHRASE=" + sesame, "DEVPROXY_CA_PASSPHRASE is not read"},
		"missing":    {"DEVPROXY_CA_PASSPHRASE_FILE=/nonexistent", "read a passphrase: open /nonexistent: no such file"},
		"unreadable": {"DEVPROXY_CA_PASSPHRASE_FILE=" + h.dir, "read a passphrase: read " + h.dir + ": is a directory"},
	} {
		got := h.withEnv(tt.env).devproxy(t, "serve").must(t, 1)
		if !strings.Contains(got.stderr, tt.problem) || strings.Contains(got.stderr, sesame) || strings.Contains(got.stderr, thyme) {
			t.Errorf("%s: %s\nwant %q and no passphrase", name, got, tt.problem)
		}
	}
	if read(t, h.caFile()) != before || !h.root(t).Equal(root) {
		t.Error("the CA has changed")
	}
}

// TestPassphraseRotation rotates under a server whose passphrase came through a
// pipe, so that it has nothing but its memory.
func TestPassphraseRotation(t *testing.T) {
	h := newHome(t)
	file := h.withPassphrase(t)
	pipe := filepath.Join(h.work, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	fed := make(chan error, 1)
	go func() { fed <- os.WriteFile(pipe, []byte(sesame+"\n"), 0) }()
	s := start(t, h.withEnv("DEVPROXY_CA_PASSPHRASE_FILE="+pipe), helloRoute)
	if err := <-fed; err != nil {
		t.Fatal(err)
	}
	s.mustServe(t)

	env := h.withEnv("DEVPROXY_CA_PASSPHRASE_FILE=" + file)
	mark := s.mark()
	env.devproxy(t, "ca", "rotate").must(t, 0)
	s.waitLogAfter(t, mark, "CA loaded, leaves are minted anew", nil)
	s.mustServe(t)

	// The CA stays the same with another passphrase: nothing happens. The next
	// one has that, which the server does not know and cannot read.
	unchanged := s.mark()
	other := h.secretFile(t, "thyme.txt", thyme)
	env.devproxy(t, "ca", "passphrase", "--new-passphrase-file", other).must(t, 0)
	s.mustServe(t)
	old := read(t, h.rootFile())
	h.withEnv("DEVPROXY_CA_PASSPHRASE_FILE="+other).devproxy(t, "ca", "rotate").must(t, 0)
	s.waitLogAfter(t, unchanged, "the new CA cannot be opened, the one in memory stays: restart devproxy", nil)
	s.mu.Lock()
	lines := s.lines[unchanged:]
	s.mu.Unlock()
	for _, line := range lines {
		if line.msg() == "certificate issued" {
			t.Errorf("another passphrase has made the server mint: %v", line)
		}
	}
	next := read(t, h.rootFile())
	h.put(t, h.rootFile(), old, 0o644)
	s.mustServe(t)
	h.put(t, h.rootFile(), next, 0o644)
	s.mustKeepSecret(t)
	s.stop(t)

	again := start(t, h.withEnv("DEVPROXY_CA_PASSPHRASE_FILE="+other), helloRoute)
	again.mustServe(t)
	again.mustKeepSecret(t)
}

// TestPassphraseKilled ends devproxy with kill -9 while it sets or removes the
// passphrase: the key is there with it or without, and is the same.
func TestPassphraseKilled(t *testing.T) {
	h := newHome(t)
	file := h.secretFile(t, "sesame.txt", sesame)
	env := h.withEnv("DEVPROXY_CA_PASSPHRASE_FILE=" + file)
	h.devproxy(t, "ca", "rotate").must(t, 0)
	plain, root := read(t, h.caFile()), read(t, h.rootFile())
	openssl := tool(t, "openssl")
	outcomes := make(map[string]int)
	for range rounds(6, 300) {
		before := read(t, h.caFile())
		args := []string{"ca", "passphrase", "--new-passphrase-file", file}
		if before != plain {
			args = []string{"ca", "passphrase", "--remove"}
		}
		env.kill(t, atChange, args...)
		after := read(t, h.caFile())
		outcomes[fmt.Sprintf("%v, done %v", args[2], after != before)]++
		if after != plain && !strings.Contains(after, "BEGIN ENCRYPTED PRIVATE KEY") {
			t.Fatalf("neither the old file nor the new one:\n%s", after)
		}
		h.run(t, openssl, "pkey", "-in", h.caFile(), "-passin", "file:"+file, "-noout").must(t, 0)
		if read(t, h.rootFile()) != root {
			t.Fatal("root.pem has changed")
		}
		h.leftOvers(t)
	}
	t.Logf("%v", outcomes)
	env.devproxy(t, "ca", "passphrase", "--new-passphrase-file", file).must(t, 0)
	env.devproxy(t, "ca", "passphrase", "--remove").must(t, 0)
	if left := h.leftOvers(t); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
	if read(t, h.caFile()) != plain {
		t.Error("another key")
	}
}

package main

import (
	"bytes"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"devproxy/internal/doctor"
	"devproxy/internal/issuer"
)

const sesame = "open sesame"

// lock gives the CA in state a passphrase and returns it as it is loaded then.
func lock(t *testing.T, state string) *issuer.CA {
	t.Helper()
	ca, err := issuer.Load(state)
	if err == nil {
		err = issuer.SetPassphrase(t.Context(), state, ca, []byte(sesame), nil)
	}
	if err == nil {
		ca, err = issuer.Load(state)
	}
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// TestProofLocked: without the key there is still a verdict on the root.
func TestProofLocked(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	ca, _, err := issuer.LoadOrCreate(state, nil)
	if err != nil {
		t.Fatal(err)
	}
	locked := lock(t, state)
	ours, other := x509.NewCertPool(), x509.NewCertPool()
	ours.AddCert(ca.Root())
	other.AddCert(newTestCA(t).Root())
	if err := proof(locked)(t.Context(), ours); err != nil {
		t.Errorf("ours: %v", err)
	}
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](proof(locked)(t.Context(), other)); !unknown {
		t.Errorf("another's: %v, want an unknown authority", proof(locked)(t.Context(), other))
	}
}

func TestReadTypedLine(t *testing.T) {
	long := strings.Repeat("x", maxSecret)
	for _, tt := range []struct{ name, typed, want, rest string }{
		{"a line", "open sesame\nmore\n", "open sesame", "more\n"},
		{"a line of Windows", "open sesame\r\n", "open sesame", ""},
		{"no line end", "open sesame", "open sesame", ""},
		{"an empty line", "\nx", "", "x"},
		{"the longest", long + "\nx", long, "x"},
		{"too long", long + "yyyyyy\nx", long + "yy", "x"},
	} {
		in := strings.NewReader(tt.typed)
		got, err := readTypedLine(in)
		if string(got) != tt.want || err != nil {
			t.Errorf("%s: %q, %v; want %q", tt.name, got, err, tt.want)
		}
		if rest, _ := io.ReadAll(in); string(rest) != tt.rest {
			t.Errorf("%s: %q is left, want %q", tt.name, rest, tt.rest)
		}
	}
	if got, err := readTypedLine(iotest.DataErrReader(strings.NewReader("x"))); string(got) != "x" || err != nil {
		t.Errorf("the end with the last byte: %q, %v", got, err)
	}
	if _, err := readTypedLine(strings.NewReader("")); !errors.Is(err, io.EOF) {
		t.Errorf("nothing: %v, want EOF", err)
	}
}

// TestUnlockUnasked: nobody is asked, and nothing is waited for.
func TestUnlockUnasked(t *testing.T) {
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	if _, _, err := issuer.LoadOrCreate(state, nil); err != nil {
		t.Fatal(err)
	}
	locked := lock(t, state)
	for name, content := range map[string]string{"right": sesame + "\n", "wrong": "x\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		file        string
		tried, open bool
	}{
		{"", false, false},
		{filepath.Join(dir, "right"), true, true},
		{filepath.Join(dir, "wrong"), true, false},
		{filepath.Join(dir, "missing"), true, false},
		{dir, false, false},
		{os.DevNull, false, false}, // as a pipe is
	} {
		if tt.file == os.DevNull && runtime.GOOS == "windows" {
			continue
		}
		env := map[string]string{passphraseFileVar: tt.file}
		var stderr bytes.Buffer
		a := newApp([]string{"devproxy"}, func(name string) string { return env[name] }, strings.NewReader(sesame), &stderr, &stderr)
		ca, tried, err := a.unlockUnasked(locked)
		if tried != tt.tried || (ca != nil) != tt.open || (err == nil) != (tt.open || !tt.tried) {
			t.Errorf("%q: %v, tried %v, %v; want %+v", tt.file, ca, tried, err, tt)
		}
		if stderr.Len() > 0 {
			t.Errorf("%q: printed %q", tt.file, stderr.String())
		}
	}
}

// TestDoctorPassphrase: doctor says that there is one, uses the file with it and
// says what is wrong with that.
func TestDoctorPassphrase(t *testing.T) {
	for _, tt := range []struct {
		name, content string // of the file; "" is none
		state         doctor.State
		detail        string
		locked        bool
	}{
		{"no file", "", doctor.OK, "which serve asks for", true},
		{"a file", sesame, doctor.OK, "holds", false},
		{"a wrong file", "x", doctor.Fail, "the passphrase does not open", true},
	} {
		p := newPatient(t)
		lock(t, p.env["DEVPROXY_HOME"])
		if tt.content != "" {
			p.env[passphraseFileVar] = p.write("secret", tt.content, 0o600)
		}
		r, _ := p.examine()
		i := -1
		for n, c := range r.Checks {
			if c.Check == "ca" && strings.HasSuffix(c.Subject, "ca.pem") {
				i = n
			}
		}
		if i < 0 || r.Checks[i].State != tt.state || !strings.Contains(r.Checks[i].Detail, tt.detail) || p.e.seen.ca.Locked() != tt.locked {
			t.Errorf("%s: locked %v, %+v", tt.name, p.e.seen.ca.Locked(), r.Checks)
		}
		for _, c := range r.Checks {
			if c.State == doctor.Fail && c.Check != "ca" {
				t.Errorf("%s: %+v", tt.name, c)
			}
		}
	}
}

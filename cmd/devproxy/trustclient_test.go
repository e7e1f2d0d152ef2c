package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"devproxy/internal/certfile"
)

// A clientChain is a client certificate with its issuers, the root last.
type clientChain struct {
	key   crypto.PrivateKey
	chain []*x509.Certificate
}

// newClientChain issues a certificate after change was made to its template.
func newClientChain(t *testing.T, change func(*x509.Certificate)) clientChain {
	t.Helper()
	var c clientChain
	var issuer *x509.Certificate
	var issuerKey *ecdsa.PrivateKey
	for _, name := range []string{"root", "intermediate", "alice"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber:          big.NewInt(int64(len(c.chain) + 1)),
			Subject:               pkix.Name{CommonName: name},
			NotBefore:             time.Now().Add(-time.Hour),
			NotAfter:              time.Now().Add(time.Hour),
			IsCA:                  name != "alice",
			BasicConstraintsValid: true,
		}
		if name == "alice" {
			template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
			change(template)
		}
		if issuer == nil {
			issuer, issuerKey = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), issuerKey)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		c.key, c.chain = key, append([]*x509.Certificate{cert}, c.chain...)
		issuer, issuerKey = cert, key
	}
	return c
}

// runIn runs a command in a home of its own and returns what it wrote.
func runIn(t *testing.T, home string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	env := map[string]string{"HOME": home, "PATH": home} // no certutil, no browser but Chromium
	var out, problems bytes.Buffer
	a := newApp([]string{"devproxy"}, func(name string) string { return env[name] }, strings.NewReader(""), &out, &problems)
	cmd := a.rootCommand()
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), problems.String(), err
}

func TestTrustClientRefuses(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("client certificates are put into browsers on Linux only")
	}
	good := newClientChain(t, func(*x509.Certificate) {})
	tests := []struct {
		name     string
		args     []string // besides trust --client FILE
		write    func(t *testing.T) []byte
		usage    bool
		problem  string
		hint     string
		untrusts bool // untrust takes the file all the same
	}{
		{name: "wrong password", args: []string{"--password-file", "wrong"}, problem: "password is wrong"},
		{name: "no password", problem: "no terminal to ask on", hint: "--password-file FILE"},
		{name: "no password file", args: []string{"--password-file", "absent"}, problem: "absent"},
		{name: "java", args: []string{"--java"}, usage: true, problem: "--java"},
		{
			name: "expired", args: []string{"--password-file", "right"}, problem: "expired on", untrusts: true,
			write: func(t *testing.T) []byte {
				return p12(t, newClientChain(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }))
			},
		}, {
			name: "not yet", args: []string{"--password-file", "right"}, problem: "not valid before", untrusts: true,
			write: func(t *testing.T) []byte {
				return p12(t, newClientChain(t, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }))
			},
		}, {
			name: "for servers", args: []string{"--password-file", "right"}, problem: "lacks clientAuth", hint: "cert issue --client", untrusts: true,
			write: func(t *testing.T) []byte {
				return p12(t, newClientChain(t, func(c *x509.Certificate) {
					c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
				}))
			},
		}, {
			name: "of a CA", args: []string{"--password-file", "right"}, problem: "that of a CA", untrusts: true,
			write: func(t *testing.T) []byte {
				return p12(t, newClientChain(t, func(c *x509.Certificate) { c.IsCA = true }))
			},
		}, {
			name: "PEM", problem: "not a PKCS#12 file", hint: "openssl pkcs12 -export", untrusts: true,
			write: func(*testing.T) []byte { return certfile.EncodeCertificates(good.chain...) },
		},
		{name: "garbage", problem: "read ", write: func(*testing.T) []byte { return []byte("garbage") }},
		{name: "absent", problem: "no such file", write: func(*testing.T) []byte { return nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			home := clientHome(t)
			t.Chdir(home)
			data := p12(t, good)
			if tt.write != nil {
				data = tt.write(t)
			}
			if data != nil {
				writeSecret(t, "alice.p12", string(data))
			}
			_, _, err := runIn(t, home, append([]string{"trust", "--client", "alice.p12"}, tt.args...)...)
			if got := errText(err); err == nil || !strings.Contains(got, tt.problem) {
				t.Errorf("got error %q, want one with %q", got, tt.problem)
			}
			if h, _ := errors.AsType[*hintedError](err); tt.hint != "" && (h == nil || !strings.Contains(h.hint, tt.hint)) {
				t.Errorf("got %+v, want the hint %q", err, tt.hint)
			}
			if want := map[bool]int{true: exitUsage, false: exitFailed}[tt.usage]; exitCode(err) != want {
				t.Errorf("exit code %d, want %d", exitCode(err), want)
			}
			if _, err := os.Stat(filepath.Join(home, ".local")); err == nil {
				t.Error("something was made")
			}
			if tt.untrusts {
				out, _, err := runIn(t, home, append([]string{"untrust", "--client", "alice.p12"}, tt.args...)...)
				if err != nil || !strings.Contains(out, "no store was given the certificate of alice") {
					t.Errorf("untrust: %q, %v", out, err)
				}
			}
		})
	}
}

// clientHome returns a home where Chromium is installed, with the files of two
// passwords.
func clientHome(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "chromium"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	writeSecret(t, filepath.Join(home, "right"), "words\n")
	writeSecret(t, filepath.Join(home, "wrong"), "other words\n")
	return home
}

func writeSecret(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func p12(t *testing.T, c clientChain) []byte {
	t.Helper()
	data, err := certfile.EncodePKCS12(c.key, c.chain, "words")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestTrustClient(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("client certificates are put into browsers on Linux only")
	}
	home := clientHome(t)
	t.Chdir(home)
	c := newClientChain(t, func(*x509.Certificate) {})
	writeSecret(t, "alice.p12", string(p12(t, c)))
	writeSecret(t, "alice.pem", string(certfile.EncodeCertificates(c.chain...)))
	command := func(want string, args ...string) {
		t.Helper()
		out, problems, err := runIn(t, home, args...)
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%v: %q, %q, %v; want %q", args, out, problems, err, want)
		}
	}
	trust := []string{"trust", "--client", "alice.p12", "--password-file", "right"}
	command("cert9.db", append(trust, "--dry-run")...)
	if _, err := os.Stat(filepath.Join(home, ".local")); err == nil {
		t.Error("--dry-run made something")
	}
	command("added", trust...)
	command("there already", trust...)
	command("nothing to do", append(trust, "--dry-run")...)
	for _, name := range []string{"ca.pem", "root.pem"} {
		if _, err := os.Stat(filepath.Join(home, ".local/share/devproxy", name)); err == nil {
			t.Errorf("%s was made", name)
		}
	}
	command("key4.db", "untrust", "--client", "alice.pem", "--dry-run")
	command("Chromium, client certificate", "untrust", "--client", "alice.pem")
	command("no store was given the certificate of alice", "untrust", "--client", "alice.pem")
	command("added", trust...)
	command("removed", "untrust", "--user")
	if _, err := os.Stat(filepath.Join(home, ".local/share/pki")); err == nil {
		t.Error("the database that was made is left")
	}
	if _, _, err := runIn(t, home, "trust", "--password-file", "right"); exitCode(err) != exitUsage {
		t.Errorf("--password-file alone: %v, want a mistake in usage", err)
	}
}

// The root is not among them: servers have it.
func TestIssuers(t *testing.T) {
	c := newClientChain(t, func(*x509.Certificate) {})
	other := newClientChain(t, func(*x509.Certificate) {}) // with the same names
	leaf, sub, root := c.chain[0], c.chain[1], c.chain[2]
	got := issuers(leaf, []*x509.Certificate{root, other.chain[1], sub, leaf})
	if len(got) != 1 || got[0] != sub {
		t.Errorf("got %d certificates, want the intermediate", len(got))
	}
}

// TestIssuersOfManyNamesakes: a file of certificates that all have one name makes
// no endless work, and an honest one among strangers is found whole.
func TestIssuersOfManyNamesakes(t *testing.T) {
	linked := func(n int, name func(i int) string) []*x509.Certificate {
		var chain []*x509.Certificate // each signed by the next, the last by nobody here
		key := func() *ecdsa.PrivateKey {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			return key
		}
		own, signer := key(), key()
		for i := range n {
			template := &x509.Certificate{
				SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: name(i)},
				NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
			}
			parent := &x509.Certificate{Subject: pkix.Name{CommonName: name(i + 1)}}
			der, err := x509.CreateCertificate(rand.Reader, template, parent, &own.PublicKey, signer)
			if err != nil {
				t.Fatal(err)
			}
			cert, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			chain = append(chain, cert)
			own, signer = signer, key()
		}
		return chain
	}
	honest := linked(4, func(i int) string { return fmt.Sprint("honest ", i) })
	hostile := linked(120, func(i int) string { return fmt.Sprint("either ", i%2) })
	backwards := slices.Clone(hostile[1:])
	slices.Reverse(backwards)
	if got := issuers(honest[0], slices.Concat(backwards, honest[1:])); !slices.Equal(got, honest[1:]) {
		t.Errorf("honest: got %d certificates, want %d", len(got), 3)
	}
	if got := issuers(hostile[0], backwards); len(got) > 3 {
		t.Errorf("hostile: got %d certificates, want the search to end after %d signatures", len(got), maxChainChecks)
	}
}

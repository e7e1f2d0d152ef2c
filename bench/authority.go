package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// An authority is devproxy's CA, and a static certificate from it for those
// proxies that mint none: leaf and intermediate on P-256, as devproxy's are.
type authority struct {
	dir       string // DEVPROXY_HOME
	roots     *x509.CertPool
	cert, key string // files
	bundle    string // file of both, for HAProxy
}

// newAuthority has devproxy make its CA, which it does when it serves.
func newAuthority(b *bench) (*authority, error) {
	a := &authority{dir: filepath.Join(b.dir, "authority"), roots: x509.NewCertPool()}
	if err := os.Mkdir(a.dir, 0o700); err != nil {
		return nil, err
	}
	b.authority = a
	first := &contender{name: "devproxy", kind: devproxyKind(), binary: b.programs.devproxy}
	if err := b.prepare(first); err != nil {
		return nil, err
	}
	process, err := launch(first.dir, first.kind.env(b), first.kind.argv(first, settings{}))
	if err != nil {
		return nil, err
	}
	defer process.stop()
	first.process = process
	if err := b.awaitRoot(first); err != nil {
		return nil, process.fault(err)
	}
	return a, a.issue(b, first)
}

// awaitRoot returns when devproxy has made its CA and answers.
func (b *bench) awaitRoot(c *contender) error {
	// Until there is a root no certificate verifies.
	return retry(func() error {
		root, err := os.ReadFile(filepath.Join(b.authority.dir, "root.pem"))
		if err != nil {
			return err
		}
		if !b.authority.roots.AppendCertsFromPEM(root) {
			return errors.New("root.pem without a certificate")
		}
		return b.awaitAnswer(c)
	})
}

// issue makes the static certificate.
func (a *authority) issue(b *bench, c *contender) error {
	a.cert, a.key = filepath.Join(b.dir, "static.pem"), filepath.Join(b.dir, "static-key.pem")
	cmd := exec.Command(c.binary, "cert", "issue", "--config", c.configFile(),
		"--cert-file", a.cert, "--key-file", a.key, "app.localhost", "*.shop.localhost")
	cmd.Dir = c.dir
	cmd.Env = append(c.kind.env(b), "HOME="+c.dir, "PATH=/usr/bin:/bin")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	cert, err := os.ReadFile(a.cert)
	if err != nil {
		return err
	}
	key, err := os.ReadFile(a.key)
	if err != nil {
		return err
	}
	a.bundle = filepath.Join(b.dir, "bundle.pem")
	return os.WriteFile(a.bundle, append(cert, key...), 0o600)
}

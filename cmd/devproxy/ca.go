package main

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"devproxy/internal/config"
	"devproxy/internal/issuer"
)

func (a *app) caCommand() *cobra.Command {
	return a.group(&cobra.Command{
		Use:   "ca",
		Short: "Show, replace or lock the certificate authority of this machine",
	},
		&cobra.Command{
			Use:   "path",
			Short: "Print where the root certificate is, for tools that take a file",
			Args:  noArgs,
			RunE:  func(*cobra.Command, []string) error { return a.caPath() },
		},
		a.caShowCommand(),
		a.caRotateCommand(),
		a.caPassphraseCommand(),
	)
}

// loadCA loads the CA without ever making one.
func (a *app) loadCA() (state string, ca *issuer.CA, err error) {
	if state, err = a.stateDir(); err != nil {
		return "", nil, err
	}
	if ca, err = issuer.Load(state); errors.Is(err, fs.ErrNotExist) {
		return "", nil, withHint(fmt.Errorf("no CA in %s yet", state), "%s makes one, and so does %s", a.command("serve"), a.command("trust"))
	}
	return state, ca, a.caError(err)
}

// caPath prints the stable path of the public root, which it brings in line
// with the CA first.
func (a *app) caPath() error {
	state, _, err := a.loadCA()
	if err != nil {
		return err
	}
	if _, err := issuer.Publish(state); err != nil {
		return a.caError(err)
	}
	a.printf("%s\n", issuer.RootPath(state))
	return nil
}

// caError adds to an error of the issuer the way out, in our commands.
func (a *app) caError(err error) error {
	e, ok := errors.AsType[*issuer.Error](err)
	if !ok {
		return err
	}
	hint := e.Hint
	switch {
	case e.Rotate:
		hint += ": " + a.command("ca rotate")
	case hint != "":
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		hint = "let yourself write there, or set DEVPROXY_HOME to another folder"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		hint = "free some space there, or set DEVPROXY_HOME to a folder elsewhere"
	default:
		return err
	}
	return withHint(err, "%s", hint)
}

// config loads the configuration for commands that take no routes: what it
// routes need not be permitted yet.
func (a *app) config() (*config.Config, error) {
	src, err := a.newSource(nil)
	if err != nil {
		return nil, err
	}
	return src.load()
}

// fingerprint returns the SHA-256 of a certificate as openssl and browsers
// print it.
func fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

// constraintsText names what a CA may sign for, in a line.
func constraintsText(c issuer.Constraints) string {
	text := strings.Join(c.DNS, ", ") + " and names below them"
	if len(c.IP) > 0 {
		text += ", and private addresses"
	}
	return text
}

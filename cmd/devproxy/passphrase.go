package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"devproxy/internal/issuer"
)

// Where the passphrase of the CA's key comes from, without being asked for.
// Neither is a variable with the passphrase itself, which every program started
// from the same shell would be told.
const (
	passphraseFileVar    = "DEVPROXY_CA_PASSPHRASE_FILE"
	passphraseVar        = "DEVPROXY_CA_PASSPHRASE" // not read
	credentialsVar       = "CREDENTIALS_DIRECTORY"  // systemd.exec(5), LoadCredential=
	passphraseCredential = "ca-passphrase"
)

// passphraseTries is how often a person may mistype it.
const passphraseTries = 3

// signingCA is loadCA for those who need the key: it asks for the passphrase if
// there is one.
func (a *app) signingCA(ctx context.Context) (state string, ca *issuer.CA, err error) {
	if state, ca, err = a.loadCA(); err != nil {
		return "", nil, err
	}
	ca, err = a.unlock(ctx, ca)
	return state, ca, err
}

// unlock returns ca with its key. The passphrase comes from a file, where one is
// named, and is else asked for.
func (a *app) unlock(ctx context.Context, ca *issuer.CA) (*issuer.CA, error) {
	if !ca.Locked() {
		return ca, nil
	}
	a.warnPassphraseVar()
	if path := a.passphraseFile(); path != "" {
		return a.unlockFrom(ctx, path, ca)
	}
	for try := 1; ; try++ {
		passphrase, err := a.askSecret(ctx, "Passphrase of the CA's key")
		if errors.Is(err, errNoTerminal) {
			return nil, withHint(fmt.Errorf("the CA's key has a passphrase, and %w", err),
				"start devproxy on a terminal, or let %s name a file with the passphrase (systemd: LoadCredential=%s:FILE)", passphraseFileVar, passphraseCredential)
		}
		if err != nil {
			return nil, err
		}
		open, err := ca.Unlock(passphrase)
		if errors.Is(err, issuer.ErrPassphrase) {
			if try < passphraseTries {
				a.ui.warn(err.Error() + ": try again")
				continue
			}
			return nil, withHint(err, "%s", a.lostPassphrase())
		}
		return open, err
	}
}

func (a *app) warnPassphraseVar() {
	if a.env(passphraseVar) != "" {
		a.ui.warn(passphraseVar + " is not read, since other programs are shown it: unset it, and let " + passphraseFileVar + " name a file")
	}
}

// lostPassphrase is the way out where nobody knows it any more.
func (a *app) lostPassphrase() string {
	path := "ca.pem"
	if state, err := a.stateDir(); err == nil {
		path = issuer.Path(state)
	}
	return "if it is lost, move " + path + " away and make a new CA: " + a.command("ca rotate")
}

// passphraseFile returns the file that the passphrase is to be read from, "" if
// it is to be asked for.
func (a *app) passphraseFile() string {
	if path := a.env(passphraseFileVar); path != "" {
		return path
	}
	if dir := a.env(credentialsVar); dir != "" {
		path := filepath.Join(dir, passphraseCredential)
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return path
		}
	}
	return ""
}

// unlockFrom is unlock with the passphrase in a file, and nothing else.
func (a *app) unlockFrom(ctx context.Context, path string, ca *issuer.CA) (*issuer.CA, error) {
	passphrase, err := a.passphraseIn(ctx, path)
	if err != nil {
		return nil, err
	}
	return a.unlockAs(path, passphrase, ca)
}

func (a *app) unlockAs(path string, passphrase []byte, ca *issuer.CA) (*issuer.CA, error) {
	open, err := ca.Unlock(passphrase)
	if errors.Is(err, issuer.ErrPassphrase) {
		return nil, withHint(fmt.Errorf("%s: %w", path, err), "correct the file; %s", a.lostPassphrase())
	}
	return open, err
}

// passphraseIn reads a file with a passphrase of the CA's key, and warns if
// others can read it, too. What systemd makes has the rights that it is to have.
func (a *app) passphraseIn(ctx context.Context, path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && info.Mode().IsRegular() && info.Mode()&0o077 != 0 && runtime.GOOS != "windows" &&
		filepath.Dir(path) != filepath.Clean(a.env(credentialsVar)) {
		a.ui.warn(fmt.Sprintf("%s, which holds a passphrase, is open to others (mode %#o): make it 0600", path, info.Mode().Perm()))
	}
	passphrase, err := awaitSecretFile(ctx, path)
	if err != nil && ctx.Err() == nil {
		return nil, withHint(fmt.Errorf("read a passphrase: %w", err), "the passphrase is the first line of that file")
	}
	return passphrase, err
}

// unlockUnasked is unlock for those who may neither ask, wait nor warn. It
// reports false if there is no file to read the passphrase from, or one that can
// be read only once.
func (a *app) unlockUnasked(ca *issuer.CA) (_ *issuer.CA, tried bool, err error) {
	path := a.passphraseFile()
	if path == "" || readableOnce(path) {
		return nil, false, nil
	}
	passphrase, err := readSecretFile(path)
	if err != nil {
		return nil, true, fmt.Errorf("read a passphrase: %w", err)
	}
	open, err := a.unlockAs(path, passphrase, ca)
	return open, true, err
}

// readableOnce reports whether path is a pipe or the like, which may have been
// read already and may block.
func readableOnce(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular()
}

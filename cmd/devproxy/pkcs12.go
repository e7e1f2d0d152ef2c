package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	"devproxy/internal/certfile"
)

// noTerminalHint says how to answer without a terminal.
const noTerminalHint = "put the password into a file that only you may read, and add --password-file FILE"

// newPassword returns the password of a PKCS#12 file that is to be written.
func (a *app) newPassword(ctx context.Context, path, passwordFile string) ([]byte, error) {
	if passwordFile != "" {
		return awaitSecretFile(ctx, passwordFile)
	}
	password, err := a.askNewSecret(ctx, "password of "+path)
	if errors.Is(err, errNoTerminal) {
		return nil, withHint(fmt.Errorf("the password of %s cannot be asked for: %w", path, err), noTerminalHint)
	}
	return password, err
}

// openPKCS12 opens the content of the file name with the first line of
// passwordFile, or, if that is "", without a password or with one that it asks
// for. The key is nil if there is none.
func (a *app) openPKCS12(ctx context.Context, name string, data []byte, passwordFile string) (crypto.PrivateKey, []*x509.Certificate, error) {
	var password []byte
	if passwordFile != "" {
		var err error
		if password, err = awaitSecretFile(ctx, passwordFile); err != nil {
			return nil, nil, fmt.Errorf("read the password: %w", err)
		}
	}
	key, chain, err := certfile.DecodePKCS12(data, string(password))
	if errors.Is(err, certfile.ErrPassword) && passwordFile == "" {
		password, err = a.askSecret(ctx, "Password of "+name)
		switch {
		case errors.Is(err, errNoTerminal):
			return nil, nil, withHint(fmt.Errorf("read %s: it has a password, and %w", name, err), noTerminalHint)
		case err != nil:
			return nil, nil, err
		}
		key, chain, err = certfile.DecodePKCS12(data, string(password))
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", name, err)
	}
	return key, chain, nil
}

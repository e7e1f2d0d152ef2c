package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	"devproxy/internal/certfile"
)

// openPKCS12 opens the content of the file name with the first line of
// passwordFile, or, if that is "", without a password or with one that it asks
// for. The key is nil if there is none.
func (a *app) openPKCS12(ctx context.Context, name string, data []byte, passwordFile string) (crypto.PrivateKey, []*x509.Certificate, error) {
	var password []byte
	if passwordFile != "" {
		var err error
		if password, err = readSecretFile(passwordFile); err != nil {
			return nil, nil, fmt.Errorf("read the password: %w", err)
		}
	}
	key, chain, err := certfile.DecodePKCS12(data, string(password))
	if errors.Is(err, certfile.ErrPassword) && passwordFile == "" {
		password, err = a.askSecret(ctx, "Password of "+name)
		switch {
		case errors.Is(err, errNoTerminal):
			return nil, nil, withHint(fmt.Errorf("read %s: it has a password, and %w", name, err),
				"put the password into a file that only you may read, and add --password-file FILE")
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

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"devproxy/internal/issuer"
)

type passphraseFlags struct {
	remove bool
	file   string // with the new one; "" asks
}

func (a *app) caPassphraseCommand() *cobra.Command {
	var flags passphraseFlags
	cmd := &cobra.Command{
		Use:   "passphrase",
		Short: "Set, change or remove the passphrase of the CA's key",
		Long: `Encrypt the key of the CA with a passphrase, change that or, with --remove, take
it away. The CA stays the same: nothing has to be trusted again, and a devproxy
that runs goes on.

Commands that sign ask for the passphrase on the terminal: serve, trust and
others. They do not ask where ` + passphraseFileVar + ` names a file, or a
pipe, whose first line it is, or where systemd has the credential
` + passphraseCredential + ` for the service.

ca.pem stays readable for openssl pkey. Copies of it that were made before are as
they were.`,
		Example: `  devproxy ca passphrase
  devproxy ca passphrase --new-passphrase-file secret.txt
  devproxy ca passphrase --remove`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.caPassphrase(cmd.Context(), flags) },
	}
	cmd.Flags().BoolVar(&flags.remove, "remove", false, "keep the key without a passphrase")
	cmd.Flags().StringVar(&flags.file, "new-passphrase-file", "", "take the new passphrase from the first line of `file`")
	return cmd
}

func (a *app) caPassphrase(ctx context.Context, flags passphraseFlags) error {
	if flags.remove && flags.file != "" {
		return usagef("--remove and --new-passphrase-file exclude each other")
	}
	state, ca, err := a.signingCA(ctx)
	if err != nil {
		return err
	}
	had := ca.HasPassphrase()
	if !had { // else unlock warns
		a.warnPassphraseVar()
	}
	if flags.remove && !had {
		a.printf("the CA's key has no passphrase: nothing was changed\n")
		return nil
	}
	var passphrase []byte
	if !flags.remove {
		if passphrase, err = a.newPassphrase(ctx, flags.file); err != nil {
			return err
		}
	}
	if err := issuer.SetPassphrase(ctx, state, ca, passphrase, a.waitingForFolder); err != nil {
		return a.caError(err)
	}
	switch {
	case flags.remove:
		a.printf("the CA's key has no passphrase any more: %s\n", issuer.Path(state))
	case had:
		a.printf("the CA's key has the new passphrase: %s\n", issuer.Path(state))
	default:
		a.printf("the CA's key has a passphrase now: %s\n", issuer.Path(state))
	}
	if !flags.remove {
		a.outdatedHint(passphrase)
	}
	return nil
}

func (a *app) newPassphrase(ctx context.Context, file string) ([]byte, error) {
	if file != "" {
		return a.passphraseIn(ctx, file)
	}
	passphrase, err := a.askNewSecret(ctx, "passphrase")
	if errors.Is(err, errNoTerminal) {
		return nil, withHint(fmt.Errorf("the new passphrase cannot be asked for: %w", err), "--new-passphrase-file takes it from a file")
	}
	return passphrase, err
}

// outdatedHint says that the file that the passphrase is read from holds
// another one.
func (a *app) outdatedHint(passphrase []byte) {
	path := a.passphraseFile()
	if path == "" || readableOnce(path) {
		return
	}
	have, err := readSecretFile(path)
	if err != nil || !bytes.Equal(have, passphrase) {
		a.ui.hint("put the new passphrase into " + path + ", or the next devproxy does not start")
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"devproxy/internal/atomicfile"
	"devproxy/internal/certfile"
	"devproxy/internal/issuer"
	"devproxy/internal/ledger"
)

func (a *app) certRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke SERIAL|FILE",
		Short: "Have a certificate refused from now on",
		Long: `Revoke a certificate that cert issue or cert sign made. A running devproxy
refuses it from the next request on, on connections that are open as well. Other
servers do so if they are given the list of cert crl and told to look at it.
There is no way back: issue another one.

SERIAL is the serial number as cert list, a browser or openssl prints it; its
first eight digits will do where they are of one certificate only. FILE holds
the certificate itself, as PEM or DER; the first one counts.`,
		Args: a.oneArg("serial number", "%s lists them", "cert list"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.certRevoke(cmd.Context(), args[0]) },
	}
}

func (a *app) certRevoke(ctx context.Context, serial string) error {
	state, ca, entries, err := a.ledgerEntries()
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return withHint(errors.New("no certificate was issued yet"), "%s issues one", a.command("cert issue NAME"))
	}
	now := time.Now()
	e, err := ledger.Revoke(ctx, state, serial, now, a.waitingForFolder)
	if bad, ok := errors.AsType[*ledger.SerialError](err); ok && bad.Bad && isFile(serial) {
		if serial, err = a.serialIn(ctx, serial); err != nil {
			return err
		}
		e, err = ledger.Revoke(ctx, state, serial, now, a.waitingForFolder)
	}
	if bad, ok := errors.AsType[*ledger.SerialError](err); ok {
		if bad.Bad || bad.Short {
			err = &usageError{err}
		}
		return withHint(err, "%s lists them", a.command("cert list"))
	}
	if err != nil {
		return a.ledgerError(err)
	}
	word := "revoked"
	if e.Revoked.Before(now.Add(-time.Second)) {
		word = "was revoked on " + e.Revoked.Format(time.DateOnly) + " already"
	}
	a.printf("%s: the %s certificate of %s, serial %s\n", word, e.Kind, printable(someNames(e.Names)), e.Serial)
	a.afterRevoke(e, ca, now)
	return nil
}

// isFile reports whether there is a regular file at path.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// serialIn returns the serial number of the first certificate in a file.
func (a *app) serialIn(ctx context.Context, path string) (string, error) {
	_, data, err := a.readInput(ctx, path)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, atomicfile.Cause(err))
	}
	content, err := certfile.Parse(data)
	switch {
	case err != nil:
		return "", fmt.Errorf("read %s: %v", path, err)
	case len(content.Certificates) == 0:
		return "", withHint(fmt.Errorf("read %s: there is no certificate in it", path), "%s lists the serial numbers", a.command("cert list"))
	}
	return serialText(content.Certificates[0]), nil
}

// afterRevoke says what revoking does and what it does not.
func (a *app) afterRevoke(e ledger.Entry, ca *issuer.CA, now time.Time) {
	switch {
	case !now.Before(e.NotAfter):
		a.printf("it had ended before: nothing accepts it any more\n")
	case e.Kind == ledger.Client:
		a.printf("devproxy refuses it from the next request on; other servers only if they are given the list: %s\n", a.command("cert crl"))
	default:
		a.printf("clients do not ask whether a server's certificate was revoked: whoever has its key can use it until %s\n", e.NotAfter.Format(time.DateOnly))
		a.ui.hint("if the key was stolen, replace the CA: " + a.command("ca rotate"))
	}
	if ca == nil || e.Root != sum(ca.Root()) {
		a.ui.note("it was issued by an older CA: the list of cert crl is that of the CA in force, and has it not")
	}
}

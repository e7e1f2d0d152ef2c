package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"devproxy/internal/issuer"
	"devproxy/internal/ledger"
)

func (a *app) certRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke SERIAL",
		Short: "Have a certificate refused from now on",
		Long: `Revoke a certificate that cert issue or cert sign made. A running devproxy
refuses it from the next request on, on connections that are open as well. Other
servers do so if they are given the list of cert crl and told to look at it.
There is no way back: issue another one.

SERIAL is the serial number as cert list, a browser or openssl prints it; its
first eight digits will do where they are of one certificate only.`,
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

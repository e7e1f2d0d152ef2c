package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"time"

	"github.com/spf13/cobra"

	"devproxy/internal/ledger"
)

func (a *app) certCRLCommand() *cobra.Command {
	var (
		file  string
		force bool
	)
	cmd := &cobra.Command{
		Use:   "crl",
		Short: "Print the signed list of revoked certificates, for other servers",
		Long: `Print the list of the certificates that the CA in force has issued and that were
revoked (CRL), as PEM and signed. devproxy itself does not need it. Other servers
have to be given a new one after each cert revoke, and before it ends.`,
		Example: `  devproxy cert crl --crl-file revoked.pem
  openssl verify -crl_check -CAfile "$(devproxy ca path)" -CRLfile revoked.pem -untrusted alice.pem alice.pem`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.certCRL(cmd.Context(), file, force) },
	}
	cmd.Flags().StringVar(&file, "crl-file", "", "write it to this `file`")
	addForce(cmd, &force)
	return cmd
}

func (a *app) certCRL(ctx context.Context, file string, force bool) error {
	state, err := a.stateDir()
	if err != nil {
		return err
	}
	out := &certOutputs{force: force}
	if file != "" {
		out.add("crl-file", file, "", "list of revoked certificates", publicPerm)
	} else if force {
		return usagef("--force is for --crl-file only")
	}
	if err := out.check("", state); err != nil {
		return err
	}
	state, ca, err := a.certCA(ctx)
	if err != nil {
		return err
	}
	entries, err := ledger.Read(state)
	if err != nil {
		return a.ledgerError(err)
	}
	now := time.Now()
	revoked := revocationEntries(entries, sum(ca.Root()))
	// The number has to grow from list to list, also where the last one is
	// not known any more.
	der, err := ca.RevocationList(revoked, big.NewInt(now.UnixMilli()), now)
	if err != nil {
		return a.issueError(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
	if file == "" {
		a.printf("%s", text)
		return nil
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return err
	}
	out.files[0].data = text
	if err := out.put(); err != nil {
		return err
	}
	a.ui.table(out.rows())
	a.printf("\n")
	a.ui.table([][]cell{
		{{"revoked", dim}, {count(len(revoked), "certificate"), ""}},
		{{"until", dim}, {list.NextUpdate.UTC().Format(time.DateOnly) + ": give servers a new one before", ""}},
	})
	return nil
}

// revocationEntries returns what is revoked of the certificates that lead to
// one root.
func revocationEntries(entries []ledger.Entry, root string) []x509.RevocationListEntry {
	var revoked []x509.RevocationListEntry
	for _, e := range entries {
		if e.Root == root && !e.Revoked.IsZero() {
			revoked = append(revoked, x509.RevocationListEntry{SerialNumber: e.Number(), RevocationTime: e.Revoked})
		}
	}
	return revoked
}

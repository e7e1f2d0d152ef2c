package main

import (
	"errors"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"devproxy/internal/issuer"
	"devproxy/internal/ledger"
)

func (a *app) certListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the certificates that were issued, and which are revoked",
		Long: `List the certificates that cert issue and cert sign made: serial number, for
whom, of which kind, until when, and whether it is valid. Those that devproxy
makes for its routes never leave it and are not listed.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return a.certList(asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// certListReport is the output of cert list --json. Schema goes up when a
// field changes its meaning; new fields may come without.
type certListReport struct {
	Schema       int          `json:"schema"`
	Certificates []certReport `json:"certificates"`
}

type certReport struct {
	Serial      string    `json:"serial"` // lower-case hex
	Kind        string    `json:"kind"`   // "server" or "client"
	Names       []string  `json:"names"`
	Fingerprint string    `json:"fingerprint"` // SHA-256, lower-case hex
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Issued      time.Time `json:"issued"`
	Revoked     time.Time `json:"revoked,omitzero"`
	Root        string    `json:"root"` // its SHA-256, lower-case hex
	State       string    `json:"state"`
}

// What a certificate that was issued is worth.
const (
	certValid   = "valid"
	certExpired = "expired"
	certRevoked = "revoked"
	certOlderCA = "of an older CA"
)

// certState returns the state of a certificate where the root in force is the
// one with the given SHA-256, "" if there is none.
func certState(e ledger.Entry, root string, now time.Time) string {
	switch {
	case !e.Revoked.IsZero():
		return certRevoked
	case !now.Before(e.NotAfter):
		return certExpired
	case e.Root != root:
		return certOlderCA
	}
	return certValid
}

// ledgerEntries reads what was issued, and returns the CA in force, nil if
// there is none.
func (a *app) ledgerEntries() (state string, ca *issuer.CA, entries []ledger.Entry, err error) {
	if state, err = a.stateDir(); err != nil {
		return "", nil, nil, err
	}
	if err := issuer.CheckFolder(state); errors.Is(err, fs.ErrNotExist) {
		return state, nil, nil, nil
	} else if err != nil {
		return "", nil, nil, a.caError(err)
	}
	if ca, err = issuer.Load(state); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", nil, nil, a.caError(err)
	}
	if entries, err = ledger.Read(state); err != nil {
		return "", nil, nil, a.ledgerError(err)
	}
	return state, ca, entries, nil
}

func (a *app) certList(asJSON bool) error {
	_, ca, entries, err := a.ledgerEntries()
	if err != nil {
		return err
	}
	root := ""
	if ca != nil {
		root = sum(ca.Root())
	}
	now := time.Now()
	if asJSON {
		report := certListReport{Schema: 1, Certificates: []certReport{}}
		for _, e := range entries {
			report.Certificates = append(report.Certificates, certReport{
				e.Serial, e.Kind, e.Names, e.Fingerprint, e.NotBefore, e.NotAfter, e.Issued, e.Revoked, e.Root, certState(e, root, now),
			})
		}
		return writeJSON(a.stdout, report)
	}
	if len(entries) == 0 {
		a.printf("no certificate was issued yet\n")
		return nil
	}
	short := ledger.Short(entries)
	var rows [][]cell
	for i, e := range entries {
		state := certState(e, root, now)
		c := dim
		switch state {
		case certValid:
			c = green
		case certRevoked:
			c = red
		}
		rows = append(rows, []cell{{short[i], ""}, {someNames(e.Names), bold}, {e.Kind, ""}, {"until " + e.NotAfter.Format(time.DateOnly), ""}, {state, c}})
	}
	a.ui.table(rows)
	return nil
}

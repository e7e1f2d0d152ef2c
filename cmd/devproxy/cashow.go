package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"devproxy/internal/issuer"
	"devproxy/internal/trust"
)

const (
	expiryNotice = 90 * 24 * time.Hour // how long before its end a CA is warned about
	storesTime   = 15 * time.Second    // for a look at every store
)

func (a *app) caShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show the root certificate, what it may sign for and where it is trusted",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.caShow(cmd.Context(), asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// caReport is the output of ca show --json. Schema goes up when a field
// changes its meaning; new fields may come without.
type caReport struct {
	Schema      int           `json:"schema"`
	Subject     string        `json:"subject"`
	Fingerprint string        `json:"fingerprint"` // SHA-256, as openssl prints it
	NotBefore   time.Time     `json:"not_before"`
	NotAfter    time.Time     `json:"not_after"`
	DaysLeft    int           `json:"days_left"`
	SignsFor    signsFor      `json:"signs_for"`
	Certificate string        `json:"certificate"`
	Key         string        `json:"key"`                 // the file with the intermediate's
	Passphrase  bool          `json:"passphrase"`          // that key has one
	Unfinished  string        `json:"unfinished,omitzero"` // a rotation: "running" or "stopped"
	Stores      []storeReport `json:"stores"`
}

// signsFor is what a CA may sign for: names equal to or below one of DNS, and
// addresses in one of IP.
type signsFor struct {
	DNS []string `json:"dns"`
	IP  []string `json:"ip"`
}

type storeReport struct {
	Store    string `json:"store"`
	Location string `json:"location,omitzero"`
	State    string `json:"state"` // "trusted", "not trusted" or "unknown"
	Detail   string `json:"detail,omitzero"`
	Fix      string `json:"fix,omitzero"`
}

func (a *app) caShow(ctx context.Context, asJSON bool) error {
	state, ca, err := a.loadCA()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, storesTime)
	defer cancel()
	stores := a.trustStatus(ctx, state, ca)
	now := time.Now()
	if asJSON {
		return writeJSON(a.stdout, reportCA(state, ca, stores, now))
	}

	root := ca.Root()
	a.ui.table([][]cell{
		{{"subject", dim}, {root.Subject.String(), ""}},
		{{"fingerprint", dim}, {fingerprint(root), ""}},
		{{"valid", dim}, {validity(ca, now), ""}},
		{{"signs for", dim}, {constraintsText(ca.Constraints()), ""}},
		{{"certificate", dim}, {issuer.RootPath(state), ""}},
		{{"key", dim}, {issuer.Path(state) + " (of the intermediate; the root's was never stored)", ""}},
		{{"passphrase", dim}, {passphraseText(ca), ""}},
	})
	a.printf("\n")
	if len(stores) == 0 {
		a.printf("  %s\n", trustSummary(nil))
	}
	a.storeTable(stores, a.trustWord)
	if warning := a.expiryWarning(ca, now); warning != "" {
		a.ui.warn(warning)
	}
	switch unfinishedRotation(state) {
	case rotationRunning:
		a.ui.warn("another process is replacing this CA at the moment")
	case rotationStopped:
		a.ui.warn("a rotation was stopped before its end, so another root may be trusted beside this one")
		a.ui.hint("bring it to its end: " + a.command("ca rotate"))
	}
	return nil
}

func passphraseText(ca *issuer.CA) string {
	if ca.HasPassphrase() {
		return "the key has one"
	}
	return "none: whoever reads that file can sign for these names"
}

func reportCA(state string, ca *issuer.CA, stores []trust.Status, now time.Time) caReport {
	root, may := ca.Root(), ca.Constraints()
	r := caReport{
		Schema:      1,
		Subject:     root.Subject.String(),
		Fingerprint: fingerprint(root),
		NotBefore:   root.NotBefore,
		NotAfter:    root.NotAfter,
		DaysLeft:    daysLeft(ca.Root().NotAfter, now),
		SignsFor:    signsFor{DNS: may.DNS, IP: []string{}},
		Certificate: issuer.RootPath(state),
		Key:         issuer.Path(state),
		Passphrase:  ca.HasPassphrase(),
		Unfinished:  unfinishedRotation(state),
		Stores:      []storeReport{},
	}
	for _, p := range may.IP {
		r.SignsFor.IP = append(r.SignsFor.IP, p.String())
	}
	for _, s := range stores {
		r.Stores = append(r.Stores, storeReport{s.Store, s.Location, s.State.String(), s.Detail, s.Fix})
	}
	return r
}

const (
	rotationRunning = "running"
	rotationStopped = "stopped"
)

// unfinishedRotation returns what there is of a rotation that has not come to
// its end, "" if there is none.
func unfinishedRotation(state string) string {
	switch unfinished, running := issuer.Rotating(state); {
	case running:
		return rotationRunning
	case unfinished:
		return rotationStopped
	}
	return ""
}

// trustWord is the word of a table of stores for one that is meant to trust
// the root.
func (a *app) trustWord(s trust.Status) cell {
	switch s.State {
	case trust.Trusted:
		return a.ui.mark(true, "trusted")
	case trust.NotTrusted:
		return a.ui.mark(false, "not trusted")
	}
	return cell{"cannot tell", yellow}
}

// daysLeft counts whole days until end, negative ones since then.
func daysLeft(end, now time.Time) int { return int(end.Sub(now).Hours() / 24) }

func validity(ca *issuer.CA, now time.Time) string {
	root := ca.Root()
	return fmt.Sprintf("%s to %s, %s left",
		root.NotBefore.Format(time.DateOnly), root.NotAfter.Format(time.DateOnly), count(daysLeft(ca.Root().NotAfter, now), "day"))
}

// expiryWarning says that ca ends soon and what to do, and is "" while there
// is time.
func (a *app) expiryWarning(ca *issuer.CA, now time.Time) string {
	end := ca.Root().NotAfter
	if end.Sub(now) >= expiryNotice {
		return ""
	}
	return fmt.Sprintf("the CA ends on %s, in %s: replace it with %s",
		end.Format(time.DateOnly), count(daysLeft(ca.Root().NotAfter, now), "day"), a.command("ca rotate"))
}

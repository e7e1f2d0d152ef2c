package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"devproxy/internal/config"
	"devproxy/internal/hostname"
	"devproxy/internal/issuer"
	"devproxy/internal/trust"
)

// trustFlags are what trust and untrust have in common.
type trustFlags struct {
	userOnly bool
	dryRun   bool
	java     string // "": not asked for; anyJava; else the home of one

	client       string // a file with a client certificate; "": it is about roots
	passwordFile string // of client; "": somebody is asked
}

// anyJava is the value of --java alone.
const anyJava = "found"

func (f *trustFlags) add(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVar(&f.userOnly, "user", false, "only stores that need no privilege (the browsers')")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "print what would be changed and change nothing")
	return cmd
}

func (f *trustFlags) addJava(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&f.java, "java", "", "also the key store of the Java on PATH, or in the folder `HOME`")
	cmd.Flags().Lookup("java").NoOptDefVal = anyJava
	return cmd
}

func (f *trustFlags) addClient(cmd *cobra.Command, what string) *cobra.Command {
	cmd.Flags().StringVar(&f.client, "client", "", what)
	cmd.Flags().StringVar(&f.passwordFile, "password-file", "", "the first line of `FILE` is the password of --client's")
	return cmd
}

// run calls client if the flags are about a client certificate, else roots.
func (f *trustFlags) run(cmd *cobra.Command, roots, client func(context.Context, trustFlags) error) error {
	switch {
	case cmd.Flags().Changed("client"):
		return client(cmd.Context(), *f)
	case cmd.Flags().Changed("password-file"):
		return usagef("--password-file goes with --client only")
	}
	return roots(cmd.Context(), *f)
}

func (a *app) trustCommand() *cobra.Command {
	var flags trustFlags
	return flags.addClient(flags.addJava(flags.add(&cobra.Command{
		Use:   "trust",
		Short: "Make the system and the browsers accept devproxy's certificates",
		Long: `Add devproxy's root certificate to the system's store and to those of Chromium
and Firefox, also before their first start. Each store is then read back, and a
TLS handshake is verified through what it holds; the table says what came of it.
A second run changes nothing. The steps that need root go through sudo,
announced first. Under sudo it works as the person who called it: what it makes
is theirs, and only the steps that need root are root's.

With --client it puts a client certificate and its private key from a PKCS#12
file into Chromium and Firefox, so that they can present it, and changes no
trust. It asks for the file's password unless --password-file holds it.

Exit code 0 if every store found is as asked, 3 if not.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.run(cmd, a.trust, a.trustClient) },
	})), "put the client certificate in a PKCS#12 `FILE` into the browsers instead")
}

func (a *app) untrustCommand() *cobra.Command {
	var flags trustFlags
	return flags.addClient(flags.add(&cobra.Command{
		Use:   "untrust",
		Short: "Take everything that trust added out of every store again",
		Long: `Take every root and client certificate that trust ever added out of the stores
it went to, older ones too, by the receipts that trust kept, and read each store
back. It works when the CA is gone, and a second run changes nothing.

With --client it takes only the client certificate in a file out, PKCS#12 or
PEM, and leaves the roots.

Exit code 0 if no store holds one any more, 3 if one could not be taken out.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.run(cmd, a.untrust, a.untrustClient) },
	}), "take only the client certificate in `FILE` out")
}

func (a *app) trust(ctx context.Context, flags trustFlags) error {
	state, err := a.stateDir()
	if err != nil {
		return err
	}
	cfg, err := a.config()
	if err != nil {
		return err
	}
	if flags.dryRun {
		return a.trustDryRun(ctx, state, cfg.Domains, flags)
	}
	ca, created, err := issuer.LoadOrCreate(state, cfg.Domains)
	if err != nil {
		return a.caError(err)
	}
	if ca, err = a.unlock(ctx, ca); err != nil {
		return err
	}
	stores, err := a.stores(state, ca, flags)
	if err != nil {
		return err
	}
	if err := a.checkOwnMaking(ca, state); err != nil {
		return err
	}
	made := "the root"
	if created {
		made = "created a root that"
	}
	a.printf("%s signs for %s; nothing else\n", made, constraintsText(ca.Constraints()))
	found, err := stores.Install(ctx, ca.Root(), issuer.RootPath(state))
	if err != nil {
		return a.storesError(err)
	}
	if len(found) == 0 {
		where := "on this machine"
		if flags.userOnly {
			where = "of yours here (without --user there may be the system's)"
		}
		return withHint(fmt.Errorf("%w: there is no store %s that devproxy knows", errTrustIncomplete, where),
			"point tools to the file that %s prints", a.command("ca path"))
	}
	if ctx.Err() != nil {
		a.storeTable(changed(found), a.trustWord)
		return errInterrupted
	}
	a.storeTable(found, a.trustWord)
	a.refreshBundles(state, ca.Root())
	if !allTrusted(found) {
		return errTrustIncomplete
	}
	a.namesHint(ctx, cfg)
	return nil
}

// namesHint says what a client that trusts the root still fails on.
func (a *app) namesHint(ctx context.Context, cfg *config.Config) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for _, r := range cfg.Routes {
		if strings.HasPrefix(r.Host, "*.") {
			continue
		}
		if _, err := net.DefaultResolver.LookupNetIP(ctx, "ip", r.Host); err != nil && ctx.Err() == nil {
			a.ui.hint(fmt.Sprintf("Python, Node, Java and most others, unlike browsers and curl, do not find %s yet: %s",
				hostname.Display(r.Host), a.command("hosts sync")))
			return
		}
	}
}

func (a *app) untrust(ctx context.Context, flags trustFlags) error {
	state, err := a.stateDir()
	if err != nil {
		return err
	}
	stores, err := a.stores(state, nil, flags)
	if err != nil {
		return err
	}
	var known []*x509.Certificate // the receipts may be lost
	if ca, err := issuer.Load(state); err == nil {
		known = append(known, ca.Root())
	}
	if flags.dryRun {
		steps, err := stores.PlanRemove(ctx, known...)
		if err != nil {
			return err
		}
		a.printSteps(steps)
		return nil
	}
	found, err := stores.Remove(ctx, known...)
	if err != nil {
		return a.storesError(err)
	}
	if len(found) == 0 {
		a.printf("nothing to take out: no store was given anything\n")
		return nil
	}
	return a.removed(ctx, found)
}

// removed prints what came of taking something out.
func (a *app) removed(ctx context.Context, found []trust.Status) error {
	if ctx.Err() != nil {
		found = changed(found)
	}
	for i, s := range found {
		if s.Client {
			found[i].Store += ", client certificate"
		}
	}
	a.storeTable(found, func(s trust.Status) cell {
		switch {
		case s.State == trust.Trusted && s.Client:
			return a.ui.mark(false, "still there")
		case s.State == trust.Trusted:
			return a.ui.mark(false, "still trusted")
		case s.State == trust.NotTrusted && s.Changed:
			return a.ui.mark(true, "removed")
		case s.State == trust.NotTrusted:
			return a.ui.mark(true, "not there")
		}
		return cell{"cannot tell", yellow}
	})
	if ctx.Err() != nil {
		return errInterrupted
	}
	if slices.ContainsFunc(found, func(s trust.Status) bool { return s.State != trust.NotTrusted }) {
		return errTrustIncomplete
	}
	return nil
}

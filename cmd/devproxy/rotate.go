package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"devproxy/internal/config"
	"devproxy/internal/issuer"
	"devproxy/internal/trust"
)

type rotateFlags struct {
	trustFlags
	force bool
}

func (a *app) caRotateCommand() *cobra.Command {
	var flags rotateFlags
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Replace the CA and, where its root is trusted, that root",
		Long: `Replace the CA by a new one, for the names the old one may sign for and those
of ca.domains. Where the old root is trusted, the new one is first, so that a
running devproxy changes over without an error in any client; only then is the
old root taken out. Where no store trusts the old root, none is touched.

If a store that trusts the old root cannot be made to trust the new one, the old
CA stays in force, unless --force is given. A passphrase of the CA's key is asked
for, and goes over to the new key.

Exit code 0 if every store found trusts the new root and none the old one, 3 if
not, also where the old CA stays for that.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.caRotate(cmd.Context(), flags) },
	}
	flags.addJava(flags.add(cmd))
	cmd.Flags().BoolVar(&flags.force, "force", false, "replace the CA though stores will not trust the new root")
	return cmd
}

func (a *app) caRotate(ctx context.Context, flags rotateFlags) error {
	state, err := a.stateDir()
	if err != nil {
		return err
	}
	src, err := a.newSource(nil)
	if err != nil {
		return err
	}
	cfg, err := src.load()
	if err != nil {
		return err
	}
	r := &rotation{
		app:   a,
		state: state,
		flags: flags,
		open: func(ca *issuer.CA, flags trustFlags) (rootStores, error) {
			return a.stores(state, ca, flags)
		},
		servers:  serverPlaces(cfg),
		file:     cfg.File,
		patience: switchTime,
	}
	if flags.dryRun {
		return r.dryRun(ctx, cfg)
	}
	return r.run(ctx, cfg.Domains)
}

// rootStores is what a rotation needs of a trust.Machine.
type rootStores interface {
	Status(ctx context.Context, root *x509.Certificate) []trust.Status
	Install(ctx context.Context, root *x509.Certificate, rootPath string) ([]trust.Status, error)
	RemoveOthers(ctx context.Context, keep *x509.Certificate) ([]trust.Status, error)
	RemoveOnly(ctx context.Context, root *x509.Certificate) ([]trust.Status, error)
	PlanRemove(ctx context.Context, known ...*x509.Certificate) ([]trust.Step, error)
}

// A rotation replaces the CA in this order: make the new one, have its root
// trusted, put it in force, wait for the server to use it, have the old root
// untrusted. So whatever chain a client is shown, its root is trusted then.
type rotation struct {
	app   *app
	state string
	flags rotateFlags

	// open opens the stores. With a CA each one that holds its root is proven
	// by a handshake.
	open func(ca *issuer.CA, flags trustFlags) (rootStores, error)

	servers  []netip.AddrPort // where a running devproxy may listen
	file     string           // of the configuration
	patience time.Duration    // how long it may take to change over
}

func (r *rotation) run(ctx context.Context, domains []string) error {
	a := r.app
	open := func(old *issuer.CA) (*issuer.CA, error) { return a.unlock(ctx, old) }
	p, err := issuer.Prepare(ctx, r.state, domains, open, a.waitingForFolder)
	if err != nil {
		return a.caError(err)
	}
	defer p.Close()
	holders, err := r.holders(ctx, p.Old())
	if err == nil {
		err = a.checkOwnMaking(p.CA(), r.state)
	}
	if err != nil {
		if !p.Resumed() { // else it may be trusted already
			r.discard(p)
		}
		return err
	}
	r.announceDomains(p)
	var trusted []trust.Status
	if holders.any {
		if trusted, err = r.trustNew(ctx, p, holders.must); err != nil {
			return err
		}
	}

	var servers []netip.AddrPort
	if p.Old() != nil {
		servers = presenting(ctx, r.servers, p.Old().Root())
	}
	ca, err := p.Commit()
	if ca == nil {
		r.takeBack(ctx, p)
		return a.caError(err)
	}
	a.printf("new root: %s\n", fingerprint(ca.Root()))
	a.printf("signs for %s; nothing else\n", constraintsText(ca.Constraints()))
	if !ca.HasPassphrase() && a.passphraseFile() != "" { // as if the old one could not be read
		a.ui.warn("its key has no passphrase: " + a.command("ca passphrase") + " gives it one")
	}
	if err != nil {
		return a.caError(err)
	}
	if !holders.any {
		a.ui.hint("nothing trusts it yet: " + a.command("trust"))
		return nil
	}
	a.storeTable(moved(trusted, p.RootPath(), issuer.RootPath(r.state)), a.trustWord)
	if err := r.untrustOld(ctx, ca, servers); err != nil {
		return err
	}
	if !allTrusted(trusted) {
		return errTrustIncomplete
	}
	return nil
}

// announceDomains says what the new root may sign for beyond the old, before
// anything trusts it: the file that asks for that may be somebody else's.
func (r *rotation) announceDomains(p *issuer.Pending) {
	if p.Old() == nil {
		return
	}
	old := p.Old().Constraints()
	if more := old.Missing(p.CA().Constraints().DNS); len(more) > 0 {
		r.app.ui.warn(fmt.Sprintf("the new root may also sign for %s and names below: %s asks for that", strings.Join(more, ", "), r.file))
	}
}

// dryRun prints what is known before the new root exists.
func (r *rotation) dryRun(ctx context.Context, cfg *config.Config) error {
	a := r.app
	may := issuer.NewConstraints(cfg.Domains)
	old, err := issuer.Load(r.state)
	switch e, ok := errors.AsType[*issuer.Error](err); {
	case err == nil:
		may = old.Constraints().Union(cfg.Domains)
	case errors.Is(err, fs.ErrNotExist):
	case ok && e.Rotate:
		a.printf("CA: the one that is there cannot be used: %s\n", printable(e.Problem))
	default:
		return a.caError(err)
	}
	h, err := r.holders(ctx, old)
	if err != nil {
		return err
	}
	a.printf("CA: write: %s\n", issuer.Path(r.state))
	a.printf("CA: write: %s\n", issuer.RootPath(r.state))
	a.printf("CA: it would sign for %s; nothing else\n", constraintsText(may))
	if !h.any {
		a.printf("no store trusts the old root: none would be touched\n")
		return nil
	}
	stores, err := r.open(nil, r.flags.trustFlags)
	if err != nil {
		return err
	}
	if old != nil {
		for _, s := range stores.Status(ctx, old.Root()) {
			a.printf("%s: trust the new root: %s\n", s.Store, printable(s.Location))
		}
	} else {
		a.printf("every store found: trust the new root\n")
	}
	a.printf("once a running devproxy uses it, the old root would be taken out:\n")
	steps, err := stores.PlanRemove(ctx)
	if err != nil {
		return err
	}
	a.printSteps(steps)
	return nil
}

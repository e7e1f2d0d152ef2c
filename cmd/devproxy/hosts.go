package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"devproxy/internal/elevate"
	"devproxy/internal/hostname"
	"devproxy/internal/hosts"
	"devproxy/internal/issuer"
)

func (a *app) hostsCommand() *cobra.Command {
	var dryRun bool
	sync := &cobra.Command{
		Use:   "sync [HOST[/PATH]=TARGET ...]",
		Short: "Write the routed names into the hosts file",
		Long: `Write the names of all routes, those of the file and of the arguments, into one
marked block of the hosts file, with 127.0.0.1 and ::1 each. Browsers and curl
find *.localhost by themselves; everything else needs this, or
libnss-myhostname.`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.hostsSync(cmd.Context(), args, dryRun) },
	}
	clean := &cobra.Command{
		Use:   "clean",
		Short: "Take the marked block out of the hosts file again",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.hostsClean(cmd.Context(), dryRun) },
	}
	for _, cmd := range []*cobra.Command{sync, clean} {
		cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print what would be run and change nothing")
	}
	return a.group(&cobra.Command{
		Use:   "hosts",
		Short: "Make routed names resolve outside browsers",
	}, sync, clean)
}

func (a *app) hostsSync(ctx context.Context, args []string, dryRun bool) error {
	o, err := a.open(args)
	if err != nil {
		return err
	}
	var routed []string
	for _, r := range o.cfg.Routes {
		routed = append(routed, r.Host)
	}
	names, wildcards := hosts.Expressible(routed)
	for _, w := range wildcards {
		a.ui.warn("a hosts file cannot hold " + hostname.Display(w) + ": give the names below it that you use routes of their own")
	}
	return a.hostsChange(ctx, hosts.File{Dir: o.state, Addrs: served(o.cfg.Listen)}, names, dryRun)
}

// served returns the loopback addresses that devproxy listens on; nil is both.
func served(listen []netip.AddrPort) []netip.Addr {
	var addrs []netip.Addr
	for _, own := range loopback(httpsPort) {
		if slices.ContainsFunc(listen, func(l netip.AddrPort) bool {
			return l.Addr() == own.Addr() || l.Addr().IsUnspecified() && l.Addr().Is4() == own.Addr().Is4()
		}) {
			addrs = append(addrs, own.Addr())
		}
	}
	return addrs
}

func (a *app) hostsClean(ctx context.Context, dryRun bool) error {
	state, err := a.stateDir()
	if err != nil {
		return err
	}
	return a.hostsChange(ctx, hosts.File{Dir: state}, nil, dryRun)
}

// hostsChange makes names, and only these, the content of the block. The new
// file waits in the state folder, where nobody else can write.
func (a *app) hostsChange(ctx context.Context, file hosts.File, names []string, dryRun bool) error {
	change, err := file.Plan(names)
	if err != nil {
		return err
	}
	switch {
	case change.Unchanged:
		a.printf("%s is as it should be: %s\n", change.Path, namesText(change.Names))
		return nil
	case dryRun:
		a.printf("%s would hold: %s\n", change.Path, namesText(change.Names))
		for _, c := range change.Commands {
			a.printf("run as root: %s\n", c)
		}
		return nil
	}
	// Root will copy from there.
	if err := issuer.PrepareFolder(file.Dir); err != nil {
		return a.caError(err)
	}
	why := "take devproxy's names out of " + change.Path
	if len(change.Names) > 0 {
		why = fmt.Sprintf("write %s to %s", namesText(change.Names), change.Path)
	}
	err = change.Apply(ctx, func(ctx context.Context, commands []elevate.Command) error {
		return a.elevate(ctx, why, commands)
	})
	if errors.Is(err, elevate.ErrUnavailable) {
		return &hintedError{err, "an administrator can run:", change.Commands}
	}
	if err != nil {
		return err
	}
	a.printf("%s: %s\n", change.Path, namesText(change.Names))
	return nil
}

func namesText(names []string) string {
	if len(names) == 0 {
		return "no names of devproxy"
	}
	shown := make([]string, len(names))
	for i, n := range names {
		shown[i] = hostname.Display(n)
	}
	return strings.Join(shown, ", ")
}

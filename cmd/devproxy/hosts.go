package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"devproxy/internal/config"
	"devproxy/internal/elevate"
	"devproxy/internal/hostname"
	"devproxy/internal/hosts"
)

func (a *app) hostsCommand() *cobra.Command {
	var dryRun bool
	sync := &cobra.Command{
		Use:   "sync",
		Short: "Write the routed names into the hosts file",
		Long: `Write the names of all routes into one marked block of the hosts file, with
127.0.0.1 and ::1 each. Browsers and curl find *.localhost by themselves;
everything else needs this, or libnss-myhostname.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.hostsSync(cmd.Context(), dryRun) },
	}
	clean := &cobra.Command{
		Use:   "clean",
		Short: "Take the marked block out of the hosts file again",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.hostsChange(cmd.Context(), nil, dryRun) },
	}
	for _, cmd := range []*cobra.Command{sync, clean} {
		cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print what would be run and change nothing")
	}
	return a.group(&cobra.Command{
		Use:   "hosts",
		Short: "Make routed names resolve outside browsers",
	}, sync, clean)
}

func (a *app) hostsSync(ctx context.Context, dryRun bool) error {
	src, err := a.newSource(nil)
	if err != nil {
		return err
	}
	cfg, err := src.load()
	if err != nil {
		return err
	}
	names, wildcards := hosts.Expressible(routeHosts(cfg))
	for _, w := range wildcards {
		a.ui.warn("a hosts file cannot hold " + hostname.Display(w) + ": give the names below it that you use routes of their own")
	}
	return a.hostsChange(ctx, names, dryRun)
}

func routeHosts(cfg *config.Config) []string {
	var names []string
	for _, r := range cfg.Routes {
		names = append(names, r.Host)
	}
	return names
}

// hostsChange makes names, and only these, the content of the block.
func (a *app) hostsChange(ctx context.Context, names []string, dryRun bool) error {
	dir, err := os.MkdirTemp("", "devproxy-hosts-")
	if err != nil {
		return err
	}
	keep := false
	defer func() {
		if !keep {
			os.RemoveAll(dir)
		}
	}()
	change, err := hosts.File{Dir: dir}.Plan(names)
	if err != nil {
		return err
	}
	switch {
	case change.Unchanged:
		a.printf("%s is as it should be: %s\n", change.Path, namesText(change.Names))
		return nil
	case dryRun:
		for _, c := range change.Commands {
			a.printf("run as root: %s\n", c)
		}
		return nil
	}
	err = change.Apply(ctx, func(ctx context.Context, commands []elevate.Command) error {
		return a.elevate(ctx, "change "+change.Path, commands)
	})
	if errors.Is(err, elevate.ErrUnavailable) {
		if err := change.Stage(); err != nil {
			return err
		}
		keep = true
		a.ui.hint("an administrator can run:")
		for _, c := range change.Commands {
			fmt.Fprintf(a.stderr, "    %s\n", c)
		}
		return err
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

// elevator returns the way this person can become root.
func (a *app) elevator() *elevate.Runner {
	sudo := ""
	for _, dir := range filepath.SplitList(a.env("PATH")) {
		if path, err := exec.LookPath(filepath.Join(dir, "sudo")); err == nil && filepath.IsAbs(path) {
			sudo = path
			break
		}
	}
	stdin, _ := a.stdin.(*os.File)
	return elevate.New(elevate.Config{
		Root:     os.Geteuid() == 0, // -1 on Windows
		Sudo:     sudo,
		Terminal: isTerminal(a.stdin),
		Stdin:    stdin,
		Stderr:   a.stderr,
	})
}

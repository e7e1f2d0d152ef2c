package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"devproxy/internal/config"
	"devproxy/internal/hostname"
	"devproxy/internal/issuer"
	"devproxy/internal/ledger"
)

// mostDays is how long a certificate issued by hand may be valid: what the
// strictest clients take, whoever signed it.
const mostDays = 199

func (a *app) certCommand() *cobra.Command {
	return a.group(&cobra.Command{
		Use:   "cert",
		Short: "Issue, show and revoke certificates in files",
	},
		a.certIssueCommand(),
		a.certSignCommand(),
		a.certRequestCommand(),
		a.certSelfSignedCommand(),
		a.certListCommand(),
		a.certRevokeCommand(),
		a.certCRLCommand(),
		a.certShowCommand(),
	)
}

// life is the flag --days.
type life struct{ days int }

func (l *life) add(cmd *cobra.Command) {
	cmd.Flags().IntVar(&l.days, "days", mostDays, fmt.Sprintf("how many `days` from now it is valid, at most %d", mostDays))
}

func (l *life) check() error {
	if l.days < 1 || l.days > mostDays {
		return withHint(usagef("--days %d: a certificate is issued for 1 to %d days", l.days, mostDays),
			"clients refuse longer ones; issue it again before it ends")
	}
	return nil
}

func (l *life) duration() time.Duration { return time.Duration(l.days) * 24 * time.Hour }

// someArgs is cobra's MinimumNArgs(1) with the exit code for wrong usage, and a
// hint from a format and the words of commands for it.
func (a *app) someArgs(what, hint string, commands ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return a.which(what, hint, commands...)
		}
		return nil
	}
}

// which is the error for an argument that is missing.
func (a *app) which(what, hint string, commands ...string) error {
	lines := make([]any, len(commands))
	for i, words := range commands {
		lines[i] = a.command(words)
	}
	return withHint(usagef("which %s?", what), hint, lines...)
}

// oneArg is someArgs for commands that take exactly one.
func (a *app) oneArg(what, hint string, commands ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usagef("unexpected argument %q", args[1])
		}
		return a.someArgs(what, hint, commands...)(cmd, args)
	}
}

// certCA loads the CA for signing, and publishes its root where the commands
// say that it is.
func (a *app) certCA(ctx context.Context) (state string, ca *issuer.CA, err error) {
	state, ca, err = a.signingCA(ctx)
	if err != nil {
		return "", nil, err
	}
	now, err := issuer.Publish(state)
	switch {
	case err != nil:
		return "", nil, a.caError(err)
	case !now.Root().Equal(ca.Root()): // as while the passphrase was typed
		return "", nil, withHint(errors.New("another process has replaced the CA meanwhile: nothing was done"), "try again")
	}
	return state, ca, nil
}

// issueError makes of a certificate that is not issued as asked a usage error
// with the way to one that is.
func (a *app) issueError(err error) error {
	rule, ok := errors.AsType[*issuer.RuleError](err)
	if !ok {
		return a.caError(err)
	}
	usage := &usageError{err}
	switch {
	case rule.Outside:
		return withHint(usage, "%s", a.outsideHint(rule))
	case rule.Hint != "":
		return withHint(usage, "%s", rule.Hint)
	}
	return usage
}

// outsideHint says how a name that the CA may not sign for comes within its
// constraints, as permitHint does for routes.
func (a *app) outsideHint(rule *issuer.RuleError) string {
	instead := rule.Hint
	if instead == "" {
		instead = "use a name under .localhost"
	}
	if rule.Domain == "" {
		return instead
	}
	cfg, err := a.config()
	if err != nil { // whoever asks for a certificate need not have a good file
		cfg = config.Default()
	}
	if issuer.NewConstraints(cfg.Domains).Permits(rule.Domain) == nil {
		return a.permitHint(cfg, true)(rule.Domain)
	}
	return fmt.Sprintf("%s, or add %q to ca.domains and run %s", instead, hostname.Display(rule.Domain), a.command("ca rotate"))
}

// ledgerError adds to an error of the ledger the way out.
func (a *app) ledgerError(err error) error {
	e, ok := errors.AsType[*ledger.Error](err)
	switch {
	case !ok:
		return err
	case e.Hint != "":
		return withHint(err, "%s", e.Hint)
	}
	if hint := storageHint(err); hint != "" {
		return withHint(err, "%s, or set DEVPROXY_HOME to another folder", hint)
	}
	return err
}

// waitingForFolder says why a command stands still.
func (a *app) waitingForFolder() {
	a.ui.warn("another process is changing what devproxy keeps, the CA or the list of certificates: waiting for it")
}

// someNames lists names in a cell of a table.
func someNames(names []string) string {
	const most = 3
	shown := names[:min(len(names), most)]
	text := namesText(shown)
	if more := len(names) - len(shown); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

package main

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"devproxy/internal/issuer"
	"devproxy/internal/trust"
)

// stores opens the trust stores of this machine and person. With a CA each one
// that holds its root is proven by a handshake or, if the CA is locked, by the
// chain to its root.
func (a *app) stores(state string, ca *issuer.CA, flags trustFlags) (*trust.Machine, error) {
	// Receipts that somebody else could have written are not acted on.
	if err := issuer.CheckFolder(state); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, a.caError(err)
	}
	cfg := trust.Config{
		State:    state,
		Root:     "/",
		Path:     a.env("PATH"),
		UserOnly: flags.userOnly,
		Java:     flags.java != "",
		Elevate:  a.elevate,
		Waiting:  func() { a.ui.warn("another devproxy is at work on the trust stores: waiting for it") },
	}
	if ca != nil {
		cfg.Handshake = proof(ca)
	}
	if flags.java != "" && flags.java != anyJava {
		home, err := filepath.Abs(flags.java)
		if err != nil {
			return nil, usagef("--java=%s: %v", flags.java, err)
		}
		cfg.JavaHome = home
	}
	// Without a home there are no stores of a person's own.
	if home, err := a.home(); err == nil {
		cfg.Home, cfg.ConfigHome, cfg.DataHome = home, a.configHome(home), a.dataHome(home)
	}
	return trust.Open(cfg)
}

// storesError adds the way out to an error that kept every store from being
// tried.
func (a *app) storesError(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return errInterrupted
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return withHint(err, "let yourself write there, or set DEVPROXY_HOME to another folder: what is changed has to be recorded")
	}
	return err
}

// storeTable prints what each store says, in word's words, then how to mend
// those that are not as wanted.
func (a *app) storeTable(found []trust.Status, word func(trust.Status) cell) {
	rows := make([][]cell, len(found))
	for i, s := range found {
		rows[i] = []cell{word(s), {s.Store, ""}, {s.Location, dim}, {s.Detail, ""}}
	}
	a.ui.table(rows)
	for _, s := range found {
		if s.Fix != "" {
			a.ui.hint(s.Store + ": " + s.Fix)
		}
		a.ui.commands(s.Commands)
	}
}

// printSteps prints what would be done, commands as they can be pasted.
func (a *app) printSteps(steps []trust.Step) {
	if len(steps) == 0 {
		a.printf("nothing to do\n")
	}
	for _, s := range steps {
		switch {
		case s.Command != nil && s.Privileged:
			a.printf("%s: run as root: %s\n", s.Store, printable(s.Command.String()))
		case s.Command != nil:
			a.printf("%s: run: %s\n", s.Store, printable(s.Command.String()))
		case s.File != "":
			a.printf("%s: write: %s\n", s.Store, printable(s.File))
		default:
			a.printf("%s: %s\n", s.Store, printable(s.Note))
		}
	}
}

// trustStatus asks every store about the root of ca. Stores that cannot be
// opened are one that cannot tell.
func (a *app) trustStatus(ctx context.Context, state string, ca *issuer.CA) []trust.Status {
	stores, err := a.stores(state, ca, trustFlags{})
	if err != nil {
		return []trust.Status{{Store: "any store", State: trust.Unknown, Detail: err.Error()}}
	}
	return stores.Status(ctx, ca.Root())
}

// changed returns the stores that a call changed before it was interrupted.
func changed(found []trust.Status) []trust.Status {
	return slices.DeleteFunc(slices.Clone(found), func(s trust.Status) bool { return !s.Changed })
}

func allTrusted(found []trust.Status) bool {
	return !slices.ContainsFunc(found, func(s trust.Status) bool { return s.State != trust.Trusted })
}

// trustSummary says in a line where the root is trusted and where not.
func trustSummary(found []trust.Status) string {
	if len(found) == 0 {
		return "no trust store found on this machine"
	}
	var parts []string
	for _, p := range []struct {
		state trust.State
		words string
	}{
		{trust.Trusted, "trusted by "},
		{trust.NotTrusted, "not trusted yet by "},
		{trust.Unknown, "cannot tell for "},
	} {
		var names []string
		for _, s := range found {
			if s.State == p.state && !slices.Contains(names, s.Store) {
				names = append(names, s.Store)
			}
		}
		if len(names) > 0 {
			parts = append(parts, p.words+strings.Join(names, ", "))
		}
	}
	return strings.Join(parts, "; ")
}

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"devproxy/internal/elevate"
	"devproxy/internal/issuer"
	"devproxy/internal/trust"
)

// trustDryRun prints every file and command of trust. It does not even make a
// CA.
func (a *app) trustDryRun(ctx context.Context, state string, domains []string, flags trustFlags) error {
	ca, err := issuer.Load(state)
	if errors.Is(err, fs.ErrNotExist) {
		return a.firstDryRun(ctx, state, domains, flags)
	}
	if err != nil {
		return a.caError(err)
	}
	if err := a.checkOwnMaking(ca, state); err != nil {
		return err
	}
	steps, err := a.plan(ctx, state, ca, issuer.RootPath(state), flags)
	if err != nil {
		return err
	}
	a.printSteps(steps)
	return nil
}

// firstDryRun plans with a CA that is thrown away. The names that its
// fingerprint would be in are not known before there is one.
func (a *app) firstDryRun(ctx context.Context, state string, domains []string, flags trustFlags) error {
	dir, err := os.MkdirTemp("", "devproxy-dry-run-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	scratch := filepath.Join(dir, "state")
	ca, _, err := issuer.LoadOrCreate(scratch, domains)
	if err != nil {
		return a.caError(err)
	}
	steps, err := a.plan(ctx, state, ca, issuer.RootPath(scratch), flags)
	if err != nil {
		return err
	}
	a.printf("CA: write: %s\n", issuer.Path(state))
	a.printf("CA: write: %s\n", issuer.RootPath(state))
	a.printf("CA: it would sign for %s; nothing else\n", constraintsText(ca.Constraints()))
	sum := sha256.Sum256(ca.Root().Raw)
	a.printSteps(renamed(steps, strings.NewReplacer(
		issuer.RootPath(scratch), issuer.RootPath(state),
		hex.EncodeToString(sum[:8]), "FINGERPRINT",
	)))
	return nil
}

func (a *app) plan(ctx context.Context, state string, ca *issuer.CA, rootPath string, flags trustFlags) ([]trust.Step, error) {
	stores, err := a.stores(state, ca, flags)
	if err != nil {
		return nil, err
	}
	return stores.Plan(ctx, ca.Root(), rootPath)
}

// renamed returns steps with names replaced in what people are shown.
func renamed(steps []trust.Step, names *strings.Replacer) []trust.Step {
	var all []trust.Step
	for _, s := range steps {
		s.File, s.Note = names.Replace(s.File), names.Replace(s.Note)
		var c elevate.Command
		for _, word := range s.Command {
			c = append(c, names.Replace(word))
		}
		s.Command = c
		all = append(all, s)
	}
	return all
}

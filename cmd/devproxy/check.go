package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"devproxy/internal/config"
	"devproxy/internal/issuer"
)

func (a *app) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE]",
		Short: "Check devproxy.toml and do nothing else",
		Long: `Check devproxy.toml, or FILE, and print every mistake with its line.
Exit code 0 if it can be served, 2 if not.`,
		Args: maxArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				a.configFile = args[0]
			}
			return a.check()
		},
	}
}

func (a *app) check() error {
	src, err := a.newSource(nil)
	if err != nil {
		return err
	}
	if src.file == "" {
		return withHint(usagef("no devproxy.toml in this folder or a parent"), "name one: %s check FILE", a.self)
	}
	cfg, err := src.load()
	if err != nil {
		return err
	}
	// Without a home there is no CA yet: what one made from this file could
	// sign for is the measure then.
	may, exists := issuer.NewConstraints(cfg.Domains), false
	if state, err := a.stateDir(); err == nil {
		if may, exists, err = permitted(state, cfg); err != nil {
			return a.caError(err)
		}
	}
	if err := checkPermitted(cfg, may, a.permitHint(cfg, exists)); err != nil {
		return err
	}
	a.warnings(cfg)
	a.printf("%s: %s, no mistakes\n", relative(cfg.File), count(len(cfg.Routes), "route"))
	return nil
}

// warnings prints what works but may surprise.
func (a *app) warnings(cfg *config.Config) {
	for _, w := range cfg.Warnings {
		a.ui.warn(w.Error())
		a.ui.hint(w.Hint)
	}
}

// relative shortens a path below the working directory.
func relative(path string) string {
	here, err := filepath.Abs(".")
	if err != nil {
		return path
	}
	short, err := filepath.Rel(here, path)
	if err != nil || !filepath.IsLocal(short) {
		return path
	}
	return short
}

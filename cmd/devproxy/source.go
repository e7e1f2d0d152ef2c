package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"devproxy/internal/config"
	"devproxy/internal/hostname"
	"devproxy/internal/issuer"
)

// A source is where routes come from: a file, named or searched for, and the
// arguments that overlay it.
type source struct {
	file    string // "" until one is found
	named   bool   // by --config, not found
	search  config.Search
	skipped []config.Skip
	args    []string       // HOST[/PATH]=TARGET
	extra   []config.Route // what args say
	watched []string       // where a change matters, the file or the places where one would be found
}

// newSource finds the file. args are HOST[/PATH]=TARGET.
func (a *app) newSource(args []string) (*source, error) {
	s := &source{args: args}
	var errs []error
	for _, arg := range args {
		dir, err := workingDir()
		if err != nil {
			return nil, err
		}
		route, err := config.ParseRoute(arg, dir)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.extra = append(s.extra, route)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if a.configFile != "" {
		file, err := filepath.Abs(a.configFile)
		if err != nil {
			return nil, &usageError{err}
		}
		s.file, s.named, s.watched = file, true, []string{file}
		return s, nil
	}
	var err error
	if s.search, err = a.configSearch(); err != nil {
		return nil, err
	}
	if err := s.find(); err != nil {
		return nil, err
	}
	for _, skip := range s.skipped {
		a.ui.warn(skip.Path + " is not used: " + skip.Reason)
	}
	return s, nil
}

// find searches for the file. A file that exists where others may write is
// neither used nor passed over in silence.
func (s *source) find() error {
	found, err := s.search.Locate()
	if err != nil {
		return &usageError{err}
	}
	if found.Path == "" && len(found.Skipped) > 0 {
		skip := found.Skipped[0]
		return withHint(usagef("%s is not used: %s", skip.Path, skip.Reason), "if you trust it, name it: --config %s", skip.Path)
	}
	s.file, s.watched, s.skipped = found.Path, found.Candidates, found.Skipped
	if s.file != "" {
		s.watched = []string{s.file}
	}
	return nil
}

// load reads the file and lays the arguments over it. Without a file and
// without arguments it is the built-in configuration.
func (s *source) load() (*config.Config, error) {
	if s.file == "" {
		if err := s.find(); err != nil {
			return nil, err
		}
	}
	cfg := config.Default()
	switch {
	case s.file != "":
		// Whoever may write a file that was only found may do so at any time.
		if !s.named {
			if err := s.search.Trusted(s.file); err != nil {
				return nil, fileError(err)
			}
		}
		var err error
		if cfg, err = config.ReadFileAs(s.file, relative(s.file)); err != nil {
			return nil, fileError(err)
		}
	case len(s.extra) > 0:
		cfg.Routes = nil
	}
	return cfg.WithRoutes(s.extra), nil
}

// fileError makes a file that cannot be read a usage error, like one that is
// wrong.
func fileError(err error) error {
	switch {
	case len(config.Errors(err)) > 0:
		return err
	case errors.Is(err, fs.ErrPermission):
		return withHint(&usageError{err}, "make it readable for you, or name another with --config")
	}
	return &usageError{err}
}

// checkPermitted returns a mistake for each route that the CA may not sign
// for. hint says how to widen what it may.
func checkPermitted(cfg *config.Config, permitted issuer.Constraints, hint func(host string) string) error {
	var errs []error
	for _, r := range cfg.Routes {
		if err := permitted.Permits(r.Host); err != nil {
			file := ""
			if r.Line > 0 { // not from the command line
				file = relative(cfg.File)
			}
			errs = append(errs, &config.Error{
				File:    file,
				Line:    r.Line,
				Key:     fmt.Sprintf("route %q", r.Key()),
				Message: err.Error(),
				Hint:    hint(hostname.Display(r.Host)),
			})
		}
	}
	return errors.Join(errs...)
}

// permitted returns what the CA in state may sign for, or what one created
// now for cfg would. exists tells the two apart.
func permitted(state string, cfg *config.Config) (c issuer.Constraints, exists bool, err error) {
	ca, err := issuer.Load(state)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return issuer.NewConstraints(cfg.Domains), false, nil
	case err != nil:
		return issuer.Constraints{}, false, err
	}
	return ca.Constraints(), true, nil
}

// loadChecked loads the configuration and checks it against the CA, or the
// one that would be created for it.
func (a *app) loadChecked(s *source, state string) (*config.Config, error) {
	cfg, err := s.load()
	if err != nil {
		return nil, err
	}
	may, exists, err := permitted(state, cfg)
	if err != nil {
		return nil, a.caError(err)
	}
	return cfg, checkPermitted(cfg, may, a.permitHint(cfg, exists))
}

// permitHint says how a host comes within the constraints: through ca.domains
// where the file lacks it, and through a new CA where one exists.
func (a *app) permitHint(cfg *config.Config, exists bool) func(string) string {
	return func(host string) string {
		inFile := issuer.NewConstraints(cfg.Domains).Permits(host) == nil
		switch {
		case inFile:
			return fmt.Sprintf("run %s: ca.domains has it, but the CA was made before", a.command("ca rotate"))
		case exists:
			return fmt.Sprintf("use a name under .localhost, or add it to ca.domains and run %s", a.command("ca rotate"))
		default:
			return "use a name under .localhost, or add it to ca.domains"
		}
	}
}

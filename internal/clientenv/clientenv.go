// Package clientenv makes the programs started from a shell accept
// devproxy's certificates: it chooses the environment variables by which
// clients find their root certificates, and keeps the files that these name.
//
// Most of the variables replace the client's own roots, so their file holds
// the system's roots and ours; a few add to them (clients.md §11). What a
// person has set already is kept: their file is joined to ours.
//
// Reading the environment, printing and starting programs is left to the
// caller, as is where routes come from.
package clientenv

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"slices"
)

// Bundles are the certificate files that the variables name. Their paths
// never change, so that a shell that was set up once goes on working when
// their content is brought up to date. Methods may be called concurrently, by
// several processes too.
type Bundles struct {
	Dir      string            // where they are kept: absolute, there already, and nobody else's
	Root     *x509.Certificate // devproxy's
	RootFile string            // holds Root alone as PEM; kept current by the caller
	System   []string          // where the system's roots may be, best first; nil: the places known
}

// A Request is what Variables works from.
type Request struct {
	Env   func(string) string // the environment to add to; empty counts as unset
	Hosts []string            // routed names, normalised, possibly with "*." before them
	Java  bool                // also make a trust store for Java and name it
}

// A Variable is to be set in the environment. Its value is never empty.
type Variable struct{ Name, Value string }

// Variables returns the variables to set, in a fixed order, and brings the
// files that they name up to date. Applied to its own result it returns the
// same again.
//
// A variable that cannot be set without losing what the person had in it is
// left out. Each warning is one line on such a case.
func (b Bundles) Variables(r Request) (vars []Variable, warnings []string, err error) {
	s := &setup{Bundles: b, env: r.Env, system: b.findSystem(), warned: map[file]bool{}}
	for _, c := range clients {
		if c.onlySet && r.Env(c.name) == "" {
			continue
		}
		if err := s.add(c); err != nil {
			return nil, nil, err
		}
	}
	if r.Env("SSL_CERT_DIR") != "" && r.Env("SSL_CERT_FILE") == "" {
		s.warnf("SSL_CERT_DIR stays as it is; a program that reads it only where SSL_CERT_FILE is unset, such as httpx, does not see it now")
	}
	if s.system.err != nil {
		s.warnf("%v: the variables that replace a program's root certificates are left out, since devproxy's alone would cut it off from other sites", s.system.err)
	}
	if r.Java {
		if err := s.addJava(); err != nil {
			return nil, nil, err
		}
	}
	s.vars = append(s.vars, noProxy(r.Env, r.Hosts)...)
	return s.vars, s.warnings, nil
}

// A setup is one run of Variables.
type setup struct {
	Bundles
	env    func(string) string
	system systemRoots
	warned map[file]bool // of a part that could not be read

	vars     []Variable
	warnings []string
}

func (s *setup) warnf(format string, args ...any) {
	s.warnings = append(s.warnings, fmt.Sprintf(format, args...))
}

// add sets the variable of a client, if that loses nothing.
func (s *setup) add(c client) error {
	from := c.name
	if s.env(from) == "" {
		for _, name := range c.insteadOf {
			if s.env(name) != "" {
				from = name
				break
			}
		}
	}
	// A folder of certificates cannot be joined; the client keeps to it and
	// reads SSL_CERT_FILE beside it, which is set.
	if from == "SSL_CERT_DIR" {
		return nil
	}
	f := file{kind: c.kind}
	var recognised bool
	if value := s.env(from); value != "" {
		path, err := filepath.Abs(value)
		if err == nil {
			f.joined, recognised, err = s.joinedIn(path, s.system)
		}
		if err == nil && !recognised {
			_, err = readCertificates(f.joined)
		}
		switch {
		case err == nil:
		case from == c.name:
			s.warnf("%s stays as it is, without devproxy's root: %v", from, err)
			return nil
		case s.setBefore(from, c.insteadOf):
			f.joined = "" // it does not get to what from names any more
		default:
			return nil
		}
	}
	path, warning, err := s.update(f, s.system)
	if err != nil {
		return err
	}
	if warning != "" && !s.warned[f] {
		s.warnf("%s: %s", from, warning)
		s.warned[f] = true
	}
	if path != "" {
		s.vars = append(s.vars, Variable{c.name, path})
	}
	return nil
}

// setBefore reports whether one of names before the given one was set just
// now.
func (s *setup) setBefore(name string, names []string) bool {
	return slices.ContainsFunc(s.vars, func(v Variable) bool {
		return slices.Contains(names[:max(0, slices.Index(names, name))], v.Name)
	})
}

// SystemFile returns the file of the system's roots that the bundles are made
// from, "" if there is none. When it changes, Refresh is due.
func (b Bundles) SystemFile() string { return b.findSystem().path }

// Refresh brings those of the files up to date that exist already, for the
// shells that use them. Each warning is one line on a part that could not be
// read and stays as it was.
func (b Bundles) Refresh() (warnings []string, err error) {
	system := b.findSystem()
	files, err := b.existing()
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		_, warning, updateErr := b.update(f, system)
		err = cmp.Or(err, updateErr)
		if warning != "" {
			warnings = append(warnings, warning)
		}
	}
	return warnings, cmp.Or(err, b.refreshJava(system))
}

// Package trust puts a root certificate into the trust stores of this machine
// and takes it out again. Each store is one small type that knows how to find,
// install, verify and remove; a Machine runs them in order, and one store's
// failure never stops the others.
//
// Every change is recorded in trust.json before it is made, so that Remove
// undoes exactly what Install did, older roots included, even when the root
// certificate itself is long gone. What needs root is a list of standard
// system commands, handed to Config.Elevate or shown to an administrator.
//
// Where the certificate comes from and how results are shown is left to the
// caller. To add a store, implement the store interface, name its kind in
// Machine.recorded and list it in the find function of its system.
package trust

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"devproxy/internal/elevate"
)

// Config says whose stores a Machine works on and how.
type Config struct {
	// State is the folder of the receipts, an absolute path. It is created,
	// with mode 0700, when there is something to record.
	State string

	// Home, ConfigHome and DataHome are the real user's home, XDG_CONFIG_HOME
	// and XDG_DATA_HOME with their defaults filled in. Where Home is "",
	// the user's stores are left out.
	Home, ConfigHome, DataHome string

	// Root is the root of the file system; "" means "/". Helper programs
	// found through Path are not looked up below it.
	Root string

	// UserOnly leaves out stores that need privilege. Remove then still says
	// what such stores hold, and who can take it out.
	UserOnly bool

	// Path is where certutil, keytool and browsers are looked up: a list of
	// folders as in PATH. Relative entries are ignored.
	Path string

	// Elevate runs commands as root, after telling why: a phrase that
	// completes "root is needed to …". It is never called concurrently. Its
	// error matches elevate.ErrUnavailable when nobody can become root; so
	// does a nil Elevate.
	Elevate func(ctx context.Context, why string, commands []elevate.Command) error

	Logger *zap.Logger // nil logs nothing
}

// A State says whether a store's clients trust the root.
type State int

const (
	Unknown    State = iota // cannot tell; Status.Detail says why
	Trusted                 // read back from the store itself
	NotTrusted              // no client of this store trusts the root
)

// String returns "trusted", "not trusted" or "unknown".
func (s State) String() string {
	switch s {
	case Trusted:
		return "trusted"
	case NotTrusted:
		return "not trusted"
	}
	return "unknown"
}

// MarshalText returns the state as String does.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A Status is what is known about one store. After Install all is well in a
// store that is Trusted, after Remove in one that is NotTrusted.
type Status struct {
	Store    string // whose store, as people call it: "System", "Chromium", "Firefox"
	Location string // file or folder; "" if the store has none yet
	State    State
	Changed  bool   // this call brought the store into State
	Detail   string // why it is not as wanted, or what else is to know
	Fix      string // what a person can do about it

	// Commands are to be run by an administrator, where devproxy could not.
	Commands []elevate.Command
}

// A Machine is the trust stores of this machine, as one user sees them. Its
// methods may be called concurrently, also by several processes: they take
// turns.
type Machine struct {
	cfg      Config
	log      *zap.Logger
	run      runner
	find     func(*Machine, anchor) (stores []store, notices []Status)
	receipts receipts
}

// Open returns the Machine for cfg. It reads and changes nothing.
func Open(cfg Config) (*Machine, error) {
	if !filepath.IsAbs(cfg.State) {
		return nil, fmt.Errorf("trust: state folder %q is not an absolute path", cfg.State)
	}
	if cfg.Root == "" {
		cfg.Root = "/"
	}
	if cfg.Elevate == nil {
		cfg.Elevate = func(context.Context, string, []elevate.Command) error { return elevate.ErrUnavailable }
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	m := &Machine{
		cfg:      cfg,
		log:      cfg.Logger.Named("trust"),
		find:     findStores,
		receipts: receipts{dir: cfg.State},
	}
	m.run = logged(m.log, runCommand)
	return m, nil
}

// Install makes root, whose PEM file is at rootPath, trusted in every store
// found. Stores that trust it already are left alone: a second run changes
// nothing and asks nobody for privilege. The error says that nothing could be
// tried at all; what went wrong in one store is in its Status.
func (m *Machine) Install(ctx context.Context, root *x509.Certificate, rootPath string) ([]Status, error) {
	a, err := newAnchor(root, rootPath)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(m.cfg.State, 0o700); err != nil {
		return nil, fmt.Errorf("create state folder: %w", err)
	}
	unlock, err := m.receipts.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if _, err := m.receipts.loadOrSetAside(); err != nil {
		return nil, err
	}
	stores, notices := m.find(m, a)
	var all []Status
	for _, s := range stores {
		all = append(all, m.installIn(ctx, s, a))
	}
	return append(all, notices...), nil
}

func (m *Machine) installIn(ctx context.Context, s store, a anchor) Status {
	found, err := s.verify(ctx, a)
	if err != nil {
		return status(s, finding{}, err)
	}
	if found.state == Trusted {
		return status(s, m.confirm(s, a, found), nil)
	}
	// First the receipt: a root that nobody remembers is worse than a receipt
	// for nothing.
	if err := m.receipts.add(s.receipt(a)); err != nil {
		found.detail = fmt.Sprintf("left alone, since the change cannot be recorded: %v", err)
		return status(s, found, nil)
	}
	installErr := s.install(ctx, a)
	if found, err = s.verify(ctx, a); err == nil && found.state != Trusted {
		err = installErr
		if found.detail == "" {
			found.detail = "the change had no effect"
		}
	}
	st := status(s, m.confirm(s, a, found), err)
	st.Changed = st.State == Trusted
	m.log.Info("store changed", zap.String("store", st.Store), zap.String("file", st.Location),
		zap.Stringer("state", st.State), zap.Error(installErr))
	return st
}

// confirm completes the receipt of a root that is trusted, and makes one where
// the state folder was lost: what has our name can be undone.
func (m *Machine) confirm(s store, a anchor, found finding) finding {
	if found.state == Trusted && found.ours {
		if err := m.receipts.confirm(s.receipt(a)); err != nil {
			found.detail = fmt.Sprintf("not recorded for removal: %v", err)
		}
	}
	return found
}

// Status reads every store and changes nothing.
func (m *Machine) Status(ctx context.Context, root *x509.Certificate) []Status {
	sum := fingerprint(sha256.Sum256(root.Raw))
	a := anchor{sum: sum, name: anchorName(sum)}
	stores, notices := m.find(m, a)
	var all []Status
	for _, s := range stores {
		found, err := s.verify(ctx, a)
		all = append(all, status(s, found, err))
	}
	return append(all, notices...)
}

// Remove takes out everything that the receipts name, whichever root it was.
// A receipt is dropped once nothing of its root is left in the store. With no
// receipts there is nothing to do and no Status.
func (m *Machine) Remove(ctx context.Context) ([]Status, error) {
	if _, err := os.Stat(m.receipts.file()); err != nil && len(m.receipts.aside()) == 0 {
		if errors.Is(err, os.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	unlock, err := m.receipts.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	recorded, err := m.receipts.loadOrSetAside()
	if err != nil {
		return nil, err
	}
	var all []Status
	for _, g := range m.groups(recorded) {
		all = append(all, m.removeFrom(ctx, g))
	}
	for _, file := range m.receipts.aside() {
		all = append(all, Status{
			Store:    "Receipts",
			Location: file,
			Detail:   "damaged receipts, kept aside: they may name roots that are still trusted",
			Fix:      "look into the file, remove what it names, then delete it",
		})
	}
	return all, nil
}

func (m *Machine) removeFrom(ctx context.Context, g group) Status {
	if g.store == nil {
		return Status{
			Store:    g.receipts[0].Store,
			Location: g.receipts[0].Location,
			Detail:   fmt.Sprintf("this devproxy does not know stores of kind %q", g.receipts[0].Kind),
			Fix:      "use the devproxy that put the root there, or a newer one",
		}
	}
	// What was there decides whether anything changed, and spares the
	// privilege where nothing has to be done.
	st, clean := m.leftIn(ctx, g)
	if clean {
		return st
	}
	removeErr := g.store.remove(ctx, g.anchors)
	st, clean = m.leftIn(ctx, g)
	st.Changed = clean
	if p, ok := errors.AsType[*problem](removeErr); ok && !clean {
		st.Detail, st.Fix, st.Commands = p.detail, p.fix, p.commands
	} else if removeErr != nil && !clean {
		st.Detail = removeErr.Error()
	}
	m.log.Info("store changed", zap.String("store", st.Store), zap.String("file", st.Location),
		zap.Stringer("state", st.State), zap.Error(removeErr))
	return st
}

// leftIn returns the worst that is left of g's roots and drops the receipts of
// those that are gone.
func (m *Machine) leftIn(ctx context.Context, g group) (worst Status, clean bool) {
	worst = status(g.store, finding{state: NotTrusted}, nil)
	clean = true
	for i, a := range g.anchors {
		left, err := g.store.gone(ctx, a)
		if err == nil && left.state == NotTrusted {
			if err = m.receipts.drop(g.receipts[i]); err == nil {
				if worst.Detail == "" {
					worst.Detail = left.detail
				}
				continue
			}
			err = fmt.Errorf("nothing is left, but the receipt stays: %v", err)
		}
		clean = false
		if st := status(g.store, left, err); worst.State != Trusted {
			worst = st
		}
	}
	return worst, clean
}

// A group is the receipts of one store.
type group struct {
	store    store // nil if this version does not know the kind
	receipts []receipt
	anchors  []anchor // one for each receipt
}

// groups orders receipts by store, so that each store is worked on once.
func (m *Machine) groups(recorded []receipt) []group {
	type place struct{ kind, location string }
	index := make(map[place]int)
	var all []group
	for _, r := range recorded {
		p := place{r.Kind, r.Location}
		i, ok := index[p]
		if !ok {
			i = len(all)
			index[p] = i
			all = append(all, group{store: m.recorded(r)})
		}
		all[i].receipts = append(all[i].receipts, r)
		all[i].anchors = append(all[i].anchors, anchor{sum: r.sum(), name: r.Name})
	}
	return all
}

// recorded returns the store that r speaks of, nil if there is no such kind.
// It does not ask where browsers look today: what was written must go, though
// the browser be gone or have moved.
func (m *Machine) recorded(r receipt) store {
	switch r.Kind {
	case kindNSS:
		return m.database(r.Store, r.Location)
	case kindDebian:
		if d := m.debian(); d.anchors == r.Location {
			return d
		}
	}
	return nil
}

// privileged runs commands as root.
func (m *Machine) privileged(ctx context.Context, why string, commands []elevate.Command) error {
	if len(commands) == 0 {
		return nil
	}
	if m.cfg.UserOnly {
		return &problem{
			detail:   "left out: this store needs root",
			fix:      "let an administrator run the commands",
			commands: commands,
		}
	}
	m.log.Debug("commands run as root", zap.Stringers("commands", commands))
	err := m.cfg.Elevate(ctx, why, commands)
	if err == nil {
		return nil
	}
	fix := "run the commands yourself to see more"
	if errors.Is(err, elevate.ErrUnavailable) {
		fix = "let an administrator run the commands"
	}
	return &problem{detail: err.Error(), fix: fix, commands: commands}
}

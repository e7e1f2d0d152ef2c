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
// caller. To add a store, implement the store interface in a file of its own and
// list its kind among the kinds of its system.
package trust

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
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

	// Handshake proves that a client which takes exactly roots for trust
	// anchors accepts a certificate that the root signs for, by a TLS
	// handshake. Where roots is nil the client is one that asks the platform
	// itself. It may be called concurrently. Nil: a store is believed once it
	// has been read back.
	Handshake func(ctx context.Context, roots *x509.CertPool) error

	// Java asks for the key stores of Java installations, too: that of
	// JavaHome or, where that is "", the one whose programs Path finds.
	// Without it only the store that the distribution keeps for Java is
	// looked at.
	Java     bool
	JavaHome string

	// Elevate runs commands as root, after telling why: a phrase that
	// completes "root is needed to …". It is never called concurrently. Its
	// error matches elevate.ErrUnavailable when nobody can become root; so
	// does a nil Elevate.
	Elevate func(ctx context.Context, why string, commands []elevate.Command) error

	// Waiting is called once if another process works on the stores and is
	// waited for. Nil: nobody is told.
	Waiting func()

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

// A Status is what is known about one store. After Install all is well in a
// store that is Trusted, after Remove in one that is NotTrusted.
type Status struct {
	Store    string // whose store, as people call it: "System", "Chromium", "Firefox"
	Location string // file or folder; "" if the store has none yet
	State    State
	Client   bool   // it is about a client certificate and not about a root
	Changed  bool   // this call brought the store into State; false if it was so before
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
	busy     func(file string) bool // whether a process has a file open
	kinds    []kind
	receipts receipts

	refused error // by whoever was asked to become root; guarded by the lock of receipts
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
		busy:     isOpen,
		kinds:    systemKinds,
		receipts: receipts{dir: cfg.State, waiting: cfg.Waiting},
	}
	m.run = logged(m.log, runCommand)
	return m, nil
}

// Status reads every store and changes nothing.
func (m *Machine) Status(ctx context.Context, root *x509.Certificate) []Status {
	sum := fingerprint(sha256.Sum256(root.Raw))
	a := anchor{sum: sum, name: anchorName(sum)}
	stores, notices := m.find(a)
	var all []Status
	for _, s := range stores {
		found, err := m.verify(ctx, s, a)
		all = append(all, status(s, found, err))
	}
	return append(all, notices...)
}

// verify reads a store and, where that says the root is trusted, has it proven
// by a handshake through what the store holds.
func (m *Machine) verify(ctx context.Context, s store, a anchor) (finding, error) {
	found, err := s.verify(ctx, a)
	if err != nil || found.state != Trusted || m.cfg.Handshake == nil || s.kind() == kindClient {
		return found, err
	}
	if err := m.cfg.Handshake(ctx, found.roots); err != nil {
		found.state, found.disproved = NotTrusted, true
		found.detail = fmt.Sprintf("holds the root, but a handshake through it failed: %v", err)
	}
	return found, nil
}

// privileged runs commands as root.
func (m *Machine) privileged(ctx context.Context, why string, commands []elevate.Command) error {
	if len(commands) == 0 {
		return nil
	}
	if m.cfg.UserOnly {
		return &problem{
			detail:   "left out: this store needs root",
			fix:      "let an administrator run the commands as root",
			commands: commands,
		}
	}
	err := m.refused // who said no is not asked again for the next store
	if err == nil {
		m.log.Debug("commands run as root", zap.Stringers("commands", commands))
		err = m.cfg.Elevate(ctx, why, commands)
	}
	if err == nil {
		return nil
	}
	fix := "run the commands as root to see more"
	if errors.Is(err, elevate.ErrUnavailable) {
		m.refused = err
		fix = "let an administrator run the commands as root"
	}
	return &problem{detail: err.Error(), fix: fix, commands: commands}
}

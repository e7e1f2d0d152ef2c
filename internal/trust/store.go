package trust

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"

	"devproxy/internal/elevate"
)

// A store is one place where clients look for roots.
type store interface {
	// label returns what Status calls the store and its place.
	label() (name, location string)
	// kind returns the name under which kinds of this system has the store.
	kind() string
	// verify reads the store and nothing else. Its error, mostly a *problem,
	// says that the store cannot be read.
	verify(ctx context.Context, a anchor) (finding, error)
	// plan returns what install would do now.
	plan(ctx context.Context, a anchor) []Step
	install(ctx context.Context, a anchor) error
	// planRemove returns what remove would do now.
	planRemove(ctx context.Context, as []anchor) []Step
	// remove reports whether it took out anything, not whether all is gone.
	remove(ctx context.Context, as []anchor) (removed bool, err error)
	// gone is NotTrusted when nothing of a is left here, else it says what is.
	gone(ctx context.Context, a anchor) (finding, error)
}

// A kind is how Machine comes by the stores of one sort. systemKinds, in the
// file of each system, is the table of all that can be there.
type kind struct {
	name string // in receipts, so it never changes

	// find returns what can be worked on now, and what is to be said of the
	// rest. It looks at a only to tell people what to do.
	// Nil: nothing that is for roots.
	find func(m *Machine, a anchor) (stores []store, notices []Status)

	// findClients is find for client certificates. Nil: nothing for those.
	findClients func(m *Machine, a anchor) (stores []store, notices []Status)

	// reopen returns the store that a receipt of this kind speaks of, nil if
	// there is none in that place. It does not ask where clients look today:
	// what was written must go, though the browser be gone or have moved.
	reopen func(m *Machine, r receipt) store
}

// find returns the stores of every kind, and what is to be said of those that
// cannot be worked on.
func (m *Machine) find(a anchor) (stores []store, notices []Status) {
	for _, k := range m.kinds {
		if k.find == nil {
			continue
		}
		s, n := k.find(m, a)
		stores, notices = append(stores, s...), append(notices, n...)
	}
	return stores, notices
}

// reopen returns the store that r speaks of, nil if this devproxy does not
// know it.
func (m *Machine) reopen(r receipt) store {
	for _, k := range m.kinds {
		if k.name == r.Kind {
			return k.reopen(m, r)
		}
	}
	return nil
}

// receiptOf returns the record of a's being put into s.
func receiptOf(s store, a anchor) receipt {
	name, location := s.label()
	r := receipt{Kind: s.kind(), Store: name, Location: location, Name: a.name, Fingerprint: a.sum.String()}
	if m, ok := s.(maker); ok {
		r.Made = m.makes()
	}
	return r
}

// A maker is a store that install makes where there is none. What it was made
// of goes away with the last root if nobody has used it.
type maker interface {
	// makes returns the folders that install would make, the outermost first;
	// empty if none, nil if the store itself is there.
	makes() []string
}

// A finding is what a store says about one root.
type finding struct {
	state       State
	ours        bool // it is in the place where install puts it
	detail, fix string

	// roots is what clients of the store take for trust anchors, read from the
	// store, when state is Trusted. It is nil where the platform verifies by
	// itself.
	roots *x509.CertPool

	disproved bool // it holds the root, but a handshake through it failed
}

// A problem is a failure with its way out.
type problem struct {
	detail, fix string
	commands    []elevate.Command
}

func (p *problem) Error() string { return p.detail }

// A fingerprint is the SHA-256 of a certificate's DER form.
type fingerprint [sha256.Size]byte

func (f fingerprint) String() string { return hex.EncodeToString(f[:]) }

// An anchor is a root, or a client certificate, as stores see it.
type anchor struct {
	sum  fingerprint
	name string // nickname, and file name without extension
	file string // the certificate as PEM; "" when only removing
	pem  []byte // what file holds

	client *Client // of which it is the certificate; nil for a root, and when only removing

	elsewhere bool // when planning: it leaves the store by another one's plan
}

// anchorName returns the name under which a root is stored. It holds part of
// the fingerprint: NSS refuses a nickname that another certificate has
// (clients.md §6), and two roots must not share a file.
func anchorName(sum fingerprint) string {
	return namePrefix + hex.EncodeToString(sum[:8])
}

const namePrefix = "devproxy-"

// newAnchor checks that the file which stores will be given holds root and
// nothing else.
func newAnchor(root *x509.Certificate, file string) (anchor, error) {
	sum := fingerprint(sha256.Sum256(root.Raw))
	if !filepath.IsAbs(file) {
		return anchor{}, fmt.Errorf("root certificate file %q is not an absolute path", file)
	}
	data, err := readFile(file)
	if err != nil {
		return anchor{}, fmt.Errorf("read root certificate: %w", err)
	}
	in := certificates(data)
	if len(in) != 1 || in[0] != sum {
		return anchor{}, fmt.Errorf("%s does not hold just the root certificate %s", file, sum)
	}
	return anchor{sum: sum, name: anchorName(sum), file: file, pem: data}, nil
}

// feed returns command with the certificate as its standard input, for root.
func (a anchor) feed(command elevate.Command) elevate.Command {
	return elevate.Fed(command, a.file, a.pem)
}

// status joins what a store says with what went wrong there.
func status(s store, f finding, err error) Status {
	st := Status{State: f.state, Client: s.kind() == kindClient, Detail: f.detail, Fix: f.fix}
	st.Store, st.Location = s.label()
	if p, ok := errors.AsType[*problem](err); ok {
		st.Detail, st.Fix, st.Commands = p.detail, p.fix, p.commands
	} else if err != nil {
		st.Detail = err.Error()
	}
	return st
}

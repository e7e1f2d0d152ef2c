package issuer

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"devproxy/internal/atomicfile"
	"devproxy/internal/folderlock"
)

// A CA that is not in force yet lies beside the one that is, in files of its
// own. Nothing but a rotation reads them.
const (
	pendingFile     = "ca.next.pem"
	pendingRootFile = "root.next.pem"
)

// pendingAge is how long a CA that was prepared may still be completed. It is
// enough to find an administrator who makes the system trust it; after that
// its key has lain around for longer than anyone remembers.
const pendingAge = 24 * time.Hour

// A Pending is a new CA that was made but is not in force: what serves goes on
// with the old one until Commit. It holds the lock that keeps other rotations
// out, though neither Load nor LoadOrCreate, until Close. A Pending must not be
// used concurrently.
type Pending struct {
	store     store
	ca, old   *CA
	replaces  *CA // old, though it cannot be used any more
	data      []byte
	resumed   bool
	committed bool
	unlock    func()
}

// Prepare makes a CA for the old constraints and domains, puts it beside the
// one in dir and leaves that in force. Another rotation is waited for until ctx
// ends; waiting, unless it is nil, is called once before that.
//
// A process killed while it holds a Pending leaves the old CA in force and the
// files of the new one, which do no harm and which the next Prepare takes over
// if they are whole, younger than a day and of the right constraints and
// passphrase: its root may be trusted in some stores by then. Otherwise it
// replaces them.
//
// It also works without a CA, and with one that Load refuses. A CA that has
// only expired passes its constraints on; any other is not believed, so that
// the new one has NewConstraints(domains). A folder that Load refuses has to be
// put right first.
//
// The new CA has the passphrase of the old one: if that has one, open is called
// with it and returns it unlocked. The error is an *Error, or that of ctx or
// open.
func Prepare(ctx context.Context, dir string, domains []string, open func(*CA) (*CA, error), waiting func()) (*Pending, error) {
	s, err := newStore(dir)
	if err != nil {
		return nil, err
	}
	return s.prepareCA(ctx, domains, open, waiting)
}

// Rotate is Prepare and Commit for those who need nothing in between and whose
// CA has no passphrase.
func Rotate(dir string, domains []string) (*CA, error) {
	s, err := newStore(dir)
	if err != nil {
		return nil, err
	}
	return s.rotate(domains)
}

// Rotating reports whether there is a rotation that has not come to its end in
// dir, and whether a process is at work on it; if none is, it was stopped.
func Rotating(dir string) (unfinished, running bool) {
	for _, name := range []string{pendingFile, pendingRootFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return true, folderlock.Held(dir)
		}
	}
	return false, false
}

// CA returns the new CA.
func (p *Pending) CA() *CA { return p.ca }

// Old returns the CA that was in force when p was prepared, nil if there was
// none that could be used.
func (p *Pending) Old() *CA { return p.old }

// Resumed reports whether an earlier process has made the CA.
func (p *Pending) Resumed() bool { return p.resumed }

// RootPath returns where the root of the new CA lies as PEM until Close or
// Discard. After Commit it is at the path that the function RootPath returns,
// too.
func (p *Pending) RootPath() string { return p.path(pendingRootFile) }

func (p *Pending) path(name string) string { return filepath.Join(p.store.dir, name) }

// Commit puts the new CA in force, at once and as a whole. It fails, and leaves
// the old one in force, if another process has put another CA there since
// Prepare that may sign for more, or has given it another passphrase. What is
// there but is no CA is kept beside it as ca.pem.bad-<time>.
//
// It returns the CA that is in force then, nil if that is not the new one. An
// error beside a CA is about root.pem, which the next LoadOrCreate mends, or
// about the disk.
func (p *Pending) Commit() (*CA, error) {
	s := p.store
	have, err := readPrivate(p.path(pendingFile))
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && !bytes.Equal(have, p.data):
		return nil, p.overtaken(pendingFile)
	case err != nil:
		return nil, err
	}
	now, err := s.read()
	switch {
	case err == nil:
		same := p.replaces != nil && now.root.Equal(p.replaces.root)
		if !same && len(p.ca.constraints.Missing(now.constraints.DNS)) > 0 {
			return nil, p.overtaken(caFile)
		}
		if !same && now.HasPassphrase() || same && !bytes.Equal(now.sealed, p.replaces.sealed) {
			return nil, p.overtaken(caFile) // it may not be the passphrase of the new one
		}
	case !errors.Is(err, fs.ErrNotExist):
		if err := s.keepAside(); err != nil {
			return nil, err
		}
	}
	if err := s.rename(p.path(pendingFile), Path(s.dir)); err != nil {
		return nil, systemError(Path(s.dir), "put the new CA in place", err)
	}
	p.committed = true
	if err := atomicfile.SyncDir(s.dir); err != nil {
		return p.ca, systemError(s.dir, "write the folder to disk", err)
	}
	ca, err := s.publish(p.ca)
	if ca == nil || ca.root.Equal(p.ca.root) {
		ca = p.ca // which is not locked
	}
	return ca, err
}

func (p *Pending) overtaken(name string) *Error {
	return &Error{
		Path:    p.path(name),
		Problem: "another process has changed it meanwhile",
		Hint:    "try again",
		Rotate:  true,
	}
}

// Discard removes the new CA, unless it is in force, and calls Close.
func (p *Pending) Discard() error {
	defer p.Close()
	if p.committed {
		return nil
	}
	var errs []error
	for _, name := range []string{pendingFile, pendingRootFile} {
		if err := os.Remove(p.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, systemError(p.path(name), "remove", err))
		}
	}
	return errors.Join(errs...)
}

// Close lets other rotations go ahead. A CA that was not committed stays for
// the next Prepare. It may be called again.
func (p *Pending) Close() {
	if p.unlock == nil {
		return
	}
	if p.committed {
		// Until now it told of a rotation that is not at its end. If it stays,
		// the next one replaces it.
		_ = os.Remove(p.RootPath())
	}
	p.unlock()
	p.unlock = nil
}

func (s store) prepareCA(ctx context.Context, domains []string, open func(*CA) (*CA, error), waiting func()) (_ *Pending, err error) {
	if err := s.prepare(); err != nil {
		return nil, err
	}
	unlock, err := folderlock.Lock(ctx, s.dir, waiting)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, err
	case err != nil:
		return nil, systemError(s.dir, "open the folder", err)
	}
	p := &Pending{store: s, unlock: unlock}
	constraints := NewConstraints(domains)
	var passphrase []byte
	if old, err := s.read(); err == nil {
		if old, err = unlockOld(old, open); err != nil {
			p.Close()
			return nil, err
		}
		passphrase = old.passphrase
		constraints = old.constraints.Union(domains)
		p.replaces = old
		if old.checkTime(wallClock()) == nil {
			p.old = old
		}
	}
	if p.resume(constraints) {
		if err := s.publishPending(p); err != nil {
			p.Close()
			return nil, err
		}
		return p, nil
	}
	if err := s.put(s.replace, p.path(pendingFile), constraints, passphrase); err != nil {
		p.Close()
		if info, statErr := os.Lstat(p.path(pendingFile)); statErr == nil && info.IsDir() {
			return nil, &Error{Path: p.path(pendingFile), Problem: "is a folder", Hint: "move it away, a new CA has to lie there for a moment", Err: err}
		}
		return nil, err
	}
	if err := p.read(); err != nil {
		p.Discard()
		return nil, err
	}
	if err := s.publishPending(p); err != nil {
		p.Discard()
		return nil, err
	}
	return p, nil
}

// unlockOld has open unlock the CA that is to be replaced.
func unlockOld(old *CA, open func(*CA) (*CA, error)) (*CA, error) {
	if !old.Locked() {
		return old, nil
	}
	if open == nil {
		return nil, errLocked
	}
	old, err := open(old)
	if err == nil && len(old.passphrase) == 0 {
		err = errLocked
	}
	return old, err
}

// resume takes over what an earlier process has left, if it will do.
func (p *Pending) resume(constraints Constraints) bool {
	if p.read() != nil {
		return false
	}
	now := wallClock()
	age := now.Sub(p.ca.root.NotBefore) - caBackdate
	p.resumed = p.ca.checkTime(now) == nil && age >= 0 && age < pendingAge &&
		slices.Equal(p.ca.constraints.DNS, constraints.DNS) &&
		slices.Equal(p.ca.constraints.IP, constraints.IP)
	return p.resumed
}

// read sets the new CA to what is on disk.
func (p *Pending) read() error {
	path := p.path(pendingFile)
	data, err := readPrivate(path)
	if err != nil {
		return err
	}
	ca, err := parse(data)
	if err != nil {
		return &Error{Path: path, Problem: err.Error(), Hint: "try again", Rotate: true}
	}
	if ca.HasPassphrase() != (p.replaces != nil && p.replaces.HasPassphrase()) {
		return &Error{Path: path, Problem: "its key has another passphrase than the one that it replaces", Hint: "try again", Rotate: true}
	}
	if ca.Locked() {
		if ca, err = ca.Unlock(p.replaces.passphrase); err != nil {
			return &Error{Path: path, Problem: err.Error(), Hint: "try again", Rotate: true, Err: err}
		}
	}
	p.ca, p.data = ca, data
	return nil
}

// publishPending writes the file that trust stores are given.
func (s store) publishPending(p *Pending) error {
	path, want := p.RootPath(), p.ca.rootPEM()
	if holds(path, want) {
		return nil
	}
	if err := s.replace(path, want, 0o644); err != nil {
		return systemError(path, "write", err)
	}
	return nil
}

func (s store) rotate(domains []string) (*CA, error) {
	p, err := s.prepareCA(context.Background(), domains, nil, nil)
	if err != nil {
		return nil, err
	}
	ca, err := p.Commit()
	if ca == nil {
		p.Discard()
		return nil, err
	}
	p.Close()
	return ca, err
}

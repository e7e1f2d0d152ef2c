package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

const kindNSS = "nss"

// nssPatience is how long a database may be locked by a browser before we give
// up on it.
const nssPatience = 6 * time.Second

// database is one NSS database, in the form that Chromium and Firefox use: a
// folder with cert9.db and key4.db. It is written by certutil.
type database struct {
	store    string // whose: "Chromium", "Firefox (snap)"
	dir      string
	tool     certutil
	patience time.Duration
}

func (m *Machine) database(store, dir string) *database {
	return &database{
		store:    store,
		dir:      dir,
		tool:     certutil{path: lookUp(m.cfg.Path, "certutil"), root: m.cfg.Root, run: m.run},
		patience: nssPatience,
	}
}

func reopenDatabase(m *Machine, r receipt) store { return m.database(r.Store, r.Location) }

func (d *database) kind() string { return kindNSS }

func (d *database) label() (name, location string) { return d.store, d.dir }

func (d *database) file() string { return filepath.Join(d.dir, "cert9.db") }

// hasDatabase reports whether a folder holds an NSS database.
func hasDatabase(dir string) bool { return isFile(filepath.Join(dir, "cert9.db")) }

// find looks for a, first under its own nickname, then among the other roots:
// NSS keeps the first nickname that a certificate ever had. Where there is no
// database there is no certificate.
func (d *database) find(ctx context.Context, a anchor) (e entry, held bool, err error) {
	if !hasDatabase(d.dir) {
		return entry{}, false, nil
	}
	err = d.patiently(ctx, func() error {
		e, held, err = d.findOnce(ctx, a)
		return err
	})
	return e, held, d.explain(err)
}

func (d *database) findOnce(ctx context.Context, a anchor) (entry, bool, error) {
	all, err := d.tool.list(ctx, d.dir)
	if err != nil {
		return entry{}, false, err
	}
	for _, own := range []bool{true, false} {
		for _, e := range all {
			if own != (e.nickname == a.name) || !own && !e.trusted() {
				continue
			}
			if ok, err := d.tool.holds(ctx, d.dir, e.nickname, a.sum); ok || err != nil {
				return e, ok, err
			}
		}
	}
	return entry{}, false, nil
}

func (d *database) verify(ctx context.Context, a anchor) (finding, error) {
	e, held, err := d.find(ctx, a)
	switch {
	case err != nil:
		return finding{}, err
	case !held:
		return finding{state: NotTrusted}, nil
	case e.trusted() && e.nickname == a.name:
		return finding{state: Trusted, ours: true}, nil
	case e.trusted():
		return finding{state: Trusted, detail: fmt.Sprintf("as %q", e.nickname)}, nil
	case d.hasNewTrust(a):
		return finding{detail: "held, with trust that only a newer NSS can read"}, nil
	}
	return finding{state: NotTrusted, detail: fmt.Sprintf("held, but marked %q instead of trusted", e.flags)}, nil
}

// hasNewTrust reports whether the database seems to hold a trust row in the
// form of newer NSS, which the certutil here may be unable to see: only such
// rows contain a certificate's SHA-256 (clients.md §7).
func (d *database) hasNewTrust(a anchor) bool {
	data, err := readFile(d.file())
	return err == nil && bytes.Contains(data, a.sum[:])
}

func (d *database) plan(ctx context.Context, a anchor) []Step {
	if err := d.writable(); err != nil {
		return []Step{noteStep(d, err)}
	}
	var steps []Step
	if !isDir(d.dir) {
		steps = append(steps, Step{Store: d.store, Location: d.dir, File: d.dir})
	}
	if !hasDatabase(d.dir) {
		steps = append(steps, Step{Store: d.store, Location: d.dir, Command: d.tool.createCommand(d.dir)})
	}
	return append(steps, Step{Store: d.store, Location: d.dir, Command: d.tool.addCommand(d.dir, a)})
}

func (d *database) install(ctx context.Context, a anchor) error {
	if err := d.writable(); err != nil {
		return err
	}
	if !hasDatabase(d.dir) {
		// 0700 as browsers do: the folder also holds private keys.
		if err := os.MkdirAll(d.dir, 0o700); err != nil {
			return err
		}
		if _, err := d.tool.do(ctx, d.tool.createCommand(d.dir)); err != nil {
			return d.explain(err)
		}
	}
	addErr := d.patiently(ctx, func() error {
		_, err := d.tool.do(ctx, d.tool.addCommand(d.dir, a))
		return err
	})
	if addErr == nil {
		return nil
	}
	// A database with a password takes the certificate and fails on the trust:
	// that half must not stay.
	if e, held, err := d.find(ctx, a); err == nil && held && e.nickname == a.name && !e.trusted() {
		if err := d.delete(ctx, e.nickname); err != nil {
			return fmt.Errorf("%v; take the untrusted certificate out again: %v", addErr, err)
		}
	}
	e, ok := errors.AsType[*nssError](addErr)
	if ok && (e.code == nssBadPassword || e.code == nssNotLoggedIn) {
		return &problem{
			detail: "the database is protected by a password",
			fix:    "run this, which asks for the password: " + d.tool.addCommand(d.dir, a).String(),
		}
	}
	return d.explain(addErr)
}

func (d *database) delete(ctx context.Context, nickname string) error {
	return d.explain(d.patiently(ctx, func() error {
		_, err := d.tool.do(ctx, d.tool.deleteCommand(d.dir, nickname))
		return err
	}))
}

func (d *database) planRemove(ctx context.Context, as []anchor) []Step {
	var steps []Step
	for _, a := range as {
		e, held, err := d.find(ctx, a)
		if err != nil {
			steps = append(steps, noteStep(d, err))
		} else if held {
			steps = append(steps, Step{Store: d.store, Location: d.dir, Command: d.tool.deleteCommand(d.dir, e.nickname)})
		}
	}
	return steps
}

func (d *database) remove(ctx context.Context, as []anchor) (removed bool, err error) {
	if !hasDatabase(d.dir) {
		return false, nil
	}
	if err := d.writable(); err != nil {
		return false, err
	}
	for _, a := range as {
		e, held, err := d.find(ctx, a)
		if err == nil && held {
			err = d.delete(ctx, e.nickname)
		}
		if err != nil {
			return removed, err // what keeps one root here keeps them all
		}
		removed = removed || held
	}
	return removed, nil
}

func (d *database) gone(ctx context.Context, a anchor) (finding, error) {
	e, held, err := d.find(ctx, a)
	switch {
	case err != nil:
		return finding{}, err
	case held && e.trusted():
		return finding{state: Trusted, detail: fmt.Sprintf("still there as %q", e.nickname)}, nil
	case held:
		return finding{detail: fmt.Sprintf("still there as %q, without trust", e.nickname)}, nil
	case d.hasNewTrust(a):
		// certutil -D leaves such rows behind; they matter only to a server
		// that sends the root along (clients.md §6).
		return finding{
			detail: "the certificate is gone, a trust entry that certutil cannot delete may be left",
			fix:    "import the root in the browser's certificate settings and delete it there",
		}, nil
	}
	return finding{state: NotTrusted}, nil
}

// writable returns what keeps us from writing: that there is no tool for it, or
// that this is somebody else's home.
func (d *database) writable() error {
	if d.tool.path == "" {
		return d.tool.missing()
	}
	if hasDatabase(d.dir) {
		if err := checkOwner(d.file()); err != nil {
			return err
		}
	}
	return checkOwner(nearestDir(d.dir))
}

// patiently repeats do while the database is locked.
func (d *database) patiently(ctx context.Context, do func() error) error {
	for start := time.Now(); ; {
		err := do()
		if !d.mayBeLocked(err) || time.Since(start) >= d.patience {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (d *database) mayBeLocked(err error) bool {
	e, ok := errors.AsType[*nssError](err)
	return ok && (e.code == nssLocked || e.code == nssBadDatabase) && d.isSQLite()
}

// isSQLite tells a database that is busy from a file that is none at all. Like
// hasNewTrust it closes the file, which ends any POSIX lock, as SQLite takes
// them, that this very process may have on it.
func (d *database) isSQLite() bool {
	f, err := os.Open(d.file())
	if err != nil {
		return false
	}
	defer f.Close()
	const magic = "SQLite format 3\x00"
	head := make([]byte, len(magic))
	_, err = io.ReadFull(f, head)
	return err == nil && string(head) == magic
}

// explain gives NSS's errors their way out.
func (d *database) explain(err error) error {
	e, ok := errors.AsType[*nssError](err)
	switch {
	case !ok:
		return err
	case e.code == nssReadOnly:
		return &problem{detail: "the database is read-only", fix: "make " + d.dir + " writable, then try again"}
	case d.mayBeLocked(err):
		return &problem{
			detail: "the database is locked by another program, or damaged (" + e.text + ")",
			fix:    "close the browser, then try again",
		}
	case e.code == nssBadDatabase && hasDatabase(d.dir):
		return &problem{
			detail: "cert9.db is not a certificate database",
			fix:    "move " + d.file() + " away; the browser makes a new one",
		}
	}
	return err
}

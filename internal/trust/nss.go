package trust

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"devproxy/internal/elevate"
	"devproxy/internal/nssdb"
)

const kindNSS = "nss"

// database is one NSS database, in the form that Chromium and Firefox use: a
// folder with cert9.db and key4.db. It is read directly. It is written by
// certutil where that is installed and directly where it is not, or did not do
// what it was asked for.
type database struct {
	store string // whose: "Chromium", "Firefox (snap)"
	dir   string
	tool  certutil

	// made are the folders that were made for it, the outermost first, as a
	// receipt tells; nil if it was there before devproxy.
	made []string
	busy func(file string) bool // whether a process has a file open
}

func (m *Machine) database(store, dir string) *database {
	return &database{
		store: store,
		dir:   dir,
		tool:  certutil{path: lookUp(m.cfg.Path, "certutil"), run: m.run},
		busy:  m.busy,
	}
}

func reopenDatabase(m *Machine, r receipt) store {
	d := m.database(r.Store, r.Location)
	d.made = r.Made
	return d
}

func (d *database) kind() string { return kindNSS }

func (d *database) label() (name, location string) { return d.store, d.dir }

func (d *database) file() string { return filepath.Join(d.dir, "cert9.db") }

// databaseFiles make up an NSS database. The last is the one whose presence
// says that there is one.
var databaseFiles = []string{"pkcs11.txt", "key4.db", "cert9.db"}

// hasDatabase reports whether a folder holds an NSS database.
func hasDatabase(dir string) bool { return isFile(filepath.Join(dir, "cert9.db")) }

func (d *database) verify(ctx context.Context, a anchor) (finding, error) {
	e, held, err := nssdb.Find(ctx, d.dir, a.sum)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return finding{state: NotTrusted}, nil
	case err != nil:
		return finding{}, d.explain(err, a)
	case !held:
		return lacking(d.writable(ctx, a)), nil
	case !e.Trusted && e.Unchecked:
		return finding{detail: "it is held, but " + e.Detail}, nil
	case !e.Trusted:
		return finding{state: NotTrusted, detail: "it is held, but " + e.Detail}, nil
	}
	roots, err := nssdb.Roots(ctx, d.dir)
	if err != nil {
		return finding{}, d.explain(err, a)
	}
	f := finding{state: Trusted, ours: e.Nickname == a.name, detail: e.Detail, roots: x509.NewCertPool()}
	for _, root := range roots {
		f.roots.AddCert(root)
	}
	if !f.ours {
		f.detail = fmt.Sprintf("as %q", e.Nickname)
	}
	return f, nil
}

// lacking is the finding for a database without what it should have: it says
// what keeps install from putting it there, which is err.
func lacking(err error) finding {
	f := finding{state: NotTrusted}
	if p, ok := errors.AsType[*problem](err); ok {
		f.detail, f.fix = p.detail, p.fix
	}
	return f
}

// makes returns the folders that install would make, the outermost first. Not
// nil, even if there are none, where it would make a database.
func (d *database) makes() []string {
	if hasDatabase(d.dir) {
		return nil
	}
	return missingFolders(d.dir)
}

func (d *database) plan(ctx context.Context, a anchor) []Step {
	if err := d.writable(ctx, a); err != nil {
		return []Step{noteStep(d, err)}
	}
	var steps []Step
	step := func(s Step) {
		s.Store, s.Location = d.store, d.dir
		steps = append(steps, s)
	}
	fresh := !hasDatabase(d.dir)
	for _, dir := range d.makes() {
		step(Step{File: dir})
	}
	switch {
	case fresh && d.tool.path != "":
		step(Step{Command: d.tool.createCommand(d.dir)})
	case fresh:
		for _, name := range databaseFiles {
			step(Step{File: filepath.Join(d.dir, name)})
		}
	}
	switch {
	case d.tool.path != "":
		step(Step{Command: d.tool.addCommand(d.dir, a)})
	case !fresh:
		step(Step{File: filepath.Join(d.dir, "cert9.db")})
		step(Step{File: filepath.Join(d.dir, "key4.db")})
	}
	return steps
}

func (d *database) install(ctx context.Context, a anchor) error {
	if err := d.writable(ctx, a); err != nil {
		return err
	}
	root, err := parseCertificate(a.pem) // the file may be another by now
	if err != nil {
		return err
	}
	if !hasDatabase(d.dir) {
		if err := d.create(ctx); err != nil {
			return d.explain(err, a)
		}
	}
	if d.tool.add(ctx, d.dir, a) == nil {
		if e, held, err := nssdb.Find(ctx, d.dir, a.sum); err == nil && held && e.Trusted {
			return nil
		}
	}
	return d.explain(nssdb.Add(ctx, d.dir, a.name, root), a)
}

// create makes an empty database without a password.
func (d *database) create(ctx context.Context) error {
	// 0700 as browsers do: the folder also holds private keys.
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	if d.tool.create(ctx, d.dir) == nil && hasDatabase(d.dir) {
		return nil
	}
	err := nssdb.Create(ctx, d.dir)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func (d *database) planRemove(ctx context.Context, as []anchor) []Step {
	var steps []Step
	for _, a := range as {
		if a.elsewhere {
			continue
		}
		e, held, err := nssdb.Find(ctx, d.dir, a.sum)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			steps = append(steps, noteStep(d, d.explain(err, a)))
		case held || e.Orphan:
			steps = append(steps, Step{Store: d.store, Location: d.dir, File: d.file()})
		}
	}
	for _, command := range d.planDissolve(ctx, as) {
		steps = append(steps, Step{Store: d.store, Location: d.dir, Command: command})
	}
	return steps
}

// planDissolve returns what dissolve would do once but were gone.
func (d *database) planDissolve(ctx context.Context, but []anchor) []elevate.Command {
	if spare, err := d.spare(ctx, but); err != nil || !spare {
		return nil
	}
	rm := elevate.Command{"rm"}
	for _, name := range databaseFiles {
		rm = append(rm, filepath.Join(d.dir, name))
	}
	commands := []elevate.Command{rm}
	for _, dir := range slices.Backward(d.made) {
		commands = append(commands, elevate.Command{"rmdir", dir})
	}
	return commands
}

// strays returns the roots that have a name of ours, whether or not there is a
// receipt: the database is its owner's alone.
func (d *database) strays(ctx context.Context) []anchor {
	named, err := nssdb.Named(ctx, d.dir, namePrefix)
	if err != nil {
		return nil // verify says why
	}
	var all []anchor
	for name, sum := range named {
		if anchorName(sum) == name {
			all = append(all, anchor{sum: sum, name: name})
		}
	}
	return all
}

// remove works directly, also where certutil is: that leaves trust rows of
// newer NSS behind and goes by nicknames, which certificates share (clients.md
// §6).
func (d *database) remove(ctx context.Context, as []anchor) (removed bool, err error) {
	if !hasDatabase(d.dir) {
		return d.dissolve(ctx)
	}
	if err := d.owned(); err != nil {
		return false, err
	}
	for _, a := range as {
		one, err := nssdb.Delete(ctx, d.dir, a.sum, nil)
		if err != nil {
			return removed, d.explain(err, a) // what keeps one root here keeps them all
		}
		removed = removed || one
	}
	dissolved, err := d.dissolve(ctx)
	return removed || dissolved, err
}

// dissolve takes away a database that devproxy made and nobody has used, and
// the folders made for it.
func (d *database) dissolve(ctx context.Context) (bool, error) {
	spare, err := d.spare(ctx, nil)
	if err != nil || !spare {
		return false, err
	}
	// cert9.db goes first: what is left without it NSS completes.
	for i := len(databaseFiles) - 1; i >= 0; i-- {
		if err := removeFile(filepath.Join(d.dir, databaseFiles[i])); err != nil {
			return false, err
		}
	}
	removeFolders(d.made)
	return true, nil
}

// spare reports whether dissolve has something to take away, or has once but
// were gone. What a link leads to is not what was made.
func (d *database) spare(ctx context.Context, but []anchor) (bool, error) {
	info, err := os.Lstat(d.dir)
	if d.made == nil || err != nil || !info.IsDir() || !hasDatabase(d.dir) || d.busy(d.file()) {
		return false, nil
	}
	unused, err := unusedDatabase(ctx, d.dir, but)
	if err != nil {
		return false, d.explain(err, anchor{})
	}
	return unused, nil
}

// unusedDatabase reports whether nobody has used a database, if it is there,
// once but were gone.
func unusedDatabase(ctx context.Context, dir string, but []anchor) (bool, error) {
	if !hasDatabase(dir) {
		return true, nil
	}
	if len(but) == 0 {
		return nssdb.Unused(ctx, dir)
	}
	held, err := nssdb.Certificates(ctx, dir, namePrefix)
	if err != nil {
		return false, err
	}
	loose := looseLinks(held, but)
	named, err := nssdb.Named(ctx, dir, "")
	for name, sum := range named {
		if loose[name] != sum && !slices.ContainsFunc(but, func(a anchor) bool { return a.sum == sum }) {
			return false, nil
		}
	}
	return err == nil, err
}

func (d *database) gone(ctx context.Context, a anchor) (finding, error) {
	e, held, err := nssdb.Find(ctx, d.dir, a.sum)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return finding{state: NotTrusted}, nil
	case err != nil:
		return finding{}, d.explain(err, a)
	case held && e.Trusted:
		return finding{state: Trusted, detail: fmt.Sprintf("still there as %q", e.Nickname)}, nil
	case held:
		return finding{detail: fmt.Sprintf("still there as %q, without trust", e.Nickname)}, nil
	case e.Orphan:
		// It matters to a server that sends the root along (clients.md §6).
		return finding{detail: "the certificate is gone, its trust is still there"}, nil
	}
	if spare, err := d.spare(ctx, nil); err != nil || spare {
		return finding{detail: "the empty database that devproxy made is still there"}, err
	}
	return finding{state: NotTrusted}, nil
}

// owned refuses to write in somebody else's home.
func (d *database) owned() error {
	if hasDatabase(d.dir) {
		if err := checkOwner(d.file()); err != nil {
			return err
		}
	}
	return checkOwner(nearestDir(d.dir))
}

// writable returns what keeps us from installing.
func (d *database) writable(ctx context.Context, a anchor) error {
	if err := d.owned(); err != nil || !hasDatabase(d.dir) {
		return err
	}
	err := nssdb.Writable(ctx, d.dir)
	if errors.Is(err, nssdb.ErrFormat) && d.tool.path != "" {
		return nil // which brings an old database up to date
	}
	return d.explain(err, a)
}

// explain gives the errors of a database their way out.
func (d *database) explain(err error, a anchor) error {
	again := ", then try again"
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nssdb.ErrPassword):
		p := &problem{detail: "the database is protected by a password"}
		switch {
		case d.tool.path != "":
			p.fix = "run this, which asks for the password: " + d.tool.addCommand(d.dir, a).String()
		default:
			p.fix = "import " + a.file + " in the browser's certificate settings, which ask for the password"
		}
		return p
	case errors.Is(err, nssdb.ErrLocked):
		return &problem{detail: "the database is locked by another program", fix: "close the browser" + again}
	case errors.Is(err, nssdb.ErrFormat):
		return &problem{
			detail: "the database is in the form of an old browser",
			fix:    "start and quit the browser, which brings it up to date" + again,
		}
	case errors.Is(err, nssdb.ErrNotDatabase):
		return &problem{
			detail: fmt.Sprintf("not a certificate database, or damaged (%v)", err),
			fix:    "move cert9.db and key4.db away from " + d.dir + ": the browser makes new ones" + again,
		}
	case errors.Is(err, nssdb.ErrReadOnly), errors.Is(err, fs.ErrPermission):
		return &problem{detail: "the database is read-only", fix: "make " + d.dir + " writable" + again}
	}
	return err
}

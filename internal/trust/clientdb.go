package trust

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"devproxy/internal/elevate"
	"devproxy/internal/nssdb"
)

const (
	kindClient = "nss-client"

	// What follows the name of an anchor in nicknames, so that nothing is
	// taken for a root of ours.
	clientSuffix = "-client"
	linkSuffix   = "-chain"
)

// linkName is the nickname of a certificate between a client's and its root.
func linkName(sum fingerprint) string { return anchorName(sum) + linkSuffix }

// isClientName reports whether a nickname is one that client certificates get,
// and their keys.
func isClientName(nickname string) bool {
	return strings.HasPrefix(nickname, namePrefix) && strings.HasSuffix(nickname, clientSuffix)
}

// clientDatabase is an NSS database as the place of client certificates. It is
// always written directly: pk12util would need the password of the file once
// more, gives nicknames of its own, and leaves a running browser no better off.
type clientDatabase struct{ *database }

func (d clientDatabase) kind() string { return kindClient }

func (d clientDatabase) verify(ctx context.Context, a anchor) (finding, error) {
	if a.client == nil { // only what has our names is of interest
		ours, err := nssdb.HoldsClient(ctx, d.dir, a.sum, isClientName)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return finding{state: NotTrusted, ours: ours}, d.explain(err, a)
	}
	e, held, err := nssdb.FindClient(ctx, d.dir, a.sum)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return finding{state: NotTrusted}, nil
	case err != nil:
		return finding{}, d.explain(err, a)
	case !held:
		return lacking(d.writable(ctx, a)), nil
	case !e.Usable && e.Unchecked:
		return finding{detail: "it is held, but " + e.Detail}, nil
	case !e.Usable:
		return finding{state: NotTrusted, detail: "it is held, but " + e.Detail}, nil
	}
	for _, link := range a.client.Chain {
		if _, held, err := nssdb.Find(ctx, d.dir, sha256.Sum256(link.Raw)); err != nil || !held {
			return finding{state: NotTrusted, detail: "the certificate of its issuer is missing"}, d.explain(err, a)
		}
	}
	f := finding{state: Trusted, ours: isClientName(e.Nickname) || isClientName(e.KeyName), detail: e.Detail}
	if e.Nickname != a.name+clientSuffix {
		f.detail = fmt.Sprintf("as %q", e.Nickname)
	}
	return f, nil
}

func (d clientDatabase) plan(ctx context.Context, a anchor) []Step {
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
	files := databaseFiles
	switch {
	case fresh && d.tool.path != "":
		step(Step{Command: d.tool.createCommand(d.dir)})
		fallthrough
	case !fresh:
		files = databaseFiles[1:]
	}
	for _, name := range files {
		step(Step{File: filepath.Join(d.dir, name)})
	}
	return steps
}

func (d clientDatabase) install(ctx context.Context, a anchor) error {
	if err := d.writable(ctx, a); err != nil {
		return err
	}
	if !hasDatabase(d.dir) {
		if err := d.create(ctx); err != nil {
			return d.explain(err, a)
		}
	}
	var links []nssdb.NamedCertificate
	for _, link := range a.client.Chain {
		links = append(links, nssdb.NamedCertificate{Nickname: linkName(sha256.Sum256(link.Raw)), Certificate: link})
	}
	leaf := nssdb.NamedCertificate{Nickname: a.name + clientSuffix, Certificate: a.client.Certificate}
	return d.explain(nssdb.AddClient(ctx, d.dir, leaf, a.client.Key, links...), a)
}

// strays returns the client certificates that have a name of ours, whether or
// not there is a receipt.
func (d clientDatabase) strays(ctx context.Context) []anchor {
	named, err := nssdb.Named(ctx, d.dir, namePrefix)
	if err != nil {
		return nil // verify says why
	}
	var all []anchor
	for name, sum := range named {
		if a := (anchor{sum: sum, name: anchorName(sum)}); a.name+clientSuffix == name {
			all = append(all, a)
		}
	}
	return all
}

func (d clientDatabase) planRemove(ctx context.Context, as []anchor) []Step {
	var steps []Step
	for _, a := range as {
		if a.elsewhere {
			continue
		}
		held, err := nssdb.HoldsClient(ctx, d.dir, a.sum, isClientName)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return []Step{noteStep(d, d.explain(err, a))}
		case held && steps == nil:
			for _, name := range []string{"key4.db", "cert9.db"} {
				steps = append(steps, Step{Store: d.store, Location: d.dir, File: filepath.Join(d.dir, name)})
			}
		}
	}
	for _, command := range d.planDissolve(ctx, as) {
		steps = append(steps, Step{Store: d.store, Location: d.dir, Command: command})
	}
	return steps
}

func (d clientDatabase) remove(ctx context.Context, as []anchor) (removed bool, err error) {
	if !hasDatabase(d.dir) {
		return d.dissolve(ctx)
	}
	if err := d.owned(); err != nil {
		return false, err
	}
	for _, a := range as {
		one, err := nssdb.DeleteClient(ctx, d.dir, a.sum, isClientName)
		if err != nil {
			return removed, d.explain(err, a)
		}
		removed = removed || one
	}
	loose, err := d.loose(ctx, nil)
	if err != nil {
		return removed, d.explain(err, anchor{})
	}
	for _, name := range slices.Sorted(maps.Keys(loose)) {
		one, err := nssdb.Delete(ctx, d.dir, loose[name], nil)
		if err != nil {
			return removed, d.explain(err, anchor{})
		}
		removed = removed || one
	}
	dissolved, err := d.dissolve(ctx)
	return removed || dissolved, err
}

func (d *database) loose(ctx context.Context, but []anchor) (map[string]fingerprint, error) {
	held, err := nssdb.Certificates(ctx, d.dir, namePrefix)
	return looseLinks(held, but), err
}

func (d clientDatabase) gone(ctx context.Context, a anchor) (finding, error) {
	ours, err := nssdb.HoldsClient(ctx, d.dir, a.sum, isClientName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return finding{state: NotTrusted}, nil
	case err != nil:
		return finding{}, d.explain(err, a)
	case ours:
		return finding{state: Trusted, detail: "the certificate or its key is still there"}, nil
	}
	if loose, err := d.loose(ctx, nil); err != nil || len(loose) > 0 {
		return finding{detail: "the certificate is gone, that of its issuer is still there"}, d.explain(err, a)
	}
	if spare, err := d.spare(ctx, nil); err != nil || spare {
		return finding{detail: "the empty database that devproxy made is still there"}, err
	}
	f := finding{state: NotTrusted}
	if e, held, err := nssdb.FindClient(ctx, d.dir, a.sum); err == nil && held {
		f.detail = fmt.Sprintf("still there as %q, which devproxy did not add", e.Nickname)
	}
	return f, nil
}

// writable returns what keeps us from installing.
func (d clientDatabase) writable(ctx context.Context, a anchor) error {
	if err := d.owned(); err != nil || !hasDatabase(d.dir) {
		return err
	}
	return d.explain(nssdb.Writable(ctx, d.dir), a)
}

// explain gives the errors of a database their way out.
func (d clientDatabase) explain(err error, a anchor) error {
	switch {
	case errors.Is(err, nssdb.ErrPassword) && a.file != "":
		p := &problem{
			detail: "the database is protected by a password",
			fix:    "import " + a.file + " in the browser's certificate settings, which ask for the password",
		}
		if d.tool.path != "" { // pk12util comes with certutil
			p.fix = "run this, which asks for the passwords: " +
				elevate.Command{"pk12util", "-d", "sql:" + d.dir, "-i", a.file}.String()
		}
		return p
	case errors.Is(err, nssdb.ErrKey):
		return &problem{
			detail: "browsers take RSA keys and ECDSA keys on P-256, P-384 and P-521",
			fix:    "use a certificate with such a key",
		}
	}
	return d.database.explain(err, a)
}

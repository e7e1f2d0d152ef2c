package trust

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"devproxy/internal/atomicfile"
)

// A receipt records that a root, or a client certificate, was put into a store
// or was about to be.
type receipt struct {
	Kind        string    `json:"kind"`              // how to undo it: the name of a kind
	Store       string    `json:"store"`             // as Status.Store
	Location    string    `json:"location"`          // folder of the store
	Name        string    `json:"name"`              // file name without extension, or what nicknames begin with
	Fingerprint string    `json:"fingerprint"`       // SHA-256 of the DER, in hex
	Made        []string  `json:"made,omitzero"`     // see maker
	Time        time.Time `json:"time"`              // when the change began
	Verified    time.Time `json:"verified,omitzero"` // when the store was seen to trust the root after that
}

// sum returns the fingerprint of a receipt that check has passed.
func (r receipt) sum() (sum fingerprint) {
	hex.Decode(sum[:], []byte(r.Fingerprint))
	return sum
}

// check refuses what Install never writes. Names and places end up in commands
// that run as root.
func (r receipt) check() error {
	sum, err := hex.DecodeString(r.Fingerprint)
	switch {
	case err != nil || len(sum) != len(fingerprint{}):
		return fmt.Errorf("fingerprint %q is not 64 hex digits", r.Fingerprint)
	case r.Kind == "":
		return errors.New("kind of store is missing")
	case !filepath.IsAbs(r.Location) || filepath.Clean(r.Location) != r.Location:
		return fmt.Errorf("location %q is not a clean absolute path", r.Location)
	case r.Name != anchorName(fingerprint(sum)):
		return fmt.Errorf("name %q does not belong to fingerprint %q", r.Name, r.Fingerprint)
	}
	for _, dir := range r.Made {
		if !within(r.Location, dir) {
			return fmt.Errorf("folder %q is not above %q", dir, r.Location)
		}
	}
	return nil
}

// within reports whether path is dir or lies below it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsAbs(dir) && filepath.IsLocal(rel)
}

// same reports whether r and o speak of one root in one store.
func (r receipt) same(o receipt) bool {
	return r.Kind == o.Kind && r.Location == o.Location && r.Fingerprint == o.Fingerprint
}

const (
	receiptsName    = "trust.json"
	damagedInfix    = ".damaged-"
	lockName        = "trust.lock"
	receiptsVersion = 1
	maxReceipts     = 1 << 20 // bytes; each takes about 300
)

// ReceiptsPath returns the file in the state folder that changes whenever
// trust in a root has begun or ended: after the store was read back, not only
// before it was changed.
func ReceiptsPath(state string) string { return filepath.Join(state, receiptsName) }

// ledger is the JSON of the file.
type ledger struct {
	Version  int       `json:"version"`
	Receipts []receipt `json:"receipts"`
}

// A damagedError says that the receipts cannot be understood.
type damagedError struct{ err error }

func (e *damagedError) Error() string { return e.err.Error() }

// receipts is the file of all receipts.
type receipts struct {
	dir     string
	waiting func() // called if lock waits; may be nil
}

func (r receipts) file() string { return filepath.Join(r.dir, receiptsName) }

// lock keeps other devproxy processes out until unlock is called, and clears
// away what a killed one left.
func (r receipts) lock(ctx context.Context) (unlock func(), err error) {
	unlock, err = lockFile(ctx, filepath.Join(r.dir, lockName), r.waiting)
	if err != nil {
		return nil, fmt.Errorf("lock the receipts: %w", err)
	}
	atomicfile.Sweep(r.dir) // a left-over does no harm
	return unlock, nil
}

// load returns all receipts, none if there is no file. It fails with a
// *damagedError when the file makes no sense.
func (r receipts) load() ([]receipt, error) {
	info, err := os.Stat(r.file())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for its writer
		return nil, fmt.Errorf("receipts %s: not a regular file", r.file())
	}
	if info.Size() > maxReceipts {
		return nil, &damagedError{fmt.Errorf("receipts %s: larger than %d bytes", r.file(), maxReceipts)}
	}
	data, err := os.ReadFile(r.file())
	if err != nil {
		return nil, err
	}
	all, err := parseReceipts(data)
	if d, ok := errors.AsType[*damagedError](err); ok {
		return nil, &damagedError{fmt.Errorf("receipts %s: %v", r.file(), d.err)}
	}
	if err != nil {
		return nil, fmt.Errorf("receipts %s: %v", r.file(), err)
	}
	return all, nil
}

func parseReceipts(data []byte) ([]receipt, error) {
	var l ledger
	if err := json.Unmarshal(data, &l); err != nil {
		return nil, &damagedError{err}
	}
	if l.Version > receiptsVersion {
		return nil, fmt.Errorf("written by a newer devproxy (version %d)", l.Version)
	}
	if l.Version < 1 {
		return nil, &damagedError{errors.New("no version")}
	}
	for i, r := range l.Receipts {
		if err := r.check(); err != nil {
			return nil, &damagedError{fmt.Errorf("receipt %d: %v", i+1, err)}
		}
	}
	return l.Receipts, nil
}

// loadOrSetAside is load for callers that are about to write. Damaged receipts
// are renamed, so that the next run can work, and never deleted: they may be
// all that is known of a trusted root.
func (r receipts) loadOrSetAside() ([]receipt, error) {
	all, err := r.load()
	if d, ok := errors.AsType[*damagedError](err); ok {
		aside := r.file() + damagedInfix + time.Now().UTC().Format("20060102T150405.000000000Z")
		if err := os.Rename(r.file(), aside); err != nil {
			return nil, fmt.Errorf("%v; keep them aside: %v", d, err)
		}
		return nil, fmt.Errorf("%v; they are kept as %s, the next run starts without them", d, aside)
	}
	return all, err
}

// aside returns the files that loadOrSetAside has kept.
func (r receipts) aside() []string {
	entries, _ := os.ReadDir(r.dir)
	var files []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), receiptsName+damagedInfix) {
			files = append(files, filepath.Join(r.dir, e.Name()))
		}
	}
	return files
}

// add records that n is about to happen, and writes nothing if that is known.
// A receipt whose root was taken out behind our back waits for confirm again,
// so that whoever watches the file sees this change, too.
func (r receipts) add(n receipt) error {
	all, err := r.load()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, n.same)
	switch {
	case i < 0:
		n.Time = now()
		all = append(all, n.heir(all))
	case all[i].Verified.IsZero():
		return nil
	default:
		all[i].Verified = time.Time{}
	}
	return r.save(all)
}

// heir returns n with what the other receipts of its store say was made for
// that: whichever root goes last takes it along.
func (r receipt) heir(all []receipt) receipt {
	for _, o := range all {
		if r.Made == nil && o.sharesPlace(r) {
			r.Made = o.Made
		}
	}
	return r
}

// sharesPlace reports whether r and o speak of one store, or of one database as
// the store of roots and that of client certificates.
func (r receipt) sharesPlace(o receipt) bool {
	place := func(kind string) string {
		if kind == kindClient {
			return kindNSS
		}
		return kind
	}
	return place(r.Kind) == place(o.Kind) && r.Location == o.Location
}

// confirm records that n has happened, and writes nothing if that is known.
func (r receipts) confirm(n receipt) error {
	all, err := r.load()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, n.same)
	if i < 0 {
		i, n.Time = len(all), now()
		all = append(all, n.heir(all))
	}
	if !all[i].Verified.IsZero() {
		return nil
	}
	all[i].Verified = now()
	return r.save(all)
}

func now() time.Time { return time.Now().UTC().Truncate(time.Second) }

// drop forgets o. With the last receipt the file goes too.
func (r receipts) drop(o receipt) error {
	all, err := r.load()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, o.same)
	if len(all) > 0 {
		return r.save(all)
	}
	if err := os.Remove(r.file()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (r receipts) save(all []receipt) error {
	data, err := json.MarshalIndent(ledger{Version: receiptsVersion, Receipts: all}, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Replace(r.file(), append(data, '\n'), 0o600)
}

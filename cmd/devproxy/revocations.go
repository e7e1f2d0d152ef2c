package main

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/big"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"devproxy/internal/issuer"
	"devproxy/internal/ledger"
)

// revocations says which client certificates a running server refuses. refuse
// may be called concurrently, everything else runs on one goroutine.
type revocations struct {
	state string // folder
	fixed string // what to do about a ledger that cannot be read
	log   *zap.Logger

	changing sync.Mutex // held while answers are replaced
	answers  atomic.Pointer[refusals]

	told *refusals // what load reported last
}

// refusals is one state of affairs and never changes.
type refusals struct {
	// The reason for each serial number. A fingerprint would not do: whoever
	// has a certificate can write its signature in another valid way (ECDSA),
	// and so change the one but not the other.
	reasons map[string]error

	file   fs.FileInfo // of the ledger that was read; nil if there was none
	ours   []byte      // the DER name of the issuer of our certificates
	broken error       // why the ledger cannot be read; then all of ours are refused
	gone   bool        // the ledger was there and is not any more
}

var errUnknownRevocations = errors.New("it may be revoked: the list of those that are cannot be read at the moment")

// newRevocations reads the ledger in state for the first time. A ledger that
// cannot be read is no reason not to serve.
func newRevocations(a *app, state string, ca *issuer.CA, log *zap.Logger) *revocations {
	r := &revocations{state: state, fixed: "put it right, it is read again at once; see " + a.command("cert list"), log: log}
	r.answers.Store(&refusals{ours: ca.Intermediate().RawSubject})
	r.read()
	r.told = r.answers.Load()
	return r
}

// refuse returns why the client certificate cert is not accepted, a clause that
// begins with "it", and nil if it is accepted. It does not wait for load to be
// called: what was revoked a moment ago is refused now, for the price of one
// look at the file's inode.
func (r *revocations) refuse(cert *x509.Certificate) error {
	now := r.answers.Load()
	if !sameFile(now.file, r.look()) {
		r.read()
		now = r.answers.Load()
	}
	if now.broken != nil && bytes.Equal(cert.RawIssuer, now.ours) {
		return errUnknownRevocations
	}
	return now.reasons[serialKey(cert.SerialNumber)]
}

// look returns what can be seen of the ledger without reading it; nil if there
// is none.
func (r *revocations) look() fs.FileInfo {
	info, err := os.Lstat(ledger.Path(r.state))
	if err != nil {
		return nil
	}
	return info
}

// sameFile reports whether a ledger, which is only ever replaced, is the one it
// was.
func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// serialKey is a serial number as it can be looked up.
func serialKey(serial *big.Int) string { return string(serial.Bytes()) }

// load follows the ledger and reports whether answers are others than at the
// last call.
func (r *revocations) load() (changed bool) {
	r.read()
	now := r.answers.Load()
	changed = !now.same(r.told)
	r.told = now
	return changed
}

// read replaces the answers by those of the ledger. What was known stays where
// that does not say otherwise: nobody becomes welcome again because a file is
// gone.
func (r *revocations) read() {
	r.changing.Lock()
	defer r.changing.Unlock()
	old := r.answers.Load()
	next := &refusals{file: r.look(), ours: old.ours, reasons: old.reasons}
	entries, err := ledger.Read(r.state)
	if err == nil && entries != nil {
		next.reasons = reasonsOf(entries)
	}
	next.broken = err
	next.gone = err == nil && entries == nil && len(old.reasons) > 0
	r.answers.Store(next)
	if next.same(old) {
		return
	}
	file := zap.String("file", ledger.Path(r.state))
	switch {
	case next.broken != nil:
		r.log.Error("what was revoked cannot be read: no client certificate of our CA is accepted",
			file, zap.Error(next.broken), zap.String("hint", r.hint(next.broken)))
	case next.gone:
		r.log.Error("the list of issued certificates is gone, what it revoked stays so until the next start", file)
	default:
		r.log.Info("revoked certificates loaded", file, zap.Int("revoked", len(next.reasons)))
	}
}

// same reports whether both refuse the same for the same reasons.
func (s *refusals) same(o *refusals) bool {
	return s.gone == o.gone && sameText(s.broken, o.broken) && maps.EqualFunc(s.reasons, o.reasons, sameText)
}

// hint says what to do about an error of the ledger.
func (r *revocations) hint(err error) string {
	if e, ok := errors.AsType[*ledger.Error](err); ok && e.Hint != "" {
		return e.Hint
	}
	return r.fixed
}

// use takes another CA for ours.
func (r *revocations) use(ca *issuer.CA) {
	r.changing.Lock()
	defer r.changing.Unlock()
	next := *r.answers.Load()
	next.ours = ca.Intermediate().RawSubject
	r.answers.Store(&next)
}

// reasonsOf returns why certificates are refused, by serialKey.
func reasonsOf(entries []ledger.Entry) map[string]error {
	reasons := make(map[string]error)
	for _, e := range entries {
		if !e.Revoked.IsZero() {
			reasons[serialKey(e.Number())] = fmt.Errorf("it was revoked on %s", e.Revoked.Format(time.DateTime+" UTC"))
		}
	}
	return reasons
}

func sameText(a, b error) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Error() == b.Error()
}

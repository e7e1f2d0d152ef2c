package main

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"math/big"
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

	answers atomic.Pointer[refusals]
}

// refusals is one state of affairs and never changes.
type refusals struct {
	// The reason for each serial number. A fingerprint would not do: whoever
	// has a certificate can write its signature in another valid way (ECDSA),
	// and so change the one but not the other.
	reasons map[string]error

	ours   []byte // the DER name of the issuer of our certificates
	broken error  // why the ledger cannot be read; then all of ours are refused
	gone   bool   // the ledger was there and is not any more
}

var errUnknownRevocations = errors.New("it may be revoked: the list of those that are cannot be read at the moment")

// newRevocations reads the ledger in state for the first time. A ledger that
// cannot be read is no reason not to serve.
func newRevocations(a *app, state string, ca *issuer.CA, log *zap.Logger) *revocations {
	r := &revocations{state: state, fixed: "put it right, it is read again at once; see " + a.command("cert list"), log: log}
	r.answers.Store(&refusals{ours: ca.Intermediate().RawSubject})
	r.load()
	return r
}

// refuse returns why the client certificate cert is not accepted, a clause that
// begins with "it", and nil if it is accepted.
func (r *revocations) refuse(cert *x509.Certificate) error {
	now := r.answers.Load()
	if now.broken != nil && bytes.Equal(cert.RawIssuer, now.ours) {
		return errUnknownRevocations
	}
	return now.reasons[serialKey(cert.SerialNumber)]
}

// serialKey is a serial number as it can be looked up.
func serialKey(serial *big.Int) string { return string(serial.Bytes()) }

// load follows the ledger and reports whether answers may be others now. What
// was known stays where the ledger does not say otherwise: nobody becomes
// welcome again because a file is gone.
func (r *revocations) load() (changed bool) {
	old := r.answers.Load()
	next := &refusals{ours: old.ours, reasons: old.reasons}
	entries, err := ledger.Read(r.state)
	if err == nil && entries != nil {
		next.reasons = reasonsOf(entries)
	}
	next.broken = err
	next.gone = err == nil && entries == nil && len(old.reasons) > 0
	if next.gone == old.gone && sameText(next.broken, old.broken) && maps.EqualFunc(next.reasons, old.reasons, sameText) {
		return false
	}
	r.answers.Store(next)
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
	return true
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

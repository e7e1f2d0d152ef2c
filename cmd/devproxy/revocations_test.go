package main

import (
	"crypto/x509"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"devproxy/internal/issuer"
	"devproxy/internal/ledger"
)

// A revocable is a CA with a ledger, and the revocations that follow it.
type revocable struct {
	state string
	ca    *issuer.CA
	logs  *observer.ObservedLogs
	*revocations
}

// newRevocable starts with the given content of the ledger, "" being none.
func newRevocable(t testing.TB, content string) *revocable {
	t.Helper()
	f := &revocable{state: filepath.Join(t.TempDir(), "state")}
	var err error
	if f.ca, _, err = issuer.LoadOrCreate(f.state, nil); err != nil {
		t.Fatal(err)
	}
	if content != "" {
		f.write(t, content)
	}
	core, logs := observer.New(zap.InfoLevel)
	f.logs = logs
	a := newApp([]string{"devproxy"}, func(string) string { return "" }, nil, nil, nil)
	f.revocations = newRevocations(a, f.state, f.ca, zap.New(core))
	return f
}

func (f *revocable) write(t testing.TB, content string) {
	t.Helper()
	if err := os.WriteFile(ledger.Path(f.state), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// ours returns a certificate as the CA issues them, as far as refuse looks.
func (f *revocable) ours(serial int64) *x509.Certificate {
	return &x509.Certificate{SerialNumber: big.NewInt(serial), RawIssuer: f.ca.Intermediate().RawSubject}
}

func (f *revocable) issue(t testing.TB, serial int64) {
	t.Helper()
	now := time.Now()
	err := ledger.Add(t.Context(), f.state, ledger.Entry{
		Serial: fmt.Sprintf("%x", serial), Kind: ledger.Client, Names: []string{"alice"},
		Fingerprint: strings.Repeat("ab", 32), Root: sum(f.ca.Root()),
		NotBefore: now, NotAfter: now.AddDate(0, 0, 1), Issued: now,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
}

func (f *revocable) revoke(t testing.TB, serial int64) {
	t.Helper()
	if _, err := ledger.Revoke(t.Context(), f.state, fmt.Sprintf("%x", serial), time.Now(), nil); err != nil {
		t.Fatal(err)
	}
}

// serials of certificates; the first has an odd number of hex digits.
const (
	aliceSerial = 0xa1b2c3d4e
	bobSerial   = 0xf1b2c3d4ef
)

func TestRevocationsFollowTheLedger(t *testing.T) {
	f := newRevocable(t, "")
	f.issue(t, aliceSerial)
	f.issue(t, bobSerial)
	if f.load() {
		t.Error("issuing changes what is refused")
	}
	f.revoke(t, aliceSerial)
	if err := f.refuse(f.ours(aliceSerial)); err == nil {
		t.Error("accepted until somebody says that the ledger has changed")
	}
	if !f.load() {
		t.Error("revoking changes nothing")
	}
	if err := f.refuse(f.ours(aliceSerial)); err == nil || !strings.Contains(err.Error(), "it was revoked on 20") {
		t.Errorf("the revoked certificate: %v, want that it was revoked", err)
	}
	if err := f.refuse(f.ours(bobSerial)); err != nil {
		t.Errorf("the other certificate: %v", err)
	}
	if f.load() {
		t.Error("reading the same again is a change")
	}

	// The ledger goes: what it said stays, until a new one says otherwise.
	if err := os.Remove(ledger.Path(f.state)); err != nil {
		t.Fatal(err)
	}
	f.load()
	f.load()
	if f.refuse(f.ours(aliceSerial)) == nil || f.refuse(f.ours(bobSerial)) != nil {
		t.Error("without the file the answers are others")
	}
	if got := f.logs.FilterMessageSnippet("is gone").Len(); got != 1 {
		t.Errorf("said %d times that it is gone, want once", got)
	}

	// The next start reads it at once.
	f.issue(t, bobSerial)
	f.revoke(t, bobSerial)
	again := newRevocations(&app{}, f.state, f.ca, zap.NewNop())
	if again.refuse(f.ours(bobSerial)) == nil || again.refuse(f.ours(aliceSerial)) != nil {
		t.Error("after the start the answers are not those of the ledger")
	}
}

// TestUnreadableRevocations must fail closed, for our certificates only.
func TestUnreadableRevocations(t *testing.T) {
	foreign := &x509.Certificate{SerialNumber: big.NewInt(1), RawIssuer: []byte("another CA")}
	f := newRevocable(t, "")
	f.issue(t, aliceSerial)
	f.revoke(t, aliceSerial)
	good, err := os.ReadFile(ledger.Path(f.state))
	if err != nil {
		t.Fatal(err)
	}

	f = newRevocable(t, "{") // from the start
	for range 2 {
		f.load()
	}
	lines := f.logs.FilterMessageSnippet("no client certificate of our CA is accepted")
	if lines.Len() != 1 {
		t.Fatalf("%d error lines, want one", lines.Len())
	}
	if fields := lines.All()[0].ContextMap(); fields["file"] != ledger.Path(f.state) || !strings.Contains(fmt.Sprint(fields["hint"]), "restore it from a backup") {
		t.Errorf("the line has %v, want the file and what to do", fields)
	}
	if err := f.refuse(f.ours(bobSerial)); err == nil {
		t.Error("a certificate of ours is accepted")
	}
	if err := f.refuse(foreign); err != nil {
		t.Errorf("a certificate of another CA: %v", err)
	}

	// A rotation does not let anybody in.
	next, err := issuer.Rotate(f.state, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.use(next)
	f.ca = next
	if f.refuse(f.ours(bobSerial)) == nil {
		t.Error("a certificate of the new CA is accepted")
	}

	// Mended, it counts again.
	f.write(t, string(good))
	if !f.load() {
		t.Error("mending it changes nothing")
	}
	if f.refuse(f.ours(bobSerial)) != nil || f.refuse(f.ours(aliceSerial)) == nil {
		t.Error("the mended ledger is not followed")
	}

	// Broken later, what was revoked stays revoked, also for other CAs that
	// have the old certificates.
	f.write(t, "{")
	f.load()
	old := f.ours(aliceSerial)
	old.RawIssuer = foreign.RawIssuer
	if f.refuse(old) == nil || f.refuse(f.ours(bobSerial)) == nil || f.refuse(foreign) != nil {
		t.Error("broken while it runs, the answers are not those of a broken ledger")
	}
}

// BenchmarkRefuse is what each request of a host with client_auth pays for a
// revocation that takes effect at once.
func BenchmarkRefuse(b *testing.B) {
	f := newRevocable(b, "")
	f.issue(b, aliceSerial)
	f.load()
	cert := f.ours(aliceSerial)
	for b.Loop() {
		if err := f.refuse(cert); err != nil {
			b.Fatal(err)
		}
	}
}

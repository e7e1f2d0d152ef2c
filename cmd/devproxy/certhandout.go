package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"

	"devproxy/internal/certfile"
	"devproxy/internal/issuer"
	"devproxy/internal/ledger"
)

// handOut puts a certificate of ca and what belongs to it in place. It is on
// record before it exists as a file: what was handed out can be revoked, also
// after a crash at any moment.
func (a *app) handOut(ctx context.Context, state string, ca *issuer.CA, e ledger.Entry, out *certOutputs) error {
	e.Root = sum(ca.Root())
	e.Issued = time.Now()
	if err := ledger.Add(ctx, state, e, a.waitingForFolder); err != nil {
		return a.ledgerError(err)
	}
	err := out.put()
	if err == nil {
		return nil
	}
	if path := out.inPlace(); path != "" { // --force may stop between two names
		a.ui.note(fmt.Sprintf("%s is the new one already, so %s has it", path, a.command("cert list")))
		return err
	}
	// Nobody has it. If the record cannot be taken back it does no harm.
	if forgetErr := ledger.Forget(context.WithoutCancel(ctx), state, e.Serial, a.waitingForFolder); forgetErr != nil {
		a.ui.note(fmt.Sprintf("%s goes on listing it, though no file was written: %v", a.command("cert list"), forgetErr))
	}
	return err
}

// entryOf describes a certificate of a server or a client for the ledger.
func entryOf(cert *x509.Certificate, client bool) ledger.Entry {
	kind, names := ledger.Server, serverNames(cert)
	if client {
		kind, names = ledger.Client, []string{cert.Subject.CommonName}
	}
	return ledger.Entry{
		Serial:      serialText(cert),
		Kind:        kind,
		Names:       names,
		Fingerprint: sum(cert),
		NotBefore:   cert.NotBefore,
		NotAfter:    cert.NotAfter,
	}
}

// serialText writes a serial number as the ledger has it.
func serialText(cert *x509.Certificate) string { return cert.SerialNumber.Text(16) }

// sum returns the SHA-256 of a certificate as the ledger has it.
func sum(cert *x509.Certificate) string {
	s := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(s[:])
}

// serverNames returns all that a server's certificate is for.
func serverNames(cert *x509.Certificate) []string {
	names := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// chainPEM returns a certificate with its issuer, if there is one, as servers
// and clients present it.
func chainPEM(issued *issuer.Issued) []byte {
	return certfile.EncodeCertificates(chainOf(issued)...)
}

func chainOf(issued *issuer.Issued) []*x509.Certificate {
	chain := []*x509.Certificate{issued.Certificate}
	if issued.Intermediate != nil {
		chain = append(chain, issued.Intermediate)
	}
	return chain
}

// printIssued says what was written, for whom and until when, then what to do
// with it.
func (a *app) printIssued(issued *issuer.Issued, names []string, out *certOutputs, next [][2]string) {
	cert := issued.Certificate
	a.ui.table(out.rows())
	a.printf("\n")
	left := int(time.Until(cert.NotAfter).Round(24*time.Hour).Hours() / 24)
	rows := [][]cell{
		{{"for", dim}, {someNames(names), ""}},
		{{"until", dim}, {fmt.Sprintf("%s, %s", cert.NotAfter.UTC().Format(time.DateOnly), count(left, "day")), ""}},
		{{"serial", dim}, {serialText(cert), ""}},
	}
	for _, line := range next {
		rows = append(rows, []cell{{line[0], dim}, {line[1], ""}})
	}
	a.ui.table(rows)
	a.notes(issued.Notes)
}

// inPython is the line of a table that says how Python loads a key and its
// certificate.
func inPython(certFile, keyFile string) [2]string {
	return [2]string{"Python", fmt.Sprintf("context.load_cert_chain(%s, %s)", strconv.Quote(certFile), strconv.Quote(keyFile))}
}

func (a *app) notes(notes []string) {
	for _, note := range notes {
		a.ui.note(note)
	}
}

package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"devproxy/internal/certfile"
	"devproxy/internal/trust"
)

// trustClient puts the client certificate of a PKCS#12 file into the browsers.
func (a *app) trustClient(ctx context.Context, flags trustFlags) error {
	if flags.java != "" {
		return usagef("--java is about roots and does not go with --client")
	}
	state, err := a.stateDir()
	if err != nil {
		return err
	}
	stores, err := a.stores(state, nil, flags)
	if err != nil {
		return err
	}
	if !stores.TakesClients() {
		return withHint(errors.New("devproxy cannot put client certificates into browsers on this system"), "%s", importByHand(flags.client))
	}
	client, err := a.readClient(ctx, flags)
	if err != nil {
		return err
	}
	if err := a.checkClient(client, time.Now()); err != nil {
		return err
	}
	if flags.dryRun {
		steps, err := stores.PlanClient(ctx, client)
		if err != nil {
			return err
		}
		a.printSteps(steps)
		return nil
	}
	a.printf("the client certificate of %s, valid until %s\n", printable(clientName(client.Certificate)),
		client.Certificate.NotAfter.Local().Format(time.DateOnly))
	found, err := stores.InstallClient(ctx, client)
	if err != nil {
		return a.storesError(err)
	}
	if len(found) == 0 {
		return withHint(fmt.Errorf("%w: there is no Chromium and no Firefox on this machine", errTrustIncomplete),
			"curl takes certificate and key as PEM: curl --cert CERTIFICATE.pem --key KEY.pem")
	}
	if ctx.Err() != nil {
		a.storeTable(changed(found), a.clientWord)
		return errInterrupted
	}
	a.storeTable(found, a.clientWord)
	if !allTrusted(found) {
		return errTrustIncomplete
	}
	return nil
}

// untrustClient takes one client certificate out of the browsers. Its key is
// not needed for that, nor has it to be valid still.
func (a *app) untrustClient(ctx context.Context, flags trustFlags) error {
	state, err := a.stateDir()
	if err != nil {
		return err
	}
	stores, err := a.stores(state, nil, flags)
	if err != nil {
		return err
	}
	cert, err := a.readClientCertificate(ctx, flags)
	if err != nil {
		return err
	}
	if flags.dryRun {
		steps, err := stores.PlanRemoveClient(ctx, cert)
		if err != nil {
			return err
		}
		a.printSteps(steps)
		return nil
	}
	found, err := stores.RemoveClient(ctx, cert)
	if err != nil {
		return a.storesError(err)
	}
	if len(found) == 0 {
		a.printf("nothing to take out: no store was given the certificate of %s\n", printable(clientName(cert)))
		return nil
	}
	return a.removed(ctx, found)
}

// clientWord says in a word what came of a client certificate in a store.
func (a *app) clientWord(s trust.Status) cell {
	switch {
	case s.State == trust.Trusted && s.Changed:
		return a.ui.mark(true, "added")
	case s.State == trust.Trusted:
		return a.ui.mark(true, "there already")
	case s.State == trust.NotTrusted:
		return a.ui.mark(false, "not there")
	}
	return cell{"cannot tell", yellow}
}

// importByHand says how a client certificate is imported where devproxy does
// not.
func importByHand(file string) string {
	way := "in its certificate settings"
	switch runtime.GOOS {
	case "darwin":
		way = "by opening it in Keychain Access, login keychain, for Safari and Chrome, and in Firefox's own certificate settings"
	case "windows":
		way = "by opening it, for Chrome and Edge, and in Firefox's own certificate settings"
	}
	return "import " + printable(file) + " " + way
}

// readClientCertificate returns the first certificate of a file.
func (a *app) readClientCertificate(ctx context.Context, flags trustFlags) (*x509.Certificate, error) {
	data, content, err := readClientFile(flags.client)
	if err != nil {
		return nil, err
	}
	certs := content.Certificates
	if content.PKCS12 {
		if _, certs, err = a.openPKCS12(ctx, flags.client, data, flags.passwordFile); err != nil {
			return nil, err
		}
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("read %s: no certificate in it", flags.client)
	}
	return certs[0], nil
}

// readClient opens a PKCS#12 file. What is in it may be of any kind still.
func (a *app) readClient(ctx context.Context, flags trustFlags) (trust.Client, error) {
	data, content, err := readClientFile(flags.client)
	if err != nil {
		return trust.Client{}, err
	}
	if !content.PKCS12 {
		return trust.Client{}, withHint(fmt.Errorf("read %s: not a PKCS#12 file", flags.client),
			"openssl pkcs12 -export -in CERTIFICATE.pem -inkey KEY.pem -out CLIENT.p12 makes one of PEM files")
	}
	key, chain, err := a.openPKCS12(ctx, flags.client, data, flags.passwordFile)
	if err != nil {
		return trust.Client{}, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok || len(chain) == 0 {
		return trust.Client{}, withHint(fmt.Errorf("read %s: no private key in it, with which a browser could prove that the certificate is its own", flags.client),
			"export the certificate together with its key")
	}
	if !certfile.Fits(chain[0].PublicKey, signer) {
		return trust.Client{}, fmt.Errorf("read %s: the private key in it is not that of a certificate in it", flags.client)
	}
	path, err := filepath.Abs(flags.client)
	if err != nil {
		return trust.Client{}, err
	}
	return trust.Client{Certificate: chain[0], Key: signer, Chain: issuers(chain[0], chain[1:]), File: path}, nil
}

func readClientFile(path string) ([]byte, *certfile.Content, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for its writer
		return nil, nil, fmt.Errorf("read %s: not a regular file", path)
	}
	data, err := readFile(path)
	if err != nil {
		return nil, nil, err
	}
	content, err := certfile.Parse(data)
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %v", path, err)
	}
	return data, content, nil
}

// maxChainChecks bounds the signatures that are looked at in a file, whose author
// can give all its certificates one name. It leaves room for cross-signed CAs.
const maxChainChecks = 100

// issuers returns those of others that lead from leaf towards its root, without
// that: servers have it.
func issuers(leaf *x509.Certificate, others []*x509.Certificate) []*x509.Certificate {
	var chain []*x509.Certificate
	checks := 0
	for at := leaf; ; {
		i := slices.IndexFunc(others, func(c *x509.Certificate) bool {
			if !bytes.Equal(at.RawIssuer, c.RawSubject) || checks == maxChainChecks {
				return false
			}
			checks++
			return at.CheckSignatureFrom(c) == nil
		})
		if i < 0 || bytes.Equal(others[i].RawIssuer, others[i].RawSubject) || slices.Contains(chain, others[i]) {
			return chain
		}
		at = others[i]
		chain = append(chain, at)
	}
}

// checkClient refuses a certificate that no server would take from a client.
func (a *app) checkClient(c trust.Client, now time.Time) error {
	cert, file := c.Certificate, c.File
	day := func(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }
	usages := cert.ExtKeyUsage
	switch {
	case now.After(cert.NotAfter):
		return fmt.Errorf("%s: the certificate expired on %s", file, day(cert.NotAfter))
	case now.Before(cert.NotBefore):
		return fmt.Errorf("%s: the certificate is not valid before %s", file, day(cert.NotBefore))
	case cert.IsCA:
		return fmt.Errorf("%s: the certificate is that of a CA, not of a client", file)
	case len(usages)+len(cert.UnknownExtKeyUsage) > 0 &&
		!slices.Contains(usages, x509.ExtKeyUsageClientAuth) && !slices.Contains(usages, x509.ExtKeyUsageAny):
		return withHint(fmt.Errorf("%s: the certificate is not for clients: its extended key usage lacks clientAuth", file),
			"%s makes one that is", a.command("cert issue --client NAME --p12"))
	}
	return nil
}

// clientName is whom a certificate speaks of, for people.
func clientName(cert *x509.Certificate) string {
	switch {
	case cert.Subject.CommonName != "":
		return cert.Subject.CommonName
	case len(cert.EmailAddresses) > 0:
		return cert.EmailAddresses[0]
	case len(cert.DNSNames) > 0:
		return cert.DNSNames[0]
	case cert.Subject.String() != "":
		return cert.Subject.String()
	}
	return "somebody without a name"
}

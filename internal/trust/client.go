package trust

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"slices"
)

// A Client is a certificate by which a person's browsers say who they are.
type Client struct {
	Certificate *x509.Certificate
	Key         crypto.Signer // of Certificate

	// Chain are the certificates between Certificate and its root, which
	// browsers need to see that a server asks for this one.
	Chain []*x509.Certificate

	// File is where all that comes from, for hints.
	File string
}

func (c Client) anchor() anchor {
	sum := fingerprint(sha256.Sum256(c.Certificate.Raw))
	return anchor{sum: sum, name: anchorName(sum), file: c.File, client: &c}
}

// InstallClient puts a client certificate with its private key into the
// databases of this person's browsers, where Install would put a root. It
// changes nobody's trust. Its Status is that of Install, with Trusted for a
// store from which browsers can present the certificate. The error matches
// errors.ErrUnsupported on systems where browsers keep them elsewhere.
func (m *Machine) InstallClient(ctx context.Context, c Client) ([]Status, error) {
	if !m.TakesClients() {
		return nil, errors.ErrUnsupported
	}
	return m.installInAll(ctx, c.anchor(), m.findClients)
}

// PlanClient returns what InstallClient would do now. It changes nothing.
func (m *Machine) PlanClient(ctx context.Context, c Client) ([]Step, error) {
	if !m.TakesClients() {
		return nil, errors.ErrUnsupported
	}
	return m.planAll(ctx, c.anchor(), m.findClients), nil
}

// RemoveClient is Remove for one client certificate.
func (m *Machine) RemoveClient(ctx context.Context, cert *x509.Certificate) ([]Status, error) {
	sum := fingerprint(sha256.Sum256(cert.Raw))
	return m.remove(ctx, nil, func(r receipt) bool { return r.Kind == kindClient && r.sum() == sum })
}

// PlanRemoveClient returns what RemoveClient would do now. It changes nothing.
func (m *Machine) PlanRemoveClient(ctx context.Context, cert *x509.Certificate) ([]Step, error) {
	sum := fingerprint(sha256.Sum256(cert.Raw))
	return m.planRemove(ctx, nil, func(r receipt) bool { return r.Kind == kindClient && r.sum() == sum })
}

// TakesClients reports whether InstallClient can do anything on this system.
func (m *Machine) TakesClients() bool {
	return slices.ContainsFunc(m.kinds, func(k kind) bool { return k.findClients != nil })
}

// findClients returns the stores for client certificates, and what is to be
// said of those that cannot be worked on.
func (m *Machine) findClients(a anchor) (stores []store, notices []Status) {
	for _, k := range m.kinds {
		if k.findClients == nil {
			continue
		}
		s, n := k.findClients(m, a)
		for i := range n {
			n[i].Client = true
		}
		stores, notices = append(stores, s...), append(notices, n...)
	}
	return stores, notices
}

// looseLinks returns the certificates that stand between client certificates
// of ours and their roots, by their nicknames in a database, and that none of
// ours needs once the client certificates of but are gone.
func looseLinks(held map[string]*x509.Certificate, but []anchor) map[string]fingerprint {
	loose, needing := map[string]fingerprint{}, map[string]*x509.Certificate{}
	for name, cert := range held {
		sum := fingerprint(sha256.Sum256(cert.Raw))
		switch {
		case name == linkName(sum):
			loose[name] = sum
		case isClientName(name) && !slices.ContainsFunc(but, func(a anchor) bool { return a.sum == sum }):
			needing[name] = cert
		}
	}
	for len(needing) > 0 {
		next := map[string]*x509.Certificate{}
		for name := range loose {
			for _, below := range needing {
				if string(below.RawIssuer) == string(held[name].RawSubject) {
					next[name] = held[name]
				}
			}
		}
		for name := range next {
			delete(loose, name)
		}
		needing = next
	}
	return loose
}

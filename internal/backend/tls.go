package backend

import (
	"context"
	"crypto/tls"
	"crypto/x509"
)

// Probe reports whether a target accepts connections and, if it is https, has a
// certificate that is accepted. It sends no request. It gives up when ctx ends,
// at the latest after 5 seconds for each address and for the handshake.
func Probe(ctx context.Context, t Target, roots func() *x509.CertPool) error {
	p := newPool(t, roots)
	c, _, err := p.dialer.dial(ctx, t)
	if err != nil {
		return err
	}
	defer c.Close()
	if t.Scheme != "https" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return tls.Client(c, p.tlsConfig()).HandshakeContext(ctx)
}

// tlsConfig verifies the backend's certificate itself: the anchors may change
// while the transport lives, and its name need not be the host that is dialled.
func (p *Pool) tlsConfig() *tls.Config {
	config := &tls.Config{ServerName: p.target.ServerName, InsecureSkipVerify: true}
	if p.target.Insecure {
		return config
	}
	config.VerifyConnection = func(state tls.ConnectionState) error {
		options := x509.VerifyOptions{DNSName: p.target.ServerName, Intermediates: x509.NewCertPool()}
		if p.roots != nil {
			options.Roots = p.roots()
		}
		for _, cert := range state.PeerCertificates[1:] {
			options.Intermediates.AddCert(cert)
		}
		_, err := state.PeerCertificates[0].Verify(options)
		if err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
		}
		return nil
	}
	return config
}

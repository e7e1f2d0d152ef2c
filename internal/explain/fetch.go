package explain

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// Presented is what a server showed in a handshake.
type Presented struct {
	Chain       []*x509.Certificate // as sent, the server's own first
	Version     string              // of TLS, such as "TLS 1.3"
	CipherSuite string              // its IANA name
	ALPN        string              // the protocol chosen of h2 and http/1.1; "" if none
	AsksClient  bool                // it asks for a client certificate; none was sent
}

// patience bounds connection and handshake together, if ctx does not sooner.
const patience = 10 * time.Second

// Bounds on a chain. The bytes are OpenSSL's default, beyond which its clients
// end the handshake, too.
const (
	maxCertificates = 32
	maxChainBytes   = 100 << 10
)

// Fetch makes one TLS handshake with addr, a host:port, without verification,
// and returns what the server presented. It asks for serverName, which is not
// sent if it is an IP address, and sends nothing after the handshake.
//
// A chain of more than 32 certificates or 100 KiB is an [OversizeError], and a
// server that does not speak TLS is [ErrNotTLS].
func Fetch(ctx context.Context, addr, serverName string) (Presented, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return Presented{}, fmt.Errorf("connect to %s: %w", addr, reason(err))
	}
	defer raw.Close()

	var presented Presented
	asks := false
	conn := tls.Client(raw, &tls.Config{
		ServerName:         canonical(serverName),
		InsecureSkipVerify: true, // Explain judges
		MinVersion:         tls.VersionTLS10,
		NextProtos:         []string{"h2", "http/1.1"},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asks = true
			return new(tls.Certificate), nil
		},
		// A server that wants a client certificate ends the handshake after this.
		VerifyConnection: func(s tls.ConnectionState) error {
			if err := bounded(s.PeerCertificates); err != nil {
				return err
			}
			presented = Presented{
				Chain:       s.PeerCertificates,
				Version:     tls.VersionName(s.Version),
				CipherSuite: tls.CipherSuiteName(s.CipherSuite),
				ALPN:        s.NegotiatedProtocol,
			}
			return nil
		},
	})
	err = conn.HandshakeContext(ctx)
	if len(presented.Chain) > 0 {
		presented.AsksClient = asks
		return presented, nil
	}
	if err == nil {
		return Presented{}, fmt.Errorf("TLS handshake with %s: the server sent no certificate", addr)
	}
	return Presented{}, fmt.Errorf("TLS handshake with %s: %w", addr, handshakeReason(err, serverName))
}

// An OversizeError is about a chain that nobody needs, so nobody looks at it.
type OversizeError struct{ Certificates, Bytes int }

func (e *OversizeError) Error() string {
	if e.Certificates > maxCertificates {
		return fmt.Sprintf("the server sends %d certificates; more than %d are not looked at", e.Certificates, maxCertificates)
	}
	return fmt.Sprintf("the server sends certificates of %d KiB together; clients with OpenSSL take %d KiB at the most", e.Bytes>>10, maxChainBytes>>10)
}

// bounded complains of a chain that is too large.
func bounded(chain []*x509.Certificate) error {
	size := 0
	for _, c := range chain {
		size += len(c.Raw)
	}
	if len(chain) > maxCertificates || size > maxChainBytes {
		return &OversizeError{len(chain), size}
	}
	return nil
}

// reason puts a network error in fewer words.
func reason(err error) error {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("connection refused: nothing listens there")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return errors.New("no answer in time")
	}
	// The address is in our own words already.
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// ErrNotTLS matches errors of Fetch about a server that does not speak TLS.
var ErrNotTLS = errors.New("the server does not speak TLS")

// A notTLS says what it speaks instead.
type notTLS string

func (e notTLS) Error() string        { return string(e) }
func (e notTLS) Is(target error) bool { return target == ErrNotTLS }

// handshakeReason says what a failed handshake means.
func handshakeReason(err error, serverName string) error {
	if record, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		if string(record.RecordHeader[:]) == "HTTP/" {
			return notTLS("the server speaks plain HTTP there, not TLS: use http:// or the port for https")
		}
		return notTLS("what answers there does not speak TLS")
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		// crypto/tls does not export its alerts; their words are those of RFC 8446, section 6.
		if op.Err.Error() == "tls: unrecognized name" {
			return fmt.Errorf("the server has no certificate for %s (alert unrecognized_name)", quote(serverName))
		}
		return fmt.Errorf("the server refused: %w", op.Err)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return errors.New("the server closed the connection without an answer")
	}
	return reason(err)
}

package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"

	"go.uber.org/zap"

	"devproxy/internal/hostname"
)

// The functions of this file tell a person why clients leave before they ask
// for anything. They look at a connection when it is over, so that none that
// works is slowed down. What clients do (devproxy measured curl, Python, Node,
// wget, git, Java, Go, Chromium and Firefox) leaves traces of three kinds:
//
//   - an alert, which Go, Java, GnuTLS, Chromium and Firefox send, and OpenSSL
//     over TLS 1.2. Firefox sends it after a handshake of TLS 1.2;
//   - over TLS 1.3 OpenSSL sends an alert that crypto/tls cannot decrypt;
//   - Node and Java's HttpClient say nothing and close, in the handshake.
//
// Node over TLS 1.2, wget and git close after the handshake, without a request,
// just as browsers do with connections they turn out not to need: nothing is
// said of these.

// tlsAlerts are the alerts by which a client rejects a certificate (RFC 8446,
// section 6.2), with what they mean here. Of the others nothing is said.
var tlsAlerts = []struct {
	alert  tls.AlertError
	reason string
}{
	{42, "bad certificate: it " + distrust},
	{43, "unsupported certificate"},
	{44, "certificate revoked"},
	{45, "certificate expired: is its clock right?"},
	{46, "certificate unknown: it " + distrust},
	{48, "unknown CA: it " + distrust},
}

const (
	distrust = "probably does not trust the root"

	// badRecordMAC is the alert with which crypto/tls answers what it cannot
	// decrypt.
	badRecordMAC = tls.AlertError(20)
)

// What the log says of clients that leave.
const (
	msgRejected  = "a client rejected our certificate"
	msgPlainHTTP = "a client spoke plain HTTP to the https port"
	msgNoRoute   = "a client asked for a host that no route has"
)

// connState is called by net/http at each change in the life of a connection.
func (p *Proxy) connState(conn net.Conn, state http.ConnState) {
	if client, ok := conn.(*tls.Conn); ok && state == http.StateClosed {
		p.clientLeft(client)
	}
}

// clientLeft looks at a connection that is closed.
func (p *Proxy) clientLeft(conn *tls.Conn) {
	// It returns the error that ended the connection, that of the handshake
	// included; else what arrived and was not read, or that it is closed.
	_, err := conn.Read(make([]byte, 1))
	if err == nil {
		return
	}
	state := conn.ConnectionState()
	if plain, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		// net/http answers most of these with a line of plain text that says the same.
		if port := addrPort(conn.LocalAddr()).Port(); looksLikeHTTP(plain.RecordHeader) && p.due(notice{kind: msgPlainHTTP}) {
			p.log.Warn(msgPlainHTTP, zap.Uint16("port", port), zap.String("hint", "begin its URL with https://"))
		}
		return
	}
	reason := rejection(err, state)
	if reason == "" {
		return
	}
	host, ok := servedName(conn, state)
	if !ok || !p.due(notice{msgRejected, host, reason}) {
		return
	}
	fields := []zap.Field{zap.String("host", host), zap.String("reason", reason)}
	if p.trustHint != nil {
		fields = append(fields, zap.String("hint", p.trustHint(host)))
	}
	p.log.Warn(msgRejected, fields...)
}

// rejection returns why a client rejected the certificate, or "" if it did not
// as far as can be seen.
func rejection(err error, state tls.ConnectionState) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		for _, a := range tlsAlerts {
			if isAlert(op, a.alert) {
				return a.reason
			}
		}
		return ""
	} else if ok && op.Op == "local error" {
		if state.Version == tls.VersionTLS13 && !state.HandshakeComplete && isAlert(op, badRecordMAC) {
			return "an alert that cannot be read: it " + distrust
		}
		return ""
	}
	// A version is chosen with the ClientHello: the certificate has followed.
	inHandshake := state.Version != 0 && !state.HandshakeComplete
	if inHandshake && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)) {
		return "it left when it saw it: it " + distrust
	}
	return ""
}

// isAlert compares with the alert in an error of crypto/tls, whose type is not
// exported. Its text is that of the exported one.
func isAlert(err *net.OpError, alert tls.AlertError) bool {
	return err.Err.Error() == alert.Error()
}

// servedName returns what the certificate of a connection was for.
func servedName(conn *tls.Conn, state tls.ConnectionState) (host string, ok bool) {
	if state.ServerName == "" {
		return addrPort(conn.LocalAddr()).Addr().Unmap().String(), true
	}
	// Of a name in another form there is no certificate to reject.
	host, err := hostname.Normalize(state.ServerName)
	return host, err == nil
}

// looksLikeHTTP reports whether a client has begun with a request line.
func looksLikeHTTP(begin [5]byte) bool {
	methods := []string{"GET /", "HEAD ", "POST ", "PUT /", "PATCH", "DELET", "OPTIO", "CONNE", "PRI *"}
	return slices.Contains(methods, string(begin[:]))
}

// certificate asks for the certificate of a handshake, and logs the name if
// there is none because no route has it.
func (p *Proxy) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	cert, err := p.getCertificate(hello)
	if cert != nil || err != nil {
		return cert, err
	}
	host, invalid := hostname.Normalize(hello.ServerName)
	if invalid != nil || p.table.Covers(host) || !p.due(notice{kind: msgNoRoute, host: host}) {
		return nil, nil
	}
	fields := []zap.Field{zap.String("host", host)}
	if near := p.table.current.Load().nearest(host); near != nil {
		fields = append(fields, zap.String("nearest", near.Host))
	}
	p.log.Warn(msgNoRoute, fields...)
	return nil, nil
}

// due reports whether n is to be logged now. It logs that there is too much
// of a kind, once.
func (p *Proxy) due(n notice) bool {
	due, more := p.notices.due(n)
	if more {
		p.log.Warn(n.kind, zap.String("reason", "many more; they are not listed for a minute"))
	}
	return due && !more
}

func addrPort(addr net.Addr) netip.AddrPort {
	tcp, _ := addr.(*net.TCPAddr)
	return tcp.AddrPort()
}

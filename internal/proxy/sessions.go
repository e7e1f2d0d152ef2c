package proxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"devproxy/internal/hostname"
)

// A connection is what is known of a client's connection beyond its TLS state.
// It comes with the context of the handshake, and of every request.
type connection struct {
	below *gatherer // nil: not one of Serve's

	local        netip.AddrPort // what the client connected to; the zero value if that is not TCP
	port, client string         // that port and the client's address, as backends are told; "": nobody knows

	asked *Anchors // in the handshake, for a certificate that leads to these; nil: for none

	verifying sync.Mutex // held while known is found anew
	known     atomic.Pointer[acquaintance]
}

// An acquaintance is what became of the search for a chain from a client's
// certificate to anchors.
type acquaintance struct {
	anchors *Anchors
	client  *identity // nil: there is none
	reason  string    // then: why
	until   time.Time // it has to be looked for anew after that
}

// strangerTime is how long a connection whose client's certificate leads nowhere
// is not searched again. What a client sends can make the search a thousand times
// as dear as a request.
const strangerTime = 10 * time.Second

// acquaint returns what is known of a client that has sent certificates. One
// request at a time finds it out, however many of a connection come at once.
func (c *connection) acquaint(anchors *Anchors, sent []*x509.Certificate, now time.Time) *acquaintance {
	if known := c.known.Load(); known.holds(anchors, now) {
		return known
	}
	c.verifying.Lock()
	defer c.verifying.Unlock()
	if known := c.known.Load(); known.holds(anchors, now) {
		return known
	}
	known := &acquaintance{anchors: anchors, until: now.Add(strangerTime)}
	chain, reason := anchors.verify(sent, now)
	if known.reason = reason; reason == "" {
		known.client = newIdentity(chain)
		known.until = known.client.until
	}
	c.known.Store(known)
	return known
}

// holds reports whether a, which may be nil, is about these anchors and counts.
func (a *acquaintance) holds(anchors *Anchors, now time.Time) bool {
	return a != nil && a.anchors.same(anchors) && !now.After(a.until)
}

type connectionKey struct{}

func withConnection(ctx context.Context, conn net.Conn) context.Context {
	c := &connection{below: gathererOf(conn)}
	if addr, ok := conn.LocalAddr().(*net.TCPAddr); ok {
		c.local, c.port = addr.AddrPort(), strconv.Itoa(addr.Port)
	}
	if client, _, err := net.SplitHostPort(conn.RemoteAddr().String()); err == nil {
		c.client, _, _ = strings.Cut(client, "%") // a zone means nothing elsewhere
	}
	return context.WithValue(ctx, connectionKey{}, c)
}

// connectionOf returns the connection of a request or a handshake.
func connectionOf(ctx context.Context) *connection {
	if conn, ok := ctx.Value(connectionKey{}).(*connection); ok {
		return conn
	}
	return new(connection) // not one of Serve's
}

// configFor returns the configuration for a handshake: that of all others, or
// one which asks for a certificate. It never insists on one: what a handshake
// refuses nobody can explain.
func (p *Proxy) configFor(base *tls.Config, hello *tls.ClientHelloInfo) *tls.Config {
	policy := p.table.current.Load().clients(hello.ServerName)
	if policy == nil {
		return nil
	}
	anchors := policy.anchors()
	connectionOf(hello.Context()).asked = anchors
	config := base.Clone()
	config.ClientAuth = tls.RequestClientCert
	config.ClientCAs = anchors.names // crypto/tls verifies nothing by them
	config.VerifyPeerCertificate = boundSent
	p.sessions.bind(config, anchors)
	return config
}

// maxSentCerts is how many bytes of certificates a client may send. crypto/tls
// keeps them, ten times as large in memory, for as long as the connection is
// open, whoever made them.
const maxSentCerts = 32 << 10

// boundSent ends the handshake of a client that sends more than maxSentCerts,
// for tls.Config.VerifyPeerCertificate.
func boundSent(raw [][]byte, _ [][]*x509.Certificate) error {
	size := 0
	for _, cert := range raw {
		size += len(cert)
	}
	if size > maxSentCerts {
		return fmt.Errorf("the client sends %d bytes of certificates, more than %d", size, maxSentCerts)
	}
	return nil
}

// clients returns what is asked of the clients of a host by its SNI; nil:
// nothing.
func (s *snapshot) clients(sni string) *ClientAuth {
	if !s.asks || sni == "" {
		return nil
	}
	if h := s.exact[sni]; h != nil {
		return h.clients
	}
	// Another spelling of an exact host must not be taken for one that a
	// wildcard matches.
	name, err := hostname.Normalize(sni)
	if err != nil {
		return nil
	}
	if h := s.host(name); h != nil {
		return h.clients
	}
	return nil
}

// sessions says which sessions are resumed. crypto/tls binds them to nothing.
type sessions struct {
	keys   *tls.Config                     // has the keys of tickets
	verify func(tls.ConnectionState) error // as Config.VerifyConnection; may be nil
	log    keyLog                          // as Config.KeyLog; may be nil

	refused refusedCerts
}

// sessionLabel begins the entry in a ticket that says what the session is for.
const sessionLabel = "devproxy session 1\x00"

// maxSessionCerts is how many bytes of certificates a client may have sent in a
// session that can be resumed.
const maxSessionCerts = 16 << 10

// sessionEntry describes a session: the host, what was asked for, and the
// client's certificate.
func sessionEntry(host string, asked *Anchors, certHash [sha256.Size]byte) []byte {
	askedFor := asked.hash()
	return bytes.Join([][]byte{[]byte(sessionLabel), askedFor[:], certHash[:], []byte(host)}, nil)
}

// bind has config resume the sessions that began with the same SNI, and in which
// the client was asked for the same.
//
// VerifyConnection can only fail a handshake, with an alert that speaks of a bad
// certificate. A session that it would not let resume is forgotten before, so
// that the client goes through a full handshake, in which GetCertificate answers
// for a host that is gone as it does for others.
func (s *sessions) bind(config *tls.Config, asked *Anchors) {
	config.WrapSession = func(state tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
		// A client that had no certificate may have one next time, so it is
		// asked again. And the certificates are in the ticket, for which there
		// are 64 KiB: crypto/tls would fail the handshake.
		size := 0
		for _, cert := range state.PeerCertificates {
			size += len(cert.Raw)
		}
		if asked != nil && (size == 0 || size > maxSessionCerts) {
			return []byte{0}, nil // nothing that can be resumed
		}
		session.Extra = append(session.Extra, sessionEntry(state.ServerName, asked, hashOfFirst(state.PeerCertificates)))
		return s.keys.EncryptTicket(state, session)
	}
	config.UnwrapSession = func(ticket []byte, state tls.ConnectionState) (*tls.SessionState, error) {
		// crypto/tls logs nothing of a session that TLS 1.2 resumes, and
		// Wireshark need not have seen its beginning.
		if state.Version < tls.VersionTLS13 && s.log.on() {
			return nil, nil
		}
		if state.DidResume = true; s.verify != nil && s.verify(state) != nil {
			return nil, nil
		}
		session, err := s.keys.DecryptTicket(ticket, state)
		if session == nil || err != nil {
			return nil, err
		}
		for _, entry := range session.Extra {
			hash, ok := certHashIn(entry)
			if ok && bytes.Equal(entry, sessionEntry(state.ServerName, asked, hash)) && !s.refused.has(refusedCert{asked.hash(), hash}) {
				return session, nil
			}
		}
		return nil, nil
	}
}

// certHashIn returns the hash of the client's certificate in a sessionEntry.
func certHashIn(entry []byte) (hash [sha256.Size]byte, ok bool) {
	const at = len(sessionLabel) + sha256.Size
	if len(entry) < at+len(hash) {
		return hash, false
	}
	return [sha256.Size]byte(entry[at : at+len(hash)]), true
}

// hashOfFirst returns the hash of the first of the certificates, zero if there
// is none.
func hashOfFirst(certs []*x509.Certificate) (hash [sha256.Size]byte) {
	if len(certs) > 0 {
		hash = sha256.Sum256(certs[0].Raw)
	}
	return hash
}

// refusedCerts are certificates that were not accepted of late, with the anchors
// of their host. A client that comes with one in a session gets the chance to
// choose another.
type refusedCerts struct {
	mu    sync.Mutex // guards known
	known map[refusedCert]bool
}

type refusedCert struct{ anchors, cert [sha256.Size]byte }

// maxRefused is how many certificates are remembered. Forgetting costs a client
// a page more that refuses it.
const maxRefused = 1000

func (r *refusedCerts) add(c refusedCert) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil || len(r.known) >= maxRefused {
		r.known = make(map[refusedCert]bool)
	}
	r.known[c] = true
}

func (r *refusedCerts) has(c refusedCert) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[c]
}

// A keyLog writes the secrets of handshakes to what the function returns at that
// moment. A file that cannot be written fails no handshake.
type keyLog func() io.Writer

// on reports whether secrets are written at the moment.
func (k keyLog) on() bool { return k != nil && k() != nil }

func (k keyLog) Write(line []byte) (int, error) {
	if w := k(); w != nil {
		_, _ = w.Write(line)
	}
	return len(line), nil
}

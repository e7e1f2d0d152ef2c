// Package issuer is devproxy's certificate authority. It keeps one CA on disk
// (Load, LoadOrCreate, Prepare), mints a leaf certificate for each host name
// during the TLS handshake (Issuer), and issues certificates for people to keep
// (CA.Issue, CA.SignRequest, SelfSigned).
//
// The CA is a root, whose key is dropped once it has signed the intermediate,
// and that intermediate, whose key signs leaves. Both carry the same critical
// name constraints, so whoever steals the state folder can sign for the names
// of this machine and for nothing else. How the certificates look is in ca.go
// and leaf.go, what is accepted from disk in parse.go, store.go and folder.go.
//
// It knows nothing of HTTP or of trust stores: which names are served is a
// function in Config, and the root is handed out as an *x509.Certificate.
package issuer

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"devproxy/internal/hostname"
)

// Config configures an Issuer.
type Config struct {
	// Permit returns nil if a leaf may be minted for host, a normalised name,
	// and otherwise why not. It is never asked about IP addresses. It runs in
	// every handshake, concurrently, so it must be fast. Nil permits every
	// name within the CA's constraints.
	Permit func(host string) error

	// Logger gets one info line for each certificate issued and one debug line
	// for each refusal. Nil logs nothing.
	Logger *zap.Logger
}

// An Issuer hands out leaf certificates to a TLS server: GetCertificate and
// VerifyConnection are made for the fields of tls.Config with these names. All
// methods may be called concurrently.
type Issuer struct {
	permit func(host string) error
	log    *zap.Logger

	// current is replaced as a whole by Use and Forget. A handshake loads it
	// once, so a leaf of an old CA is never kept among those of a new one.
	current atomic.Pointer[generation]
}

// New returns an Issuer that signs with ca, which must not be locked.
func New(ca *CA, cfg Config) (*Issuer, error) {
	if ca == nil {
		return nil, errors.New("issuer: no CA")
	}
	if ca.Locked() {
		return nil, fmt.Errorf("issuer: %w", errLocked)
	}
	i := &Issuer{permit: cfg.Permit, log: cfg.Logger}
	if i.permit == nil {
		i.permit = func(string) error { return nil }
	}
	if i.log == nil {
		i.log = zap.NewNop()
	}
	i.log = i.log.Named("issuer")
	i.current.Store(newGeneration(ca, i.log))
	return i, nil
}

// Use makes the Issuer sign with ca, which must be neither nil nor
// locked, from the next handshake on. All leaves are minted anew.
func (i *Issuer) Use(ca *CA) {
	i.current.Store(newGeneration(ca, i.log))
}

// Forget makes the Issuer mint every leaf anew. It is called after a change of
// trust, because browsers cache their verdict per leaf.
func (i *Issuer) Forget() {
	for {
		old := i.current.Load()
		if i.current.CompareAndSwap(old, newGeneration(old.ca, i.log)) {
			return
		}
	}
}

// GetCertificate returns the leaf for the server name of hello, followed by
// the intermediate, minting it if there is none or if the one at hand has less
// than a third of its life left. Without a server name, or with the address of
// the connection as one, the leaf is for that address.
//
// For a host that is not permitted it returns nil, nil. In a tls.Config
// without other certificates that sends the alert unrecognized_name, while an
// error would send internal_error, which says that the server is broken.
func (i *Issuer) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	g := i.current.Load()
	h, err := identify(hello.ServerName, localAddr(hello.Conn))
	if err == nil {
		err = i.permits(g.ca, h)
	}
	if err != nil {
		i.logRefusal(hello, err)
		return nil, nil
	}
	return g.leaf(h, wallClock())
}

// VerifyConnection fails if cs resumes a session for a host that is no longer
// permitted, or whose CA is no longer valid. In TLS 1.3 GetCertificate is not
// asked on resumption, so a ticket would otherwise outlive the route it was
// made for by up to seven days.
func (i *Issuer) VerifyConnection(cs tls.ConnectionState) error {
	if !cs.DidResume {
		return nil // GetCertificate was asked in this very handshake
	}
	ca := i.current.Load().ca
	if err := ca.checkTime(wallClock()); err != nil {
		return err
	}
	if cs.ServerName == "" {
		return nil // made for the listener's address, which routes do not change
	}
	// The state does not tell the local address. An address as server name was
	// compared with it when the session began.
	addr, _ := netip.ParseAddr(cs.ServerName)
	h, err := identify(cs.ServerName, addr)
	if err == nil {
		err = i.permits(ca, h)
	}
	if err != nil {
		return fmt.Errorf("resumed session: %v", err)
	}
	return nil
}

// permits returns nil if ca can and the configuration wants to answer for h.
func (i *Issuer) permits(ca *CA, h host) error {
	if h.addr.IsValid() {
		return ca.constraints.permitsAddr(h.addr)
	}
	if err := ca.constraints.permitsName(h.name); err != nil {
		return err
	}
	return i.permit(h.name)
}

func (i *Issuer) logRefusal(hello *tls.ClientHelloInfo, err error) {
	entry := i.log.Check(zap.DebugLevel, "no certificate for this host")
	if entry == nil {
		return
	}
	// Whatever a client sends as a name, up to 64 KiB, shall not fill the log.
	const most = 255
	fields := []zap.Field{
		zap.String("host", hello.ServerName[:min(len(hello.ServerName), most)]),
		zap.Error(err),
	}
	if hello.Conn != nil {
		fields = append(fields, zap.Stringer("remote", hello.Conn.RemoteAddr()))
	}
	entry.Write(fields...)
}

// A host is what one leaf is for: a normalised name or an address, never both.
// A leaf with an address besides a name is refused by clients that cannot
// evaluate constraints on addresses (clients.md §2).
type host struct {
	name string
	addr netip.Addr
}

func (h host) String() string {
	if h.addr.IsValid() {
		return h.addr.String()
	}
	return h.name
}

// addTo adds h to the SAN of template.
func (h host) addTo(template *x509.Certificate) {
	if h.addr.IsValid() {
		template.IPAddresses = append(template.IPAddresses, h.addr.AsSlice())
	} else {
		template.DNSNames = append(template.DNSNames, h.name)
	}
}

// identify returns the host that a client asks for with the server name sni,
// which may be empty, on a connection to local, which may be the zero Addr.
func identify(sni string, local netip.Addr) (host, error) {
	local = plainAddr(local)
	if sni == "" {
		if !local.IsValid() {
			return host{}, errors.New("neither a server name nor a local address")
		}
		return host{addr: local}, nil
	}
	name, err := hostname.Normalize(sni)
	if err == nil {
		return host{name: name}, nil
	}
	// RFC 6066, section 3, allows no address here, yet some clients send one.
	if addr, parseErr := netip.ParseAddr(sni); parseErr == nil && plainAddr(addr) == local {
		return host{addr: local}, nil
	}
	return host{}, err
}

// localAddr returns the address conn was accepted on, or the zero Addr if it
// has none.
func localAddr(conn net.Conn) netip.Addr {
	if conn == nil {
		return netip.Addr{}
	}
	if a, ok := conn.LocalAddr().(interface{ AddrPort() netip.AddrPort }); ok {
		return a.AddrPort().Addr()
	}
	return netip.Addr{}
}

// plainAddr returns addr as it can stand in a certificate: no zone, and IPv4
// as such also on a socket for both families.
func plainAddr(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// wallClock returns the time without its monotonic reading, which stands
// still while the machine sleeps. Certificates go by the wall clock.
func wallClock() time.Time { return time.Now().Round(0) }

package issuer

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"devproxy/internal/hostname"
)

// under permits names in domains only.
func under(domains ...string) func(string) error {
	return func(name string) error {
		for _, d := range domains {
			if hostname.Within(name, d) {
				return nil
			}
		}
		return fmt.Errorf("%q is not served", name)
	}
}

// alert returns what the other side said before it hung up.
func alert(err error) string {
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "remote error" {
		return e.Err.Error()
	}
	return ""
}

const unrecognizedName = "tls: unrecognized name"

func TestHandshake(t *testing.T) {
	ca := makeCA(t, "shop.example.dev")
	i, logs := makeIssuer(t, ca, under("shop.localhost", "xn--bcher-kva.test", "shop.example.dev", "bank.example"))
	s := serve(t, "tcp4", "127.0.0.1:0", i)

	for _, tt := range []struct{ sni, leaf string }{
		{"shop.localhost", "shop.localhost"},
		{"a.b.shop.localhost", "a.b.shop.localhost"},
		{"SHOP.LocalHost", "shop.localhost"},
		{"xn--bcher-kva.test", "xn--bcher-kva.test"},
		{"shop.example.dev", "shop.example.dev"},
		{"other.localhost", ""},          // not permitted
		{"bank.example", ""},             // permitted, yet outside the constraints
		{"localhost", ""},                // within them, not permitted
		{"a..shop.localhost", ""},        // no name at all
		{"-a.shop.localhost", ""},        //
		{"a b.shop.localhost", ""},       //
		{"*.shop.localhost", ""},         //
		{"b\xfccher.shop.localhost", ""}, // not UTF-8
		{strings.Repeat("a", 64) + ".shop.localhost", ""},
		{longName(253) + "!", ""},
		{longName(255), ""},
		{strings.Repeat("a.", 5000) + "shop.localhost", ""},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			cfg := &tls.Config{ServerName: tt.sni, RootCAs: rootPool(ca), MaxVersion: version}
			state, err := s.dial(cfg)
			switch {
			case tt.leaf == "":
				if got := alert(err); got != unrecognizedName {
					t.Errorf("SNI %.40q, %s: error %v, want the alert %q", tt.sni, tls.VersionName(version), err, unrecognizedName)
				}
			case err != nil:
				t.Errorf("SNI %q, %s: %v", tt.sni, tls.VersionName(version), err)
			case len(state.PeerCertificates) != 2 || state.PeerCertificates[0].DNSNames[0] != tt.leaf:
				t.Errorf("SNI %q, %s: got %d certificates for %q, want 2 for %q", tt.sni, tls.VersionName(version),
					len(state.PeerCertificates), state.PeerCertificates[0].DNSNames, tt.leaf)
			case !bytes.Equal(state.PeerCertificates[1].Raw, ca.Intermediate().Raw):
				t.Errorf("SNI %q: the second certificate is not the intermediate", tt.sni)
			}
		}
	}
	if got, want := issued(logs), 4; got != want {
		t.Errorf("%d certificates were minted, want %d", got, want)
	}
	for _, e := range logs.FilterMessage("no certificate for this host").All() {
		if host := e.ContextMap()["host"].(string); len(host) > 255 {
			t.Errorf("a host of %d bytes was logged", len(host))
		}
	}
}

// longName returns a name below shop.localhost with n bytes, in labels that
// are short enough.
func longName(n int) string {
	name := "shop.localhost"
	for len(name) < n {
		add := min(n-len(name)-1, 50)
		name = strings.Repeat("a", max(add, 1)) + "." + name
	}
	return name
}

// TestHandshakeRewritten sends server names that Go's client would not: it
// drops final dots and addresses. The client cannot finish such a handshake,
// so what the server was given is looked at instead.
func TestHandshakeRewritten(t *testing.T) {
	ca := makeCA(t)
	i, _ := makeIssuer(t, ca, under("shop.localhost", "xn--bcher-kva.test"))
	for _, tt := range []struct {
		sni  string
		leaf string // "" if there is none
	}{
		{"127.0.0.1", "127.0.0.1"}, // the address of the connection
		{"127.0.0.2", ""},
		{"::1", ""},
		{"8.8.8.8", ""},
		{"bücher.test", "xn--bcher-kva.test"},
	} {
		s := serve(t, "tcp4", "127.0.0.1:0", i)
		s.rewritten(t, tt.sni)
		got := ""
		if cert := s.last(t); cert != nil {
			got = strings.Join(cert.Leaf.DNSNames, ",")
			for _, ip := range cert.Leaf.IPAddresses {
				got += ip.String()
			}
		}
		if got != tt.leaf {
			t.Errorf("SNI %q: leaf for %q, want %q", tt.sni, got, tt.leaf)
		}
	}

	// RFC 6066, section 3, forbids a final dot. Go refuses the whole hello, so
	// the Issuer never sees it; if that changes, it is normalised.
	s := serve(t, "tcp4", "127.0.0.1:0", i)
	if got, want := alert(s.rewritten(t, "shop.localhost.")), "tls: error decoding message"; got != want {
		t.Errorf("final dot: alert %q, want %q", got, want)
	}
	if len(s.served) > 0 {
		t.Error("final dot: the Issuer was asked")
	}
	if got := ask(t, i, "shop.localhost.").DNSNames[0]; got != "shop.localhost" {
		t.Errorf("final dot: leaf for %q, want shop.localhost", got)
	}
}

// rewritten starts a handshake in which sni is put into the hello on its way.
func (s *server) rewritten(t *testing.T, sni string) error {
	t.Helper()
	conn, err := net.DialTimeout("tcp", s.addr, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	placeholder := strings.Repeat("x", len(sni))
	client := tls.Client(&rewriter{Conn: conn, from: placeholder, to: sni}, &tls.Config{
		ServerName: placeholder, InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12,
	})
	if err = client.Handshake(); err == nil {
		t.Fatalf("SNI %q: the handshake succeeded although it was tampered with", sni)
	}
	return err
}

type rewriter struct {
	net.Conn
	from, to string
}

func (r *rewriter) Write(p []byte) (int, error) {
	if _, err := r.Conn.Write(bytes.Replace(p, []byte(r.from), []byte(r.to), 1)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// TestHandshakeByAddress: a client that asks for an address sends no name.
func TestHandshakeByAddress(t *testing.T) {
	ca := makeCA(t)
	i, _ := makeIssuer(t, ca, func(name string) error {
		t.Errorf("Permit was asked for %q", name)
		return nil
	})
	for _, tt := range []struct{ network, listen, dial string }{
		{"tcp4", "127.0.0.1:0", "127.0.0.1"},
		{"tcp6", "[::1]:0", "::1"},
		{"tcp", "[::]:0", "127.0.0.1"}, // IPv4 on a socket for both families
	} {
		t.Run(tt.listen, func(t *testing.T) {
			s := serve(t, tt.network, tt.listen, i)
			_, port, _ := net.SplitHostPort(s.addr)
			s.addr = net.JoinHostPort(tt.dial, port)
			state, err := s.dial(&tls.Config{ServerName: tt.dial, RootCAs: rootPool(ca)})
			if err != nil {
				t.Fatal(err)
			}
			leaf := state.PeerCertificates[0]
			if len(leaf.IPAddresses) != 1 || leaf.IPAddresses[0].String() != tt.dial || len(leaf.DNSNames) > 0 {
				t.Errorf("leaf for %v and %q, want %s", leaf.IPAddresses, leaf.DNSNames, tt.dial)
			}
		})
	}
}

// TestAddressOutside needs a listener on a public address, which no test has.
func TestAddressOutside(t *testing.T) {
	i, _ := makeIssuer(t, makeCA(t), nil)
	for local, want := range map[string]bool{"192.168.1.5": true, "fe80::1%eth0": true, "203.0.113.5": false, "2001:db8::1": false} {
		addr := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(local), 443))
		cert, err := i.GetCertificate(&tls.ClientHelloInfo{Conn: fakeConn{addr}})
		if err != nil || (cert != nil) != want {
			t.Errorf("on %s: %v, %v; want a certificate %v", local, cert, err, want)
		}
	}
	for what, conn := range map[string]net.Conn{"no connection": nil, "unix socket": fakeConn{&net.UnixAddr{Name: "/s", Net: "unix"}}} {
		if cert, err := i.GetCertificate(&tls.ClientHelloInfo{Conn: conn}); cert != nil || err != nil {
			t.Errorf("%s: %v, %v; want nil, nil", what, cert, err)
		}
	}
}

type fakeConn struct{ local net.Addr }

func (c fakeConn) LocalAddr() net.Addr            { return c.local }
func (c fakeConn) RemoteAddr() net.Addr           { return c.local }
func (fakeConn) Read([]byte) (int, error)         { return 0, net.ErrClosed }
func (fakeConn) Write([]byte) (int, error)        { return 0, net.ErrClosed }
func (fakeConn) Close() error                     { return nil }
func (fakeConn) SetDeadline(time.Time) error      { return nil }
func (fakeConn) SetReadDeadline(time.Time) error  { return nil }
func (fakeConn) SetWriteDeadline(time.Time) error { return nil }

func TestPermitIsAskedEveryTime(t *testing.T) {
	refuse := false
	i, _ := makeIssuer(t, makeCA(t), func(string) error {
		if refuse {
			return errors.New("the route is gone")
		}
		return nil
	})
	ask(t, i, "shop.localhost")
	refuse = true
	if cert, err := i.GetCertificate(&tls.ClientHelloInfo{ServerName: "shop.localhost"}); cert != nil || err != nil {
		t.Errorf("after the route has gone: %v, %v; want nil, nil", cert, err)
	}
}

func TestResumption(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			ca := makeCA(t)
			var permit func(string) error
			i, _ := makeIssuer(t, ca, func(name string) error { return permit(name) })
			s := serve(t, "tcp4", "127.0.0.1:0", i)
			cfg := &tls.Config{
				ServerName: "shop.localhost", RootCAs: rootPool(ca),
				MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(1),
			}
			dial := func(step string, resumed bool) {
				t.Helper()
				state, err := s.dial(cfg)
				if err != nil || state.DidResume != resumed {
					t.Fatalf("%s: resumed %v, %v; want %v", step, state.DidResume, err, resumed)
				}
			}

			permit = under("shop.localhost")
			dial("first", false)
			dial("second", true)
			if got := len(s.served); got != 1 && version == tls.VersionTLS13 {
				t.Errorf("GetCertificate was called %d times, want 1: then VerifyConnection is not needed", got)
			}
			// After new leaves and even a new CA the old session goes on.
			i.Forget()
			i.Use(makeCA(t))
			dial("after Use", true)

			permit = under("other.localhost")
			if _, err := s.dial(cfg); alert(err) == "" {
				t.Errorf("the route has gone: error %v, want an alert", err)
			}
			permit = under("shop.localhost")
			i.Use(ca)
			if _, err := s.dial(cfg); err != nil {
				t.Errorf("the route is back: %v", err)
			}
		})
	}
}

func TestVerifyConnection(t *testing.T) {
	i, _ := makeIssuer(t, makeCA(t), under("shop.localhost", "bank.example"))
	expired, err := newCA(NewConstraints(nil), time.Now().AddDate(-11, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	old, _ := makeIssuer(t, expired, nil)
	for _, tt := range []struct {
		issuer  *Issuer
		sni     string
		resumed bool
		ok      bool
	}{
		{i, "shop.localhost", true, true},
		{i, "SHOP.localhost", true, true},
		{i, "", true, true},
		{i, "127.0.0.1", true, true},
		{i, "8.8.8.8", true, false},
		{i, "other.localhost", true, false},
		{i, "bank.example", true, false},
		{i, "a..b", true, false},
		{i, "other.localhost", false, true}, // GetCertificate has answered
		{old, "shop.localhost", true, false},
		{old, "", true, false},
	} {
		err := tt.issuer.VerifyConnection(tls.ConnectionState{ServerName: tt.sni, DidResume: tt.resumed})
		if (err == nil) != tt.ok {
			t.Errorf("%q, resumed %v: %v, want accepted %v", tt.sni, tt.resumed, err, tt.ok)
		}
	}
}

func TestNew(t *testing.T) {
	if _, err := New(nil, Config{}); err == nil {
		t.Error("New without a CA succeeded")
	}
	i, err := New(makeCA(t), Config{}) // no Permit, no Logger
	if err != nil {
		t.Fatal(err)
	}
	ask(t, i, "any.test")
	if cert, err := i.GetCertificate(&tls.ClientHelloInfo{ServerName: "bank.example"}); cert != nil || err != nil {
		t.Errorf("outside the constraints: %v, %v; want nil, nil", cert, err)
	}
}

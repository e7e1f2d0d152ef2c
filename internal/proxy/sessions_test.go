package proxy

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"
)

// A sessionClient opens connections, each for one request, and resumes sessions
// where it can.
type sessionClient struct {
	f       *fixture
	version uint16
	cert    *tls.Certificate
	cache   tls.ClientSessionCache
	asked   int // for a certificate
}

func (c *sessionClient) try(t *testing.T, host string) (resumed bool, status int) {
	t.Helper()
	conn, err := tls.Dial("tcp", c.f.addr.String(), &tls.Config{
		// Else the client would offer no session of another host.
		InsecureSkipVerify: true,
		ServerName:         host, MaxVersion: c.version, ClientSessionCache: c.cache,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			c.asked++
			if c.cert == nil {
				return new(tls.Certificate), nil
			}
			return c.cert, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	io.ReadAll(in)
	return conn.ConnectionState().DidResume, res.StatusCode
}

// oneSession is a cache that gives its one session to every host.
type oneSession struct{ state *tls.ClientSessionState }

func (c *oneSession) Get(string) (*tls.ClientSessionState, bool)  { return c.state, c.state != nil }
func (c *oneSession) Put(_ string, state *tls.ClientSessionState) { c.state = state }
func (c *oneSession) keep(t *testing.T) (state *tls.ClientSessionState) {
	t.Helper()
	if c.state == nil {
		t.Fatal("there is no session")
	}
	return c.state
}

func TestSessionsOfClients(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			ca := newClientCA(t)
			cert := ca.issue(t, nil)
			list := new(revoked)
			policy := asks(true, ca)
			routes := func(policy *ClientAuth) []Route {
				return []Route{
					{Host: "app.localhost", Path: "/", Backend: app(t, says("fine")), Clients: policy},
					{Host: "open.localhost", Path: "/", Backend: app(t, says("fine"))},
					{Host: "same.localhost", Path: "/", Backend: app(t, says("fine")), Clients: &asks(true, ca).ClientAuth},
				}
			}
			f := startConfigured(t, func(cfg *Config) { cfg.RefuseClient = list.refuse }, routes(&policy.ClientAuth)...)
			cache := new(oneSession)
			client := &sessionClient{f: f, version: version, cert: cert, cache: cache}
			step := func(what, host string, wantResumed bool, wantStatus, wantAsked int) {
				t.Helper()
				client.asked = 0
				resumed, status := client.try(t, host)
				if resumed != wantResumed || status != wantStatus || client.asked != wantAsked {
					t.Errorf("%s: resumed %t, status %d, asked %d times; want %t, %d, %d",
						what, resumed, status, client.asked, wantResumed, wantStatus, wantAsked)
				}
			}
			step("first", "app.localhost", false, 200, 1)
			step("second", "app.localhost", true, 200, 0)
			step("third", "app.localhost", true, 200, 0)
			good := cache.keep(t)

			step("session of another host", "same.localhost", false, 200, 1)
			cache.state = good
			step("session of another host, open", "open.localhost", false, 200, 0)
			step("open again", "open.localhost", true, 200, 0)
			step("session of an open host", "app.localhost", false, 200, 1)

			cache.state = good
			list.cert.Store(cert.Leaf)
			step("revoked, in its session", "app.localhost", true, 403, 0)
			cache.state = good
			step("revoked, and known for it", "app.localhost", false, 403, 1)
			client.cert = ca.issue(t, nil)
			step("another certificate", "app.localhost", false, 200, 1)
			step("another certificate again", "app.localhost", true, 200, 0)
			list.cert.Store(nil)

			policy.in.Store(newClientCA(t).anchors())
			step("other anchors", "app.localhost", false, 403, 1)
			policy.in.Store(ca.anchors())

			client.cert = nil
			cache.state = nil
			step("without a certificate", "app.localhost", false, 403, 1)
			client.cert = ca.issue(t, nil)
			step("with one by now", "app.localhost", false, 200, 1)

			// These would make a ticket too large.
			fresh := ca.issue(t, nil)
			many := &tls.Certificate{Certificate: slices.Clone(fresh.Certificate), PrivateKey: fresh.PrivateKey}
			for size := 0; size < maxSentCerts-3*len(ca.root.Raw); size += len(ca.root.Raw) {
				many.Certificate = append(many.Certificate, ca.root.Raw)
			}
			client.cert, cache.state = many, nil
			step("many certificates", "app.localhost", false, 200, 1)
			step("many certificates again", "app.localhost", false, 200, 1)
			client.cert = fresh

			replace(t, f.table, routes(nil)...)
			step("turned off", "app.localhost", false, 200, 0)
			step("turned off, again", "app.localhost", true, 200, 0)
			replace(t, f.table, routes(&policy.ClientAuth)...)
			step("turned on", "app.localhost", false, 200, 1)
			step("turned on, again", "app.localhost", true, 200, 0)
		})
	}
}

// What crypto/tls keeps of a client for as long as its connection is open has a
// limit.
func TestSentCertsAreBounded(t *testing.T) {
	ca := newClientCA(t)
	f := start(t,
		Route{Host: "app.localhost", Path: "/", Backend: app(t, says("fine")), Clients: &asks(true, ca).ClientAuth})
	for _, many := range []bool{false, true} {
		cert := ca.issue(t, nil)
		for size := 0; many && size < maxSentCerts; size += len(ca.root.Raw) {
			cert.Certificate = append(cert.Certificate, ca.root.Raw)
		}
		for _, proto := range []string{"h1", "h2"} {
			res, err := f.as(t, proto, cert).Get(f.url("app.localhost", "/"))
			if err == nil {
				res.Body.Close()
			}
			if (err != nil) != many {
				t.Errorf("%s, more than the limit %t: got %v", proto, many, err)
			}
		}
	}
}

func TestRefusedCertsAreBounded(t *testing.T) {
	var r refusedCerts
	for i := range 3 * maxRefused {
		r.add(refusedCert{cert: [32]byte{byte(i), byte(i >> 8)}})
		if len(r.known) > maxRefused {
			t.Fatalf("%d are remembered", len(r.known))
		}
	}
}

// The search for a chain, for whose length the client cares, takes place once for
// all requests of a connection, also where it finds nothing.
func TestAcquaintances(t *testing.T) {
	ca := newClientCA(t)
	theirs, others := ca.anchors(), newClientCA(t).anchors()
	sent := []*x509.Certificate{ca.issue(t, nil).Leaf}
	now := time.Now()

	conn := new(connection)
	first := conn.acquaint(others, sent, now)
	if first.client != nil || first.reason != foreign {
		t.Fatalf("got %v, %q; want it to be foreign", first.client, first.reason)
	}
	if conn.acquaint(others, sent, now.Add(strangerTime)) != first {
		t.Error("searched again at once")
	}
	if conn.acquaint(others, sent, now.Add(strangerTime+1)) == first {
		t.Error("never searched again")
	}
	known := conn.acquaint(theirs, sent, now)
	if known.client == nil {
		t.Fatalf("with other anchors: %q", known.reason)
	}
	if conn.acquaint(theirs, sent, known.client.until) != known {
		t.Error("one who is known was verified again")
	}
	if late := conn.acquaint(theirs, sent, known.client.until.Add(1)); late.client != nil || late.reason != hasExpired {
		t.Errorf("after its end: got %v, %q", late.client, late.reason)
	}
}

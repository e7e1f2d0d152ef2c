package proxy

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A clientCA signs clients' certificates through an intermediate, as devproxy's
// own does.
type clientCA struct {
	root, intermediate *x509.Certificate
	key                *ecdsa.PrivateKey // the intermediate's
}

func sign(t testing.TB, template, parent *x509.Certificate, public any, signer *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = serial
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func newClientCA(t testing.TB) *clientCA {
	t.Helper()
	key, intermediateKey := newKey(), newKey()
	template := func(name string) *x509.Certificate {
		return &x509.Certificate{
			Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
	}
	rootTemplate := template("client root")
	root := sign(t, rootTemplate, rootTemplate, &key.PublicKey, key)
	return &clientCA{root, sign(t, template("client intermediate"), root, &intermediateKey.PublicKey, key), intermediateKey}
}

func (ca *clientCA) anchors() *Anchors {
	return NewAnchors([]*x509.Certificate{ca.root}, []*x509.Certificate{ca.intermediate})
}

// issue returns a certificate for a client, without the intermediate.
func (ca *clientCA) issue(t testing.TB, change func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "alice", Organization: []string{"Örg, Inc."}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	key := newKey()
	cert := sign(t, template, ca.intermediate, &key.PublicKey, ca.key)
	return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// A gate is a policy whose anchors can change.
type gate struct {
	ClientAuth
	in atomic.Pointer[Anchors]
}

func asks(require bool, ca *clientCA) *gate {
	g := &gate{ClientAuth: ClientAuth{Require: require}}
	g.Anchors = g.in.Load
	g.in.Store(ca.anchors())
	return g
}

// revoked is a list of revoked certificates.
type revoked struct {
	cert atomic.Pointer[x509.Certificate]
}

func (r *revoked) refuse(cert *x509.Certificate) error {
	if r.cert.Load().Equal(cert) {
		return errors.New("it was revoked")
	}
	return nil
}

// as returns a client that has a certificate, none if that is nil, and that sends
// it whatever the server accepts.
func (f *fixture) as(t testing.TB, protocol string, cert *tls.Certificate) *http.Client {
	t.Helper()
	client := f.client(t, protocol)
	client.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if cert == nil {
			return new(tls.Certificate), nil
		}
		return cert, nil
	}
	return client
}

func TestClientCertificates(t *testing.T) {
	ca, stranger := newClientCA(t), newClientCA(t)
	good := ca.issue(t, nil)
	withIntermediate := &tls.Certificate{Certificate: [][]byte{good.Certificate[0], ca.intermediate.Raw}, PrivateKey: good.PrivateKey}
	out := ca.issue(t, nil)
	list := new(revoked)
	list.cert.Store(out.Leaf)
	after := func(begin, end time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(begin), time.Now().Add(end) }
	}
	seen := make(chan http.Header, 1)
	backend := app(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header })
	f := startConfigured(t, func(cfg *Config) {
		cfg.RefuseClient = list.refuse
		cfg.ClientHint = func(host string) string { return "run make-one for " + host }
	},
		Route{Host: "require.localhost", Path: "/", Backend: backend, Clients: &asks(true, ca).ClientAuth},
		Route{Host: "request.localhost", Path: "/", Backend: backend, Clients: &asks(false, ca).ClientAuth},
		Route{Host: "none.localhost", Path: "/", Backend: backend},
	)
	for name, test := range map[string]struct {
		cert *tls.Certificate
		want string // the reason; "": it is accepted
	}{
		"leaf only":         {good, ""},
		"with intermediate": {withIntermediate, ""},
		"none":              {nil, noneSent},
		"expired":           {ca.issue(t, after(-2*time.Hour, -time.Hour)), hasExpired},
		"not yet valid":     {ca.issue(t, after(time.Hour, 2*time.Hour)), notYet},
		"foreign":           {stranger.issue(t, nil), foreign},
		"a server's":        {ca.issue(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), notForClient},
		"revoked":           {out, "it was revoked"},
		"large":             {ca.issue(t, func(c *x509.Certificate) { c.DNSNames = []string{strings.Repeat("x.", 5000) + "test"} }), tooLarge},
	} {
		both(t, func(t *testing.T, protocol string) {
			t.Run(name, func(t *testing.T) {
				client := f.as(t, protocol, test.cert)
				accepted := test.want == ""

				res, body := get(t, client, f.url("require.localhost", "/"), "Accept", "text/html")
				if accepted {
					checkIdentity(t, receive(t, "the request", seen), good.Leaf)
				} else if res.StatusCode != 403 || !strings.Contains(body, test.want) || !strings.Contains(body, "run make-one for require.localhost") {
					t.Errorf("require: got %d %q, want 403 with %q", res.StatusCode, body, test.want)
				} else if !strings.Contains(body, "close all windows") || !res.Close && protocol == "h1" {
					t.Errorf("require: got %q, closing %t; want to be told of a new start", body, res.Close)
				}

				res, body = get(t, client, f.url("request.localhost", "/"))
				if res.StatusCode != 200 {
					t.Fatalf("request: got %d %q", res.StatusCode, body)
				}
				got := receive(t, "the request", seen)
				if accepted {
					checkIdentity(t, got, good.Leaf)
				} else {
					checkNobody(t, got)
				}

				if res, _ := get(t, client, f.url("none.localhost", "/")); res.StatusCode != 200 {
					t.Errorf("none: got %d", res.StatusCode)
				}
				checkNobody(t, receive(t, "the request", seen))
			})
		})
	}
	select {
	case h := <-seen:
		t.Errorf("a request more than were let in: %v", h)
	default:
	}
	// Ten clients of each kind came, over two protocols.
	refused := f.logs.FilterMessage(msgClientRefused)
	if got := refused.Len(); got != 7 {
		t.Errorf("%d lines about refused clients, want one for each reason: %v", got, refused.All())
	}
	if got := f.logs.FilterMessage(msgClientIgnored).Len(); got != 6 {
		t.Errorf("%d lines about ignored certificates, want one for each reason", got)
	}
	for _, line := range refused.All() {
		if fields := line.ContextMap(); fields["host"] != "require.localhost" || fields["reason"] == "" || !strings.Contains(fmt.Sprint(fields["hint"]), "make-one") {
			t.Errorf("logged %v", fields)
		}
	}
}

func checkIdentity(t *testing.T, got http.Header, want *x509.Certificate) {
	t.Helper()
	id := newIdentity([]*x509.Certificate{want})
	for name, value := range map[string]string{
		"X-Client-Cert-Subject": `CN=alice,O=\C3\96rg\, Inc.`, "X-Client-Cert-Fingerprint": id.fingerprint, "Client-Cert": id.encoded,
	} {
		if values := got[name]; len(values) != 1 || values[0] != value {
			t.Errorf("%s: got %q, want %q", name, values, value)
		}
	}
}

func checkNobody(t *testing.T, got http.Header) {
	t.Helper()
	for name, values := range got {
		if strings.Contains(strings.ToLower(name), "client") {
			t.Errorf("the app is told %s: %q", name, values)
		}
	}
}

// A certificate that is no CA's stands for itself, and not for what its key
// signs, whatever it leaves unsaid.
func TestAnchorsThatAreNoCA(t *testing.T) {
	own := func(name string) (*x509.Certificate, *ecdsa.PrivateKey) {
		key := newKey()
		template := &x509.Certificate{Subject: pkix.Name{CommonName: name}}
		return sign(t, template, template, &key.PublicKey, key), key
	}
	alice, key := own("alice")
	bob, _ := own("bob")
	other := newKey()
	signedByAlice := sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: "mallory"}}, alice, &other.PublicKey, key)
	anchors := NewAnchors([]*x509.Certificate{alice}, nil)
	for _, test := range []struct {
		cert *x509.Certificate
		want string
	}{{alice, ""}, {bob, foreign}, {signedByAlice, foreign}} {
		if _, got := anchors.verify([]*x509.Certificate{test.cert, alice}, time.Now()); got != test.want {
			t.Errorf("%s: got %q, want %q", test.cert.Subject, got, test.want)
		}
	}
}

func TestAnchorsAreTheSame(t *testing.T) {
	a, b := newClientCA(t), newClientCA(t)
	roots := []*x509.Certificate{a.root, b.root}
	for _, test := range []struct {
		name        string
		left, right *Anchors
		want        bool
	}{
		{"nil", nil, nil, true},
		{"nil and none", nil, NewAnchors(nil, nil), false},
		{"read again", a.anchors(), a.anchors(), true},
		{"in another order", NewAnchors(roots, nil), NewAnchors([]*x509.Certificate{b.root, a.root}, nil), true},
		{"others", a.anchors(), b.anchors(), false},
		{"one more", NewAnchors(roots, nil), NewAnchors(roots[:1], nil), false},
		{"in another role", NewAnchors(roots, nil), NewAnchors(roots[:1], roots[1:]), false},
	} {
		if got := test.left.same(test.right); got != test.want {
			t.Errorf("%s: got %t, want %t", test.name, got, test.want)
		}
	}
}

// Clients are told by which CAs to choose, unless these are so many that the
// message would not go out.
func TestNamesOfAnchors(t *testing.T) {
	ca := newClientCA(t)
	var many []*x509.Certificate
	for range 100 {
		key := newKey()
		template := &x509.Certificate{
			Subject: pkix.Name{CommonName: strings.Repeat("x", 1000)}, IsCA: true, BasicConstraintsValid: true,
		}
		many = append(many, sign(t, template, template, &key.PublicKey, key))
	}
	crowd := &ClientAuth{Require: true, Anchors: func() *Anchors { return NewAnchors(append(many, ca.root), []*x509.Certificate{ca.intermediate}) }}
	f := start(t,
		Route{Host: "few.localhost", Path: "/", Backend: app(t, says("few")), Clients: &asks(true, ca).ClientAuth},
		Route{Host: "many.localhost", Path: "/", Backend: app(t, says("many")), Clients: crowd},
	)
	cert := ca.issue(t, nil)
	for host, want := range map[string]int{"few": 2, "many": 0} {
		client, names := f.client(t, "h1"), -1
		client.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			names = len(info.AcceptableCAs)
			return cert, nil
		}
		if _, body := get(t, client, f.url(host+".localhost", "/")); body != host || names != want {
			t.Errorf("%s: got %q, told %d names, want %d", host, body, names, want)
		}
	}
}

// The routes of a host cannot ask for different things.
func TestClientsOfAHost(t *testing.T) {
	ca := newClientCA(t)
	policy := &asks(true, ca).ClientAuth
	route := func(path string, clients *ClientAuth) Route {
		return Route{Host: "app.localhost", Path: path, Backend: nowhere, Clients: clients}
	}
	for name, routes := range map[string][]Route{
		"second asks for none":  {route("/", policy), route("/a", nil)},
		"first asks for none":   {route("/", nil), route("/a", policy)},
		"second asks for other": {route("/", policy), route("/a", &asks(true, ca).ClientAuth)},
		"no anchors":            {route("/", &ClientAuth{Require: true})},
	} {
		if _, err := NewTable(routes); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	if _, err := NewTable([]Route{route("/", policy), route("/a", policy)}); err != nil {
		t.Error(err)
	}
}

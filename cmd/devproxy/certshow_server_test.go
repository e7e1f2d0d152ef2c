package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// presents returns how a server presents parties, whose first it is.
func presents(parties ...*party) *tls.Config {
	cert := tls.Certificate{PrivateKey: parties[0].key}
	for _, one := range parties {
		cert.Certificate = append(cert.Certificate, one.cert.Raw)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}}
}

func TestCertShowServers(t *testing.T) {
	p := newPatient(t)
	_, between := p.authority()
	good := p.party(server("shop.localhost", "localhost"), between)
	past := server("shop.localhost")
	past.NotBefore, past.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	demanding := presents(good, between)
	demanding.ClientAuth = tls.RequireAnyClientCert
	alone := *p.served("shop.localhost")
	alone.Certificate = alone.Certificate[:1]
	for _, tt := range []struct {
		name    string
		serves  *tls.Config
		host    string
		options showOptions
		want    []string
	}{
		{"good", presents(good, between), "shop.localhost", showOptions{}, []string{"verify shop.localhost ok: "}},
		{"by address", presents(good, between), "127.0.0.1", showOptions{name: "shop.localhost"}, []string{"verify shop.localhost ok: "}},
		{"expired", presents(p.party(past, between), between), "shop.localhost", showOptions{}, []string{"verify expired fail: "}},
		{"self-signed", presents(p.party(server("shop.localhost"), nil)), "shop.localhost", showOptions{}, []string{"verify self-signed fail: "}},
		{"another name", presents(good, between), "127.0.0.1", showOptions{}, []string{"verify wrong-host fail: "}},
		{"without the intermediate", presents(good), "shop.localhost", showOptions{}, []string{"verify unknown-issuer fail: "}},
		{"ours without the intermediate", &tls.Config{Certificates: []tls.Certificate{alone}}, "shop.localhost", showOptions{}, []string{"verify missing-intermediate fail: the certificate of devproxy's intermediate"}},
		{"a client certificate wanted", demanding, "shop.localhost", showOptions{}, []string{"verify shop.localhost ok: "}},
		{"a client's certificate", presents(p.party(x509.Certificate{
			Subject: pkix.Name{CommonName: "alice"}, DNSNames: []string{"shop.localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}, between), between), "shop.localhost", showOptions{}, []string{"verify wrong-usage fail: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := p.in(t)
			at := p.listen(tt.serves)
			r, _ := p.show(fmt.Sprintf("%s:%d", tt.host, at.Port()), tt.options)
			p.expectChecks(r, tt.want...)
			if r.Source.AsksClient != (tt.serves.ClientAuth != tls.NoClientCert) {
				t.Errorf("asks for a client certificate: %t", r.Source.AsksClient)
			}
			if r.Source.Kind != "server" || r.Source.Address != at.String() || r.Source.Version != "TLS 1.3" || len(r.Certificates) != len(tt.serves.Certificates[0].Certificate) {
				t.Errorf("got %+v, %d certificates", r.Source, len(r.Certificates))
			}
		})
	}
	at := p.listen(presents(good, between))
	if got, err := p.showText("shop.localhost:"+fmt.Sprint(at.Port()), showOptions{asPEM: true}); err != nil || got != chainText(good, between) {
		t.Errorf("--pem: got %v and\n%s", err, got)
	}
}

// TestCertShowUnreachable: why there is nothing to show, and what to do.
func TestCertShowUnreachable(t *testing.T) {
	p := newPatient(t)
	one := p.party(server("shop.localhost"), nil)
	plain := httptest.NewServer(nil)
	defer plain.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := addrPort(ln)
	ln.Close()
	nameless := p.listen(&tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }})
	many := presents(one)
	many.Certificates[0].Certificate = slices.Repeat(many.Certificates[0].Certificate, 300)
	for _, tt := range []struct{ name, target, want, hint string }{
		{"plain http", strings.TrimPrefix(plain.URL, "http://"), "the server speaks plain HTTP there", "app.localhost=" + plain.URL},
		{"nobody", fmt.Sprintf("a.localhost:%d", closed.Port()), "nothing listens there", "see whether the port is right"},
		{"no such name", nameless.String(), "unrecognized_name", ""},
		{"closes", p.listen(nil).String(), "closed the connection", ""},
		{"too many certificates", p.listen(many).String(), "300 certificates", "intermediates only"},
		{"a routed host on another port", fmt.Sprintf("shop.localhost:%d", closed.Port()), "nothing listens there", "leave the port out"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := p.in(t)
			out, err := p.showText(tt.target, showOptions{})
			if exitCode(err) != exitFailed || out != "" || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want …%s…", err, tt.want)
			}
			hinted, ok := err.(*hintedError)
			if !ok || !strings.Contains(hinted.hint, tt.hint) || hinted.hint == "" {
				t.Errorf("got the hint %+v, want …%s…", hinted, tt.hint)
			}
		})
	}
}

// TestCertShowFindsDevproxy: routed names and those below localhost are asked
// where devproxy listens, whatever the resolver thinks.
func TestCertShowFindsDevproxy(t *testing.T) {
	p := newPatient(t)
	p.toml = strings.Replace(p.toml, `"shop.localhost"`, `"shop.test" = "5000"`+"\n"+`"shop.localhost"`, 1)
	for _, host := range []string{"shop.localhost", "shop.test", "https://shop.test/path", fmt.Sprintf("shop.test:%d", p.at.Port()), "other.localhost"} {
		r, err := p.show(host, showOptions{})
		if err != nil || r.Source.Address != p.at.String() {
			t.Errorf("%s: got %v, at %+v, want %v", host, err, r.Source, p.at)
		}
	}
	text, _ := p.showText("shop.test", showOptions{})
	if want := fmt.Sprintf("shop.test at %v: TLS 1.3", p.at); !strings.Contains(text, want) {
		t.Errorf("no %q in:\n%s", want, text)
	}
	p.at = netip.AddrPortFrom(p.at.Addr(), closedPort(t))
	_, err := p.show("shop.test", showOptions{})
	hinted, ok := err.(*hintedError)
	if !ok || !strings.Contains(hinted.hint, "devproxy is not running") {
		t.Errorf("not running: got %v, %+v", err, hinted)
	}
}

func closedPort(t *testing.T) uint16 {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return addrPort(ln).Port()
}

// TestCertShowIPv6 takes addresses in brackets.
func TestCertShowIPv6(t *testing.T) {
	ln, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here")
	}
	p := newPatient(t)
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Listener.Close()
	server.Listener = ln
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	r, _ := p.show(ln.Addr().String(), showOptions{})
	if r.Source.Address != ln.Addr().String() || len(r.Certificates) != 1 {
		t.Errorf("got %+v", r.Source)
	}
}

// TestCertShowMeans: which words are files, which are hosts, and what a typo
// gets.
func TestCertShowMeans(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"shop.localhost", "shop.pem", "plain"} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"example.com", "folder"} {
		if err := os.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ arg, file, problem, hint string }{
		{"shop.localhost", "shop.localhost", "", ""},
		{"./shop.localhost", "./shop.localhost", "", ""},
		{filepath.Join(dir, "plain"), filepath.Join(dir, "plain"), "", ""},
		{"plain", "plain", "", ""},
		{"-", "-", "", ""},
		{"other.localhost", "", "", ""},
		{"https://shop.localhost", "", "", ""},
		{"shop.localhost:443", "", "", ""},
		{"example.com", "", "", ""},
		{"[::1]:443", "", "", ""},
		{"./other.localhost", "", "there is no file ./other.localhost", "there are: shop.pem"},
		{"shpo.pem", "", "there is no file shpo.pem", "there are: shop.pem"},
		{"shop.P12", "", "there is no file shop.P12", "there are: shop.pem"},
		{"none/shop.pem", "", "there is no file none/shop.pem", "see whether the name"},
		{"folder", "", "folder is a folder", "name a file in it"},
		{".", "", ". is a folder", "there are: shop.pem"},
		{"./example.com", "", "./example.com is a folder", ""},
		{"", "", "there is nothing to show", "name a file or a host"},
	} {
		file, err := fileMeant(tt.arg)
		if file != tt.file || (err == nil) != (tt.problem == "") || err != nil && !strings.Contains(err.Error(), tt.problem) {
			t.Errorf("%q: got %q, %v, want %q, …%s…", tt.arg, file, err, tt.file, tt.problem)
			continue
		}
		if hinted, ok := err.(*hintedError); tt.hint != "" && (!ok || !strings.Contains(hinted.hint, tt.hint)) {
			t.Errorf("%q: got the hint %+v, want …%s…", tt.arg, hinted, tt.hint)
		}
	}
}

// TestCertShowWithBadConfig: a mistake in devproxy.toml does not keep from a
// look at another host, and is said.
func TestCertShowWithBadConfig(t *testing.T) {
	p := newPatient(t)
	at := p.listen(presents(p.party(server("a.localhost"), nil)))
	p.toml = "listen = %q\nnonsense = 1\n"
	r, _ := p.show(at.String(), showOptions{})
	if len(r.Certificates) != 1 {
		t.Errorf("got %+v", r)
	}
	if warned, err := io.ReadAll(p.a.stderr.(*bytes.Buffer)); err != nil || !strings.Contains(string(warned), "the configuration is wrong") {
		t.Errorf("got %q, %v", warned, err)
	}
	t.Chdir(t.TempDir())
	if err := os.WriteFile("shop.test", []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := p.show("shop.test", showOptions{})
	if hinted, ok := err.(*hintedError); !ok || !strings.Contains(hinted.hint, "for the host: devproxy cert show https://shop.test") {
		t.Errorf("a file named like a host: got %v", err)
	}
	if _, err := p.show("x", showOptions{name: "not a name"}); exitCode(err) != exitUsage {
		t.Errorf("--name: got %v", err)
	}
}

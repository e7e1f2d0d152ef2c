package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// strangerAuthority is a root that nobody knows.
func strangerAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "company root"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert, key}
}

// A seen is what an https backend saw of a request.
type seen struct{ Protocol, ServerName, Host string }

// startTLS starts a backend that says what it saw, and echoes WebSocket
// messages at /echo. It speaks HTTP/2 if asked.
func startTLS(t *testing.T, chain tls.Certificate) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(seen{r.Proto, r.TLS.ServerName, r.Host})
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		if kind, text, err := conn.Read(r.Context()); err == nil {
			conn.Write(r.Context(), kind, text)
			conn.Close(websocket.StatusNormalClosure, "")
		}
	})
	srv := httptest.NewUnstartedServer(mux)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{chain}}
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // about those who look whether it is there
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv
}

// status returns the status and the body of a page.
func (s *server) status(t *testing.T, client *http.Client, host, path string) (int, string) {
	t.Helper()
	resp, err := client.Get(s.url(host, path))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// TestTLSBackends has backends behind TLS whose certificates come from
// devproxy's own root, from one of the system's, and from one that nobody
// knows.
func TestTLSBackends(t *testing.T) {
	tool(t, "/usr/sbin/update-ca-certificates")
	h := newHome(t)
	h.devproxy(t, "ca", "rotate").must(t, 0)
	th := steal(t, h)

	stranger, company := strangerAuthority(t), strangerAuthority(t)
	leaf := func(by authority, name string) tls.Certificate { return by.sign(t, named(name)).with() }
	unknown := startTLS(t, leaf(stranger, "shop.example"))
	system := startTLS(t, leaf(company, "shop.example"))
	own := startTLS(t, th.authority().sign(t, named("inner.localhost")).with(th.intermediate))
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)

	const added = "/usr/local/share/ca-certificates/company.crt"
	update := func() {
		if out, err := exec.Command("/usr/sbin/update-ca-certificates").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if err := os.WriteFile(added, []byte(pemOf(company.cert.Raw)), 0o644); err != nil {
		t.Fatal(err)
	}
	update()
	t.Cleanup(func() { os.Remove(added); update() })

	config := head
	route := func(host, to, options string) {
		config += fmt.Sprintf("[routes.%q]\nto = %q\nhold = \"0s\"\n%s\n", host, to, options)
	}
	route("unknown.localhost", unknown.URL, `host = "shop.example"`)
	route("insecure.localhost", unknown.URL, `insecure = true`)
	route("system.localhost", system.URL, `host = "shop.example"`)
	route("own.localhost", own.URL, `host = "inner.localhost"`)
	route("othername.localhost", own.URL, ``)
	route("plain.localhost", strings.Replace(plain.URL, "http:", "https:", 1), ``)
	s := start(t, h, config)
	client := s.client(t)

	for _, test := range []struct {
		host  string
		texts []string
	}{
		{"unknown.localhost", []string{"its certificate was not accepted", "unknown authority", "insecure = true"}},
		{"othername.localhost", []string{"its certificate was not accepted", "127.0.0.1", "set host to that name"}},
		{"plain.localhost", []string{"it does not speak TLS", "http://"}},
	} {
		t.Run(test.host, func(t *testing.T) {
			status, body := s.status(t, client, test.host, "/")
			if status != http.StatusBadGateway {
				t.Errorf("got %d, want 502", status)
			}
			for _, text := range test.texts {
				if !strings.Contains(body, text) {
					t.Errorf("got %q, want %q in it", body, text)
				}
			}
		})
	}
	for _, test := range []struct {
		host string
		want seen
	}{
		{"insecure.localhost", seen{"HTTP/2.0", "", fmt.Sprintf("insecure.localhost:%d", s.port)}},
		{"system.localhost", seen{"HTTP/2.0", "shop.example", "shop.example"}},
		{"own.localhost", seen{"HTTP/2.0", "inner.localhost", "inner.localhost"}},
	} {
		t.Run(test.host, func(t *testing.T) {
			var got seen
			if err := json.Unmarshal([]byte(s.get(t, client, test.host, "/")), &got); err != nil || got != test.want {
				t.Errorf("the backend saw %+v, %v; want %+v", got, err, test.want)
			}
			options := &websocket.DialOptions{HTTPClient: client}
			conn, _, err := websocket.Dial(t.Context(), "wss"+strings.TrimPrefix(s.url(test.host, "/echo"), "https"), options)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.CloseNow()
			if err := conn.Write(t.Context(), websocket.MessageText, []byte(greeting)); err != nil {
				t.Fatal(err)
			}
			if _, text, err := conn.Read(t.Context()); string(text) != greeting {
				t.Errorf("the WebSocket says %q, %v; want %q", text, err, greeting)
			}
		})
	}

	text, marked := h.devproxy(t, "routes").must(t, 0).stdout, 0
	for line := range strings.Lines(text) {
		if strings.Contains(line, "(insecure)") {
			marked++
			if !strings.Contains(line, "insecure.localhost") {
				t.Errorf("marked as insecure: %s", line)
			}
		}
	}
	if marked != 1 {
		t.Errorf("%d routes are marked as insecure, want 1:\n%s", marked, text)
	}
	var report struct {
		Routes []struct {
			Host     string
			Insecure bool
		}
	}
	if err := json.Unmarshal([]byte(h.devproxy(t, "routes", "--json").must(t, 0).stdout), &report); err != nil {
		t.Fatal(err)
	}
	for _, r := range report.Routes {
		if want := r.Host == "insecure.localhost"; r.Insecure != want {
			t.Errorf("routes --json: %s has insecure %t, want %t", r.Host, r.Insecure, want)
		}
	}
}

// SSL_CERT_FILE names the system's roots, as for every Go program.
func TestTLSBackendsByVariable(t *testing.T) {
	company := strangerAuthority(t)
	bundle := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(bundle, []byte(pemOf(company.cert.Raw)), 0o644); err != nil {
		t.Fatal(err)
	}
	backend := startTLS(t, company.sign(t, named("shop.example")).with())
	h := newHome(t, "SSL_CERT_FILE="+bundle)
	s := start(t, h, head+fmt.Sprintf("[routes.\"app.localhost\"]\nto = %q\nhost = \"shop.example\"", backend.URL))
	if got := s.get(t, s.client(t), "app.localhost", "/"); !strings.Contains(got, `"shop.example"`) {
		t.Errorf("got %s", got)
	}
}

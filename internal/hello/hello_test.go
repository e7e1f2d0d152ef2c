package hello

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func serveTLS(t *testing.T) *httptest.Server {
	t.Helper()
	app := New()
	srv := httptest.NewUnstartedServer(app)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv
}

func get(t *testing.T, srv *httptest.Server, path string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest("GET", srv.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestKindByAccept(t *testing.T) {
	srv := serveTLS(t)
	for _, test := range []struct{ accept, want string }{
		{"", "text/plain"},
		{"*/*", "text/plain"},
		{"image/avif,*/*", "text/plain"},
		{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"},
		{"TEXT/HTML; charset=utf-8", "text/html"},
		{"application/json", "application/json"},
		{"application/json, text/html", "text/html"},
		{"application/json, text/html;q=0.5", "application/json"},
		{"text/html;q=0, application/json;q=0.1", "application/json"},
		{"text/html;q=0", "text/plain"},
		{"text/html;q=NaN", "text/plain"},
		{"text/html;q=", "text/plain"},
	} {
		res, _ := get(t, srv, "/", "Accept", test.accept)
		if got, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";"); got != test.want {
			t.Errorf("Accept %q: got %q, want %q", test.accept, got, test.want)
		}
	}
}

func TestShowsRequest(t *testing.T) {
	srv := serveTLS(t)
	for _, accept := range []string{"text/html", "application/json", "*/*"} {
		_, body := get(t, srv, "/a%2Fb//c?x=1;y=%zz", "Accept", accept, "X-Plain", "as it is")
		for _, want := range []string{"GET", "/a%2Fb//c?x=1;y=%zz", "HTTP/2.0", "TLS 1.3", "TLS_", "X25519", "h2", "X-Plain", "as it is"} {
			if !strings.Contains(body, want) {
				t.Errorf("Accept %q: body lacks %q:\n%s", accept, want, body)
			}
		}
	}
}

func TestJSON(t *testing.T) {
	srv := serveTLS(t)
	_, body := get(t, srv, "/", "Accept", "application/json", "X-Two", "a", "X-Two", "b")
	var got report
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	var two []string
	for _, h := range got.Headers {
		if h.Name == "X-Two" {
			two = append(two, h.Value)
		}
	}
	if len(two) != 2 || two[0] != "a" || two[1] != "b" {
		t.Errorf("X-Two: got %q, want both values in order", two)
	}
	if got.TLS == nil || got.TLS.ALPN != "h2" {
		t.Errorf("TLS: got %+v, want ALPN h2", got.TLS)
	}
}

func TestSecretsStaySecret(t *testing.T) {
	srv := serveTLS(t)
	const secret = "5up3rs3cr3t"
	for _, name := range []string{
		"Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "X-ApiKey", "X-Auth-Token",
		"X_Session_Id", "X-Csrf-Token", "Cf-Access-Jwt-Assertion", "X-Client-Secret",
	} {
		for _, value := range []string{secret, "Bearer " + secret, "a=" + secret + "; b=" + secret + "; " + secret, ";=" + secret} {
			for _, accept := range []string{"text/html", "application/json", "*/*"} {
				if _, body := get(t, srv, "/", "Accept", accept, name, value); strings.Contains(body, secret) {
					t.Errorf("%s: %s is shown (Accept %q)", name, value, accept)
				}
			}
		}
	}
}

func TestMask(t *testing.T) {
	for _, test := range []struct{ name, value, want string }{
		{"Accept", "text/html", "text/html"},
		{"Authorization", "Bearer abc", "Bearer ••• (3 bytes)"},
		{"Authorization", "abc", "••• (3 bytes)"},
		{"Authorization", "secret words", "••• (12 bytes)"},
		{"Authorization", "", ""},
		{"Cookie", "id=1; theme=dark", "id=•••; theme=•••"},
		{"Cookie", "id=a=b;x", "id=•••; •••"},
		{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=="},
		{"X-Keyboard", "qwerty", "qwerty"},
	} {
		if got := mask(test.name, test.value); got != test.want {
			t.Errorf("mask(%q, %q): got %q, want %q", test.name, test.value, got, test.want)
		}
	}
}

func TestPageIsEscaped(t *testing.T) {
	srv := serveTLS(t)
	const attack = `<script>alert(1)</script>`
	res, body := get(t, srv, "/", "Accept", "text/html", "X-Attack", attack)
	if strings.Contains(body, attack) || !strings.Contains(body, "&lt;script&gt;") {
		t.Errorf("header value is not escaped:\n%s", body)
	}
	style := body[strings.Index(body, "<style>")+len("<style>") : strings.Index(body, "</style>")]
	hash := sha256.Sum256([]byte(style))
	want := "style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"
	if got := res.Header.Get("Content-Security-Policy"); !strings.Contains(got, want) || !strings.Contains(got, "default-src 'none'") {
		t.Errorf("policy: got %q, want default-src 'none' and %s", got, want)
	}
}

func TestHeadHasNoBody(t *testing.T) {
	srv := serveTLS(t)
	res, err := srv.Client().Head(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 || res.ContentLength <= 0 {
		t.Errorf("got status %d, length %d; want 200 and the length of the page", res.StatusCode, res.ContentLength)
	}
}

// A body that never ends must not keep the answer.
func TestAnswersBeforeBody(t *testing.T) {
	app := New()
	srv := httptest.NewTLSServer(app)
	defer srv.Close()
	client := srv.Client()
	client.Timeout = 10 * time.Second
	body, unfinished := io.Pipe()
	defer unfinished.Close()
	req, err := http.NewRequest("POST", srv.URL, io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20)), body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if line, err := bufio.NewReader(res.Body).ReadString('\n'); err != nil || line != "Hello from devproxy.\n" {
		t.Errorf("got %q, %v", line, err)
	}
}

func TestPlainHTTP(t *testing.T) {
	app := New()
	for _, accept := range []string{"text/html", "application/json", "*/*"} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("OPTIONS", "/x", nil)
		r.Header.Set("Accept", accept)
		app.ServeHTTP(w, r)
		if w.Code != 200 || !strings.Contains(w.Body.String(), "http://example.com/x") {
			t.Errorf("Accept %q: got %d %s", accept, w.Code, w.Body)
		}
	}
}

func ExampleApp() {
	app := New()
	w := httptest.NewRecorder()
	app.ServeHTTP(w, httptest.NewRequest("GET", "http://hello.localhost/", nil))
	fmt.Println(strings.SplitN(w.Body.String(), "\n", 2)[0])
	// Output: Hello from devproxy.
}

// A client certificate is shown once somebody has verified it, and only then.
func TestClientCertificate(t *testing.T) {
	cert := &x509.Certificate{
		Raw:     []byte("raw"),
		Subject: pkix.Name{CommonName: "<alice>\r\n\x1b"},
		Issuer:  pkix.Name{CommonName: "ca"},
	}
	for _, accept := range []string{"text/html", "application/json", "text/plain"} {
		for _, verified := range []bool{true, false} {
			state := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
			if verified {
				state.VerifiedChains = [][]*x509.Certificate{{cert}}
			}
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Accept", accept)
			r.TLS = state
			w := httptest.NewRecorder()
			New().ServeHTTP(w, r)
			body := w.Body.String()
			if got := strings.Contains(body, fmt.Sprintf("%x", sha256.Sum256(cert.Raw))) && strings.Contains(body, "CN=ca"); got != verified {
				t.Errorf("%s, verified %t: shown %t: %s", accept, verified, got, body)
			}
			if strings.Contains(body, "<alice>") || strings.Contains(body, "\x1b") && accept == "text/plain" {
				t.Errorf("%s: the name is not escaped: %q", accept, body)
			}
		}
	}
}

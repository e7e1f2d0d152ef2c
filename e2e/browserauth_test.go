package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestBrowserClientAuth takes browsers the whole way with a host that requires
// client certificates: refused without one; one is issued and given to them while
// they run; the app is told who they are; it is revoked, and the next request on
// their open connection is refused.
func TestBrowserClientAuth(t *testing.T) {
	presentAny(t)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Header.Get("X-Client-Cert-Subject"))
	}))
	defer app.Close()

	h := newHome(t)
	h.devproxy(t, "trust", "--user").must(t, 0)
	config := head + "[routes]\n\"open.localhost\" = \"builtin:hello\"\n"
	for _, host := range []string{"first", "second"} {
		config += fmt.Sprintf("[routes.\"%s.localhost\"]\nto = %q\nclient_auth = \"require\"\n", host, app.URL)
	}
	s := start(t, h, config)
	browsers := startBrowsers(t, h)

	// shows has each browser open a page, and compares the status it gets.
	visits := 0
	shows := func(what, host string, status int) {
		t.Helper()
		for _, b := range browsers {
			visits++
			path, from := fmt.Sprintf("/%s/%d", b.name, visits), s.mark()
			b.frame(t, s.url(host, path))
			got := s.waitLogAfter(t, from, "request", func(l logLine) bool { return l["host"] == host && l["path"] == path })
			if got["status"] != float64(status) || got["protocol"] != "HTTP/2.0" {
				t.Errorf("%s, %s: %v over %v, want %d over HTTP/2.0", b.name, what, got["status"], got["protocol"], status)
			}
		}
	}
	shows("without a certificate", "first.localhost", 403)

	password := h.write(t, "password.txt", filePassword+"\n")
	h.devproxy(t, "cert", "issue", "--client", "alice@example.com", "--p12", "--password-file", password).must(t, 0)
	added := h.devproxy(t, "trust", "--client", "alice@example.com.p12", "--password-file", password).must(t, 0)
	for _, b := range browsers {
		mustList(t, added, "added", b.store)
	}
	// Browsers remember for a host that they had none.
	shows("with a certificate", "second.localhost", 200)
	shows("with a certificate, again", "second.localhost", 200)

	from := s.mark()
	h.revoke(t, "alice@example.com")
	s.waitLogAfter(t, from, "revoked certificates loaded", nil)
	shows("revoked", "second.localhost", 403)
	if log := s.errors(); strings.Contains(log, filePassword) {
		t.Error("the password is in the log")
	}
}

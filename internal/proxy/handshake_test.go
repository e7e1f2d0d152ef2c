package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"
)

// errRejected is what the client of a test has against a certificate.
var errRejected = errors.New("rejected")

// accepted has client connect to f's TLS server, whose end is closed once the
// client is done, and looked at as at any connection that is over.
func (f *fixture) accepted(t *testing.T, client func(conn net.Conn)) {
	t.Helper()
	ln := listen(t, loopback4)
	defer ln.Close()
	done := make(chan bool)
	go func() {
		defer close(done)
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			return
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		client(conn)
	}()
	raw, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	raw.SetDeadline(time.Now().Add(patience))
	conn := tls.Server(raw, f.https.TLSConfig)
	if conn.Handshake() == nil {
		io.Copy(io.Discard, conn)
	}
	conn.Close()
	<-done
	f.clientLeft(conn)
}

// warnings returns and forgets the warnings of the log, a line each.
func (f *fixture) warnings() []string {
	var lines []string
	for _, entry := range f.logs.FilterLevelExact(zapcore.WarnLevel).AllUntimed() {
		lines = append(lines, fmt.Sprint(entry.Message, entry.ContextMap()))
	}
	f.logs.TakeAll()
	return lines
}

// handshake is a client's, for name, that ends with verdict on the chain.
func handshake(name string, version uint16, verdict func(conn net.Conn) error) func(net.Conn) {
	return func(conn net.Conn) {
		client := tls.Client(conn, &tls.Config{
			ServerName: name, MinVersion: version, MaxVersion: version, InsecureSkipVerify: true,
			VerifyPeerCertificate: func([][]byte, [][]*x509.Certificate) error { return verdict(conn) },
		})
		if client.Handshake() == nil {
			client.Close()
		}
	}
}

func TestClientsThatReject(t *testing.T) {
	for _, test := range []struct {
		name    string
		version uint16 // 0: both
		verdict func(net.Conn) error
		want    string // in the reason; "": nothing is logged
	}{
		{"alert", 0, func(net.Conn) error { return errRejected }, "bad certificate: it probably does not trust the root"},
		{"unreadable alert", tls.VersionTLS13, func(conn net.Conn) error {
			conn.Write([]byte{21, 3, 3, 0, 2, 2, 48})
			conn.Close()
			return errRejected
		}, "an alert that cannot be read: it probably does not trust the root"},
		{"readable alert", tls.VersionTLS12, func(conn net.Conn) error {
			conn.Write([]byte{21, 3, 3, 0, 2, 2, 48})
			conn.Close()
			return errRejected
		}, "unknown CA: it probably does not trust the root"},
		{"alert of another kind", tls.VersionTLS12, func(conn net.Conn) error {
			conn.Write([]byte{21, 3, 3, 0, 2, 2, 80})
			conn.Close()
			return errRejected
		}, ""},
		{"close", 0, func(conn net.Conn) error { conn.Close(); return errRejected }, "it left when it saw it"},
		{"reset", 0, func(conn net.Conn) error {
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
			return errRejected
		}, "it left when it saw it"},
		{"content", 0, func(net.Conn) error { return nil }, ""},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			if test.version != 0 && test.version != version {
				continue
			}
			t.Run(test.name+" "+tls.VersionName(version), func(t *testing.T) {
				f := start(t, Route{Host: "app.localhost", Path: "/", Backend: nowhere})
				f.trustHint = func(host string) string { return "ask about " + host }
				f.accepted(t, handshake("APP.localhost", version, test.verdict))
				got := f.warnings()
				switch {
				case test.want == "" && len(got) > 0:
					t.Errorf("got %q, want nothing", got)
				case test.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], msgRejected) ||
					!strings.Contains(got[0], test.want) || !strings.Contains(got[0], "hint:ask about app.localhost host:app.localhost")):
					t.Errorf("got %q, want a line with %q", got, test.want)
				}
			})
		}
	}
}

func TestRejection(t *testing.T) {
	remote := func(alert uint8) error { return &net.OpError{Op: "remote error", Err: tls.AlertError(alert)} }
	local := func(alert uint8) error { return &net.OpError{Op: "local error", Err: tls.AlertError(alert)} }
	during12, during13 := tls.ConnectionState{Version: tls.VersionTLS12}, tls.ConnectionState{Version: tls.VersionTLS13}
	after12, after13 := during12, during13
	after12.HandshakeComplete, after13.HandshakeComplete = true, true
	reset := &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	for _, test := range []struct {
		err   error
		state tls.ConnectionState
		want  string
	}{
		{remote(42), during13, "bad certificate"},
		{remote(43), during13, "unsupported certificate"},
		{remote(44), during13, "certificate revoked"},
		{remote(45), during13, "certificate expired: is its clock right?"},
		{remote(46), during13, "certificate unknown"},
		{remote(48), during12, "unknown CA"},
		{remote(48), after12, "unknown CA"}, // Firefox
		{fmt.Errorf("wrapped: %w", remote(48)), during12, "unknown CA"},
		{remote(40), during12, ""}, // handshake_failure
		{remote(70), during12, ""}, // protocol_version
		{remote(90), during13, ""}, // user_canceled
		{local(20), during13, "cannot be read"},
		{local(20), during12, ""},
		{local(20), after13, ""},
		{local(40), during13, ""},
		{io.EOF, during13, "it left"},
		{io.ErrUnexpectedEOF, during12, "it left"},
		{reset, during12, "it left"},
		{io.EOF, tls.ConnectionState{}, ""}, // before it saw anything
		{reset, tls.ConnectionState{}, ""},
		{io.EOF, after13, ""}, // browsers, with what they do not need
		{reset, after12, ""},
		{os.ErrDeadlineExceeded, during13, ""},
		{net.ErrClosed, during13, ""},
	} {
		got := rejection(test.err, test.state)
		if (got == "") != (test.want == "") || !strings.HasPrefix(got, test.want) && !strings.Contains(got, test.want) {
			t.Errorf("%v in %v: got %q, want %q", test.err, test.state, got, test.want)
		}
	}
}

// A page has many assets: that their client rejects each is one line.
func TestRejectionsAreOneLine(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: nowhere}, Route{Host: "api.localhost", Path: "/", Backend: nowhere})
	reject := func(name string) {
		conn, err := tls.Dial("tcp", f.addr.String(), &tls.Config{ServerName: name, RootCAs: x509.NewCertPool()})
		if err == nil {
			conn.Close()
			t.Fatalf("%s: the client trusts no root, and the certificate", name)
		}
	}
	for range 20 {
		reject("app.localhost")
	}
	reject("api.localhost")
	eventually(t, "both lines", func() bool { return f.logs.FilterMessage(msgRejected).Len() >= 2 })
	conn := f.connect(t, "app.localhost")
	conn.Close()
	if got := f.warnings(); len(got) != 2 {
		t.Errorf("got %q, want one line for each host", got)
	}
}

// Without a server name the certificate is for the address.
func TestRejectionByAddress(t *testing.T) {
	f := start(t)
	f.accepted(t, handshake(loopback4, tls.VersionTLS13, func(net.Conn) error { return errRejected }))
	if got := f.warnings(); len(got) != 1 || !strings.Contains(got[0], "host:127.0.0.1") {
		t.Errorf("got %q, want a line for the address", got)
	}
}

// Those that never come to see a certificate are none of a person's business.
func TestClientsThatOnlyLook(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: nowhere})
	for name, client := range map[string]func(net.Conn){
		"connect":       func(net.Conn) {},
		"reset":         func(conn net.Conn) { conn.(*net.TCPConn).SetLinger(0) },
		"garbage":       func(conn net.Conn) { io.WriteString(conn, "SSH-2.0-scanner\r\n") },
		"half a record": func(conn net.Conn) { conn.Write([]byte{22, 3, 1, 2, 0, 1}) },
		"old TLS": func(conn net.Conn) {
			tls.Client(conn, &tls.Config{ServerName: "app.localhost", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}).Handshake()
		},
	} {
		f.accepted(t, client)
		if got := f.warnings(); len(got) > 0 {
			t.Errorf("%s: got %q, want nothing", name, got)
		}
	}
}

// Plain HTTP on the TLS port gets an answer in plain text, which is net/http's
// and has nothing of an app, and one line in the log.
func TestPlainHTTP(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, says("secret"))})
	for range 3 {
		conn, err := net.Dial("tcp", f.addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
		// The connection may be reset after the answer: the request was not read.
		got, _ := io.ReadAll(conn)
		if text := string(got); !strings.HasPrefix(text, "HTTP/1.0 400 ") || strings.Contains(text, "secret") {
			t.Errorf("got %q, want 400 and nothing of the app", text)
		}
	}
	for _, begin := range []string{"POST / ", "DELETE / ", "PRI * HTTP/2.0"} {
		f.accepted(t, func(conn net.Conn) { io.WriteString(conn, begin) })
	}
	eventually(t, "the line", func() bool { return f.logs.FilterMessage(msgPlainHTTP).Len() > 0 })
	if got := f.warnings(); len(got) != 1 || !strings.Contains(got[0], "https://") {
		t.Errorf("got %q, want one line", got)
	}
}

func TestNamesWithoutRoute(t *testing.T) {
	f := start(t, Route{Host: "shop.localhost", Path: "/", Backend: nowhere})
	for _, test := range []struct{ name, want string }{
		{"bank.example", "map[host:bank.example]"},
		{"bank.example", ""},
		{"BANK.example", ""},
		{"shop.localhosd", "map[host:shop.localhosd nearest:shop.localhost]"},
		{"shp.localhost", ""}, // it gets a page
	} {
		f.accepted(t, handshake(test.name, tls.VersionTLS13, func(net.Conn) error { return nil }))
		got := f.warnings()
		if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || got[0] != msgNoRoute+test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
	// The CA may not sign for every name that is covered: that is not the routes' fault.
	f.getCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }
	f.certificate(&tls.ClientHelloInfo{ServerName: "shp.localhost"})
	if got := f.warnings(); len(got) > 0 {
		t.Errorf("a covered name: got %q, want nothing", got)
	}
	for i := range 5 * maxNotices {
		f.certificate(&tls.ClientHelloInfo{ServerName: fmt.Sprintf("n%d.example", i)})
	}
	if got := f.warnings(); len(got) > maxNotices || !strings.Contains(got[len(got)-1], "many more") {
		t.Errorf("got %d lines, the last is %q", len(got), got[len(got)-1])
	}
}

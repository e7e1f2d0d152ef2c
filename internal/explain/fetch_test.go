package explain

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// listen accepts connections at a free port until the test ends.
func listen(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				handle(conn)
			}()
		}
	}()
	return l.Addr().String()
}

// serve makes handshakes, and waits for the client to leave.
func serve(t *testing.T, config *tls.Config) string {
	t.Helper()
	return listen(t, func(conn net.Conn) { io.Copy(io.Discard, tls.Server(conn, config)) })
}

func TestFetch(t *testing.T) {
	root := newRoot(t)
	between := root.intermediate(t)
	s := situation{sent: []entity{between.leaf(t), between}}
	for _, tt := range []struct {
		name    string
		config  *tls.Config
		version string
		alpn    string
	}{
		{"today's", &tls.Config{NextProtos: []string{"h2"}}, "TLS 1.3", "h2"},
		{"old", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, "TLS 1.0", ""},
		{"client certificate required", &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}, "TLS 1.2", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.config.Certificates = []tls.Certificate{s.certificate()}
			got, err := Fetch(t.Context(), serve(t, tt.config), "shop.localhost")
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Chain) != 2 || !got.Chain[0].Equal(s.sent[0].cert) || !got.Chain[1].Equal(between.cert) {
				t.Errorf("got a chain of %d, want leaf and intermediate", len(got.Chain))
			}
			if want := tt.config.ClientAuth != tls.NoClientCert; got.AsksClient != want {
				t.Errorf("asks for a client certificate: %t, want %t", got.AsksClient, want)
			}
			if got.Version != tt.version || got.ALPN != tt.alpn || !strings.HasPrefix(got.CipherSuite, "TLS_") {
				t.Errorf("got %q, %q, %q, want %q, %q and a cipher suite", got.Version, got.ALPN, got.CipherSuite, tt.version, tt.alpn)
			}
		})
	}
}

func TestFetchFails(t *testing.T) {
	answering := func(text string) func(net.Conn) {
		return func(conn net.Conn) {
			conn.Read(make([]byte, 4096))
			io.WriteString(conn, text)
		}
	}
	nameless := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := l.Addr().String()
	l.Close()
	for _, tt := range []struct{ name, addr, want string }{
		{"plain HTTP", listen(t, answering("HTTP/1.1 400 Bad Request\r\n\r\n")), "the server speaks plain HTTP there"},
		{"another protocol", listen(t, answering("220 mail.example.test ESMTP\r\n")), "does not speak TLS"},
		{"closed", listen(t, func(conn net.Conn) { conn.Read(make([]byte, 4096)) }), "closed the connection without an answer"},
		{"no certificate for it", serve(t, nameless), `no certificate for "shop.localhost" (alert unrecognized_name)`},
		{"refused", refused, "connection refused"},
		{"no port", "127.0.0.1", "missing port"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Fetch(t.Context(), tt.addr, "shop.localhost")
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.addr) {
				t.Errorf("got %v, %v, want an error with %q and the address", got, err, tt.want)
			}
		})
	}
}

func TestFetchGivesUp(t *testing.T) {
	addr := listen(t, func(conn net.Conn) { io.Copy(io.Discard, conn) }) // says nothing
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Fetch(ctx, addr, "shop.localhost"); err == nil || !strings.Contains(err.Error(), "no answer in time") {
		t.Errorf("got %v, want that there was no answer in time", err)
	}
}

// TestFetchIsBounded: a chain that is too large is not handed on.
func TestFetchIsBounded(t *testing.T) {
	root := newRoot(t)
	leaf := root.leaf(t)
	large := root.leaf(t, named(words(5_000, "name%d.shop.localhost")...))
	for _, tt := range []struct {
		name string
		sent []entity
		want string // "" is none
	}{
		{"as many as may be", append([]entity{leaf}, slices.Repeat([]entity{root}, maxCertificates-1)...), ""},
		{"one more", append([]entity{leaf}, slices.Repeat([]entity{root}, maxCertificates)...), "the server sends 33 certificates"},
		{"too many bytes", []entity{large, root}, "KiB together"},
		{"more than TLS takes", slices.Repeat([]entity{large}, 3), "exceeds maximum"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr := serve(t, &tls.Config{Certificates: []tls.Certificate{situation{sent: tt.sent}.certificate()}})
			got, err := Fetch(t.Context(), addr, "shop.localhost")
			if tt.want == "" {
				if err != nil || len(got.Chain) != len(tt.sent) {
					t.Errorf("got %d certificates, %v, want %d", len(got.Chain), err, len(tt.sent))
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || len(got.Chain) > 0 {
				t.Errorf("got %d certificates, %v, want an error with %q", len(got.Chain), err, tt.want)
			}
		})
	}
}

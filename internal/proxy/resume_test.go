package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"testing"
)

// A session is resumed as long as its host is served. Then its client learns
// what others are told, not that something is wrong with a certificate.
func TestResumption(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			table, err := NewTable([]Route{{Host: "app.localhost", Path: "/", Backend: nowhere}})
			if err != nil {
				t.Fatal(err)
			}
			asked := 0 // about resumed sessions, at the end of a handshake or before
			p, err := New(Config{
				Table: table,
				GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
					if !table.Covers(hello.ServerName) {
						return nil, nil
					}
					return authority().leaf(hello.ServerName)
				},
				VerifyConnection: func(state tls.ConnectionState) error {
					if !state.DidResume {
						return nil
					}
					asked++
					if !table.Covers(state.ServerName) {
						return errors.New("not served")
					}
					return nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			ln := listen(t, loopback4)
			served := make(chan error, 1)
			go func() { served <- p.Serve(ln) }()
			defer func() { p.Shutdown(context.Background()); <-served }()

			config := &tls.Config{
				RootCAs: authority().pool, ServerName: "app.localhost",
				MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(1),
			}
			dial := func() (resumed bool, err error) {
				conn, err := tls.Dial("tcp", ln.Addr().String(), config)
				if err != nil {
					return false, err
				}
				defer conn.Close()
				// In TLS 1.3 the ticket comes with the first answer.
				io.WriteString(conn, "GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n")
				_, err = io.ReadAll(conn)
				return conn.ConnectionState().DidResume, err
			}
			for i, want := range []bool{false, true, true} {
				if resumed, err := dial(); resumed != want || err != nil {
					t.Fatalf("connection %d: resumed %t, %v; want %t", i, resumed, err, want)
				}
			}
			if asked < 4 {
				t.Errorf("asked %d times about two resumed connections, want 2 each", asked)
			}
			if err := table.Replace(nil); err != nil {
				t.Fatal(err)
			}
			if _, err := dial(); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
				t.Errorf("the route has gone: got %v, want the alert unrecognized_name", err)
			}
			if err := table.Replace([]Route{{Host: "app.localhost", Path: "/", Backend: nowhere}}); err != nil {
				t.Fatal(err)
			}
			if _, err := dial(); err != nil {
				t.Errorf("the route is back: %v", err)
			}
		})
	}
}

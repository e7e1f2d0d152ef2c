package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// A secretLog is a key log in memory.
type secretLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *secretLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

// take returns what was written since the last call.
func (l *secretLog) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// Secrets are written for hosts of both kinds; a log that cannot be written
// harms nobody.
func TestKeyLog(t *testing.T) {
	secrets := new(secretLog)
	ca := newClientCA(t)
	for name, w := range map[string]io.Writer{"kept": secrets, "failing": failingWriter{}, "none": nil} {
		f := startConfigured(t, func(cfg *Config) { cfg.KeyLog = func() io.Writer { return w } },
			Route{Host: "app.localhost", Path: "/", Backend: app(t, says("fine"))},
			Route{Host: "asks.localhost", Path: "/", Backend: app(t, says("fine")), Clients: &asks(true, ca).ClientAuth})
		for _, host := range []string{"app.localhost", "asks.localhost"} {
			client := f.as(t, "h1", ca.issue(t, nil))
			var theirs bytes.Buffer
			client.Transport.(*http.Transport).TLSClientConfig.KeyLogWriter = &theirs
			if res, _ := get(t, client, f.url(host, "/")); res.StatusCode != 200 {
				t.Errorf("%s, %s: got %d", name, host, res.StatusCode)
			}
			ours := secrets.take()
			for line := range strings.Lines(theirs.String()) {
				if name == "kept" && !strings.Contains(ours, line) {
					t.Errorf("%s: a secret of the client's is not in our log", host)
				}
			}
			if theirs.Len() == 0 {
				t.Error("the client has logged no secrets")
			}
		}
	}
}

// The secrets of every connection that begins while the key log is on are in it,
// those of resumed sessions too.
func TestKeyLogResumption(t *testing.T) {
	for _, tt := range []struct {
		version uint16
		label   string
		resumes bool // also while it is on: nothing is logged when TLS 1.2 resumes
	}{
		{tls.VersionTLS12, "CLIENT_RANDOM ", false},
		{tls.VersionTLS13, "SERVER_TRAFFIC_SECRET_0 ", true},
	} {
		t.Run(tls.VersionName(tt.version), func(t *testing.T) {
			table, err := NewTable([]Route{{Host: "app.localhost", Path: "/", Backend: nowhere}})
			if err != nil {
				t.Fatal(err)
			}
			var on atomic.Bool
			secrets := &secretLog{}
			p, err := New(Config{
				Table:            table,
				GetCertificate:   func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return authority().leaf(hello.ServerName) },
				VerifyConnection: func(tls.ConnectionState) error { return nil },
				KeyLog: func() io.Writer {
					if on.Load() {
						return secrets
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
				MaxVersion: tt.version, ClientSessionCache: tls.NewLRUClientSessionCache(1),
			}
			for i, step := range []struct{ on, resumes bool }{
				{false, false}, {false, true}, {true, tt.resumes}, {true, tt.resumes}, {false, true},
			} {
				on.Store(step.on)
				conn, err := tls.Dial("tcp", ln.Addr().String(), config)
				if err != nil {
					t.Fatal(err)
				}
				io.WriteString(conn, "GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n")
				io.ReadAll(conn)
				resumed := conn.ConnectionState().DidResume
				conn.Close()
				want := 0
				if step.on {
					want = 1
				}
				if text := secrets.take(); strings.Count(text, tt.label) != want || want == 0 && text != "" || resumed != step.resumes {
					t.Errorf("connection %d: resumed %v, secrets %q; want %v, and %d lines with %s", i, resumed, text, step.resumes, want, tt.label)
				}
			}
		})
	}
}

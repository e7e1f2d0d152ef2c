package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// A conn is one HTTP/1.1 connection to a proxy.
type conn struct {
	*tls.Conn
	host   string
	reader *bufio.Reader
}

// clientConfig is that of a client of host: TLS 1.3, X25519 for everybody,
// since OpenSSL of Debian 12 knows nothing newer. Sessions may be nil.
func (b *bench) clientConfig(c *contender, host string, sessions tls.ClientSessionCache) *tls.Config {
	return &tls.Config{
		ServerName:         host,
		RootCAs:            b.roots(c),
		MinVersion:         tls.VersionTLS13,
		CurvePreferences:   []tls.CurveID{tls.X25519},
		NextProtos:         []string{"http/1.1"},
		ClientSessionCache: sessions,
	}
}

// roots returns what clients of c trust: Caddy makes a root of its own, the
// others use devproxy's.
func (b *bench) roots(c *contender) *x509.CertPool {
	if c.kind.name != "caddy" {
		return b.authority.roots
	}
	pool := x509.NewCertPool()
	if root, err := os.ReadFile(filepath.Join(c.dir, "storage", "pki", "authorities", "local", "root.crt")); err == nil {
		pool.AppendCertsFromPEM(root)
	}
	return pool
}

// dial opens a connection for host; the handshake is over when it returns.
func (b *bench) dial(c *contender, host string, sessions tls.ClientSessionCache) (*conn, error) {
	return dialTLS(c.address(), b.clientConfig(c, host, sessions))
}

func dialTLS(address string, config *tls.Config) (*conn, error) {
	raw, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	secured := tls.Client(raw, config)
	secured.SetDeadline(time.Now().Add(2 * time.Minute)) // of the longest use
	if err := secured.Handshake(); err != nil {
		raw.Close()
		return nil, err
	}
	return &conn{secured, config.ServerName, bufio.NewReaderSize(secured, 64<<10)}, nil
}

// get asks for path and reads the answer, which must be a 200.
func (c *conn) get(path string) error {
	resp, err := c.request(path)
	if err != nil {
		return err
	}
	return c.drain(resp)
}

// request asks for path and returns the head of the answer.
func (c *conn) request(path string) (*http.Response, error) {
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\n\r\n", path, c.host); err != nil {
		return nil, err
	}
	return http.ReadResponse(c.reader, nil)
}

// answer reads a response to its end.
func (c *conn) answer() error {
	resp, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return err
	}
	return c.drain(resp)
}

// drain reads an answer, which must be a 200, to its end.
func (c *conn) drain(resp *http.Response) error {
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("https://%s answers %s", c.host, resp.Status)
	}
	_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, make([]byte, 256<<10))
	return err
}

// finish closes the connection as TLS wants it and waits until the other side
// has done the same, by when it has done all its work for it.
func (c *conn) finish() error {
	defer c.Close()
	if err := c.CloseWrite(); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, c.Conn)
	return err
}

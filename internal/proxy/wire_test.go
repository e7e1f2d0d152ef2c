package proxy

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// The two ends of these measurements speak in bytes that were written before, so
// that what is allocated and computed is the proxy's.

// wireBody is what wireBackend answers with.
var wireBody = strings.Repeat("x", 1024)

// wireBackend answers each request, which has no body, with the same bytes.
func wireBackend(t testing.TB) Backend {
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Sat, 21 Nov 2026 09:00:00 GMT\r\nContent-Length: %d\r\n\r\n%s",
		len(wireBody), wireBody)
	return rawBackend(t, func(conn net.Conn) {
		buf := make([]byte, 16<<10)
		for n := 0; ; {
			conn.SetDeadline(time.Now().Add(patience))
			more, err := conn.Read(buf[n:])
			if err != nil {
				return
			}
			if n += more; !bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
				continue
			}
			n = 0
			if _, err := conn.Write(answer); err != nil {
				return
			}
		}
	})
}

// A wireClient sends a GET like that of a browser, and reads the answer to its
// end.
type wireClient interface{ get() error }

// wireFields are the header fields of a page's request for a module.
var wireFields = [][2]string{
	{"user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
	{"accept", "*/*"},
	{"accept-language", "en-US,en;q=0.5"},
	{"accept-encoding", "gzip, deflate, br, zstd"},
	{"cookie", "session=0123456789abcdef0123456789abcdef"},
	{"sec-fetch-dest", "script"},
	{"sec-fetch-mode", "cors"},
	{"sec-fetch-site", "same-origin"},
}

// wireTo connects a client to f; protocol is "h1" or "h2".
func (f *fixture) wireTo(t testing.TB, protocol, host string) wireClient {
	t.Helper()
	alpn := map[string]string{"h1": "http/1.1", "h2": "h2"}[protocol]
	conn, err := tls.Dial("tcp", f.addr.String(), &tls.Config{
		ServerName: host, RootCAs: authority().pool, NextProtos: []string{alpn},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if got := conn.ConnectionState().NegotiatedProtocol; got != alpn {
		t.Fatalf("got protocol %q, want %q", got, alpn)
	}
	authority := fmt.Sprintf("%s:%d", host, f.addr.Port())
	if protocol == "h1" {
		return newWireH1(conn, authority)
	}
	client, err := newWireH2(conn, authority)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// wireH1 is a client of HTTP/1.1 on one connection.
type wireH1 struct {
	conn    net.Conn
	request []byte
	buf     []byte
}

func newWireH1(conn net.Conn, authority string) *wireH1 {
	var b bytes.Buffer
	fmt.Fprintf(&b, "GET /src/module.js?v=1 HTTP/1.1\r\nHost: %s\r\n", authority)
	for _, field := range wireFields {
		fmt.Fprintf(&b, "%s: %s\r\n", http.CanonicalHeaderKey(field[0]), field[1])
	}
	b.WriteString("\r\n")
	return &wireH1{conn: conn, request: b.Bytes(), buf: make([]byte, 16<<10)}
}

func (c *wireH1) get() error {
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	for n := 0; ; {
		more, err := c.conn.Read(c.buf[n:])
		if err != nil {
			return err
		}
		n += more
		head := bytes.Index(c.buf[:n], []byte("\r\n\r\n"))
		if head < 0 || n < head+4+len(wireBody) {
			continue
		}
		if !bytes.HasPrefix(c.buf, []byte("HTTP/1.1 200 ")) || string(c.buf[head+4:n]) != wireBody {
			return fmt.Errorf("got %.200q", c.buf[:n])
		}
		return nil
	}
}

// wireH2 is a client of HTTP/2 on one connection, with one request at a time.
type wireH2 struct {
	conn   net.Conn
	stream uint32
	block  []byte // the fields of a request, which change no table
	out    []byte
	in     []byte
	frame  [9]byte
}

func newWireH2(conn net.Conn, authority string) (*wireH2, error) {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, field := range append([][2]string{
		{":method", "GET"}, {":scheme", "https"}, {":authority", authority}, {":path", "/src/module.js?v=1"},
	}, wireFields...) {
		// What is sensitive is not entered into the table, so that all requests can
		// be the same bytes.
		if err := enc.WriteField(hpack.HeaderField{Name: field[0], Value: field[1], Sensitive: true}); err != nil {
			return nil, err
		}
	}
	c := &wireH2{conn: conn, stream: 1, block: block.Bytes(), in: make([]byte, 16<<10)}
	hello := bytes.NewBufferString(http2.ClientPreface)
	if err := http2.NewFramer(hello, nil).WriteSettings(); err != nil {
		return nil, err
	}
	_, err := conn.Write(hello.Bytes())
	return c, err
}

// appendFrame appends the head of a frame, after which size bytes follow.
func (c *wireH2) appendFrame(kind http2.FrameType, flags http2.Flags, stream uint32, size int) {
	c.out = append(c.out, byte(size>>16), byte(size>>8), byte(size), byte(kind), byte(flags))
	c.out = binary.BigEndian.AppendUint32(c.out, stream)
}

func (c *wireH2) get() error {
	c.out = c.out[:0]
	c.appendFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, c.stream, len(c.block))
	c.out = append(c.out, c.block...)
	// The answer may take from the connection what the last one has used up.
	c.appendFrame(http2.FrameWindowUpdate, 0, 0, 4)
	c.out = binary.BigEndian.AppendUint32(c.out, uint32(len(wireBody)))
	if _, err := c.conn.Write(c.out); err != nil {
		return err
	}
	for got := 0; ; {
		if _, err := io.ReadFull(c.conn, c.frame[:]); err != nil {
			return err
		}
		size := int(c.frame[0])<<16 | int(c.frame[1])<<8 | int(c.frame[2])
		if size > len(c.in) {
			return errors.New("the frame is too large")
		}
		if _, err := io.ReadFull(c.conn, c.in[:size]); err != nil {
			return err
		}
		kind, flags := http2.FrameType(c.frame[3]), http2.Flags(c.frame[4])
		stream := binary.BigEndian.Uint32(c.frame[5:])
		switch {
		case kind == http2.FrameSettings && !flags.Has(http2.FlagSettingsAck):
			c.out = c.out[:0]
			c.appendFrame(http2.FrameSettings, http2.FlagSettingsAck, 0, 0)
			if _, err := c.conn.Write(c.out); err != nil {
				return err
			}
		case kind == http2.FrameRSTStream || kind == http2.FrameGoAway:
			return fmt.Errorf("got %s", kind)
		case stream == c.stream && kind == http2.FrameData:
			got += size
		}
		if stream == c.stream && (kind == http2.FrameData || kind == http2.FrameHeaders) && flags.Has(http2.FlagDataEndStream) {
			c.stream += 2
			if got != len(wireBody) {
				return fmt.Errorf("got %d bytes, want %d", got, len(wireBody))
			}
			return nil
		}
	}
}

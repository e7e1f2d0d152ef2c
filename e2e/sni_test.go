package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Clients of crypto/tls refuse to send most of what a server may receive, so
// this file writes the first message of a handshake by itself. It asks for TLS
// 1.2, where certificates come in plain text.

// prefixed returns content behind its length in so many bytes.
func prefixed(size int, content []byte) []byte {
	length := binary.BigEndian.AppendUint32(nil, uint32(len(content)))
	return append(length[4-size:], content...)
}

// clientHello returns a TLS record with a ClientHello for a server name, of
// whatever bytes; nil sends no server_name extension.
func clientHello(name []byte) []byte {
	extension := func(id uint16, content []byte) []byte {
		return append(binary.BigEndian.AppendUint16(nil, id), prefixed(2, content)...)
	}
	var extensions []byte
	if name != nil {
		// RFC 6066, section 3: a list of names, each with its type.
		extensions = append(extensions, extension(0, prefixed(2, append([]byte{0}, prefixed(2, name)...)))...)
	}
	extensions = append(extensions, extension(10, prefixed(2, []byte{0, 23}))...)   // groups: secp256r1
	extensions = append(extensions, extension(11, prefixed(1, []byte{0}))...)       // points: uncompressed
	extensions = append(extensions, extension(13, prefixed(2, []byte{0x04, 3}))...) // ecdsa_secp256r1_sha256

	hello := []byte{3, 3}
	random := make([]byte, 32)
	rand.Read(random)
	hello = append(hello, random...)
	hello = append(hello, prefixed(1, nil)...)                // no session
	hello = append(hello, prefixed(2, []byte{0xc0, 0x2b})...) // ECDHE_ECDSA with AES_128_GCM
	hello = append(hello, prefixed(1, []byte{0})...)          // no compression
	hello = append(hello, prefixed(2, extensions)...)
	message := append([]byte{1}, prefixed(3, hello)...)

	var records []byte
	for part := range slices.Chunk(message, 1<<14) {
		records = append(records, append([]byte{22, 3, 1}, prefixed(2, part)...)...)
	}
	return records
}

// What a server answered to a ClientHello: an alert, or certificates.
type helloAnswer struct {
	alert byte // 0: none
	chain []*x509.Certificate
}

func (a helloAnswer) String() string {
	if a.alert != 0 {
		return fmt.Sprintf("alert %d", a.alert)
	}
	if len(a.chain) == 0 {
		return "nothing"
	}
	leaf := a.chain[0]
	return fmt.Sprintf("%d certificates, the first for %s %s", len(a.chain), leaf.DNSNames, leaf.IPAddresses)
}

// Alerts of RFC 8446, section 6, and RFC 6066.
const alertUnrecognizedName = 112

// greet sends a ClientHello and reads up to the certificates or an alert.
func greet(addr string, name []byte) (a helloAnswer, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return a, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(clientHello(name)); err != nil {
		return a, err
	}
	var messages []byte // of the handshake, out of their records
	for {
		var header [5]byte
		if _, err := io.ReadFull(conn, header[:]); errors.Is(err, io.EOF) {
			return a, nil
		} else if err != nil {
			return a, err
		}
		record := make([]byte, binary.BigEndian.Uint16(header[3:]))
		if _, err := io.ReadFull(conn, record); err != nil {
			return a, err
		}
		switch header[0] {
		case 21:
			a.alert = record[1]
			return a, nil
		case 22:
			messages = append(messages, record...)
		default:
			return a, fmt.Errorf("record of type %d", header[0])
		}
		for len(messages) >= 4 {
			size := 4 + int(messages[1])<<16 + int(messages[2])<<8 + int(messages[3])
			if len(messages) < size {
				break
			}
			if messages[0] == 11 {
				a.chain, err = helloCertificates(messages[4:size])
				return a, err
			}
			messages = messages[size:]
		}
	}
}

// helloCertificates parses the body of a Certificate message of TLS 1.2.
func helloCertificates(body []byte) (chain []*x509.Certificate, err error) {
	body = body[3:] // the length of the list
	for len(body) > 3 {
		size := int(body[0])<<16 + int(body[1])<<8 + int(body[2])
		cert, err := x509.ParseCertificate(body[3 : 3+size])
		if err != nil {
			return nil, err
		}
		chain = append(chain, cert)
		body = body[3+size:]
	}
	return chain, nil
}

// labels returns a name below localhost of so many bytes.
func labels(size int) string {
	const parent = ".localhost"
	var b strings.Builder
	for rest := size - len(parent); rest > 0; {
		n := min(rest, 63)
		if rest-n == 1 { // no room for a dot and a label
			n--
		}
		b.WriteString(strings.Repeat("a", n))
		if rest -= n; rest > 0 {
			b.WriteByte('.')
			rest--
		}
	}
	return b.String() + parent
}

// TestServerNames sends server names of every kind. Each gets a certificate
// for exactly that name or an alert, and the server goes on.
func TestServerNames(t *testing.T) {
	h := newHome(t)
	s := start(t, h, head+`
[routes]
"hello.localhost" = "builtin:hello"
"*.wild.test" = "builtin:hello"
"bücher.internal" = "builtin:hello"
`)
	client := s.client(t)
	for _, tt := range []struct {
		name string
		sni  []byte
		leaf string // its one name or address; "" wants the alert
	}{
		{"routed", []byte("hello.localhost"), "hello.localhost"},
		{"upper case", []byte("HELLO.LocalHost"), "hello.localhost"},
		{"sibling", []byte("shp.localhost"), "shp.localhost"},
		{"wildcard", []byte("a.b.wild.test"), "a.b.wild.test"},
		{"base of a wildcard", []byte("wild.test"), "wild.test"},
		{"IDN", []byte("xn--bcher-kva.internal"), "xn--bcher-kva.internal"},
		{"IDN in UTF-8", []byte("bücher.internal"), "xn--bcher-kva.internal"},
		{"253 bytes", []byte(labels(253)), labels(253)},
		{"absent", nil, "127.0.0.1"},
		{"own address", []byte("127.0.0.1"), "127.0.0.1"},

		{"unknown", []byte("elsewhere.test"), ""},
		{"parent", []byte("localhost"), ""},
		{"outside the constraints", []byte("bank.example"), ""},
		{"suffix of a routed name", []byte("xhello.localhost.example"), ""},
		{"other address", []byte("10.9.8.7"), ""},
		{"IPv6 address", []byte("::1"), ""},
		{"254 bytes", []byte(labels(254)), ""},
		{"255 bytes", []byte(labels(255)), ""},
		{"one label of 255 bytes", bytes.Repeat([]byte("a"), 255), ""},
		{"a label of 64 bytes", []byte(strings.Repeat("a", 64) + ".localhost"), ""},
		{"60,000 bytes", bytes.Repeat([]byte("a."), 30000)[:59999], ""},
		{"Latin-1", []byte("b\xfccher.internal"), ""},
		{"invalid punycode", []byte("xn--\xff.localhost"), ""},
		{"emptied label", []byte("a..localhost"), ""},
		{"blank", []byte("a b.localhost"), ""},
		{"NUL", []byte("hello.localhost\x00.example"), ""},
		{"line end", []byte("hello.localhost\r\nx"), ""},
		{"escape", []byte("\x1b[31m.localhost"), ""},
		{"asterisk", []byte("*.wild.test"), ""},
		{"port", []byte("hello.localhost:443"), ""},
		{"path", []byte("../../etc/passwd.localhost"), ""},
		{"hyphen", []byte("-a.localhost"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := greet(s.addr(), tt.sni)
			if err != nil {
				t.Fatal(err)
			}
			if tt.leaf == "" {
				if got.alert != alertUnrecognizedName {
					t.Errorf("answer: %v, want alert %d", got, alertUnrecognizedName)
				}
			} else if len(got.chain) != 2 || onlyName(got.chain[0]) != tt.leaf {
				t.Errorf("answer: %v, want 2 certificates, the first for %s alone", got, tt.leaf)
			}
			s.get(t, client, "hello.localhost", "/")
		})
	}

	// crypto/tls refuses these as malformed (RFC 6066: no trailing dot, not
	// empty) before devproxy is asked. What matters is that it refuses them.
	for _, sni := range []string{"", "hello.localhost.", "."} {
		t.Run(fmt.Sprintf("malformed %q", sni), func(t *testing.T) {
			got, err := greet(s.addr(), []byte(sni))
			if err != nil {
				t.Fatal(err)
			}
			if got.alert == 0 {
				t.Errorf("answer: %v, want an alert", got)
			}
			s.get(t, client, "hello.localhost", "/")
		})
	}
	noEscapes(t, s.errors())
}

// onlyName returns the one name or address of a certificate.
func onlyName(cert *x509.Certificate) string {
	if len(cert.DNSNames)+len(cert.IPAddresses) != 1 || cert.Subject.String() != "" {
		return "several"
	}
	return strings.Join(cert.DNSNames, "") + strings.Trim(fmt.Sprint(cert.IPAddresses), "[]")
}

// addr returns where the server listens.
func (s *server) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// TestManyNames asks for 10,000 names under a wildcard. Memory stops growing
// once as many leaves are kept as ever will be.
func TestManyNames(t *testing.T) {
	h := newHome(t)
	s := start(t, h, head+`routes."*.many.localhost" = "builtin:hello"`)
	ask := func(from, to int) {
		t.Helper()
		var wg sync.WaitGroup
		const workers = 4
		for w := range workers {
			wg.Go(func() {
				for n := from + w; n < to; n += workers {
					name := fmt.Sprintf("n%d.many.localhost", n)
					got, err := greet(s.addr(), []byte(name))
					if err != nil || len(got.chain) == 0 || onlyName(got.chain[0]) != name {
						t.Errorf("%s: %v, %v", name, got, err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	const kept, all = 1000, 10000
	before := s.memory(t)
	ask(0, 2*kept)
	full := s.memory(t)
	began := time.Now()
	ask(2*kept, all)
	took := time.Since(began)
	after := s.memory(t)
	t.Logf("resident: %d KiB before, %d KiB after %d names, %d KiB after %d (%v for each handshake)",
		before, full, 2*kept, after, all, (took / (all - 2*kept)).Round(time.Microsecond))
	// The moment of the last collection makes a few MiB of difference; 8,000
	// leaves that were kept would make ten times that.
	if limit := full + 24<<10; after > limit {
		t.Errorf("%d KiB after %d names, want at most %d", after, all, limit)
	}
	s.get(t, s.client(t), "last.many.localhost", "/")
}

// TestNotTLS sends what is no TLS to the TLS port.
func TestNotTLS(t *testing.T) {
	backend := echo(t)
	h := newHome(t)
	s := start(t, h, routed(backend, "app.localhost"))
	random := make([]byte, 64<<10)
	rand.Read(random)
	random[0] = 0x80 // not the beginning of a TLS record
	for _, tt := range []struct {
		name string
		sent []byte
	}{
		{"random bytes", random},
		{"plain HTTP", []byte("GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n")},
		{"plain HTTP/2", []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")},
		{"an endless record", append([]byte{22, 3, 1, 0xff, 0xff}, random...)},
		{"SSH", []byte("SSH-2.0-OpenSSH_9.2\r\n")},
		{"nothing", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answer := exchange(t, s, tt.sent)
			if bytes.Contains(answer, []byte("200 OK")) || len(answer) > 200 {
				t.Errorf("answered in plain text: %q", answer)
			}
			t.Logf("answer: %q", answer)
			s.get(t, s.client(t), "app.localhost", "/")
		})
	}
}

// exchange sends bytes to the server and returns what it answers until it
// closes the connection.
func exchange(t *testing.T, s *server, sent []byte) []byte {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	conn.Write(sent) // fails when the server has seen enough
	conn.(*net.TCPConn).CloseWrite()
	answer, err := io.ReadAll(conn)
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		t.Errorf("the connection is still open after %v", patience)
	}
	return answer
}

// TestSlowHandshakes opens many connections whose clients never finish. They
// hinder nobody, and are closed.
func TestSlowHandshakes(t *testing.T) {
	t.Parallel() // it waits for most of its time
	h := newHome(t)
	s := start(t, h, head+`routes."hello.localhost" = "builtin:hello"`)
	hello := clientHello([]byte("hello.localhost"))
	began := time.Now()
	var conns []net.Conn
	for n := range 300 {
		conn, err := net.Dial("tcp", s.addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		// Nothing, a part, all of the first message.
		if _, err := conn.Write(hello[:[]int{0, 1, 50, len(hello)}[n%4]]); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	const requests = 20
	took := make([]time.Duration, requests)
	for n := range took {
		began := time.Now()
		s.get(t, s.client(t), "hello.localhost", "/") // a handshake each
		took[n] = time.Since(began)
	}
	t.Logf("a handshake and a request beside %d unfinished ones: median %v, longest %v", len(conns), median(took), slices.Max(took))
	if got := median(took); got > time.Second {
		t.Errorf("others wait for %v", got)
	}
	for _, conn := range conns {
		conn.SetReadDeadline(began.Add(patience))
		if _, err := io.Copy(io.Discard, conn); err != nil && !isReset(err) {
			t.Fatalf("an unfinished handshake is open after %v: %v", time.Since(began), err)
		}
	}
	t.Logf("the unfinished ones were closed after %v", time.Since(began).Round(time.Millisecond))
}

func isReset(err error) bool { return strings.Contains(err.Error(), "reset by peer") }

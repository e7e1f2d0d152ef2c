package proxy

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// callHeader numbers the requests that net/http has found in what a client
// sent, so that each request at the backend can be told where it comes from.
const callHeader = "X-Call-Of-The-Test"

// A plainProxy is a proxy without TLS, which would take most of the time. Its
// clients' connections count as opened for app.localhost.
type plainProxy struct {
	*fixture
	addr string

	mu     sync.Mutex
	calls  []*call
	panics []string
}

// A call is a request as net/http understood it.
type call struct {
	line string
	body bytes.Buffer // what was read of it
}

func startPlain(t testing.TB, routes ...Route) *plainProxy {
	t.Helper()
	p := &plainProxy{fixture: start(t, routes...)}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Handler:                      http.HandlerFunc(p.serveCall),
		Protocols:                    protocols,
		HTTP2:                        p.https.HTTP2,
		DisableGeneralOptionsHandler: p.https.DisableGeneralOptionsHandler,
		ReadHeaderTimeout:            p.https.ReadHeaderTimeout,
		MaxHeaderBytes:               p.https.MaxHeaderBytes,
		ErrorLog:                     log.New(p, "", 0),
	}
	ln := listen(t, loopback4)
	p.addr = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	t.Cleanup(func() { server.Close(); <-served })
	return p
}

// Write takes a line of net/http's log.
func (p *plainProxy) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("panic")) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.panics = append(p.panics, string(line))
	}
	return len(line), nil
}

func (p *plainProxy) serveCall(w http.ResponseWriter, r *http.Request) {
	c := &call{line: r.Method + " " + r.RequestURI}
	p.mu.Lock()
	p.calls = append(p.calls, c)
	r.Header[callHeader] = []string{strconv.Itoa(len(p.calls) - 1)}
	p.mu.Unlock()
	if r.Body != http.NoBody {
		r.Body = &teeBody{r.Body, p, c}
	}
	r.TLS = &tls.ConnectionState{ServerName: "app.localhost"}
	p.serve(w, r)
}

type teeBody struct {
	io.ReadCloser
	proxy *plainProxy
	call  *call
}

func (b *teeBody) Read(buf []byte) (int, error) {
	n, err := b.ReadCloser.Read(buf)
	b.proxy.mu.Lock()
	defer b.proxy.mu.Unlock()
	b.call.body.Write(buf[:n])
	return n, err
}

// compare checks that all that the backend saw are requests of clients, each
// at most once, and as net/http understood it.
func (p *plainProxy) compare(t testing.TB, w *witness) {
	t.Helper()
	w.mu.Lock()
	requests, faults := w.requests, w.faults
	w.requests, w.faults = nil, nil
	w.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(faults)+len(p.panics) > 0 {
		t.Errorf("faults: %q\npanics: %q", faults, p.panics)
		p.panics = nil
	}
	for _, s := range requests {
		id, err := strconv.Atoi(strings.Join(s.values(callHeader), ","))
		if err != nil || id >= len(p.calls) {
			t.Errorf("the backend saw %s, which no client sent", s)
			continue
		}
		c := p.calls[id]
		if c == nil {
			t.Errorf("the backend saw %s twice", s)
			continue
		}
		p.calls[id] = nil
		if s.method != strings.Fields(c.line)[0] || s.whole && s.framing != "" && s.body != c.body.String() {
			t.Errorf("the backend saw %s, the client sent %s %q", s, c.line, c.body.String())
		}
	}
}

// quiet is how long a connection is silent before the rest of a request is
// not waited for.
const quiet = 3 * time.Millisecond

// exchange sends bytes and returns all that comes back. It says that no more
// will come only when the server waits for more: that ends a request in
// progress, too.
func (p *plainProxy) exchange(t testing.TB, raw []byte) []byte {
	t.Helper()
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if len(raw) > 32<<10 {
		go conn.Write(raw) // more than may fit on the way
	} else {
		conn.Write(raw)
	}
	var all bytes.Buffer
	conn.SetReadDeadline(time.Now().Add(quiet))
	for {
		n, err := io.Copy(&all, conn)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		conn.SetReadDeadline(time.Now().Add(quiet))
		if n == 0 {
			conn.(*net.TCPConn).CloseWrite()
			conn.SetReadDeadline(time.Now().Add(patience))
		}
	}
	for deadline := time.Now().Add(patience); p.requests.Load() > 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d requests are still going on", p.requests.Load())
		}
	}
	return all.Bytes()
}

// FuzzRequest sends whatever bytes, and a request behind them.
func FuzzRequest(f *testing.F) {
	for _, c := range slices.Concat(refused, passing, broken) {
		if len(c.raw) < 1<<10 {
			f.Add([]byte(c.raw))
		}
	}
	w := new(witness)
	p := startPlain(f, Route{Host: "app.localhost", Path: "/", Backend: rawBackend(f, func(conn net.Conn) {
		conn.SetDeadline(time.Time{})
		w.serve(conn)
	})})
	f.Fuzz(func(t *testing.T, raw []byte) {
		p.exchange(t, append(raw, after...))
		p.compare(t, w)
		p.logs.TakeAll()
	})
}

// FuzzRequestH2 sends whatever fields and data. Names and values are divided
// by NULs.
func FuzzRequestH2(f *testing.F) {
	for _, c := range corpusH2 {
		if fields := strings.Join(c.fields, "\x00"); len(fields) < 1<<10 {
			f.Add(fields, strings.Join(c.data, ""), strings.Join(c.trail, "\x00"))
		}
	}
	w := new(witness)
	p := startPlain(f, Route{Host: "app.localhost", Path: "/", Backend: rawBackend(f, func(conn net.Conn) {
		conn.SetDeadline(time.Time{})
		w.serve(conn)
	})})
	var client *plainH2
	f.Fuzz(func(t *testing.T, fields, data, trailers string) {
		c := h2Case{fields: strings.Split(fields, "\x00")}
		if data != "" {
			c.data = []string{data}
		}
		if trailers != "" {
			c.trail = strings.Split(trailers, "\x00")
		}
		if client == nil {
			client = p.dialH2(t)
		}
		if !client.try(c) {
			client.conn.Close()
			client = nil
		}
		p.compare(t, w)
		p.logs.TakeAll()
	})
}

// A plainH2 is a connection over which many cases are sent.
type plainH2 struct {
	conn    net.Conn
	framer  *http2.Framer
	block   *bytes.Buffer
	encoder *hpack.Encoder
	stream  uint32
}

func (p *plainProxy) dialH2(t testing.TB) *plainH2 {
	t.Helper()
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, http2.ClientPreface)
	c := &plainH2{conn: conn, framer: http2.NewFramer(conn, conn), block: new(bytes.Buffer), stream: 1}
	c.encoder = hpack.NewEncoder(c.block)
	c.framer.AllowIllegalWrites = true
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.framer.WriteSettings()
	c.framer.WriteSettingsAck()
	return c
}

// try sends a case, and reports whether the connection can be used again.
func (c *plainH2) try(h h2Case) bool {
	c.conn.SetDeadline(time.Now().Add(patience))
	h.send(c.framer, c.stream, c.encoder, c.block)
	result := results(c.framer, c.stream)[0]
	c.framer.WriteRSTStream(c.stream, http2.ErrCodeCancel)
	c.stream += 2
	return result != "goaway" && result != "end"
}

// responses are what backends may answer with and mean no good.
var responses = []string{
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
	"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Content-Length\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nContent-Length: 7\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok!\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nffffffffffffffffff\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n-1\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nok\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: cow\r\n\r\nok",
	"HTTP/1.1 200 OK\r\n\r\nuntil the end",
	"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n\r\nuntil the end",
	"HTTP/1.0 200 OK\r\n\r\nuntil the end",
	"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\nforged",
	"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nforged\r\n0\r\n\r\n",
	"HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\nforged",
	"HTTP/1.1 304 Not Modified\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
	"HTTP/1.1 205 Reset Content\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 199 X\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 102 Processing\r\n\r\n",
	"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nforged",
	"HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
	"HTTP/1.1 200 OK\r\nX: 1\r\n Y: 2\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
	"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nX Y: 1\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
	"HTTP/1.1 200 OK\r\n: 2\r\n\r\nok",
	"HTTP/1.1 200 \r\nSet-Cookie: a=1\r\nConnection: close\r\n\r\nok",
	"HTTP/1.1 200\r\n\r\nok",
	"HTTP/1.1 2000 OK\r\n\r\nok",
	"HTTP/1.1 099 OK\r\n\r\nok",
	"HTTP/1.1 -200 OK\r\n\r\nok",
	"HTTP/1.1 999 \x7f\xff\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/9.9 200 OK\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nTrailer: X\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nTrailer:Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nDate:\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 500) + "\r\n",
	"HTTP/1.1 200 " + strings.Repeat("x", 500),
	"SSH-2.0-OpenSSH_9.2\r\n",
	"\x16\x03\x01\x02\x00\x01",
	"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
	"<html>not HTTP at all</html>",
	"\r\n\r\n",
	"",
}

// An answerer is a backend that answers as it is told, once for each
// connection.
type answerer struct {
	mu   sync.Mutex
	next string
}

func (a *answerer) serve(conn net.Conn) {
	if _, err := readHead(bufio.NewReader(conn)); err != nil {
		return
	}
	a.mu.Lock()
	response := a.next
	a.mu.Unlock()
	io.WriteString(conn, response)
	// Closed with something unread it would be reset, and what it sent lost.
	conn.(*net.TCPConn).CloseWrite()
	io.Copy(io.Discard, conn)
}

// expected reads what a backend sends as net/http's client does. The status
// is 502 where there is none to pass on.
func expected(response, method string) (status int, body string, whole bool) {
	in := bufio.NewReader(strings.NewReader(response))
	for {
		res, err := http.ReadResponse(in, &http.Request{Method: method})
		switch {
		case err != nil || res.StatusCode < 100 || res.StatusCode == 101 || res.StatusCode > 999:
			return 502, "", false
		case res.StatusCode < 200:
			continue
		}
		all, err := io.ReadAll(res.Body)
		return res.StatusCode, string(all), err == nil
	}
}

// checkResponse asks the backend behind /x, which answers with response, and
// on the same connection the one behind /after.
func (p *plainProxy) checkResponse(t testing.TB, a *answerer, method, response string) {
	t.Helper()
	a.mu.Lock()
	a.next = response
	a.mu.Unlock()
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(conn)
	io.WriteString(conn, method+" /x HTTP/1.1\r\n"+hostLine+"\r\n")
	var res *http.Response
	for res == nil || res.StatusCode < 200 && res.StatusCode != 101 {
		if res, err = http.ReadResponse(in, &http.Request{Method: method}); err != nil {
			t.Fatalf("%s: no response: %v", method, err)
		}
	}
	got, err := io.ReadAll(res.Body)
	status, body, whole := expected(response, method)
	switch {
	case res.StatusCode != status:
		t.Errorf("%s: got %d, want %d", method, res.StatusCode, status)
	case status == 502 && !whole:
	case whole && (err != nil || string(got) != body):
		t.Errorf("%s: got %q, %v; want %q", method, got, err, body)
	case !whole && (err == nil || !strings.HasPrefix(body, string(got))):
		t.Errorf("%s: got %q, %v; want a part of %q that is not complete", method, got, err, body)
	}
	if err != nil || res.Close {
		if rest, _ := io.ReadAll(in); len(rest) > 0 {
			t.Errorf("%s: got %q behind the end", method, rest)
		}
		return
	}
	io.WriteString(conn, after)
	all, err := io.ReadAll(in)
	if err != nil || !bytes.HasPrefix(all, []byte("HTTP/1.1 200 OK\r\n")) || !bytes.HasSuffix(all, []byte("\r\n\r\nok")) || bytes.Count(all, []byte("HTTP/1.1")) != 1 {
		t.Errorf("%s: got %q, %v for the next request", method, all, err)
	}
}

func startAnswered(t testing.TB) (*plainProxy, *witness, *answerer) {
	w, a := new(witness), new(answerer)
	p := startPlain(t,
		Route{Host: "app.localhost", Path: "/x", Backend: rawBackend(t, a.serve)},
		Route{Host: "app.localhost", Path: "/", Backend: rawBackend(t, func(conn net.Conn) {
			conn.SetDeadline(time.Time{})
			w.serve(conn)
		})})
	return p, w, a
}

// checkLogs fails if something has panicked, and forgets the log.
func (p *plainProxy) checkLogs(t testing.TB) {
	t.Helper()
	for _, line := range p.logs.TakeAll() {
		if line.Level >= zapcore.ErrorLevel {
			t.Errorf("logged %s %v", line.Message, line.ContextMap())
		}
	}
}

// FuzzResponse has a backend answer whatever bytes.
func FuzzResponse(f *testing.F) {
	for _, response := range responses {
		f.Add([]byte(response), false)
		f.Add([]byte(response), true)
	}
	p, w, a := startAnswered(f)
	f.Fuzz(func(t *testing.T, response []byte, head bool) {
		p.checkResponse(t, a, methodFor(head), string(response))
		p.compare(t, w)
		p.checkLogs(t)
	})
}

func methodFor(head bool) string {
	if head {
		return http.MethodHead
	}
	return http.MethodGet
}

// Nothing is left of what hostile clients and backends bring.
func TestHostileRounds(t *testing.T) {
	p, w, a := startAnswered(t)
	requests := slices.Concat(refused, passing, broken)
	round := func(i int) {
		switch c := requests[i%len(requests)]; {
		case i%10 == 0:
			conn := p.connect(t, "app.localhost")
			io.WriteString(conn, c.raw+after)
			io.Copy(io.Discard, conn)
			conn.Close()
		case i%2 == 0:
			p.exchange(t, []byte(c.raw+after))
		default:
			p.checkResponse(t, a, methodFor(i%3 == 0), responses[i/2%len(responses)])
		}
		p.checkLogs(t)
	}
	for i := range 100 { // what is kept on purpose, as connections to the backend, is there then
		round(i)
	}
	goroutinesBefore, filesBefore := goroutines(), openFiles(t)
	for i := range 1000 {
		round(i)
	}
	const slack = 20
	eventually(t, "goroutines and files to end", func() bool {
		return goroutines() <= goroutinesBefore+slack && openFiles(t) <= filesBefore+slack
	})
	if _, faults := w.take(); len(faults) > 0 {
		t.Errorf("faults: %q", faults)
	}
}

// openFiles counts the descriptors of this process, where the system tells.
func openFiles(t testing.TB) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return len(entries)
}

package proxy

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"
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
		ConnContext:                  p.https.ConnContext,
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
	defer w.mu.Unlock()
	requests, faults := w.requests, w.faults
	w.requests, w.faults = nil, nil
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

// checkLogs fails if something has panicked, and forgets the log.
func (p *plainProxy) checkLogs(t testing.TB) {
	t.Helper()
	for _, line := range p.logs.TakeAll() {
		if line.Level >= zapcore.ErrorLevel {
			t.Errorf("logged %s %v", line.Message, line.ContextMap())
		}
	}
}

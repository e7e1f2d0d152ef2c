package e2e

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// dialTLS opens a connection for a host, trusting the home's root.
func (s *server) dialTLS(t *testing.T, host string, alpn ...string) (*tls.Conn, error) {
	t.Helper()
	config := &tls.Config{RootCAs: s.home.pool(t), ServerName: host, NextProtos: alpn}
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", s.addr(), config)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(2 * patience))
	return conn, nil
}

// Frames of HTTP/2 (RFC 9113, section 6) that the tests of limits need.
const (
	frameData      = 0
	frameHeaders   = 1
	frameRST       = 3
	frameSettings  = 4
	frameGoAway    = 7
	flagEndStream  = 1
	flagEndHeaders = 4

	settingEnableConnectProtocol = 8 // RFC 8441, section 3
)

// An h2frame is one of these.
type h2frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

func (f h2frame) bytes() []byte {
	head := append(prefixed(3, f.payload)[:3], f.kind, f.flags)
	return append(binary.BigEndian.AppendUint32(head, f.stream), f.payload...)
}

func readFrame(r io.Reader) (f h2frame, err error) {
	var head [9]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return f, err
	}
	f.kind, f.flags, f.stream = head[3], head[4], binary.BigEndian.Uint32(head[5:])
	f.payload = make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	_, err = io.ReadFull(r, f.payload)
	return f, err
}

// get is a request without a body. Fields are in HPACK's plainest form (RFC
// 7541, section 6.2.2), where no length is above 126.
func get(stream uint32, host, path string) h2frame {
	block := []byte{0x82, 0x87}                                       // GET, https
	block = append(append(block, 0x01), prefixed(1, []byte(host))...) // :authority
	block = append(append(block, 0x04), prefixed(1, []byte(path))...) // :path
	return h2frame{frameHeaders, flagEndStream | flagEndHeaders, stream, block}
}

// dialH2 opens an HTTP/2 connection and returns what the server's SETTINGS say.
func (s *server) dialH2(t *testing.T, host string) (*tls.Conn, map[uint16]uint32) {
	t.Helper()
	conn, err := s.dialTLS(t, host, "h2")
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	conn.Write(h2frame{kind: frameSettings}.bytes())
	first, err := readFrame(conn)
	if err != nil || first.kind != frameSettings {
		t.Fatalf("got %v, %v; want SETTINGS", first, err)
	}
	settings := make(map[uint16]uint32)
	for p := first.payload; len(p) >= 6; p = p[6:] {
		settings[binary.BigEndian.Uint16(p)] = binary.BigEndian.Uint32(p[2:])
	}
	return conn, settings
}

// TestNoWebSocketsOverH2 asks a server whose environment tells net/http to
// offer them. What devproxy starts has that environment unchanged.
func TestNoWebSocketsOverH2(t *testing.T) {
	for _, value := range []string{"", "http2xconnect=1", "http2debug=0,http2xconnect=1,x=y"} {
		h := newHome(t, "GODEBUG="+value)
		s := start(t, h, head+`routes."app.localhost" = "builtin:hello"`)
		_, settings := s.dialH2(t, "app.localhost")
		if len(settings) == 0 {
			t.Error("the server has no settings at all")
		}
		if v, ok := settings[settingEnableConnectProtocol]; ok {
			t.Errorf("GODEBUG=%s: SETTINGS_ENABLE_CONNECT_PROTOCOL is offered: %d", value, v)
		}
		got := h.devproxy(t, "exec", "--", "/bin/sh", "-c", `echo "$GODEBUG"`).must(t, 0).stdout
		if got != value+"\n" {
			t.Errorf("a program started by devproxy sees GODEBUG=%q, want %q", got, value)
		}
	}
}

// TestRejections has programs that do not trust the root meet devproxy: each
// leaves a line that names the host and what to do. One that trusts it leaves
// none.
func TestRejections(t *testing.T) {
	h := newHome(t)
	s := start(t, h, head+`routes."*.app.localhost" = "builtin:hello"`)
	stranger := newHome(t)
	stranger.devproxy(t, "ca", "rotate").must(t, 0)

	java := client{"java", func(t *testing.T, h *home, url, _ string) result {
		program := h.write(t, "Fetch.java", `public class Fetch { public static void main(String[] args) throws Exception {
			new java.net.URI(args[0]).toURL().openStream(); } }`)
		return h.run(t, tool(t, "java"), program, url)
	}}
	gnutls := client{"gnutls-cli", func(t *testing.T, h *home, url, _ string) result {
		host, port, _ := net.SplitHostPort(strings.TrimSuffix(strings.TrimPrefix(url, "https://"), "/"))
		return h.run(t, tool(t, "gnutls-cli"), "-p", port, host)
	}}
	curl12 := client{"curl12", func(t *testing.T, h *home, url, root string) result {
		return h.run(t, tool(t, "curl"), "--silent", "--tls-max", "1.2", "--cacert", root, url)
	}}
	const distrust = "probably does not trust the root"
	reasons := map[string]string{"curl12": "unknown CA", "go": "bad certificate", "java": "certificate unknown", "node": "it left"}
	all := append([]client{{"go", goClient}, java, gnutls, curl12}, clients...)
	var hosts []string
	for _, c := range all {
		hosts = append(hosts, c.name+".app.localhost")
	}
	addHosts(t, "127.0.0.1", append(hosts, "good.app.localhost")...)
	goClient(t, h, s.url("good.app.localhost", "/"), h.rootFile()).must(t, 0)
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			host := c.name + ".app.localhost"
			for range 2 {
				if got := c.fetch(t, stranger, s.url(host, "/"), stranger.rootFile()); got.code == 0 {
					t.Fatalf("it trusts: %s", got)
				}
			}
			line := s.waitLog(t, "a client rejected our certificate", func(l logLine) bool { return l["host"] == host })
			reason, _ := line["reason"].(string)
			hint, _ := line["hint"].(string)
			if !strings.Contains(reason, distrust) || !strings.Contains(reason, reasons[c.name]) ||
				!strings.Contains(hint, " trust;") || !strings.Contains(hint, " doctor "+host) || line["level"] != "warn" {
				t.Errorf("got %v", line)
			}
		})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	said := make(map[any]int)
	for _, line := range s.lines {
		if line.msg() == "a client rejected our certificate" {
			said[line["host"]]++
		}
	}
	for host, n := range said {
		if n != 1 || host == "good.app.localhost" {
			t.Errorf("%v: %d lines", host, n)
		}
	}
}

// TestResetStorm has a page cancel thousands of requests at once, to a backend
// that is slow to notice. The connection stays.
func TestResetStorm(t *testing.T) {
	notice := make(chan struct{})
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-notice
		}
		io.WriteString(w, "fine")
	}))
	t.Cleanup(backend.Close)
	t.Cleanup(sync.OnceFunc(func() { close(notice) })) // before the backend waits for its handlers
	h := newHome(t)
	s := start(t, h, head+fmt.Sprintf(`routes."app.localhost" = %q`, backend.URL))
	conn, _ := s.dialH2(t, "app.localhost")

	const streams = 5000
	const last = 2*streams + 1
	answered := make(chan error, 1)
	go func() {
		for {
			f, err := readFrame(conn)
			switch {
			case err != nil:
				answered <- err
			case f.kind == frameGoAway:
				answered <- fmt.Errorf("GOAWAY %x", f.payload)
			case f.kind == frameData && f.stream == last && string(f.payload) == "fine":
				answered <- nil
			default:
				continue
			}
			return
		}
	}()
	var batch bytes.Buffer
	for i := range uint32(streams) {
		id := 2*i + 1
		batch.Write(get(id, "app.localhost", "/slow").bytes())
		batch.Write(h2frame{frameRST, 0, id, []byte{0, 0, 0, 8}}.bytes()) // CANCEL
	}
	batch.Write(get(last, "app.localhost", "/").bytes())
	if _, err := batch.WriteTo(conn); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-answered:
		if err != nil {
			t.Errorf("the request after the storm: %v", err)
		}
	case <-time.After(patience):
		t.Error("the request after the storm is not answered")
	}
}

// TestSlowloris holds thousands of connections that say a byte now and then.
// Others are served meanwhile, all are closed in the end, and they are cheap.
func TestSlowloris(t *testing.T) {
	const each = 667 // of three kinds
	h := newHome(t)
	s := start(t, h, head+`routes."app.localhost" = "builtin:hello"`)
	client := s.client(t)
	s.get(t, client, "app.localhost", "/")
	before := s.memory(t)

	hello := clientHello([]byte("app.localhost"))
	handshake := func() (net.Conn, error) { return net.Dial("tcp", s.addr()) }
	withALPN := func(alpn string) func() (net.Conn, error) {
		return func() (net.Conn, error) {
			conn, err := s.dialTLS(t, "app.localhost", alpn)
			return conn, err
		}
	}
	var wg sync.WaitGroup
	var open, broken atomic.Int64
	var mu sync.Mutex
	var problems []error
	limit := make(chan struct{}, 4) // handshakes at once
	for _, kind := range []struct {
		dial func() (net.Conn, error)
		drip []byte
	}{
		{handshake, hello},
		{withALPN("http/1.1"), []byte("GET / HTTP/1.1\r\nX-Slow: " + strings.Repeat("x", 100))},
		{withALPN("h2"), []byte("PRI * HTTP/2.0\r\n\r\n")},
	} {
		for range each {
			wg.Go(func() {
				limit <- struct{}{}
				conn, err := kind.dial()
				<-limit
				if err != nil {
					mu.Lock()
					problems = append(problems, err)
					mu.Unlock()
					return
				}
				defer conn.Close()
				open.Add(1)
				conn.SetDeadline(time.Now().Add(2 * patience))
				go dribble(conn, kind.drip)
				if _, err := io.Copy(io.Discard, conn); !errors.Is(err, net.ErrClosed) {
					if e, ok := errors.AsType[net.Error](err); !ok || !e.Timeout() {
						broken.Add(1)
					}
				}
			})
		}
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	most := 0
	for served := 0; ; served++ {
		s.get(t, s.client(t), "app.localhost", "/")
		most = max(most, s.memory(t))
		select {
		case <-done:
			if len(problems) > 0 {
				t.Fatalf("%d connections failed, the first by %v", len(problems), problems[0])
			}
			if open.Load() != 3*each || broken.Load() != 3*each {
				t.Errorf("of %d connections the server closed %d", open.Load(), broken.Load())
			}
			t.Logf("%d requests served meanwhile; memory rose from %d to %d KiB", served, before, most)
			// 50 KiB for each, which is what a TLS connection takes.
			if perConn := (most - before) / (3 * each); perConn > 100 {
				t.Errorf("%d KiB for each connection", perConn)
			}
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// dribble writes a byte a second until the connection is closed.
func dribble(conn net.Conn, text []byte) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for i := range text {
		if _, err := conn.Write(text[i : i+1]); err != nil {
			return
		}
		<-tick.C
	}
}

// TestStuckClients has clients ask for an endless download and not read it.
func TestStuckClients(t *testing.T) {
	const clients = 40
	chunk := make([]byte, 64<<10)
	var stuck atomic.Int64
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/endless" {
			io.WriteString(w, "fine")
			return
		}
		control := http.NewResponseController(w)
		for {
			control.SetWriteDeadline(time.Now().Add(time.Second))
			if _, err := w.Write(chunk); err != nil {
				stuck.Add(1)
				return
			}
		}
	}))
	t.Cleanup(backend.Close)
	h := newHome(t)
	s := start(t, h, head+fmt.Sprintf(`routes."app.localhost" = %q`, backend.URL))
	s.get(t, s.client(t), "app.localhost", "/")
	before := s.memory(t)
	for i := range clients {
		if i%2 == 0 {
			conn, _ := s.dialH2(t, "app.localhost")
			conn.Write(get(1, "app.localhost", "/endless").bytes())
			continue
		}
		conn, err := s.dialTLS(t, "app.localhost", "http/1.1")
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, "GET /endless HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
	}
	for deadline := time.Now().Add(patience); stuck.Load() < clients; time.Sleep(50 * time.Millisecond) {
		s.get(t, s.client(t), "app.localhost", "/")
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d backends are held back", stuck.Load(), clients)
		}
	}
	after := s.memory(t)
	t.Logf("memory rose from %d to %d KiB", before, after)
	if perClient := (after - before) / clients; perClient > 1<<10 {
		t.Errorf("%d KiB for each client", perClient)
	}
}

// TestOutOfDescriptors takes all file descriptors that devproxy may have.
// Connections that are open still work, new ones are closed rather than left
// to wait, and once there are descriptors again all is well.
func TestOutOfDescriptors(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "fine") }))
	t.Cleanup(backend.Close)
	h := newHome(t)
	s := start(t, h, head+fmt.Sprintf(`routes."app.localhost" = %q`, backend.URL))
	few := unix.Rlimit{Cur: 64, Max: 64}
	if err := unix.Prlimit(s.cmd.Process.Pid, unix.RLIMIT_NOFILE, &few, nil); err != nil {
		t.Fatal(err)
	}
	old := s.client(t)
	s.get(t, old, "app.localhost", "/")

	var held []net.Conn
	for range 3 { // it is not the first refusal that matters
		for {
			conn, err := s.dialTLS(t, "app.localhost")
			if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
				t.Fatalf("connection %d is left to wait: %v", len(held), err)
			}
			if err != nil {
				break
			}
			if held = append(held, conn); len(held) > 64 {
				t.Fatal("64 descriptors are enough for more than 64 connections")
			}
		}
	}
	if len(held) < 30 {
		t.Errorf("only %d connections before the end", len(held))
	}
	s.get(t, old, "app.localhost", "/")
	const msg = "out of file descriptors: new connections are closed unanswered"
	line := s.waitLog(t, msg, nil)
	hint, _ := line["hint"].(string)
	if line["limit"] != 64.0 || !strings.Contains(hint, "ulimit -n") || line["level"] != "error" {
		t.Errorf("got %v, want the limit and how to raise it", line)
	}
	for _, conn := range held {
		conn.Close()
	}
	recovered := false
	for deadline := time.Now().Add(patience); !recovered && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if conn, err := s.dialTLS(t, "app.localhost"); err == nil {
			conn.Close()
			recovered = true
		}
	}
	if !recovered {
		t.Error("new connections are refused with descriptors to spare")
	}
	s.get(t, s.client(t), "app.localhost", "/")
	s.waitLog(t, "connections are accepted again", nil)
	if n := strings.Count(s.errors(), msg); n != 1 {
		t.Errorf("%d lines, want one", n)
	}
}

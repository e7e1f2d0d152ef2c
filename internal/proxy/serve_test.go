package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/net/http2"
)

func goroutines() int { return runtime.NumGoroutine() }

// WebSockets over HTTP/2 must never be offered (RFC 8441, section 3).
func TestSettings(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: nowhere})
	conn := f.connectH2(t, "app.localhost")
	if v, ok := conn.settings.Value(http2.SettingEnableConnectProtocol); ok {
		t.Errorf("SETTINGS_ENABLE_CONNECT_PROTOCOL is offered: %d", v)
	}
	if v, ok := conn.settings.Value(http2.SettingMaxConcurrentStreams); !ok || v < 250 {
		t.Errorf("MAX_CONCURRENT_STREAMS: got %d, %t; want at least 250", v, ok)
	}
	if v, ok := conn.settings.Value(http2.SettingMaxHeaderListSize); !ok || v < 256<<10 {
		t.Errorf("MAX_HEADER_LIST_SIZE: got %d, %t; want at least 256 KiB", v, ok)
	}
}

// Browsers keep a connection without requests for up to five minutes, and are
// to be the ones to close it. Nothing else may end a slow upload or download.
func TestTimeLimits(t *testing.T) {
	f := start(t)
	if got := f.https.IdleTimeout; got <= 5*time.Minute {
		t.Errorf("an idle connection is closed after %v, want more than browsers' 5 minutes", got)
	}
	if got := f.https.ReadHeaderTimeout; got <= 0 || got > 10*time.Second {
		t.Errorf("the head of a request may take %v, want at most 10 seconds", got)
	}
	if f.https.ReadTimeout != 0 || f.https.WriteTimeout != 0 {
		t.Errorf("whole requests are limited to %v, responses to %v, want no limit", f.https.ReadTimeout, f.https.WriteTimeout)
	}
}

func TestTLSVersions(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: nowhere})
	for version, want := range map[uint16]bool{
		tls.VersionTLS10: false,
		tls.VersionTLS11: false,
		tls.VersionTLS12: true,
		tls.VersionTLS13: true,
	} {
		conn, err := tls.Dial("tcp", f.addr.String(), &tls.Config{
			RootCAs: authority().pool, ServerName: "app.localhost", MinVersion: version, MaxVersion: version,
		})
		if err == nil {
			conn.Close()
		}
		if got := err == nil; got != want {
			t.Errorf("a client with nothing but %s: %v; want that it is served: %t", tls.VersionName(version), err, want)
		}
	}
}

func TestALPN(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: nowhere})
	for _, test := range []struct {
		offer []string
		want  string
	}{
		{[]string{"h2", "http/1.1"}, "h2"},
		{[]string{"http/1.1"}, "http/1.1"},
		{[]string{"http/1.0"}, "http/1.0"},
		{nil, ""},
	} {
		if got := f.connect(t, "app.localhost", test.offer...).ConnectionState().NegotiatedProtocol; got != test.want {
			t.Errorf("offer %q: got %q, want %q", test.offer, got, test.want)
		}
	}
}

// A page that cancels thousands of requests at once keeps its connection,
// even if none of their handlers has noticed yet.
func TestResetFlood(t *testing.T) {
	noticed := make(chan bool)
	slow := func(http.ResponseWriter, *http.Request) { <-noticed }
	f := start(t,
		Route{Host: "app.localhost", Path: "/slow", Backend: Backend{Handler: http.HandlerFunc(slow)}},
		Route{Host: "app.localhost", Path: "/", Backend: app(t, says("fine"))},
	)
	const streams = 5000
	conn := f.connectH2(t, "app.localhost")
	head := []string{":method", "GET", ":scheme", "https", ":authority", "app.localhost", ":path"}
	answered := make(chan error, 1)
	go func() {
		for {
			frame, err := conn.ReadFrame()
			if err != nil {
				answered <- err
				return
			}
			if goaway, ok := frame.(*http2.GoAwayFrame); ok {
				answered <- errors.New(goaway.String())
				return
			}
			if frame.Header().StreamID == 2*streams+1 && frame.Header().Type == http2.FrameHeaders {
				answered <- nil
				return
			}
		}
	}()
	for i := range streams {
		id := uint32(2*i + 1)
		conn.request(id, true, append(head, "/slow")...)
		if err := conn.WriteRSTStream(id, http2.ErrCodeCancel); err != nil {
			t.Fatal(err)
		}
	}
	conn.request(2*streams+1, true, append(head, "/")...)
	close(noticed)
	if err := receive(t, "the response", answered); err != nil {
		t.Error(err)
	}
}

// A shutdown waits for the requests in progress, and only for them.
func TestShutdownDrains(t *testing.T) {
	started, proceed := make(chan bool), make(chan bool)
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(w http.ResponseWriter, r *http.Request) {
		started <- true
		<-proceed
		io.WriteString(w, "complete")
	})})
	both := []*http.Client{f.client(t, "h1"), f.client(t, "h2")}
	answers := make(chan string, len(both))
	for _, client := range both {
		go func() {
			res, err := client.Get(f.url("app.localhost", "/"))
			if err != nil {
				answers <- err.Error()
				return
			}
			defer res.Body.Close()
			body, _ := io.ReadAll(res.Body)
			answers <- string(body)
		}()
		receive(t, "the request at the backend", started)
	}
	f.connect(t, "app.localhost") // a browser's spare connection
	down := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		down <- f.Shutdown(ctx)
	}()
	eventually(t, "the listener to close", func() bool {
		conn, err := net.Dial("tcp", f.addr.String())
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	close(proceed)
	began := time.Now()
	for range both {
		if got := receive(t, "an answer", answers); got != "complete" {
			t.Errorf("got %q", got)
		}
	}
	if err := receive(t, "the end of Shutdown", down); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	// net/http alone takes 5 seconds for the spare connection.
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("Shutdown took %v after the last answer", took)
	}
}

// When its time is over, a shutdown breaks streams off.
func TestShutdownGivesUp(t *testing.T) {
	ended := make(chan bool, 3)
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		ended <- true
	})})
	var streams []*http.Response
	for _, protocol := range []string{"h1", "h2"} {
		streams = append(streams, do(t, f.client(t, protocol), newRequest(t, "GET", f.url("app.localhost", "/"), nil)))
	}
	busy := f.connectH2(t, "app.localhost")
	busy.request(1, true, ":method", "GET", ":scheme", "https", ":authority", "app.localhost", ":path", "/")
	eventually(t, "the third request", func() bool { return f.requests.Load() == 3 })
	closed := make(chan bool, 1)
	go func() {
		for {
			if _, err := busy.ReadFrame(); err != nil {
				closed <- true
				return
			}
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := f.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: got %v, want that time ran out", err)
	}
	if n := f.requests.Load(); n != 0 {
		t.Errorf("Shutdown has left %d requests behind", n)
	}
	receive(t, "the connection to close", closed)
	for _, stream := range streams {
		if _, err := io.ReadAll(stream.Body); err == nil {
			t.Error("a stream that was broken off has a proper end")
		}
		receive(t, "the cancel at the backend", ended)
	}
}

// The connections that were kept for backends are given back.
func TestShutdownClosesPool(t *testing.T) {
	closed := make(chan bool, 1)
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: rawBackend(t, func(conn net.Conn) {
		in := bufio.NewReader(conn)
		http.ReadRequest(in)
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		_, err := in.ReadByte()
		closed <- err == io.EOF
	})})
	get(t, f.client(t, "h1"), f.url("app.localhost", "/"))
	f.Shutdown(t.Context())
	if !receive(t, "the backend's connection to close", closed) {
		t.Error("the backend's connection was not closed, but timed out")
	}
}

// A whole life leaves no goroutine behind.
func TestShutdownLeavesNothing(t *testing.T) {
	serve := func() {
		b := app(t, func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			if r.URL.Path == "/stream" {
				<-r.Context().Done()
			}
		})
		table, err := NewTable([]Route{{Host: "app.localhost", Path: "/", Backend: b}, {Host: "app.localhost", Path: "/ws", Backend: upgrades(t, "", echo)}})
		if err != nil {
			t.Fatal(err)
		}
		p, err := New(Config{Table: table, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return authority().leaf("app.localhost")
		}})
		if err != nil {
			t.Fatal(err)
		}
		lns := []net.Listener{listen(t, loopback4), listen(t, loopback4)}
		ends := make(chan error, 3)
		for _, ln := range lns {
			go func() { ends <- p.Serve(ln) }()
		}
		plain := listen(t, loopback4)
		go func() { ends <- p.ServeRedirect(plain, 443) }()

		f := &fixture{Proxy: p, table: table, addr: lns[1].Addr().(*net.TCPAddr).AddrPort()}
		clients := []*http.Client{f.client(t, "h1"), f.client(t, "h2")}
		for _, client := range clients {
			get(t, client, f.url("app.localhost", "/"))
			do(t, client, newRequest(t, "GET", f.url("app.localhost", "/stream"), nil))
		}
		f.openSocket(t, "")

		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		p.Shutdown(ctx)
		for range 3 {
			if err := receive(t, "Serve to return", ends); err != nil {
				t.Errorf("Serve: %v", err)
			}
		}
		if p.requests.Load() != 0 || p.upgrades.Load() != 0 {
			t.Errorf("after Shutdown: %d requests, %d upgrades", p.requests.Load(), p.upgrades.Load())
		}
		if err := p.Serve(listen(t, loopback4)); err != nil {
			t.Errorf("Serve after Shutdown: got %v, want nil", err)
		}
		for _, client := range clients {
			client.CloseIdleConnections()
		}
	}
	before := goroutines()
	t.Run("life", func(t *testing.T) { serve() })
	eventually(t, "the goroutines to end", func() bool { return goroutines() <= before+6 })
}

// An error of the listener is the caller's to know.
func TestServeReturnsErrors(t *testing.T) {
	f := start(t)
	ln := listen(t, loopback4)
	ln.Close()
	if err := f.Serve(ln); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve: got %v, want net.ErrClosed", err)
	}
	if err := f.ServeRedirect(ln, 443); !errors.Is(err, net.ErrClosed) {
		t.Errorf("ServeRedirect: got %v, want net.ErrClosed", err)
	}
}

func TestServerLogLevels(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	out := serverLog{zap.New(core)}
	for line, want := range map[string]zapcore.Level{
		"http: TLS handshake error from 127.0.0.1:5: remote error: tls: unknown certificate\n": zapcore.DebugLevel,
		"http2: server connection error from 127.0.0.1:5: PROTOCOL_ERROR\n":                    zapcore.DebugLevel,
		"http: Accept error: too many open files; retrying in 5ms\n":                           zapcore.WarnLevel,
		"http: panic serving 127.0.0.1:5: oops\ngoroutine 1\n":                                 zapcore.ErrorLevel,
	} {
		if n, err := out.Write([]byte(line)); n != len(line) || err != nil {
			t.Errorf("Write: got %d, %v", n, err)
		}
		got := logs.TakeAll()
		if len(got) != 1 || got[0].Level != want || got[0].Message != "http server" {
			t.Errorf("%q: got %v, want level %v", line, got, want)
		}
	}
}

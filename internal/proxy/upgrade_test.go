package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const upgradeHead = "GET /ws HTTP/1.1\r\nHost: app.localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://app.localhost\r\n\r\n"

// upgrades is a backend that switches protocols, sends greeting along with
// the 101, and hands the connection to serve.
func upgrades(t testing.TB, greeting string, serve func(net.Conn, *bufio.Reader)) Backend {
	return rawBackend(t, func(conn net.Conn) {
		in := bufio.NewReader(conn)
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Connection") != "Upgrade" ||
			r.Header.Get("Sec-WebSocket-Key") == "" || r.Header.Get("Origin") == "" {
			t.Errorf("the backend got %v", r.Header)
		}
		conn.SetDeadline(time.Time{})
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"+greeting)
		serve(conn, in)
	})
}

func echo(conn net.Conn, in *bufio.Reader) { io.Copy(conn, in) }

// openSocket sends the upgrade, with early right behind it, and returns the
// connection and what comes out of it after the 101.
func (f *fixture) openSocket(t testing.TB, early string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn := f.connect(t, "app.localhost", "http/1.1")
	if _, err := io.WriteString(conn, upgradeHead+early); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 101 || res.Header.Get("Sec-Websocket-Accept") == "" || res.Header.Get("Upgrade") != "websocket" {
		t.Fatalf("got %d %v, want the backend's 101", res.StatusCode, res.Header)
	}
	return conn, in
}

func expect(t testing.TB, in io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(in, got); err != nil || string(got) != want {
		t.Fatalf("got %q, %v; want %q", got, err, want)
	}
}

func TestUpgrade(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: upgrades(t, "", echo)})
	f.access.Store(true)
	conn, in := f.openSocket(t, "")
	for i := range 3 {
		text := strings.Repeat(fmt.Sprint(i), 1000*(i+1))
		io.WriteString(conn, text)
		expect(t, in, text)
	}
	conn.Close()
	eventually(t, "the access line", func() bool { return f.logs.FilterMessage("request").Len() == 1 })
	got := f.logs.FilterMessage("request").All()[0].ContextMap()
	if got["status"] != int64(101) || got["bytes"] != int64(6000) {
		t.Errorf("logged status %v and %v bytes, want 101 and 6000", got["status"], got["bytes"])
	}
	eventually(t, "the upgrade to be over", func() bool { return f.upgrades.Load() == 0 })
}

// What either side sends together with its half of the handshake arrives.
func TestUpgradeEarlyBytes(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: upgrades(t, "welcome", echo)})
	for range 20 {
		conn, in := f.openSocket(t, "early")
		io.WriteString(conn, " later")
		expect(t, in, "welcomeearly later")
		conn.Close()
	}
}

// A side that has finished sending may still receive.
func TestUpgradeHalfClose(t *testing.T) {
	t.Run("client", func(t *testing.T) {
		f := start(t, Route{Host: "app.localhost", Path: "/", Backend: upgrades(t, "", func(conn net.Conn, in *bufio.Reader) {
			all, _ := io.ReadAll(in)
			io.WriteString(conn, "got "+string(all))
		})})
		conn, in := f.openSocket(t, "")
		io.WriteString(conn, "everything")
		conn.(interface{ CloseWrite() error }).CloseWrite()
		if got := readAll(t, in); got != "got everything" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("backend", func(t *testing.T) {
		received := make(chan string, 1)
		f := start(t, Route{Host: "app.localhost", Path: "/", Backend: upgrades(t, "bye", func(conn net.Conn, in *bufio.Reader) {
			conn.(*net.TCPConn).CloseWrite()
			all, _ := io.ReadAll(in)
			received <- string(all)
		})})
		conn, in := f.openSocket(t, "")
		if got := readAll(t, in); got != "bye" {
			t.Errorf("got %q", got)
		}
		io.WriteString(conn, "still here")
		conn.Close()
		if got := receive(t, "the bytes at the backend", received); got != "still here" {
			t.Errorf("the backend got %q", got)
		}
	})
}

func TestUpgradeEndsWithBackend(t *testing.T) {
	die := make(chan bool)
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: upgrades(t, "", func(conn net.Conn, _ *bufio.Reader) {
		<-die
		conn.(*net.TCPConn).SetLinger(0) // a reset, as from a process that was killed
	})})
	_, in := f.openSocket(t, "")
	die <- true
	if got, _ := io.ReadAll(in); len(got) > 0 {
		t.Errorf("got %q", got)
	}
	eventually(t, "the upgrade to be over", func() bool { return f.upgrades.Load() == 0 })
}

// A backend that does not want to switch answers as to any request.
func TestUpgradeRefused(t *testing.T) {
	f := start(t,
		Route{Host: "app.localhost", Path: "/", Backend: app(t, func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusForbidden) })},
		Route{Host: "app.localhost", Path: "/ws", Backend: at("127.0.0.1:" + closedPort(t))},
	)
	if res := f.raw(t, "app.localhost", strings.Replace(upgradeHead, "/ws", "/", 1)); res.StatusCode != 403 {
		t.Errorf("got %d, want the backend's 403", res.StatusCode)
	}
	if res := f.raw(t, "app.localhost", upgradeHead); res.StatusCode != 503 {
		t.Errorf("backend is down: got %d, want 503", res.StatusCode)
	}
}

// Cleartext HTTP/2 would carry requests past the routes.
func TestUpgradeToH2CIsNotPassedOn(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q %q %q", r.Header["Upgrade"], r.Header["Connection"], r.Header["Http2-Settings"])
	})})
	for _, token := range []string{"h2c", "H2C", "websocket, h2c", "foo/1,h2c/1"} {
		res := f.raw(t, "app.localhost", "GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n"+
			"Upgrade: "+token+"\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
		if got := readAll(t, res.Body); got != "[] [] []" {
			t.Errorf("Upgrade: %s: the backend got %s", token, got)
		}
	}
}

// Opening and closing many leaves nothing behind.
func TestUpgradesLeaveNothing(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: upgrades(t, "", echo)})
	rounds := 200
	if testing.Short() {
		rounds = 20
	}
	before := goroutines()
	for range rounds {
		conn, in := f.openSocket(t, "")
		io.WriteString(conn, "x")
		expect(t, in, "x")
		conn.Close()
	}
	eventually(t, "the goroutines to end", func() bool { return goroutines() <= before+5 })
}

// A shutdown drains requests, but does not wait for an upgraded connection.
func TestShutdownClosesUpgrades(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: upgrades(t, "", echo)})
	_, in := f.openSocket(t, "")
	f.connect(t, "app.localhost") // a browser's spare connection, as in TestShutdownDrains
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	began := time.Now()
	if err := f.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("Shutdown took %v", took)
	}
	if got, _ := io.ReadAll(in); len(got) > 0 {
		t.Errorf("got %q", got)
	}
}

// In the middle of a request nobody can change the protocol: what is left of its
// body would go out among what the client says then.
func TestUpgradeWithBody(t *testing.T) {
	asks := strings.Replace(strings.TrimSuffix(upgradeHead, "\r\n"), "GET", "POST", 1) + "Content-Length: 5\r\n\r\n"
	f := start(t,
		Route{Host: "app.localhost", Path: "/", Backend: upgrades(t, "", func(_ net.Conn, in *bufio.Reader) { io.Copy(io.Discard, in) })},
		Route{Host: "app.localhost", Path: "/read", Backend: rawBackend(t, func(conn net.Conn) {
			in := bufio.NewReader(conn)
			if r, err := http.ReadRequest(in); err == nil && readAll(t, r.Body) == "hello" {
				io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
				echo(conn, in)
			}
		})})
	if res := f.raw(t, "app.localhost", asks+"hell"); res.StatusCode != 502 {
		t.Errorf("within the body: got %d, want 502", res.StatusCode)
	}
	conn := f.connect(t, "app.localhost", "http/1.1")
	io.WriteString(conn, strings.Replace(asks, "/ws", "/read", 1)+"hello"+"early")
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatalf("after the body: got %v, %v, want 101", res, err)
	}
	expect(t, in, "early")
}

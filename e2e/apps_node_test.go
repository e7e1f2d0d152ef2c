package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// startNode runs node_app.js behind a server, as node.localhost.
func startNode(t *testing.T) *server {
	t.Helper()
	port := freePort(t)
	startApp(t, "127.0.0.1:"+port, nil, node(t, "ws"), appFile(t, "node_app.js"), port)
	return start(t, newHome(t), head+fmt.Sprintf("routes.\"node.localhost\" = \"http://127.0.0.1:%s\"", port))
}

// TestNode is a server of Node's http module and Node's own clients: trailers
// both ways, early hints, chunks, cookies in crumbs.
func TestNode(t *testing.T) {
	s := startNode(t)
	addHosts(t, "127.0.0.1", "node.localhost")
	s.home.run(t, node(t), appFile(t, "node_client.js"), s.url("node.localhost", ""), s.home.rootFile()).must(t, 0)
}

// TestClientLeaves has a client go away from a response that never ends: the
// app hears of it at once.
func TestClientLeaves(t *testing.T) {
	s := startNode(t)
	client := s.client(t)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	resp, err := client.Do(must(http.NewRequestWithContext(ctx, "GET", s.url("node.localhost", "/wait"), nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	leave()
	if got := s.get(t, client, "node.localhost", "/closed"); got != "1" {
		t.Errorf("the app saw %s requests abandoned, want 1", got)
	}
}

// TestWebSocketLibraries has each library talk to each: text, binary, large
// messages, pings, subprotocols, compression, and closing from either end.
func TestWebSocketLibraries(t *testing.T) {
	port := freePort(t)
	startApp(t, "127.0.0.1:"+port, nil, python(t, "websockets"), appFile(t, "ws_app.py"), port)
	nodePort := freePort(t)
	startApp(t, "127.0.0.1:"+nodePort, nil, node(t, "ws"), appFile(t, "node_app.js"), nodePort)
	s := start(t, newHome(t), head+fmt.Sprintf(
		"routes.\"python.localhost\" = \"http://127.0.0.1:%s\"\nroutes.\"node.localhost\" = \"http://127.0.0.1:%s\"", port, nodePort))
	addHosts(t, "127.0.0.1", "python.localhost", "node.localhost")
	for _, host := range []string{"node.localhost", "python.localhost"} {
		url := strings.Replace(s.url(host, "/socket"), "https", "wss", 1)
		t.Run(host+" and ws", func(t *testing.T) {
			cmd := s.home.command(t, node(t, "ws"), appFile(t, "ws_client.js"), url, s.home.rootFile())
			cmd.Env = append(cmd.Env, "NODE_PATH="+debianModules)
			finish(t, cmd).must(t, 0)
		})
		t.Run(host+" and websockets", func(t *testing.T) {
			s.home.run(t, python(t, "websockets"), appFile(t, "ws_client.py"), url, s.home.rootFile()).must(t, 0)
		})
	}
}

// TestReconnects opens a WebSocket a thousand times, as a page does that is
// reloaded all day. Nothing is left of them.
func TestReconnects(t *testing.T) {
	s := startNode(t)
	client := s.client(t)
	transport := client.Transport.(*http.Transport)
	transport.ForceAttemptHTTP2 = false
	connect := func(i int) {
		conn, _, err := websocket.Dial(t.Context(), s.url("node.localhost", "/socket"), &websocket.DialOptions{HTTPClient: client})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.CloseNow()
		if _, _, err := conn.Read(t.Context()); err != nil { // what the app has seen
			t.Fatal(err)
		}
		if i%4 == 0 {
			return // without a word
		}
		if err := conn.Write(t.Context(), websocket.MessageText, []byte("acorn")); err != nil {
			t.Fatal(err)
		}
		if _, text, err := conn.Read(t.Context()); err != nil || string(text) != "acorn" {
			t.Fatalf("got %q, %v", text, err)
		}
		if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		connect(i)
	}
	const room = 6 // the last ones may be closing still
	before := s.descriptors(t)
	for i := range 1000 {
		connect(i)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		open := s.descriptors(t)
		app := must(strconv.Atoi(s.get(t, client, "node.localhost", "/connections")))
		if open <= before+room && app <= room {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d open files after 1000 connections, %d before; the app has %d connections", open, before, app)
		}
	}
	transport.CloseIdleConnections()
	if got := s.goroutines(t); got == 0 || got > 60 {
		t.Errorf("%d goroutines are left", got)
	}
}

// TestHalfClose is a protocol in which each side says when it has no more to
// say, and still listens.
func TestHalfClose(t *testing.T) {
	s := startNode(t)
	conn, err := tls.Dial("tcp", s.addr(), &tls.Config{RootCAs: s.home.pool(t), ServerName: "node.localhost"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: node.localhost:%d\r\nConnection: Upgrade\r\nUpgrade: counting\r\n\r\n", s.port)
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != 101 {
		t.Fatalf("got %v, %v", resp, err)
	}
	if line, err := in.ReadString('\n'); line != "ready\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	const size = 1 << 20
	if _, err := conn.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(in); err != nil || string(rest) != fmt.Sprintf("%d\n", size) {
		t.Errorf("got %q, %v; want the number of bytes and the end", rest, err)
	}
}

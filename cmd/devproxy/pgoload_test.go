//go:build pgo

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"
)

// loadVariable is set in the process of TestLoad that is the clients.
const loadVariable = "DEVPROXY_TEST_LOAD"

// TestLoadClients is the process of the clients, and of the backend.
func TestLoadClients(t *testing.T) {
	if os.Getenv(loadVariable) == "" {
		t.Skip("TestLoad starts it")
	}
	backend := httptest.NewServer(http.HandlerFunc(answerLoad))
	defer backend.Close()
	fmt.Println("backend " + backend.URL)
	l := &load{}
	if _, err := fmt.Scanln(&l.port); err != nil {
		t.Fatal(err)
	}
	// The times are about those in which a browser and an app keep it busy.
	for _, phase := range []struct {
		name  string
		time  time.Duration
		users int // at once
		use   func(ctx context.Context, user int) error
	}{
		{"HTTP/1.1", 10 * time.Second, 32, l.requests(false)},
		{"HTTP/2", 12 * time.Second, 8 * streams, l.requests(true)},
		{"handshakes", 4 * time.Second, 4, l.handshakes},
		{"new names", 3 * time.Second, 4, l.newNames},
		{"downloads", 4 * time.Second, 2, l.downloads},
		{"uploads", 3 * time.Second, 2, l.uploads},
		{"WebSockets", 4 * time.Second, 8, l.echoes},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), phase.time)
		end, _ := ctx.Deadline()
		var users sync.WaitGroup
		for user := range phase.users {
			users.Go(func() {
				// A connection's own deadline may come a moment before that of ctx.
				if err := phase.use(ctx, user); err != nil && time.Now().Before(end) {
					t.Errorf("%s: %v", phase.name, err)
				}
			})
		}
		users.Wait()
		cancel()
		if t.Failed() {
			break
		}
		t.Logf("%s for %v", phase.name, phase.time)
	}
}

// answerLoad is an app: pages, downloads, uploads and a WebSocket that echoes.
func answerLoad(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("Upgrade") != "":
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		io.Copy(conn, rw)
	case r.Method == "POST":
		io.Copy(io.Discard, r.Body)
	default:
		var size int
		fmt.Sscan(r.URL.Path[1:], &size)
		w.Header().Set("Content-Type", "text/javascript")
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("Etag", `"5e-18f2a"`)
		w.Header().Set("Content-Length", fmt.Sprint(size))
		w.Write(page[:size])
	}
}

// page is what responses are made of.
var page = make([]byte, 16<<20)

// streams is how many requests at once a client of HTTP/2 has on its connection.
const streams = 16

// A load is the clients of one proxy.
type load struct {
	port    string
	clients sync.Map // of HTTP/2, by number: *http.Client
}

func (l *load) url(host, path string) string { return "https://" + host + ":" + l.port + path }

// client returns a client with connections of its own.
func (l *load) client(http2 bool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	return &http.Client{Transport: &http.Transport{
		DialContext: l.dial, Protocols: protocols, TLSClientConfig: l.tls(), DisableCompression: true,
	}}
}

func (l *load) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+l.port)
}

// tls takes any certificate: the root is nobody's business here.
func (l *load) tls() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, ServerName: "app.localhost"}
}

// get asks for size bytes with the head that a browser sends.
func (l *load) get(ctx context.Context, client *http.Client, size int) error {
	req, err := http.NewRequestWithContext(ctx, "GET", l.url("app.localhost", fmt.Sprintf("/%d?v=1", size)), nil)
	if err != nil {
		return err
	}
	for name, value := range map[string]string{
		"User-Agent":         "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
		"Accept":             "*/*",
		"Accept-Encoding":    "gzip, deflate, br, zstd",
		"Accept-Language":    "en-GB,en;q=0.9",
		"Cookie":             "session=0123456789abcdef0123456789abcdef; theme=dark",
		"Referer":            l.url("app.localhost", "/"),
		"Sec-Fetch-Dest":     "script",
		"Sec-Fetch-Mode":     "cors",
		"Sec-Fetch-Site":     "same-origin",
		"Sec-Ch-Ua-Mobile":   "?0",
		"Sec-Ch-Ua-Platform": `"Linux"`,
	} {
		req.Header.Set(name, value)
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if n, err := io.Copy(io.Discard, res.Body); err != nil || n != int64(size) || res.StatusCode != http.StatusOK {
		return fmt.Errorf("got %s with %d bytes, %v; want %d", res.Status, n, err, size)
	}
	return nil
}

// requests returns what asks for small responses, most of 1 KiB.
func (l *load) requests(http2 bool) func(context.Context, int) error {
	return func(ctx context.Context, user int) error {
		client := l.client(http2)
		if http2 {
			shared, _ := l.clients.LoadOrStore(user/streams, client)
			client = shared.(*http.Client)
		}
		sizes := []int{1 << 10, 1 << 10, 1 << 10, 200, 1 << 10, 1 << 10, 12_000, 0}
		for i := 0; ; i++ {
			if err := l.get(ctx, client, sizes[i%len(sizes)]); err != nil {
				return err
			}
		}
	}
}

func (l *load) handshakes(ctx context.Context, _ int) error { return l.connect(ctx, "app.localhost") }

func (l *load) newNames(ctx context.Context, user int) error {
	for i := 0; ; i++ {
		if err := l.connectOnce(ctx, fmt.Sprintf("n%d-%d.app.localhost", user, i)); err != nil {
			return err
		}
	}
}

func (l *load) connect(ctx context.Context, name string) error {
	for {
		if err := l.connectOnce(ctx, name); err != nil {
			return err
		}
	}
}

func (l *load) connectOnce(ctx context.Context, name string) error {
	config := l.tls()
	config.ServerName = name
	conn, err := l.open(ctx, config)
	if err == nil {
		err = conn.Close()
	}
	return err
}

// open returns a connection that ends with ctx.
func (l *load) open(ctx context.Context, config *tls.Config) (*tls.Conn, error) {
	conn, err := l.dial(ctx, "tcp", "")
	if err != nil {
		return nil, err
	}
	client := tls.Client(conn, config)
	if err := client.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	if end, ok := ctx.Deadline(); ok {
		client.SetDeadline(end)
	}
	return client, nil
}

// downloads has one user of HTTP/1.1 and one of HTTP/2.
func (l *load) downloads(ctx context.Context, user int) error {
	client := l.client(user%2 == 1)
	for {
		if err := l.get(ctx, client, len(page)); err != nil {
			return err
		}
	}
}

func (l *load) uploads(ctx context.Context, user int) error {
	client := l.client(user%2 == 1)
	for {
		req, err := http.NewRequestWithContext(ctx, "POST", l.url("app.localhost", "/"), bytes.NewReader(page[:1<<20]))
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		res.Body.Close()
	}
}

// echoes sends small messages through an upgraded connection, each after the
// answer to the last.
func (l *load) echoes(ctx context.Context, _ int) error {
	conn, err := l.open(ctx, l.tls())
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("got %s", res.Status)
	}
	for message := make([]byte, 120); ; {
		if _, err := conn.Write(message); err != nil {
			return err
		}
		if _, err := io.ReadFull(r, message); err != nil {
			return err
		}
	}
}

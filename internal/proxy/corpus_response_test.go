package proxy

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

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
	open atomic.Int32 // connections with a request
}

func (a *answerer) serve(conn net.Conn) {
	if _, err := readHead(bufio.NewReader(conn)); err != nil {
		return // net/http has dialled in vain
	}
	a.open.Add(1)
	defer a.open.Add(-1)
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
// on the same connection the one behind /after. It returns when net/http has
// seen the end of what the backend sent: a moment before, another request may
// be sent after it, and get what is left of it.
func (p *plainProxy) checkResponse(t testing.TB, a *answerer, method, response string) {
	t.Helper()
	a.mu.Lock()
	a.next = response
	a.mu.Unlock()
	// The end of one that is idle is noticed when it would be used again.
	defer eventually(t, "the connection to the backend to end", func() bool {
		p.table.pools.CloseIdle()
		return a.open.Load() == 0
	})
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
		t.Errorf("%s: got %d, want %d for %.200q", method, res.StatusCode, status, response)
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

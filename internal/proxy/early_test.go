package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"
)

// answersEarly is a backend that answers with response as soon as it has the
// head of a request.
func answersEarly(t testing.TB, response string) Backend {
	return rawBackend(t, func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			io.WriteString(conn, response)
			io.Copy(io.Discard, conn)
		}
	})
}

const (
	earlySized   = "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig"
	earlyChunked = "HTTP/1.1 413 Too Large\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbig\r\n0\r\n\r\n"
	earlyEmpty   = "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)

// upload sends a whole request and only then reads the response, as simple
// clients do.
func (f *fixture) upload(t testing.TB, path string, size int, chunked bool) {
	conn := f.connect(t, "app.localhost")
	defer conn.Close()
	sent := make(chan error, 1)
	go func() {
		body := strings.Repeat("x", size)
		head := fmt.Sprintf("Content-Length: %d\r\n\r\n", size)
		if chunked {
			head = fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n", size)
			body += "\r\n0\r\n\r\n"
		}
		_, err := io.WriteString(conn, "POST "+path+" HTTP/1.1\r\nHost: app.localhost\r\n"+head+body)
		sent <- err
	}()
	if err := <-sent; err != nil {
		t.Errorf("%s, %d bytes: %v", path, size, err)
		return
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Errorf("%s, %d bytes: %v", path, size, err)
		return
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Errorf("%s, %d bytes: %v", path, size, err)
	}
	if early := strings.HasPrefix(path, "/early"); early && (res.StatusCode != 413 || path != "/early/empty" && string(body) != "big") ||
		!early && res.StatusCode != 503 {
		t.Errorf("%s, %d bytes: got %d %q", path, size, res.StatusCode, body)
	}
}

// A backend may answer before an upload has ended, and so does devproxy for
// one that is down. The client gets the whole answer, and nothing panics.
func TestEarlyResponses(t *testing.T) {
	f := start(t,
		Route{Host: "app.localhost", Path: "/early/sized", Backend: answersEarly(t, earlySized)},
		Route{Host: "app.localhost", Path: "/early/chunked", Backend: answersEarly(t, earlyChunked)},
		Route{Host: "app.localhost", Path: "/early/empty", Backend: answersEarly(t, earlyEmpty)},
		Route{Host: "app.localhost", Path: "/down", Backend: at("127.0.0.1:" + closedPort(t))},
	)
	// More at once would be a test of this client: one that gets no turn on a
	// busy machine for longer than lingerQuiet counts as one that has stopped.
	const atOnce = 8
	turns := make(chan struct{}, atOnce)
	var uploads sync.WaitGroup
	for _, path := range []string{"/early/sized", "/early/chunked", "/early/empty", "/down"} {
		for _, size := range []int{1, 1000, 100_000, 600_000, 3_000_000} {
			for _, chunked := range []bool{false, true} {
				for range 5 {
					turns <- struct{}{}
					uploads.Go(func() {
						defer func() { <-turns }()
						f.upload(t, path, size, chunked)
					})
				}
			}
		}
	}
	uploads.Wait()
	for _, line := range f.logs.FilterLevelExact(zapcore.ErrorLevel).All() {
		t.Errorf("logged %s: %.100s", line.Message, line.ContextMap()["detail"])
	}
}

// A client that stops in the middle of its upload gets the end of the answer
// all the same, and is told that its connection ends there.
func TestEarlyResponseInTheMiddle(t *testing.T) {
	f := start(t,
		Route{Host: "app.localhost", Path: "/sized", Backend: answersEarly(t, earlySized)},
		Route{Host: "app.localhost", Path: "/chunked", Backend: answersEarly(t, earlyChunked)},
	)
	for _, path := range []string{"/sized", "/chunked"} {
		for _, head := range []string{"Content-Length: 9", "Content-Length: 9000000", "Transfer-Encoding: chunked"} {
			began := time.Now()
			res := f.raw(t, "app.localhost", "POST "+path+" HTTP/1.1\r\nHost: app.localhost\r\n"+head+"\r\n\r\n3\r\nabc\r\n")
			if body := readAll(t, res.Body); res.StatusCode != 413 || body != "big" || !res.Close {
				t.Errorf("%s, %s: got %d %q, close %t; want the whole answer and the end", path, head, res.StatusCode, body, res.Close)
			}
			if took := time.Since(began); took > patience/4 {
				t.Errorf("%s, %s: took %v", path, head, took)
			}
		}
	}
}

// After a whole upload the connection goes on.
func TestUploadKeepsConnection(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })})
	conn := f.connect(t, "app.localhost")
	answers := bufio.NewReader(conn)
	for range 3 {
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 4\r\n\r\nbody")
		res, err := http.ReadResponse(answers, nil)
		if err != nil || res.StatusCode != 200 || res.Close {
			t.Fatalf("got %v, %v; want a response that keeps the connection", res, err)
		}
		readAll(t, res.Body)
	}
}

// A client that waits to be told to send the body is not told after the answer.
func TestUnwantedBodyIsNotAskedFor(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: answersEarly(t, earlyEmpty)})
	conn := f.connect(t, "app.localhost")
	io.WriteString(conn, "PUT / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	answers := bufio.NewReader(conn)
	res, err := http.ReadResponse(answers, nil)
	if err != nil || res.StatusCode != 413 || !res.Close {
		t.Fatalf("got %v, %v; want 413 and the end", res, err)
	}
	conn.SetReadDeadline(time.Now().Add(2 * lingerQuiet))
	if more, _ := answers.ReadString(0); more != "" {
		t.Errorf("got %q after the answer", more)
	}
}

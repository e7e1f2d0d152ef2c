package proxy

import (
	"io"
	"net"
	"strings"
	"testing"
)

// A backend may answer by the head of a request and close at once, which
// resets the connection under the body, as many of Python's servers do. The
// client gets the whole answer.
func TestAnswerThenReset(t *testing.T) {
	answer := strings.Repeat("no", 2000)
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: rawBackend(t, func(conn net.Conn) {
		if readHead(conn) == nil {
			io.WriteString(conn, "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 4000\r\n\r\n"+answer)
		}
	})})
	both(t, func(t *testing.T, protocol string) {
		client := f.client(t, protocol)
		for _, size := range []int{100, 100_000, 3_000_000} {
			lost := 0
			for range 100 {
				body := io.LimitReader(endless{}, int64(size)) // comes in pieces, and so after the head
				r := newRequest(t, "POST", f.url("app.localhost", "/"), body)
				r.ContentLength = int64(size)
				res, err := client.Do(r)
				if err != nil {
					lost++
					continue
				}
				if got, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 403 || string(got) != answer {
					lost++
				}
				res.Body.Close()
			}
			if lost > 0 {
				t.Errorf("%d of 100 answers to bodies of %d bytes were lost", lost, size)
			}
		}
	})
}

// readHead reads a request's head, and nothing beyond it.
func readHead(conn net.Conn) error {
	var head []byte
	for b := make([]byte, 1); !strings.HasSuffix(string(head), "\r\n\r\n"); head = append(head, b[0]) {
		if _, err := conn.Read(b); err != nil {
			return err
		}
	}
	return nil
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

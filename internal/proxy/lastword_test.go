package proxy

import (
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// A backend may answer by the head of a request and close at once, which
// resets the connection under the body, as many of Python's servers do. The
// client gets the whole answer.
func TestAnswerThenReset(t *testing.T) {
	answer := strings.Repeat("no", 2000)
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: rawBackend(t, func(conn net.Conn) {
		if readHeadOf(conn) == nil {
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

// A client may break its body off at the head of a response. It gets the rest
// all the same.
func TestBodyBrokenOffAfterAnswer(t *testing.T) {
	finish := make(chan bool)
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: rawBackend(t, func(conn net.Conn) {
		if readHeadOf(conn) == nil {
			io.WriteString(conn, "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 4\r\n\r\n")
			select {
			case <-finish:
			case <-t.Context().Done(): // the test has failed
			}
			io.WriteString(conn, "rest")
		}
	})})
	for range 20 {
		conn := f.connectH2(t, "app.localhost")
		conn.request(1, false, ":method", "POST", ":scheme", "https", ":authority", "app.localhost", ":path", "/", "content-length", "91")
		body, got := "", false
		for !got {
			frame, err := conn.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			switch frame := frame.(type) {
			case *http2.HeadersFrame:
				conn.WriteData(1, true, nil) // not the 91 bytes that were promised
				conn.WritePing(false, [8]byte{})
			case *http2.PingFrame: // the server has seen that
				finish <- true
			case *http2.DataFrame:
				body += string(frame.Data())
				got = frame.StreamEnded()
			case *http2.RSTStreamFrame:
				t.Fatalf("got RST_STREAM %v after %q", frame.ErrCode, body)
			}
		}
		if body != "rest" {
			t.Fatalf("got %q", body)
		}
	}
}

// readHeadOf reads a request's head, and nothing beyond it.
func readHeadOf(conn net.Conn) error {
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

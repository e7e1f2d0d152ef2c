//go:build unix

package backend

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

// A backend may switch protocols when it has the whole request, not before.
func TestSwitchAndBody(t *testing.T) {
	const switches = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\nhello"
	for name, test := range map[string]struct {
		length int64
		early  bool
		want   error
	}{
		"after a length":  {length: 4},
		"after chunks":    {length: -1},
		"within a length": {length: 4, early: true, want: ErrEarlySwitch},
		"within chunks":   {length: -1, early: true, want: ErrEarlySwitch},
	} {
		t.Run(name, func(t *testing.T) {
			p := directly.pool(scripted(t, func(_ int, conn net.Conn, in *bufio.Reader) {
				headFrom(in)
				body := strings.NewReader("body")
				if test.length < 0 {
					body = strings.NewReader("4\r\nbody\r\n0\r\n\r\n")
				}
				if !test.early {
					io.CopyN(io.Discard, in, body.Size())
				}
				io.WriteString(conn, switches)
				io.Copy(conn, in)
			}))
			body, client := io.Pipe()
			defer client.Close()
			go func() {
				io.WriteString(client, "body")
				if !test.early {
					client.Close()
				}
			}()
			c := call(t, "POST", nil)
			c.Body, c.Length, c.Upgrade = body, test.length, "chat"
			res, err := p.Do(c)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if err != nil {
				return
			}
			defer res.Body.Close()
			switched := res.Body.(io.ReadWriter)
			io.WriteString(switched, "more")
			if got := take(switched, len("hellomore")); got != take(strings.NewReader("hellomore"), len("hellomore")) {
				t.Errorf("got %s", got)
			}
		})
	}
}

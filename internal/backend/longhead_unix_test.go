//go:build unix

package backend

import (
	"bufio"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// A backend may refuse a long head before it has all of it, and close. The refusal
// is heard, over a used connection too.
func TestLongHeadIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		headFrom(in)
		io.WriteString(conn, ok)
		in.Peek(1)
		io.WriteString(conn, "HTTP/1.1 431 Too Large\r\nContent-Length: 0\r\n\r\n")
		ln.Close()
	}()
	p := directly.pool(Target{Scheme: "unix", Address: path})
	defer p.CloseIdle()
	if o := send(p, call(t, "POST", nil), 0); o.body != "ok" || o.err != nil {
		t.Fatalf("got %q, %v", o.body, o.err)
	}
	c := call(t, "POST", nil)
	c.Fields = append(c.Fields, Field{"Cookie", strings.Repeat("c", 900<<10)})
	if o := send(p, c, 0); o.status != 431 || o.err != nil {
		t.Errorf("got %d, %v, want the refusal", o.status, o.err)
	}
}

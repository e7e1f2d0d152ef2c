//go:build unix

package backend

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// heads are the ends of what net/http takes for a head, and some beyond.
var heads = []string{
	ok,
	headOfResponse + "\r\n",
	"HTTP/1.1 200\r\n\r\n",
	"HTTP/1.1 200 \r\n\r\n",
	"HTTP/1.1 200  two \r\nA: b\r\n\r\n",
	"HTTP/1.1 099 Odd\r\n\r\n",
	"HTTP/1.1 999 Odd\r\n\r\n",
	"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
	"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nEtag: x\r\n\r\n",
	"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nset-cookie: a\r\nSET-COOKIE: b\r\n\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
	"HTTP/1.1 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nConnection: keep-alive, close\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: x\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 0000000000000000000001\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A, b\r\n\r\n0\r\nA: 1\r\n\r\n",
	"HTTP/1.1 200 OK\r\nPragma: no-cache\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
	"HTTP/1.1 200 OK\r\nA:  \t b \t \r\nb-c: \xe9\r\n\r\n",
	"HTTP/1.1 200 OK\r\nA: b\x01\r\n\r\n",
	"HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
	"HTTP/1.1 200 OK\r\nA b: c\r\n\r\n",
	"HTTP/1.1 200 OK\r\n: c\r\n\r\n",
	"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
	"HTTP/1.1 200 OK\nA: b\n\n",
	"HTTP/1.1 200 OK\r\nA: b\n\r\n",
	"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 2000 OK\r\n\r\n",
	"HTTP/1.1 +20 OK\r\n\r\n",
	"HTTP/1.1 200\tOK\r\n\r\n",
	"HTTP/2.0 200 OK\r\n\r\n",
	"SSH-2.0-OpenSSH_9.2\r\n",
	"HTTP/1.1 200 OK\r\nA: b",
	"\r\n",
	"",
}

// FuzzPlainHead holds the parser of plain heads beside net/http's: what it takes
// at all it takes for the same.
func FuzzPlainHead(f *testing.F) {
	for _, head := range heads {
		f.Add(head, false)
		f.Add(head, true)
	}
	f.Fuzz(func(t *testing.T, text string, head bool) {
		method := http.MethodGet
		if head {
			method = http.MethodHead
		}
		in := bufio.NewReaderSize(strings.NewReader(text), readBuffer)
		x := &exchange{call: new(Call), scratch: &scratch{in: in}}
		if !x.readPlain(method) {
			if rest, _ := io.ReadAll(in); string(rest) != text {
				t.Errorf("something was consumed of a head that is not plain: %q is left", rest)
			}
			return
		}
		theirs := bufio.NewReaderSize(strings.NewReader(text), readBuffer)
		want, err := http.ReadResponse(theirs, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("net/http refuses it: %v", err)
		}
		y := &exchange{call: new(Call), scratch: &scratch{in: theirs}}
		y.takeOver(want)
		x.chunked, y.chunked = nil, nil
		if !reflect.DeepEqual(x.res, y.res) || x.left != y.left {
			t.Errorf("got  %+v, %d left\nwant %+v, %d left", x.res, x.left, y.res, y.left)
		}
		ours, _ := io.ReadAll(in)
		if left, _ := io.ReadAll(theirs); string(ours) != string(left) {
			t.Errorf("%q is left, want %q", ours, left)
		}
	})
}

// Heads that come in pieces are as good as others, and what is no head is refused
// when it is there, for the backend may wait for an answer.
func TestHeadInPieces(t *testing.T) {
	for _, head := range heads {
		p := directly.pool(scripted(t, func(_ int, conn net.Conn, in *bufio.Reader) {
			headFrom(in)
			for i := range len(head) {
				if _, err := io.WriteString(conn, head[i:i+1]); err != nil {
					return
				}
			}
			io.WriteString(conn, "ok")
			conn.(*net.TCPConn).CloseWrite()
			in.ReadByte()
		}))
		want, wantErr := http.ReadResponse(bufio.NewReader(strings.NewReader(head+"ok")), nil)
		for wantErr == nil && want.StatusCode == 103 {
			wantErr = io.ErrUnexpectedEOF
		}
		res, err := p.Do(call(t, "GET", nil))
		if (err == nil) != (wantErr == nil) {
			t.Errorf("%q: got %v, want %v", head, err, wantErr)
		}
		if err == nil {
			if res.StatusCode != want.StatusCode || !reflect.DeepEqual(res.Header, want.Header) {
				t.Errorf("%q: got %d %v, want %d %v", head, res.StatusCode, res.Header, want.StatusCode, want.Header)
			}
			res.Body.Close()
		}
	}
	for _, banner := range []string{"SSH-2.0-OpenSSH_9.2\r\n", "-ERR unknown command\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n"} {
		p := directly.pool(scripted(t, func(_ int, conn net.Conn, in *bufio.Reader) {
			io.WriteString(conn, banner)
			io.Copy(io.Discard, in)
		}))
		if o := send(p, call(t, "GET", nil), 0); o.err == nil {
			t.Errorf("%q: got %d", banner, o.status)
		}
	}
}

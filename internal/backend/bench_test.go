package backend

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"devproxy/internal/socket"
)

// canned returns a server that sends response for each request, whose head it
// does not look into.
func canned(t testing.TB, response string) Target {
	ln := listen(t, loopback4)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				out := []byte(response)
				for buf := make([]byte, 16<<10); ; {
					n, err := conn.Read(buf)
					if err != nil {
						return
					}
					if bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
						if _, err := conn.Write(out); err != nil {
							return
						}
					}
				}
			}()
		}
	}()
	return plainHTTP(ln.Addr().String())
}

const headOfResponse = "HTTP/1.1 200 OK\r\nContent-Type: text/javascript; charset=utf-8\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n" +
	"Cache-Control: no-cache\r\nEtag: W/\"123-abc\"\r\nVary: Origin\r\nConnection: keep-alive\r\n"

// browserFields are what a browser sends.
var browserFields = []Field{
	{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"},
	{"Accept", "*/*"},
	{"Accept-Encoding", "gzip, deflate, br, zstd"},
	{"Accept-Language", "en-US,en;q=0.9"},
	{"Cookie", "session=" + "0123456789abcdef0123456789abcdef0123456789abcdef"},
	{"Referer", "https://app.localhost/"},
	{"Sec-Fetch-Dest", "script"},
	{"Sec-Fetch-Mode", "cors"},
	{"Sec-Fetch-Site", "same-origin"},
	{"X-Forwarded-For", "127.0.0.1"},
	{"X-Forwarded-Proto", "https"},
	{"X-Forwarded-Host", "app.localhost"},
}

// BenchmarkDo is one GET after the other, over a connection that is kept.
func BenchmarkDo(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 20} {
		response := headOfResponse + "Content-Length: " + strconv.Itoa(size) + "\r\n\r\n" + strings.Repeat("x", size)
		for _, over := range []client{directly, viaNetHTTP} {
			if over == directly && !socket.CanLook {
				continue
			}
			b.Run(strconv.Itoa(size)+" "+string(over), func(b *testing.B) {
				p := over.pool(canned(b, response))
				defer p.CloseIdle()
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				buf := make([]byte, 32<<10)
				b.ReportAllocs()
				for b.Loop() {
					res, err := p.Do(&Call{Context: ctx, Method: http.MethodGet, Path: "/", Host: "app.localhost", Fields: browserFields})
					if err != nil {
						b.Fatal(err)
					}
					n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, res.Body, buf)
					if n != int64(size) || err != nil {
						b.Fatal(n, err)
					}
					res.Body.Close()
				}
			})
		}
	}
}

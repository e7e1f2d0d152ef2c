package backend

import (
	"context"
	"fmt"
	"io"
	"log"
	"strings"
	"testing"
)

// A sample is a response that backends send, or should not.
type sample struct {
	name   string
	method string // "" is GET
	text   string

	// junk follows the response. Whether http.Transport sees it in time, or takes
	// it for the answer to the next request, is a matter of chance; the direct
	// client must not use such a connection again.
	junk string
}

// samples returns the responses of the corpus; short ones, that can be cut
// everywhere.
func samples() []sample {
	const ok = "HTTP/1.1 200 OK\r\n"
	list := []sample{
		{name: "length", text: ok + "Content-Length: 5\r\n\r\nhello"},
		{name: "length 0", text: ok + "Content-Length: 0\r\n\r\n"},
		{name: "until close", text: ok + "\r\nhello"},
		{name: "until close, said", text: ok + "Connection: close\r\n\r\nhello"},
		{name: "length and close", text: ok + "Connection: close\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "close among others", text: ok + "Connection: x, Close\r\nX: y\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "keep-alive in 1.1", text: ok + "Connection: keep-alive\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "close and keep-alive", text: ok + "Connection: keep-alive\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "1.0 until close", text: "HTTP/1.0 200 OK\r\n\r\nhello"},
		{name: "1.0 with length", text: "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "1.0 keep-alive", text: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "1.0 keep-alive without length", text: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nhello"},
		{name: "1.0 chunked", text: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
		{name: "many fields of one name", text: ok + "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nset-cookie: c=3\r\nContent-Length: 0\r\n\r\n"},

		{name: "chunked", text: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"},
		{name: "chunked, nothing", text: ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{name: "chunked, any case", text: ok + "transfer-encoding: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
		{name: "chunk sizes", text: ok + "Transfer-Encoding: chunked\r\n\r\n00A\r\n0123456789\r\nb\r\n0123456789a\r\n000\r\n\r\n"},
		{name: "chunk extensions", text: ok + "Transfer-Encoding: chunked\r\n\r\n5;a=b;c=\"d\"\r\nhello\r\n0;end\r\n\r\n"},
		{name: "space around a chunk's size", text: ok + "Transfer-Encoding: chunked\r\n\r\n5  \r\nhello\r\n0\t\r\n\r\n"},
		{name: "space before a chunk's size", text: ok + "Transfer-Encoding: chunked\r\n\r\n 5\r\nhello\r\n0\r\n\r\n"},
		{name: "trailer", text: ok + "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"},
		{name: "trailer, not announced", text: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\nx-sum: 2\r\n\r\n"},
		{name: "trailer, announced and absent", text: ok + "Trailer: X-Sum, Y\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
		{name: "trailer that is framing", text: ok + "Trailer: Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{name: "trailer has framing", text: ok + "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 3\r\nTransfer-Encoding: gzip\r\n\r\n"},
		{name: "trailer is no field", text: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nnonsense\r\n\r\n"},
		{name: "trailer without chunks", text: ok + "Trailer: X-Sum\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "chunk without size", text: ok + "Transfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n"},
		{name: "chunk size of letters", text: ok + "Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n"},
		{name: "chunk size 0x", text: ok + "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n"},
		{name: "chunk size with a sign", text: ok + "Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n"},
		{name: "chunk size below zero", text: ok + "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n"},
		{name: "chunk size overflows", text: ok + "Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n"},
		{name: "chunk size of 2^63", text: ok + "Transfer-Encoding: chunked\r\n\r\n8000000000000000\r\nhello\r\n0\r\n\r\n"},
		{name: "chunk size is the greatest", text: ok + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello\r\n0\r\n\r\n"},
		{name: "chunk longer than it says", text: ok + "Transfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n"},
		{name: "chunk shorter than it says", text: ok + "Transfer-Encoding: chunked\r\n\r\n7\r\nhello\r\n0\r\n\r\n"},
		{name: "chunks with bare LF", text: ok + "Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n"},
		{name: "chunk line with bare LF", text: ok + "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n"},
		{name: "chunk extension with bare LF", text: ok + "Transfer-Encoding: chunked\r\n\r\n5;x\nhello\r\n0\r\n\r\n"},
		{name: "chunk extension with bare CR", text: ok + "Transfer-Encoding: chunked\r\n\r\n5;x\ry\r\nhello\r\n0\r\n\r\n"},
		{name: "trailer with bare LF", text: ok + "Transfer-Encoding: chunked\r\n\r\n0\nX: y\n\n"},
		{name: "chunked without an end", text: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"},

		{name: "lengths that agree", text: ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "lengths that differ", text: ok + "Content-Length: 5\r\nContent-Length: 4\r\n\r\nhello"},
		{name: "list of lengths", text: ok + "Content-Length: 5, 5\r\n\r\nhello"},
		{name: "length empty", text: ok + "Content-Length: \r\n\r\nhello"},
		{name: "length with a plus", text: ok + "Content-Length: +5\r\n\r\nhello"},
		{name: "length below zero", text: ok + "Content-Length: -5\r\n\r\nhello"},
		{name: "length -0", text: ok + "Content-Length: -0\r\n\r\nhello"},
		{name: "length with zeros", text: ok + "Content-Length: 0005\r\n\r\nhello"},
		{name: "length in hex", text: ok + "Content-Length: 0x5\r\n\r\nhello"},
		{name: "length with space", text: ok + "Content-Length:  5 \t\r\n\r\nhello"},
		{name: "length of words", text: ok + "Content-Length: five\r\n\r\nhello"},
		{name: "length 2^63-1", text: ok + "Content-Length: 9223372036854775807\r\n\r\nhello"},
		{name: "length 2^63", text: ok + "Content-Length: 9223372036854775808\r\n\r\nhello"},
		{name: "length 2^64+5", text: ok + "Content-Length: 18446744073709551621\r\n\r\nhello"},
		{name: "length and chunked", text: ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
		{name: "chunked and length", text: ok + "Transfer-Encoding: chunked\r\nContent-Length: 500\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
		{name: "bad length and chunked", text: ok + "Content-Length: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
		{name: "encoding identity", text: ok + "Transfer-Encoding: identity\r\n\r\nhello"},
		{name: "encoding identity and length", text: ok + "Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "encoding gzip", text: ok + "Transfer-Encoding: gzip\r\n\r\nhello"},
		{name: "encoding gzip, chunked", text: ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
		{name: "encoding chunked twice", text: ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{name: "encoding empty", text: ok + "Transfer-Encoding: \r\n\r\nhello"},
		{name: "encoding with a control byte", text: ok + "Transfer-Encoding: \vchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},

		{name: "HEAD", method: "HEAD", text: ok + "Content-Length: 5\r\n\r\n"},
		{name: "HEAD without length", method: "HEAD", text: ok + "\r\n"},
		{name: "HEAD, chunked", method: "HEAD", text: ok + "Transfer-Encoding: chunked\r\n\r\n"},
		{name: "HEAD, close", method: "HEAD", text: ok + "Connection: close\r\nContent-Length: 5\r\n\r\n"},
		{name: "HEAD 1.0", method: "HEAD", text: "HTTP/1.0 200 OK\r\n\r\n"},
		{name: "HEAD, lengths that differ", method: "HEAD", text: ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"},
		{name: "HEAD, bad length", method: "HEAD", text: ok + "Content-Length: x\r\n\r\n"},
		{name: "HEAD, trailer", method: "HEAD", text: ok + "Trailer: X\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{name: "204", text: "HTTP/1.1 204 No Content\r\n\r\n"},
		{name: "204 with length", text: "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"},
		{name: "204, chunked", text: "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{name: "304", text: "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n"},
		{name: "304 with length", text: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"},
		{name: "304, chunked", text: "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{name: "205", text: "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n"},

		{name: "100", text: "HTTP/1.1 100 Continue\r\n\r\n" + ok + "Content-Length: 2\r\n\r\nok"},
		{name: "103", text: "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\n" + ok + "Content-Length: 2\r\n\r\nok"},
		{name: "102, 103, 199", text: "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 x\r\nA: b\r\n\r\nHTTP/1.1 199\r\n\r\n" + ok + "Content-Length: 2\r\n\r\nok"},
		{name: "103 with a length", text: "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n" + ok + "Content-Length: 2\r\n\r\nok"},
		{name: "103, chunked", text: "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n" + ok + "Content-Length: 2\r\n\r\nok"},
		{name: "103 and close", text: "HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n" + ok + "Content-Length: 2\r\n\r\nok"},
		{name: "103 of 1.0", text: "HTTP/1.0 103 Early Hints\r\n\r\n" + ok + "Content-Length: 2\r\n\r\nok"},
		{name: "103, then 204", text: "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"},
		{name: "103, HEAD", method: "HEAD", text: "HTTP/1.1 103 Early Hints\r\n\r\n" + ok + "Content-Length: 2\r\n\r\n"},
		{name: "101, not asked for", text: "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello"},
		{name: "101 without Upgrade", text: "HTTP/1.1 101 Switching Protocols\r\n\r\n"},
		{name: "101 without Connection", text: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"},

		{name: "LF alone", text: "HTTP/1.1 200 OK\nContent-Length: 5\nX: y\n\nhello"},
		{name: "LF alone in a field", text: ok + "X: y\nContent-Length: 5\r\n\r\nhello"},
		{name: "LF alone at the end", text: ok + "Content-Length: 5\r\n\nhello"},
		{name: "CR in a value", text: ok + "X: a\rb\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "CR before a field", text: ok + "\rX: a\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "CR CR LF", text: ok + "X: a\r\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "CR in the status line", text: "HTTP/1.1 200 O\rK\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "NUL in a value", text: ok + "X: a\x00b\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "NUL in a name", text: ok + "X\x00: a\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "control bytes in a value", text: ok + "X: a\x01\x1f\x7f\tb\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "bytes above ASCII in a value", text: ok + "X: \xc3\xa9\xff\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "bytes above ASCII in a name", text: ok + "X-\xc3\xa9: y\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "folded", text: ok + "X: a\r\n b\r\n\tc\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "folded length", text: ok + "Content-Length:\r\n 5\r\n\r\nhello"},
		{name: "folded encoding", text: ok + "Transfer-Encoding:\r\n chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
		{name: "first line folded", text: ok + " X: a\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "folded with nothing", text: ok + "X: a\r\n \r\nContent-Length: 5\r\n\r\nhello"},
		{name: "space before the colon", text: ok + "X : a\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "space before the colon of the length", text: ok + "Content-Length : 5\r\n\r\nhello"},
		{name: "space in a name", text: ok + "X Y: a\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "no colon", text: ok + "nonsense\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "no name", text: ok + ": a\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "no value", text: ok + "X:\r\nY: \r\nContent-Length: 5\r\n\r\nhello"},
		{name: "value of spaces", text: ok + "X:  \t a \t \r\nContent-Length: 5\r\n\r\nhello"},
		{name: "colons in a value", text: ok + "X: a:b: c\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "odd names", text: ok + "x_y: 1\r\nX!#$%&'*+-.^_`|~9: 2\r\nx-REQUEST-id: 3\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "name with a bad byte", text: ok + "X(y): a\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "Pragma", text: ok + "Pragma: no-cache\r\nContent-Length: 5\r\n\r\nhello"},

		{name: "no reason", text: "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "empty reason", text: "HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello"},
		{name: "reason above ASCII", text: "HTTP/1.1 200 \xc3\xa9\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "two spaces", text: "HTTP/1.1  200 OK\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "tab", text: "HTTP/1.1\t200 OK\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "space first", text: " HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "empty line first", text: "\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "status of two digits", text: "HTTP/1.1 20 OK\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "status of four digits", text: "HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "status with a sign", text: "HTTP/1.1 +20 OK\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "status below zero", text: "HTTP/1.1 -20 OK\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "status of letters", text: "HTTP/1.1 abc OK\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "status glued", text: "HTTP/1.1 200OK\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "status 000", text: "HTTP/1.1 000 x\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "status 099", text: "HTTP/1.1 099 x\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "status 600", text: "HTTP/1.1 600 x\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "status 999", text: "HTTP/1.1 999 x\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "no status", text: "HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "HTTP/1.2", text: "HTTP/1.2 200 OK\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "HTTP/2.0", text: "HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "HTTP/0.9", text: "HTTP/0.9 200 OK\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "HTTP/1.10", text: "HTTP/1.10 200 OK\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "HTTP/1", text: "HTTP/1 200 OK\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "http/1.1", text: "http/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "ICY", text: "ICY 200 OK\r\nContent-Length: 5\r\n\r\nhello"},
		{name: "no HTTP", text: "hello\r\n\r\n"},
		{name: "TLS alert", text: "\x15\x03\x01\x00\x02\x02\x46"},
		{name: "preface of HTTP/2", text: "\x00\x00\x12\x04\x00\x00\x00\x00\x00\r\n\r\n"},
		{name: "nothing", text: ""},
		{name: "empty line", text: "\r\n"},
		{name: "status line alone", text: ok},

		{name: "junk behind a length", text: ok + "Content-Length: 5\r\n\r\nhello", junk: "junk"},
		{name: "a response behind a length", text: ok + "Content-Length: 5\r\n\r\nhello", junk: ok + "Content-Length: 5\r\n\r\nwrong"},
		{name: "a response behind chunks", text: ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", junk: ok + "Content-Length: 5\r\n\r\nwrong"},
		{name: "body behind HEAD", method: "HEAD", text: ok + "Content-Length: 5\r\n\r\n", junk: "hello"},
		{name: "body behind 204", text: "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", junk: "hello"},
		{name: "body behind 304", text: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", junk: "hello"},
		{name: "body behind length 0", text: ok + "Content-Length: 0\r\n\r\n", junk: "\r\n"},
	}
	for code := range 3 {
		list = append(list, sample{
			name: fmt.Sprint("redirect ", code), text: fmt.Sprintf("HTTP/1.1 30%d x\r\nLocation: /there\r\nContent-Length: 2\r\n\r\nok", code),
		})
	}
	return list
}

// answer is a script that reads the request and sends a response in pieces;
// after it the connection goes on, or the backend's side of it ends.
func answer(goesOn bool, pieces ...string) func(*peer, context.CancelCauseFunc) bool {
	return func(p *peer, _ context.CancelCauseFunc) bool {
		p.body()
		p.say(pieces...)
		if !goesOn {
			p.closeWrite()
			_, _ = p.rest()
		}
		return goesOn
	}
}

func (s sample) call() func(ctx context.Context, leave context.CancelCauseFunc) *Call {
	if s.method == "" {
		return ask("GET")
	}
	return ask(s.method)
}

// quiet silences net/http, which logs junk.
func quiet(t testing.TB) {
	before := log.Writer()
	log.SetOutput(io.Discard)
	t.Cleanup(func() { log.SetOutput(before) })
}

func TestResponses(t *testing.T) {
	quiet(t)
	for _, scheme := range []string{"http", "unix"} {
		stage := raise(t, scheme)
		for _, test := range samples() {
			t.Run(scheme+"/"+test.name, func(t *testing.T) {
				whole := test.text + test.junk
				want := stage.play(t, viaNetHTTP, show{call: test.call(), script: answer(false, whole)})
				got := stage.play(t, directly, show{call: test.call(), script: answer(false, whole)})
				want.reused = "2 connections" // the backend's side of the first has ended
				same(t, want, got)
				got = stage.play(t, directly, show{call: test.call(), script: answer(false, strings.Split(whole, "")...)})
				if test.junk != "" {
					got.reused = want.reused // what comes late is seen late
				}
				same(t, want, got)
				if !want.whole || test.junk == "" && strings.Contains(want.call, "broken off") {
					return
				}
				// The connection goes on, and the next request may use it.
				want = stage.play(t, viaNetHTTP, show{call: test.call(), script: answer(true, whole)})
				got = stage.play(t, directly, show{call: test.call(), script: answer(true, whole)})
				if test.junk != "" {
					want.reused = "2 connections"
				}
				same(t, want, got)
			})
		}
	}
}

// A response may end anywhere.
func TestResponsesCutShort(t *testing.T) {
	quiet(t)
	stage := raise(t, "unix")
	for _, test := range samples() {
		t.Run(test.name, func(t *testing.T) {
			for n := range len(test.text) {
				show := show{call: test.call(), script: answer(false, test.text[:n])}
				want, got := stage.play(t, viaNetHTTP, show), stage.play(t, directly, show)
				same(t, want, got)
				if t.Failed() {
					t.Fatalf("after %d bytes: %q", n, test.text[:n])
				}
			}
		})
	}
}

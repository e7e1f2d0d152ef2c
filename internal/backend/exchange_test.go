package backend

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// post makes a call with a body.
func post(body *source, length int64, change func(c *Call)) func(context.Context, context.CancelCauseFunc) *Call {
	return func(ctx context.Context, _ context.CancelCauseFunc) *Call {
		c := &Call{Context: ctx, Method: "POST", Path: "/", Host: "app.test", Body: body, Length: length}
		if change != nil {
			change(c)
		}
		return c
	}
}

// waiting is a body that has no end before gate is closed.
func waiting(text string, gate chan struct{}) *source {
	b := newSource(text)
	b.gate = gate
	return b
}

// readSome reads n bytes and closes the response's body.
func readSome(n int) func(*http.Response, context.CancelCauseFunc) string {
	return func(res *http.Response, _ context.CancelCauseFunc) string {
		b := make([]byte, n)
		_, err := io.ReadFull(res.Body, b)
		closed := res.Body.Close()
		_, after := res.Body.Read(b)
		return fmt.Sprintf("%q, %s, %v, and closed: %t", b, kind(err), closed, after != nil)
	}
}

// waitsForBody is what http.Transport does, whoever has left.
const waitsForBody = "http.Transport waits for the end of a read of the body, or takes its failure for what happened"

// A request and its response can meet in many ways.
func TestExchanges(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\n"
	long := strings.Repeat("0123456789abcdef", 1<<18)
	for _, test := range []struct {
		name string
		show func() show
	}{
		{"response read twice to its end", func() show {
			return show{call: ask("GET"), script: answer(true, fine), read: func(res *http.Response, _ context.CancelCauseFunc) string {
				first := readAll(res, nil)
				n, err := res.Body.Read(make([]byte, 1))
				return fmt.Sprint(first, n, err != nil)
			}}
		}},
		{"response closed before its end", func() show {
			return show{call: ask("GET"), script: answer(true, fine), read: readSome(3)}
		}},
		{"response closed at its last byte", func() show {
			return show{call: ask("GET"), script: answer(true, head+"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), read: readSome(5)}
		}},
		{"response closed unread", func() show {
			return show{call: ask("GET"), script: answer(true, fine), read: readSome(0)}
		}},
		{"long response", func() show {
			return show{call: ask("GET"), script: answer(true, fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(long), long))}
		}},
		{"long chunk", func() show {
			return show{call: ask("GET"), script: answer(true, fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", head, len(long), long))}
		}},
		{"many chunks", func() show {
			return show{call: ask("GET"), script: answer(true, head+"Transfer-Encoding: chunked\r\n\r\n"+strings.Repeat("3\r\nabc\r\n", 20_000)+"0\r\nX: y\r\n\r\n")}
		}},
		{"2000 interim responses", func() show {
			return show{call: ask("GET"), script: answer(true, strings.Repeat("HTTP/1.1 103 x\r\nLink: </a>\r\n\r\n", 2000)+fine)}
		}},
		{"interim responses of 3 MB", func() show {
			return show{call: ask("GET"), script: answer(true, strings.Repeat("HTTP/1.1 103 x\r\nLink: "+long[:300_000]+"\r\n\r\n", 10)+fine)}
		}},
		{"interim response is not wanted", func() show {
			return show{script: answer(true, "HTTP/1.1 103 x\r\n\r\n"+fine), call: func(ctx context.Context, leave context.CancelCauseFunc) *Call {
				c := ask("GET")(ctx, leave)
				c.Interim = func(int, http.Header) error { return errInterim }
				return c
			}}
		}},
		{"head of nearly 1 MiB", func() show {
			return show{call: ask("GET"), script: answer(true, head+"X: "+long[:1<<20-8192]+"\r\nContent-Length: 0\r\n\r\n")}
		}},
		{"head of more than 1 MiB", func() show {
			return show{call: ask("GET"), script: answer(true, head+"X: "+long[:1<<20+8192]+"\r\nContent-Length: 0\r\n\r\n")}
		}},
		{"head of 4 MiB without an end", func() show {
			return show{call: ask("GET"), script: answer(true, head+"X: "+long)}
		}},
		{"status line of more than 1 MiB", func() show {
			return show{call: ask("GET"), script: answer(true, "HTTP/1.1 200 "+long[:1<<20+8192])}
		}},
		{"interim head of more than 1 MiB", func() show {
			return show{call: ask("GET"), script: answer(true, "HTTP/1.1 103 x\r\nX: "+long[:1<<20+8192]+"\r\n\r\n"+fine)}
		}},
		{"many fields of nearly 1 MiB", func() show {
			return show{call: ask("GET"), script: answer(true, head+strings.Repeat("Set-Cookie: a=0123456789\r\n", 39_000)+"Content-Length: 0\r\n\r\n")}
		}},
		{"many fields of more than 1 MiB", func() show {
			return show{call: ask("GET"), script: answer(true, head+strings.Repeat("Set-Cookie: a=0123456789\r\n", 42_000)+"Content-Length: 0\r\n\r\n")}
		}},

		{"response at the first byte of the request", func() show {
			return show{call: post(newSource("hello"), 5, nil), script: func(p *peer, _ context.CancelCauseFunc) bool {
				p.say(fine)
				p.body()
				return true
			}, once: true}
		}},
		{"response before the body, whole", func() show {
			return show{once: true, call: post(waiting("hello", make(chan struct{})), 1000, nil), script: func(p *peer, _ context.CancelCauseFunc) bool {
				p.piece(5)
				p.say(fine)
				_, _ = p.rest()
				return false
			}}
		}},
		{"response before the body, chunked", func() show {
			return show{once: true, call: post(waiting("hello", make(chan struct{})), -1, nil), script: func(p *peer, _ context.CancelCauseFunc) bool {
				p.firstChunk()
				p.say(fine)
				_, _ = p.rest()
				return false
			}}
		}},
		{"response before the body, and close", func() show {
			return show{once: true, call: post(waiting("hello", make(chan struct{})), 1000, nil), script: func(p *peer, _ context.CancelCauseFunc) bool {
				p.piece(5)
				p.say(strings.Replace(fine, "\r\n", "\r\nConnection: close\r\n", 1))
				_, _ = p.rest()
				return false
			}}
		}},
		{"response before the body, until close", func() show {
			return show{once: true, call: post(waiting("hello", make(chan struct{})), 1000, nil), script: func(p *peer, _ context.CancelCauseFunc) bool {
				p.piece(5)
				p.say(head+"\r\n", "hello")
				p.closeWrite()
				_, _ = p.rest()
				return false
			}}
		}},
		{"both at the same time", func() show {
			gate := make(chan struct{})
			return show{call: post(waiting("hello", gate), -1, nil), script: func(p *peer, _ context.CancelCauseFunc) bool {
				p.say(head + "Content-Length: 10\r\n\r\nhello")
				p.body()
				p.say("world")
				return true
			}, read: func(res *http.Response, _ context.CancelCauseFunc) string {
				b := make([]byte, 5)
				io.ReadFull(res.Body, b)
				close(gate)
				return string(b) + readAll(res, nil)
			}}
		}},
		{"response closed while the body is sent", func() show {
			return show{once: true, read: readSome(2), call: post(waiting("hello", make(chan struct{})), -1, nil), script: func(p *peer, _ context.CancelCauseFunc) bool {
				p.firstChunk()
				p.say(head + "Content-Length: 10\r\n\r\nhello")
				_, _ = p.rest()
				return false
			}}
		}},
		{"response read to its end after the body", func() show {
			return show{call: post(newSource(long), int64(len(long)), nil), script: answer(true, fine)}
		}},
		{"last word under a long body", func() show {
			return show{call: post(newSource(long+long+long), -1, nil), script: func(p *peer, _ context.CancelCauseFunc) bool {
				p.say("HTTP/1.1 413 x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nlarge")
				return false
			}}
		}},
		{"last word without Connection: close", func() show {
			return show{call: post(newSource(long+long+long), int64(3*len(long)), nil), script: func(p *peer, _ context.CancelCauseFunc) bool {
				p.say("HTTP/1.1 413 x\r\nContent-Length: 5\r\n\r\nlarge")
				return false
			}}
		}},

		{"body fails", func() show {
			b := newSource("hello")
			b.end = errBody
			return show{once: true, broken: true, call: post(b, 10, nil), script: reads}
		}},
		{"body fails, chunked", func() show {
			b := newSource("hello")
			b.end = errBody
			return show{once: true, broken: true, call: post(b, -1, nil), script: reads}
		}},
		{"body fails, chunked with trailer", func() show {
			b := newSource("hello")
			b.end = errBody
			return show{once: true, broken: true, call: post(b, -1, func(c *Call) { c.Trailer = http.Header{"X": {"y"}} }), script: reads}
		}},
		{"body too short", func() show {
			return show{once: true, broken: true, call: post(newSource("hello"), 10, nil), script: reads}
		}},
		{"body too long", func() show {
			return show{once: true, call: post(newSource("hello world"), 5, nil), script: reads,
				differs: "http.Transport has closed the connection, and takes that or the body for the reason",
				own:     map[client]string{directly: "no response: malformed\n"}}
		}},
		{"body slow", func() show {
			gate := make(chan struct{})
			return show{call: post(waiting("hello", gate), -1, nil), script: func(p *peer, leave context.CancelCauseFunc) bool {
				close(gate)
				return answer(true, fine)(p, leave)
			}}
		}},
		{"body of single bytes", func() show {
			b := newSource("")
			b.Reader = io.LimitReader(oneByOne{strings.NewReader(long)}, 5000)
			return show{call: post(b, -1, nil), script: answer(true, fine)}
		}},

		{"dies while the body has nothing", func() show {
			b := waiting("hello", make(chan struct{}))
			return show{once: true, differs: waitsForBody, own: map[client]string{directly: "no response: closed\n"}, call: post(b, 1000, nil), script: func(p *peer, _ context.CancelCauseFunc) bool {
				p.piece(5)
				p.reset()
				if p.act.over == viaNetHTTP {
					b.leave()
				}
				return false
			}}
		}},
		{"101 without Upgrade and with more", func() show {
			const head = "status 101, HTTP/1.1, length 0 \"\"\n"
			return show{call: ask("GET"), script: answer(false, "HTTP/1.1 101 x\r\n\r\nhello"),
				differs: "what comes behind a 101 is handed on by the direct client, whatever the head says; http.Transport drops it",
				own: map[client]string{
					viaNetHTTP: head + "body \"\", none, trailer \"\"\n",
					directly:   head + "body \"hello\", none, trailer \"\"\n",
				}}
		}},
		{"closes instead of an answer", func() show {
			return show{call: ask("GET"), script: func(p *peer, _ context.CancelCauseFunc) bool { return false }}
		}},
		{"closes instead of an answer to a body", func() show {
			return show{call: post(newSource("hello"), 5, nil), script: func(p *peer, _ context.CancelCauseFunc) bool { p.body(); return false }}
		}},
		{"resets instead of an answer", func() show {
			return show{call: ask("GET"), script: func(p *peer, _ context.CancelCauseFunc) bool { p.reset(); return false }}
		}},
		{"resets in the head", func() show {
			return show{call: ask("GET"), script: func(p *peer, _ context.CancelCauseFunc) bool { p.say("HTTP/1.1 2"); p.reset(); return false }}
		}},
		{"resets in the body", func() show {
			return show{call: ask("GET"), script: func(p *peer, _ context.CancelCauseFunc) bool {
				p.say(head + "Content-Length: 10\r\n\r\nhello")
				p.reset()
				return false
			}}
		}},
		{"resets in chunks", func() show {
			return show{call: ask("GET"), script: func(p *peer, _ context.CancelCauseFunc) bool {
				p.say(head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
				p.reset()
				return false
			}}
		}},
		{"resets a body until close", func() show {
			return show{call: ask("GET"), script: func(p *peer, _ context.CancelCauseFunc) bool {
				p.say(head + "\r\nhello")
				p.reset()
				return false
			}}
		}},
	} {
		for _, scheme := range []string{"http", "unix"} {
			if scheme == "unix" && strings.HasPrefix(test.name, "resets") {
				continue // there is no such thing
			}
			t.Run(test.name+" "+scheme, func(t *testing.T) {
				s := raise(t, scheme)
				s.both(t, test.show)
			})
		}
	}
}

// reads is a script that says nothing.
func reads(p *peer, _ context.CancelCauseFunc) bool {
	p.body()
	_, _ = p.rest()
	return false
}

type oneByOne struct{ io.Reader }

func (r oneByOne) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(1, len(p))]) }

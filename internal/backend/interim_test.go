package backend

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Expect: 100-continue withholds the body until the backend agrees.
func TestContinueBeside(t *testing.T) {
	agree := func(c *Call) { c.Continue = true }
	for _, test := range []struct {
		name   string
		length int64
		script func(p *peer) bool
		waits  bool
	}{
		{"agreed", 5, func(p *peer) bool {
			p.say("HTTP/1.1 100 Continue\r\n\r\n")
			p.body()
			p.say(fine)
			return true
		}, false},
		{"agreed, chunked", -1, func(p *peer) bool {
			p.say("HTTP/1.1 100 Continue\r\n\r\n")
			p.body()
			p.say(fine)
			return true
		}, false},
		{"agreed after 103", 5, func(p *peer) bool {
			p.say("HTTP/1.1 103 x\r\n\r\n", "HTTP/1.1 100 Continue\r\nX: y\r\n\r\n")
			p.body()
			p.say(fine)
			return true
		}, false},
		{"agreed with the response", 5, func(p *peer) bool {
			p.say("HTTP/1.1 100 Continue\r\n\r\n" + fine)
			p.body()
			return true
		}, false},
		{"refused and closed", 5, func(p *peer) bool {
			p.say("HTTP/1.1 417 x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
			p.body()
			return false
		}, false},
		{"refused by the end", 5, func(p *peer) bool {
			p.say("HTTP/1.1 417 x\r\n\r\nno")
			p.closeWrite()
			p.body()
			return false
		}, false},
		{"closed", 5, func(p *peer) bool { return false }, false},
		{"ignored", 5, func(p *peer) bool {
			p.body()
			p.say(fine)
			return true
		}, true},
		{"ignored, chunked", -1, func(p *peer) bool {
			p.body()
			p.say(fine)
			return true
		}, true},
		{"only 103", 5, func(p *peer) bool {
			p.say("HTTP/1.1 103 x\r\n\r\n")
			p.body()
			p.say(fine)
			return true
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			reports := make(map[client]chan report)
			for _, over := range []client{viaNetHTTP, directly} {
				s, done := raise(t, "unix"), make(chan report, 1)
				reports[over] = done
				go func() {
					done <- s.play(t, over, show{
						once: true,
						call: post(newSource("hello"), test.length, agree),
						script: func(p *peer, _ context.CancelCauseFunc) bool {
							asked := time.Now()
							goesOn := test.script(p)
							if waited := time.Since(asked) > continueWait/2; waited != test.waits {
								t.Errorf("%s: the body is waited for: %t", over, waited)
							}
							return goesOn
						},
					})
				}()
			}
			same(t, receive(t, string(viaNetHTTP), reports[viaNetHTTP]), receive(t, string(directly), reports[directly]))
		})
	}
}

// A call can be given up at every stage.
func TestCancelBeside(t *testing.T) {
	hello := func() *source { return newSource("hello") }
	long := strings.Repeat("x", 16<<20)
	for _, test := range []struct {
		name string
		show func() show
	}{
		{"before it began", func() show {
			return show{script: reads, call: func(ctx context.Context, leave context.CancelCauseFunc) *Call {
				leave(errLeft)
				return ask("GET")(ctx, leave)
			}}
		}},
		{"before it began, with a body", func() show {
			return show{script: reads, call: func(ctx context.Context, leave context.CancelCauseFunc) *Call {
				leave(errLeft)
				return post(hello(), 5, nil)(ctx, leave)
			}}
		}},
		{"in the wait for a response", func() show {
			return show{call: ask("GET"), script: leaves}
		}},
		{"in the wait for a response to a body", func() show {
			return show{call: post(hello(), 5, nil), script: leaves}
		}},
		{"in the wait for the rest of a head", func() show {
			return show{call: ask("GET"), script: func(p *peer, leave context.CancelCauseFunc) bool {
				p.say("HTTP/1.1 200 OK\r\nX:")
				return leaves(p, leave)
			}}
		}},
		{"after 103", func() show {
			return show{call: func(ctx context.Context, leave context.CancelCauseFunc) *Call {
				c := ask("GET")(ctx, leave)
				c.Interim = func(int, http.Header) error {
					leave(errLeft)
					return nil
				}
				return c
			}, script: func(p *peer, _ context.CancelCauseFunc) bool {
				p.say("HTTP/1.1 103 x\r\n\r\n")
				_, _ = p.rest()
				return false
			}}
		}},
		{"while nobody reads the body", func() show {
			return show{call: post(newSource(long), int64(len(long)), nil), script: func(p *peer, leave context.CancelCauseFunc) bool {
				leave(errLeft)
				_, _ = p.rest()
				p.note("the end")
				return false
			}}
		}},
		{"while the body has nothing", func() show {
			return show{differs: waitsForBody, own: map[client]string{directly: "no response: the context's cause\n"}, call: post(waiting("hello", make(chan struct{})), 1000, nil), script: func(p *peer, leave context.CancelCauseFunc) bool {
				p.piece(5)
				leave(errLeft)
				_, _ = p.rest()
				p.note("the end")
				return false
			}}
		}},
		{"while the body is withheld", func() show {
			return show{call: post(hello(), 5, func(c *Call) { c.Continue = true }), script: leaves}
		}},
		{"in the body of the response", func() show {
			return show{call: ask("GET"), read: leaveAfter(5), script: func(p *peer, leave context.CancelCauseFunc) bool {
				p.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
				_, _ = p.rest()
				return false
			}}
		}},
		{"in the chunks of the response", func() show {
			return show{call: ask("GET"), read: leaveAfter(5), script: func(p *peer, leave context.CancelCauseFunc) bool {
				p.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
				_, _ = p.rest()
				return false
			}}
		}},
		{"in a response until close", func() show {
			return show{call: ask("GET"), read: leaveAfter(5), script: func(p *peer, leave context.CancelCauseFunc) bool {
				p.say("HTTP/1.1 200 OK\r\n\r\nhello")
				_, _ = p.rest()
				return false
			}}
		}},
		{"while both go on", func() show {
			return show{differs: waitsForBody, own: map[client]string{
				directly: "status 200, HTTP/1.1, length 10 \"Content-Length=[\\\"10\\\"]\"\n\"hello\", none, \"\", the context's cause",
			}, call: post(waiting("hello", make(chan struct{})), -1, nil), read: leaveAfter(5), script: func(p *peer, leave context.CancelCauseFunc) bool {
				p.firstChunk()
				p.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
				p.body()
				return false
			}}
		}},
	} {
		for _, scheme := range []string{"http", "unix"} {
			t.Run(test.name+" "+scheme, func(t *testing.T) {
				s := raise(t, scheme)
				s.both(t, func() show {
					one := test.show()
					one.once = true
					return one
				})
			})
		}
	}
}

func leaves(p *peer, leave context.CancelCauseFunc) bool {
	if !p.expects {
		p.body()
	}
	leave(errLeft)
	_, _ = p.rest()
	p.note("the end")
	return false
}

// leaveAfter reads n bytes, gives up, and goes on reading.
func leaveAfter(n int) func(*http.Response, context.CancelCauseFunc) string {
	return func(res *http.Response, leave context.CancelCauseFunc) string {
		b := make([]byte, n)
		_, err := io.ReadFull(res.Body, b)
		leave(errLeft)
		rest, after := io.ReadAll(res.Body)
		return fmt.Sprintf("%q, %s, %q, %s", b, kind(err), rest, kind(after))
	}
}

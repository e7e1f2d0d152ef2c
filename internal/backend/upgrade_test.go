package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// An upgraded response is what has to be there after a 101.
type switched interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// talk has f speak over an upgraded connection.
func talk(f func(c switched, leave context.CancelCauseFunc) string) func(*http.Response, context.CancelCauseFunc) string {
	return func(res *http.Response, leave context.CancelCauseFunc) string {
		c, ok := res.Body.(switched)
		if !ok {
			return fmt.Sprintf("got %T", res.Body)
		}
		return f(c, leave)
	}
}

// take reads n bytes.
func take(r io.Reader, n int) string {
	b := make([]byte, n)
	got, err := io.ReadFull(r, b)
	return fmt.Sprintf("%q %s, ", b[:got], kind(err))
}

func TestUpgradesBeside(t *testing.T) {
	const switches = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"
	long := strings.Repeat("0123456789abcdef", 1<<15)
	for _, test := range []struct {
		name   string
		script func(*peer)
		talk   func(c switched, leave context.CancelCauseFunc) string
	}{
		{"bytes come with the head", func(p *peer) {
			p.say(switches + "hello")
			all, err := p.rest()
			p.note("%q, %v", all, err)
			p.say("bye")
		}, func(c switched, _ context.CancelCauseFunc) string {
			said := take(c, 3) + take(c, 2)
			io.WriteString(c, "world")
			return fmt.Sprint(said, c.CloseWrite(), take(c, 4))
		}},
		{"everything comes with the head", func(p *peer) {
			p.say(switches + "hello")
			p.closeWrite()
			all, _ := p.rest()
			p.note("%q", all)
		}, func(c switched, _ context.CancelCauseFunc) string {
			all, err := io.ReadAll(c)
			io.WriteString(c, "world")
			return fmt.Sprintf("%q, %s, %v", all, kind(err), c.CloseWrite())
		}},
		{"single bytes", func(p *peer) {
			p.say(strings.Split(switches+"hello", "")...)
			_, _ = p.rest()
		}, func(c switched, _ context.CancelCauseFunc) string { return take(c, 5) }},
		{"after an interim response", func(p *peer) {
			p.say("HTTP/1.1 103 x\r\n\r\n" + switches + "hello")
			_, _ = p.rest()
		}, func(c switched, _ context.CancelCauseFunc) string { return take(c, 5) }},
		{"much in both directions", func(p *peer) {
			p.say(switches + long)
			all, _ := p.rest()
			p.note("%s", brief(all))
			p.say(long)
		}, func(c switched, _ context.CancelCauseFunc) string {
			first := make([]byte, len(long))
			_, err := io.ReadFull(c, first)
			io.WriteString(c, long)
			closed := c.CloseWrite()
			all, end := io.ReadAll(c)
			return fmt.Sprint(brief(first), kind(err), closed, brief(all), kind(end))
		}},
		{"closed by us", func(p *peer) {
			p.say(switches)
			all, err := p.rest()
			p.note("%q, %v", all, err)
		}, func(c switched, _ context.CancelCauseFunc) string {
			closed := c.Close()
			_, err := c.Read(make([]byte, 1))
			_, after := io.WriteString(c, "x")
			return fmt.Sprint(closed, err != nil, after != nil)
		}},
		{"closed with bytes unread", func(p *peer) {
			p.say(switches + "hello")
			_, _ = p.rest()
			p.note("the end")
		}, func(c switched, _ context.CancelCauseFunc) string { return fmt.Sprint(c.Close()) }},
		{"given up", func(p *peer) {
			p.say(switches + "hello")
			_, _ = p.rest()
			p.note("the end")
		}, func(c switched, leave context.CancelCauseFunc) string {
			said := take(c, 5)
			leave(errLeft)
			return said + fmt.Sprint(c.Close())
		}},
		{"refused", func(p *peer) {
			p.say("HTTP/1.1 426 Upgrade Required\r\nUpgrade: other\r\nConnection: upgrade\r\nContent-Length: 5\r\n\r\nhello")
			_, _ = p.rest()
		}, nil},
		{"closed without an answer", func(p *peer) {}, nil},
	} {
		for _, scheme := range []string{"http", "unix"} {
			t.Run(test.name+" "+scheme, func(t *testing.T) {
				s := raise(t, scheme)
				s.both(t, func() show {
					one := show{
						once: true,
						call: func(ctx context.Context, leave context.CancelCauseFunc) *Call {
							c := ask("GET")(ctx, leave)
							c.Upgrade = "chat"
							return c
						},
						script: func(p *peer, _ context.CancelCauseFunc) bool {
							test.script(p)
							return false
						},
					}
					if test.talk != nil {
						one.read = talk(test.talk)
					}
					return one
				})
			})
		}
	}
}

// A backend that is not reached, or not in time.
func TestDialsBeside(t *testing.T) {
	refused := plainHTTP(net.JoinHostPort(loopback4, closedPort(t)))
	for _, test := range []struct {
		name, want string
		target     Target
		connect    func(ctx context.Context, leave context.CancelCauseFunc) error
	}{
		{"refused", "dial", refused, nil},
		{"no socket", "dial", Target{Scheme: "unix", Address: "/nowhere/to/be/found"}, nil},
		{"given up", "the context's cause", refused, func(ctx context.Context, leave context.CancelCauseFunc) error {
			leave(errLeft)
			<-ctx.Done()
			return ctx.Err()
		}},
		{"fails", "dial", refused, func(context.Context, context.CancelCauseFunc) error {
			return &net.OpError{Op: "dial", Err: errors.New("no such luck")}
		}},
	} {
		for _, over := range []client{viaNetHTTP, directly} {
			for _, body := range []*source{nil, newSource("hello")} {
				ctx, leave := context.WithCancelCause(t.Context())
				p := poolOver(t, test.target, over)
				if test.connect != nil {
					p.dialer.connect = func(ctx context.Context, _, _ string) (net.Conn, error) {
						return nil, test.connect(ctx, leave)
					}
				}
				c := ask("GET")(ctx, leave)
				if body != nil {
					c = post(body, 5, nil)(ctx, leave)
				}
				_, err := p.Do(c)
				if got := kind(err); got != test.want {
					t.Errorf("%s, %s: got %s (%v), want %s", test.name, over, got, err, test.want)
				}
				if body != nil {
					eventually(t, test.name+": the body to be closed", body.isClosed)
				}
				leave(nil)
			}
		}
	}
}

// A connection that its backend has closed, or has sent something on, is no
// longer used: neither is a request lost nor an answer taken that is none.
func TestIdleConnectionEnds(t *testing.T) {
	for name, end := range map[string]func(*peer){
		"closed":         func(p *peer) { p.Close() },
		"reset":          func(p *peer) { p.reset() },
		"half closed":    func(p *peer) { p.closeWrite() },
		"408 and closed": func(p *peer) { p.say("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"); p.Close() },
		"a response":     func(p *peer) { p.say(strings.Replace(fine, "hello", "wrong", 1)) },
		"a byte":         func(p *peer) { p.say("\n") },
		"408 and open":   func(p *peer) { p.say("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n") },
		"nothing":        func(p *peer) {},
	} {
		for _, method := range []string{"GET", "POST"} {
			for _, scheme := range []string{"http", "unix"} {
				t.Run(name+" "+method+" "+scheme, func(t *testing.T) {
					// net/http learns of it at some time, so only the direct client is sure.
					s, told, ended := raise(t, scheme), make(chan struct{}), make(chan struct{})
					p := poolOver(t, s.target, directly)
					a := s.begin(directly, func(p *peer) bool {
						p.body()
						p.say(fine)
						if p.index > 0 {
							return true
						}
						<-told
						end(p)
						close(ended)
						return true
					})
					call := func(method string, body *source) string {
						c := &Call{Context: t.Context(), Method: method, Path: "/", Host: "app.test"}
						if body != nil {
							c.Body, c.Length = body, 5
						}
						res, err := p.Do(c)
						if err != nil {
							return err.Error()
						}
						return fmt.Sprint(res.StatusCode, readAll(res, nil))
					}
					want := call("GET", nil)
					close(told)
					receive(t, "the end", ended)
					var body *source
					if method == "POST" {
						body = newSource("hello")
					}
					if got := call(method, body); got != want {
						t.Errorf("got %s, want %s", got, want)
					}
					if _, arrived := a.seen(); len(arrived) != 2 {
						t.Errorf("got %q, want each request once", arrived)
					}
				})
			}
		}
	}
}

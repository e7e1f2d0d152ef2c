package backend

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

const fine = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

// calls returns requests that a backend reads whole and answers.
func calls() map[string]func() *Call {
	with := func(change func(c *Call)) func() *Call {
		return func() *Call {
			c := &Call{Method: "GET", Path: "/", Host: "app.test"}
			change(c)
			return c
		}
	}
	send := func(method, body string, length int64, change func(c *Call)) func() *Call {
		return with(func(c *Call) {
			c.Method, c.Body, c.Length = method, newSource(body), length
			if change != nil {
				change(c)
			}
		})
	}
	long := strings.Repeat("0123456789abcdef", 1<<16)
	list := map[string]func() *Call{
		"path and query":         with(func(c *Call) { c.Path, c.Query = "/a/b%20c;d=e/../f", "?g=h&i=%2f" }),
		"two slashes":            with(func(c *Call) { c.Path = "//a//b" }),
		"two slashes, unescaped": with(func(c *Call) { c.Path = "//a[b]" }),
		"path unescaped":         with(func(c *Call) { c.Path = "/a[b]|{c}\"^`" }),
		"path odd escapes":       with(func(c *Call) { c.Path = "/%2F%2e%2E/%zz/%" }),
		"query alone":            with(func(c *Call) { c.Query = "?" }),
		"query of questions":     with(func(c *Call) { c.Query = "???" }),
		"query unescaped":        with(func(c *Call) { c.Query = "?a=[b]|{c}\"^`#" }),
		"star":                   with(func(c *Call) { c.Method, c.Path = "OPTIONS", "*" }),
		"own method":             with(func(c *Call) { c.Method = "PURGE" }),
		"small letters":          with(func(c *Call) { c.Method = "get" }),
		"host with port":         with(func(c *Call) { c.Host = "app.localhost:8443" }),
		"host of IPv6":           with(func(c *Call) { c.Host = "[::1]:80" }),
		"fields": with(func(c *Call) {
			c.Fields = []Field{{"B", "1"}, {"A", "2"}, {"B", "3"}, {"Empty", ""}, {"Cookie", "a=b; c=d"}, {"Accept-Encoding", "br"}}
		}),
		"user agent": with(func(c *Call) { c.Fields = []Field{{"User-Agent", "x/1"}} }),
		"bytes above ASCII": with(func(c *Call) {
			c.Fields = []Field{{"X", "\xc3\xa9\xff"}, {"Y", "a\tb"}}
		}),
		"field of 100 KB":         with(func(c *Call) { c.Fields = []Field{{"X", long[:100_000]}} }),
		"1000 fields":             with(func(c *Call) { c.Fields = slicesOf(1000, Field{"X", "y"}) }),
		"length":                  send("POST", "hello", 5, nil),
		"length, GET":             send("GET", "hello", 5, nil),
		"length, DELETE":          send("DELETE", "hello", 5, nil),
		"long":                    send("PUT", long, int64(len(long)), nil),
		"chunked":                 send("POST", "hello", -1, nil),
		"chunked, nothing":        send("POST", "", -1, nil),
		"chunked, long":           send("POST", long, -1, nil),
		"chunked, GET":            send("GET", "hello", -1, nil),
		"trailer":                 send("POST", "hello", -1, func(c *Call) { c.Trailer = http.Header{"X-Sum": {"1"}, "A": {"b", "c"}} }),
		"trailer, nothing":        send("POST", "", -1, func(c *Call) { c.Trailer = http.Header{"X-Sum": {"1"}} }),
		"trailer, no value":       send("POST", "hello", -1, func(c *Call) { c.Trailer = http.Header{"X-Sum": nil} }),
		"trailer, empty":          send("POST", "hello", -1, func(c *Call) { c.Trailer = http.Header{} }),
		"trailer, set at the end": send("POST", "hello", -1, setAtEnd),
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} {
		list["no body, "+method] = with(func(c *Call) { c.Method = method })
	}
	return list
}

func slicesOf(n int, f Field) []Field {
	list := make([]Field, n)
	for i := range list {
		list[i] = f
	}
	return list
}

// setAtEnd has the value of a trailer known when the body has ended.
func setAtEnd(c *Call) {
	c.Trailer = http.Header{"X-Sum": nil}
	c.Body.(*source).Reader = readerFunc(func(next func([]byte) (int, error)) func([]byte) (int, error) {
		return func(p []byte) (int, error) {
			n, err := next(p)
			if err != nil {
				c.Trailer.Set("X-Sum", "late")
			}
			return n, err
		}
	}(strings.NewReader("hello").Read))
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestRequests(t *testing.T) {
	stages := []*stage{raise(t, "http"), raise(t, "unix")}
	for name, call := range calls() {
		t.Run(name, func(t *testing.T) {
			for _, s := range stages {
				s.both(t, func() show {
					return show{
						call: func(ctx context.Context, _ context.CancelCauseFunc) *Call {
							c := call()
							c.Context = ctx
							return c
						},
						script: func(p *peer, leave context.CancelCauseFunc) bool {
							text := fine
							if call().Method == "HEAD" {
								text = strings.TrimSuffix(fine, "hello")
							}
							return answer(true, text)(p, leave)
						},
					}
				})
			}
		})
	}
}

// What could make two lines of one is refused, and nothing sent.
func TestRequestsRefused(t *testing.T) {
	stage := raise(t, "unix")
	for name, change := range map[string]func(c *Call){
		"CR LF in a value":  func(c *Call) { c.Fields = []Field{{"X", "a\r\nY: b"}} },
		"LF in a value":     func(c *Call) { c.Fields = []Field{{"X", "a\nY: b"}} },
		"CR in a value":     func(c *Call) { c.Fields = []Field{{"X", "a\rb"}} },
		"NUL in a value":    func(c *Call) { c.Fields = []Field{{"X", "a\x00b"}} },
		"LF ends a value":   func(c *Call) { c.Fields = []Field{{"X", "a\n"}} },
		"LF in a name":      func(c *Call) { c.Fields = []Field{{"X\nY", "a"}} },
		"colon in a name":   func(c *Call) { c.Fields = []Field{{"X: y\r\nZ", "a"}} },
		"no name":           func(c *Call) { c.Fields = []Field{{"", "a"}} },
		"LF in the method":  func(c *Call) { c.Method = "GET\n" },
		"space in a method": func(c *Call) { c.Method = "GET / HTTP/1.1\r\nX:" },
		"CR LF in the path": func(c *Call) { c.Path = "/ HTTP/1.1\r\nX: y\r\n\r\n" },
		"NUL in the path":   func(c *Call) { c.Path = "/\x00" },
		"LF in the query":   func(c *Call) { c.Query = "?a\nb" },
		"CR in the query":   func(c *Call) { c.Query = "?a\rb" },
		"LF with a body that may be nothing": func(c *Call) {
			c.Method, c.Body, c.Length, c.Fields = "OPTIONS", newSource("hello"), -1, []Field{{"X", "a\nb"}}
		},
		"tab in the path":    func(c *Call) { c.Path = "/a\tHTTP/1.0" },
		"tab in the query":   func(c *Call) { c.Query = "?a\tHTTP/1.0" },
		"CR LF in a trailer": func(c *Call) { trailing(c, "X: y\r\nZ") },
		"CR LF in the protocol": func(c *Call) {
			c.Upgrade = "x\r\nY: z"
		},
	} {
		t.Run(name, func(t *testing.T) {
			one := show{
				once: true,
				call: func(ctx context.Context, _ context.CancelCauseFunc) *Call {
					c := &Call{Context: ctx, Method: "GET", Path: "/", Host: "app.test"}
					change(c)
					return c
				},
				script: answer(true, fine),
			}
			for _, over := range []client{viaNetHTTP, directly} {
				// http.Transport notices some of it when it has connected, and then
				// its error can be that of the connection that it closes.
				got := stage.play(t, over, one)
				if !strings.HasPrefix(got.call, "no response") || got.arrived != "" {
					t.Errorf("%s: got %s; arrived: %q", over, got.call, got.arrived)
				}
				if over == directly && got.call != "no response: malformed\n" {
					t.Errorf("%s: got %s", over, got.call)
				}
			}
		})
	}
}

func trailing(c *Call, name string) {
	c.Method, c.Body, c.Length, c.Trailer = "POST", newSource("hello"), -1, http.Header{name: {"1"}}
}

//go:build unix

package backend

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// asSent returns what a target gets of c, with its body.
func asSent(t *testing.T, c *Call) (string, error) {
	t.Helper()
	var got strings.Builder
	done := make(chan bool, 1)
	p := directly.pool(scripted(t, func(_ int, conn net.Conn, in *bufio.Reader) {
		defer func() { done <- true }()
		both := io.TeeReader(in, &got)
		r, err := http.ReadRequest(bufio.NewReaderSize(both, 16)) // reads little ahead
		if err != nil {
			return
		}
		io.Copy(io.Discard, r.Body)
		io.WriteString(conn, ok)
	}))
	defer p.CloseIdle()
	o := send(p, c, 0)
	if o.err == nil {
		receive(t, "the request", done)
	}
	return got.String(), o.err
}

func TestHeadAsSent(t *testing.T) {
	body := func(text string) io.ReadCloser { return io.NopCloser(strings.NewReader(text)) }
	const host = " HTTP/1.1\r\nHost: app.localhost\r\n"
	for name, test := range map[string]struct {
		call *Call
		want string
	}{
		"GET":              {&Call{Method: "GET", Path: "/a%2Fb//c"}, "GET /a%2Fb//c" + host + "\r\n"},
		"query":            {&Call{Method: "GET", Path: "/", Query: "?a=b;c"}, "GET /?a=b;c" + host + "\r\n"},
		"empty query":      {&Call{Method: "GET", Path: "/", Query: "?"}, "GET /?" + host + "\r\n"},
		"asterisk":         {&Call{Method: "OPTIONS", Path: "*"}, "OPTIONS *" + host + "\r\n"},
		"fields":           {&Call{Method: "GET", Path: "/", Fields: []Field{{"B", "1"}, {"A", "\t\xe9"}, {"B", ""}}}, "GET /" + host + "B: 1\r\nA: \t\xe9\r\nB: \r\n\r\n"},
		"fields of others": {&Call{Method: "GET", Path: "/", Fields: []Field{{"Host", "evil"}, {"Content-Length", "5"}, {"Transfer-Encoding", "chunked"}, {"Connection", "close"}, {"Trailer", "A"}, {"Expect", "x"}, {"Upgrade", "x"}}}, "GET /" + host + "\r\n"},
		"upgrade":          {&Call{Method: "GET", Path: "/", Upgrade: "websocket"}, "GET /" + host + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"},
		"no body":          {&Call{Method: "POST", Path: "/"}, "POST /" + host + "Content-Length: 0\r\n\r\n"},
		"no bytes":         {&Call{Method: "PUT", Path: "/", Body: body("")}, "PUT /" + host + "Content-Length: 0\r\n\r\n"},
		"DELETE":           {&Call{Method: "DELETE", Path: "/"}, "DELETE /" + host + "\r\n"},
		"length":           {&Call{Method: "POST", Path: "/", Body: body("body"), Length: 4}, "POST /" + host + "Content-Length: 4\r\n\r\nbody"},
		"chunks":           {&Call{Method: "POST", Path: "/", Body: body("body"), Length: -1}, "POST /" + host + "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"},
		"GET with a body":  {&Call{Method: "GET", Path: "/", Body: body("body"), Length: -1}, "GET /" + host + "Transfer-Encoding: chunked\r\n\r\n1\r\nb\r\n3\r\nody\r\n0\r\n\r\n"},
		"GET, empty body":  {&Call{Method: "GET", Path: "/", Body: body(""), Length: -1}, "GET /" + host + "\r\n"},
		"POST, empty body": {&Call{Method: "POST", Path: "/", Body: body(""), Length: -1}, "POST /" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		"trailer": {&Call{Method: "POST", Path: "/", Body: body("x"), Length: -1, Trailer: http.Header{"B": {"1", "2"}, "A": nil}},
			"POST /" + host + "Transfer-Encoding: chunked\r\nTrailer: A,B\r\n\r\n1\r\nx\r\n0\r\nB: 1\r\nB: 2\r\n\r\n"},
		"trailer, length": {&Call{Method: "POST", Path: "/", Body: body("x"), Length: 1, Trailer: http.Header{"A": {"1"}}}, "POST /" + host + "Content-Length: 1\r\n\r\nx"},
	} {
		t.Run(name, func(t *testing.T) {
			c := test.call
			c.Context, c.Host = t.Context(), "app.localhost"
			if got, err := asSent(t, c); got != test.want || err != nil {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

// Nothing gets out of its place in a head, and nothing is sent of one that has
// such a thing.
func TestHeadIsRefused(t *testing.T) {
	for _, bad := range []string{"\r", "\n", "\x00", "\x0b", "\x7f", "x\r\nSmuggled: yes", "longer than a word\n", "1234567\n"} {
		for name, c := range map[string]*Call{
			"method":  {Method: "GET" + bad, Path: "/"},
			"path":    {Method: "GET", Path: "/" + bad},
			"query":   {Method: "GET", Path: "/", Query: "?" + bad},
			"host":    {Method: "GET", Path: "/", Host: bad},
			"name":    {Method: "GET", Path: "/", Fields: []Field{{"X" + bad, ""}}},
			"value":   {Method: "GET", Path: "/", Fields: []Field{{"X", bad}}},
			"upgrade": {Method: "GET", Path: "/", Upgrade: bad},
			"trailer": {Method: "POST", Path: "/", Body: http.NoBody, Length: -1, Trailer: http.Header{bad: nil}},
		} {
			c.Context = t.Context()
			p := directly.pool(plainHTTP("127.0.0.1:1"))
			dials := counted(p)
			if _, err := p.Do(c); !errors.Is(err, errBadHead) || dials.Load() > 0 {
				t.Errorf("%s %q: got %v and %d dials, want it refused", name, bad, err, dials.Load())
			}
		}
	}
	for _, name := range []string{"", " X", "X ", "X:", "Ä", "Content-Length"} {
		c := &Call{Context: t.Context(), Method: "POST", Path: "/", Body: http.NoBody, Length: -1, Trailer: http.Header{name: nil}}
		if _, err := directly.pool(plainHTTP("127.0.0.1:1")).Do(c); !errors.Is(err, errBadHead) {
			t.Errorf("trailer %q: got %v, want it refused", name, err)
		}
	}
}

// A body that is not what was promised is an error, also of a trailer.
func TestBodyIsNotAsPromised(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]*Call{
		"short":   {Body: io.NopCloser(strings.NewReader("body")), Length: 5},
		"long":    {Body: io.NopCloser(strings.NewReader("body")), Length: 3},
		"broken":  {Body: io.NopCloser(io.MultiReader(strings.NewReader("body"), failing{broken})), Length: 5},
		"chunks":  {Body: io.NopCloser(io.MultiReader(strings.NewReader("body"), failing{broken})), Length: -1},
		"trailer": {Body: io.NopCloser(strings.NewReader("body")), Length: -1, Trailer: http.Header{"X": {"a\r\nb"}}},
	} {
		t.Run(name, func(t *testing.T) {
			gone := make(chan bool, 1)
			p := directly.pool(scripted(t, func(_ int, conn net.Conn, in *bufio.Reader) {
				io.Copy(io.Discard, in)
				gone <- true
			}))
			c.Context, c.Method, c.Path = t.Context(), "POST", "/"
			o := send(p, c, 0)
			if o.err == nil || (name == "broken" || name == "chunks") && !errors.Is(o.err, broken) {
				t.Errorf("got %v", o.err)
			}
			receive(t, "the end of the connection", gone)
		})
	}
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }

func TestIsText(t *testing.T) {
	for c := range 256 {
		want := c >= ' ' && c != 0x7f || c == '\t'
		for at := range 20 {
			text := []byte("only words are here.")
			text[at] = byte(c)
			if isText(text) != want {
				t.Errorf("%q: got %t", text, !want)
			}
		}
	}
}

package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// poolOver returns a pool for a target that uses one of the two clients.
func poolOver(t testing.TB, target Target, over client) *Pool {
	t.Helper()
	p := newPool(target, nil)
	if over == directly && !p.direct {
		t.Skip("the direct client is not used on this system")
	}
	t.Cleanup(p.CloseIdle)
	return over.send(p)
}

// Errors that tests cause, to be told from those of the clients.
var (
	errLeft    = errors.New("the client has left")
	errBody    = errors.New("the body cannot be read")
	errVain    = errors.New("waited in vain")
	errInterim = errors.New("the informational response is not wanted")
)

// kind returns what is told apart of the errors of a call.
func kind(err error) string {
	timeout, isTimeout := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	_, isDial := errors.AsType[*DialError](err)
	_, isErrno := errors.AsType[interface {
		error
		Temporary() bool
	}](err)
	switch {
	case err == nil:
		return "none"
	case errors.Is(err, errLeft):
		return "the context's cause"
	case errors.Is(err, errVain):
		return errVain.Error()
	case errors.Is(err, errBody):
		return "the body's"
	case errors.Is(err, errInterim):
		return "Interim's"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "the context's"
	case isDial:
		return "dial"
	case errors.Is(err, ErrTwice):
		return "twice"
	case isTimeout && timeout.Timeout():
		return "timeout"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), isErrno:
		return "closed"
	}
	return "malformed"
}

// A show is one call, and what the backend does.
type show struct {
	call   func(ctx context.Context, leave context.CancelCauseFunc) *Call
	script func(p *peer, leave context.CancelCauseFunc) bool

	// read takes the body of the response; nil reads it all. The response's
	// status is left, and what it returns is compared.
	read func(res *http.Response, leave context.CancelCauseFunc) string

	once bool // no second request follows

	// broken says that the body of the request is: how much of it arrives is a
	// matter of chance, but not all of it.
	broken bool

	// own has what the caller sees of a client that rightly does something else,
	// "" if that is a matter of chance, and differs says why.
	own     map[client]string
	differs string
}

// A source is the body of a request.
type source struct {
	io.Reader
	end    error         // nil is io.EOF
	gate   chan struct{} // what the end waits for; nil: nothing
	gone   chan struct{} // closed when it belongs to nobody any more, as a server does at the end of a request
	leave  func()
	closed chan struct{}
	close  func()
}

func newSource(text string) *source {
	b := &source{Reader: strings.NewReader(text), gone: make(chan struct{}), closed: make(chan struct{})}
	b.leave = sync.OnceFunc(func() { close(b.gone) })
	b.close = sync.OnceFunc(func() { close(b.closed) })
	return b
}

func (b *source) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if n > 0 || err == nil {
		return n, nil
	}
	if b.gate != nil {
		select {
		case <-b.gate:
		case <-b.closed:
			return 0, net.ErrClosed
		case <-b.gone:
			return 0, net.ErrClosed
		}
	}
	if b.end != nil {
		return 0, b.end
	}
	return 0, err
}

func (b *source) Close() error {
	b.close()
	return nil
}

func (b *source) isClosed() bool {
	select {
	case <-b.closed:
		return true
	default:
		return false
	}
}

// A report is what came of a show, in words.
type report struct {
	call    string // what the caller saw
	arrived string // at the backend
	reused  string // how the connection fared

	whole bool // the end of the response was known without the end of the connection
}

// play has a show go through one of the clients.
func (s *stage) play(t testing.TB, over client, show show) report {
	t.Helper()
	limited, cancel := context.WithTimeoutCause(t.Context(), patience, errVain)
	defer cancel()
	ctx, leave := context.WithCancelCause(limited)
	defer leave(nil)
	p := poolOver(t, s.target, over)
	a := s.begin(over, func(p *peer) bool { return show.script(p, leave) })
	c := show.call(ctx, leave)
	var r report
	var told strings.Builder
	interim := c.Interim
	c.Interim = func(status int, header http.Header) error {
		if told.Len() < 4096 {
			fmt.Fprintf(&told, "interim %d %s\n", status, fields(header))
		}
		if interim != nil {
			return interim(status, header)
		}
		return nil
	}
	if b, ok := c.Body.(*source); ok && over == viaNetHTTP {
		// It can wait for the read of the body that is under way.
		defer context.AfterFunc(ctx, b.leave)()
	}
	res, err := p.Do(c)
	if err != nil {
		fmt.Fprintf(&told, "no response: %s\n", kind(err))
	} else {
		fmt.Fprintf(&told, "status %d, HTTP/%d.%d, length %d %s\n", res.StatusCode, res.ProtoMajor, res.ProtoMinor, res.ContentLength, fields(res.Header))
		read := show.read
		if read == nil {
			read = readAll
		}
		told.WriteString(read(res, leave))
		res.Body.Close()
		r.whole = res.StatusCode != http.StatusSwitchingProtocols && res.ContentLength >= 0 || slices.Equal(res.TransferEncoding, []string{"chunked"})
	}
	r.call = told.String()
	if b, ok := c.Body.(*source); ok {
		b.leave()
		eventually(t, string(over)+": the request's body to be closed", b.isClosed)
	}
	_, before := a.seen()
	if !show.once {
		res, err := p.Do(&Call{Context: limited, Method: "GET", Path: again, Host: "app.test"})
		switch {
		case err != nil:
			r.reused = "the next request failed: " + kind(err)
		case res.Header.Get("Content-Length") != "5":
			r.reused = fmt.Sprintf("the next request got %d %s", res.StatusCode, readAll(res, nil))
		default:
			readAll(res, nil)
		}
	}
	conns, arrived := a.seen()
	if r.reused == "" {
		r.reused = fmt.Sprintf("%d connections", conns)
	}
	if show.once {
		leave(errLeft)
	}
	p.CloseIdle()
	if show.once {
		// What arrives after the caller's part is noted as well.
		eventually(t, string(over)+": the connections to end", a.allClosed)
		_, before = a.seen()
		r.reused = ""
	} else {
		before = arrived[:min(len(arrived), len(before))]
	}
	r.arrived = strings.Join(before, "\n")
	if show.broken {
		r.arrived = ""
		if body := strings.Join(before, "\n"); strings.Contains(body, "\nbody") && !strings.Contains(body, "broken off") {
			t.Errorf("%s: a request whose body is broken arrived as a whole one: %s", over, body)
		}
	}
	return r
}

func readAll(res *http.Response, _ context.CancelCauseFunc) string {
	all, err := io.ReadAll(res.Body)
	res.Body.Close()
	end := kind(err)
	if end == "malformed" || end == "closed" {
		end = "broken off" // nobody tells them apart
	}
	return fmt.Sprintf("body %s, %s, trailer %s\n", brief(all), end, fields(res.Trailer))
}

func fields(h http.Header) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(h)) {
		lines = append(lines, fmt.Sprintf("%s=%q", name, h[name]))
	}
	return brief([]byte(strings.Join(lines, " ")))
}

// both plays a show through both clients and compares. It is made for each.
func (s *stage) both(t testing.TB, make func() show) {
	t.Helper()
	first, second := make(), make()
	want, got := s.play(t, viaNetHTTP, first), s.play(t, directly, second)
	if first.own == nil {
		same(t, want, got)
		return
	}
	for over, r := range map[client]report{viaNetHTTP: want, directly: got} {
		if own := first.own[over]; own != "" && r.call != own {
			t.Errorf("%s: got %s, want %s (%s)", over, r.call, own, first.differs)
		}
	}
}

func same(t testing.TB, want, got report) {
	t.Helper()
	if got.call != want.call {
		t.Errorf("the call\n%s: %s%s: %s", directly, got.call, viaNetHTTP, want.call)
	}
	if got.arrived != want.arrived {
		t.Errorf("what arrived\n%s: %s\n%s: %s", directly, got.arrived, viaNetHTTP, want.arrived)
	}
	if got.reused != want.reused {
		t.Errorf("the connection\n%s: %s\n%s: %s", directly, got.reused, viaNetHTTP, want.reused)
	}
}

// ask makes a call without a body.
func ask(method string) func(context.Context, context.CancelCauseFunc) *Call {
	return func(ctx context.Context, _ context.CancelCauseFunc) *Call {
		return &Call{Context: ctx, Method: method, Path: "/", Host: "app.test", Fields: []Field{{"Accept", "*/*"}}}
	}
}

package backend

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// again is the path of requests that a stage answers by itself.
const again = "/again"

// A stage is a backend that does what a script says, byte by byte.
type stage struct {
	target Target
	ln     net.Listener

	mu    sync.Mutex
	act   *act
	peers sync.WaitGroup
}

// An act is what happens on a stage while one pool is looked at.
type act struct {
	over   client
	script func(*peer) bool

	mu      sync.Mutex
	conns   int      // that were used
	open    int      // that are
	arrived []string // requests, each with the number of its connection
}

// raise starts a stage for "http" or "unix".
func raise(t testing.TB, scheme string) *stage {
	t.Helper()
	network, address := "tcp", loopback4+":0"
	if scheme == "unix" {
		// The path of a socket has a limit that the folders of tests can exceed.
		folder, err := os.MkdirTemp("", "stage")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(folder) })
		network, address = "unix", filepath.Join(folder, "s")
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{target: Target{Scheme: scheme, Address: ln.Addr().String()}, ln: ln}
	s.peers.Go(s.accept)
	t.Cleanup(func() {
		ln.Close()
		s.peers.Wait()
	})
	return s
}

// begin has the connections that come from now on follow script. It is called
// for each request but those for again, whose head was read, and says whether
// the connection goes on; after false it is closed.
func (s *stage) begin(over client, script func(*peer) bool) *act {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.act = &act{over: over, script: script}
	return s.act
}

func (s *stage) accept() {
	for {
		c, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		a := s.act
		s.mu.Unlock()
		a.mu.Lock()
		a.open++
		p := &peer{Conn: c, in: bufio.NewReaderSize(c, 16), act: a}
		a.mu.Unlock()
		// A test that waits in vain ends.
		_ = c.SetDeadline(time.Now().Add(3 * patience))
		s.peers.Go(p.serve)
	}
}

// seen returns how many connections there were, and the requests that arrived.
func (a *act) seen() (conns int, arrived []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.conns, slices.Clone(a.arrived)
}

// allClosed reports whether all connections have ended.
func (a *act) allClosed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open == 0
}

// A peer is one connection of a stage.
type peer struct {
	net.Conn
	in     *bufio.Reader
	act    *act
	number int

	path    string
	index   int // of the request among those that arrived
	framing string
	expects bool
}

func (p *peer) serve() {
	defer func() {
		p.Close()
		p.act.mu.Lock()
		p.act.open--
		p.act.mu.Unlock()
	}()
	for {
		path, err := p.head()
		if err != nil {
			return
		}
		if path != again {
			if !p.act.script(p) {
				return
			}
			continue
		}
		p.body()
		p.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain")
	}
}

// head reads the head of a request and notes it, its fields in alphabetical
// order.
func (p *peer) head() (path string, err error) {
	var lines []string
	for {
		line, err := p.in.ReadString('\n')
		if err != nil {
			return "", err
		}
		if line == "\r\n" {
			break
		}
		lines = append(lines, strings.TrimSuffix(line, "\r\n"))
	}
	if len(lines) == 0 {
		return "", io.ErrUnexpectedEOF
	}
	p.framing, p.expects = "", false
	for _, line := range lines[1:] {
		switch name, value, _ := strings.Cut(line, ": "); strings.ToLower(name) {
		case "content-length", "transfer-encoding":
			p.framing = strings.TrimSpace(value)
		case "expect":
			p.expects = true
		}
	}
	parts := strings.Split(lines[0], " ")
	slices.SortStableFunc(lines[1:], func(a, b string) int {
		nameA, _, _ := strings.Cut(a, ":")
		nameB, _, _ := strings.Cut(b, ":")
		return strings.Compare(nameA, nameB)
	})
	p.act.mu.Lock()
	defer p.act.mu.Unlock()
	if p.number == 0 {
		// One that is closed unused may be left over from the act before.
		p.act.conns++
		p.number = p.act.conns
	}
	p.index = len(p.act.arrived)
	p.act.arrived = append(p.act.arrived, fmt.Sprintf("connection %d: %s", p.number, strings.Join(lines, "\n")))
	if len(parts) != 3 {
		return "", nil
	}
	p.path = parts[1]
	return p.path, nil
}

func (p *peer) note(format string, args ...any) {
	p.act.mu.Lock()
	defer p.act.mu.Unlock()
	p.act.arrived[p.index] += "\n" + fmt.Sprintf(format, args...)
}

// body reads what the head of the request announced, and notes it.
func (p *peer) body() []byte {
	switch p.framing {
	case "", "0":
		return nil
	case "chunked":
		return p.chunks()
	}
	length, err := strconv.ParseInt(p.framing, 10, 64)
	if err != nil {
		p.note("length %q", p.framing)
		return nil
	}
	return p.piece(length)
}

// piece reads n bytes of a body.
func (p *peer) piece(n int64) []byte {
	all, _ := io.ReadAll(io.LimitReader(p.in, n))
	if int64(len(all)) < n {
		p.note("body %s broken off", brief(all))
		return all
	}
	p.note("body %s", brief(all))
	return all
}

// chunks reads a chunked body as the grammar has it and nothing else; how it
// was cut is not noted.
func (p *peer) chunks() (all []byte) {
	for {
		line, err := p.in.ReadString('\n')
		if err != nil {
			p.note("body %s broken off", brief(all))
			return all
		}
		size, err := strconv.ParseUint(strings.TrimSuffix(line, "\r\n"), 16, 32)
		if err != nil {
			p.note("body %s and a chunk of size %q", brief(all), line)
			return all
		}
		if size == 0 {
			break
		}
		chunk := make([]byte, size+2)
		if _, err := io.ReadFull(p.in, chunk); err != nil {
			p.note("body %s broken off", brief(all))
			return all
		}
		all = append(all, chunk[:size]...)
		if string(chunk[size:]) != "\r\n" {
			p.note("a chunk without an end")
			return all
		}
	}
	p.note("body %s", brief(all))
	trailer, err := textproto.NewReader(p.in).ReadMIMEHeader()
	p.note("trailer %v, %v", trailer, err)
	return all
}

// firstChunk reads the first chunk of a body.
func (p *peer) firstChunk() {
	line, _ := p.in.ReadString('\n')
	size, _ := strconv.ParseUint(strings.TrimSuffix(line, "\r\n"), 16, 16)
	chunk, _ := io.ReadAll(io.LimitReader(p.in, int64(size)))
	p.note("chunk %s", brief(chunk))
}

// brief shows all of a short text, and of a long one what tells it from others.
func brief(b []byte) string {
	if len(b) <= 64 {
		return strconv.Quote(string(b))
	}
	sum := uint32(2166136261) // FNV-1a
	for _, c := range b {
		sum = (sum ^ uint32(c)) * 16777619
	}
	return fmt.Sprintf("%d bytes %08x", len(b), sum)
}

// say sends pieces, each in a write of its own. Nobody may listen any more.
func (p *peer) say(pieces ...string) {
	for _, piece := range pieces {
		if _, err := io.WriteString(p, piece); err != nil {
			return
		}
	}
}

// closeWrite ends what this side sends.
func (p *peer) closeWrite() {
	if half, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// rest reads until the other side ends the connection, or its half of it.
func (p *peer) rest() (all []byte, err error) { return io.ReadAll(p.in) }

// reset closes the connection so that the other side is told of an error.
func (p *peer) reset() {
	if tcp, ok := p.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	p.Close()
}

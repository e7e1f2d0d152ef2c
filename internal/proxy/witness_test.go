package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A witness is a backend that reads requests to the letter of RFC 9112, and
// none of what the RFC lets servers put up with. It shares no code with
// net/http, so that the two cannot agree on a mistake.
type witness struct {
	mu       sync.Mutex
	requests []*seen
	faults   []string // what no proxy may send
	open     int      // connections
	last     bool     // there will be no other
}

// seen is a request as a backend sees it.
type seen struct {
	method, target string
	fields         []field
	framing        string // "", "length 5" or "chunked"
	body           string
	trailer        []field
	whole          bool
}

type field struct{ name, value string }

// String writes what matters of a request: POST /x chunked "body" +X-Sum.
func (s *seen) String() string {
	text := s.method + " " + s.target
	if s.framing != "" {
		text += fmt.Sprintf(" %s %q", s.framing, s.body)
	}
	for _, f := range s.trailer {
		text += " +" + f.name
	}
	if !s.whole {
		text += " (cut off)"
	}
	return text
}

func (s *seen) values(name string) (list []string) {
	for _, f := range s.fields {
		if strings.EqualFold(f.name, name) {
			list = append(list, f.value)
		}
	}
	return list
}

// early is the path whose requests are answered before their body has come.
const early = "/early"

const okResponse = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"

// serve reads one connection to its end.
func (w *witness) serve(conn io.ReadWriter) {
	w.count(1)
	defer w.count(-1)
	var raw bytes.Buffer
	in := bufio.NewReader(io.TeeReader(conn, &raw))
	for {
		err := w.request(in, conn)
		if err == nil {
			continue
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if raw.String() == lastWord {
			w.last = true
		} else if !isCut(err) {
			w.faults = append(w.faults, fmt.Sprintf("%v in %q", err, raw.String()))
		}
		return
	}
}

func (w *witness) count(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open += n
}

// isCut reports whether a connection has ended, which it may anywhere.
func isCut(err error) bool {
	_, isNet := errors.AsType[net.Error](err)
	return isNet || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe)
}

func (w *witness) request(in *bufio.Reader, out io.Writer) error {
	s, err := readHead(in)
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.requests = append(w.requests, s)
	w.mu.Unlock()
	answer := okResponse + "ok"
	if s.method == "HEAD" {
		answer = okResponse
	}
	if s.target == early {
		io.WriteString(out, answer)
	} else if s.values("Expect") != nil {
		io.WriteString(out, "HTTP/1.1 100 Continue\r\n\r\n")
	}
	body, trailer, err := readBody(in, s.framing)
	w.mu.Lock()
	s.body, s.trailer, s.whole = body, trailer, err == nil
	w.mu.Unlock()
	if err == nil && s.target != early {
		_, err = io.WriteString(out, answer)
	}
	return err
}

var (
	requestLine = regexp.MustCompile("^([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([^\x00-\x20\x7f]+) HTTP/1\\.1$")
	fieldLine   = regexp.MustCompile("^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([^\x00-\x08\x0a-\x1f\x7f]*)$")
	sizeLine    = regexp.MustCompile("^[0-9a-f]{1,15}$")
)

// readLine returns a line that ends in CR LF and has neither in it.
func readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok || strings.ContainsAny(text, "\r\x00") {
		return "", fmt.Errorf("bad end of line %q", line)
	}
	return text, nil
}

func readHead(in *bufio.Reader) (*seen, error) {
	line, err := readLine(in)
	if err != nil {
		return nil, err
	}
	parts := requestLine.FindStringSubmatch(line)
	if parts == nil {
		return nil, fmt.Errorf("bad request line %q", line)
	}
	s := &seen{method: parts[1], target: parts[2]}
	if s.fields, err = readFields(in); err != nil {
		return nil, err
	}
	return s, s.check()
}

func readFields(in *bufio.Reader) (fields []field, err error) {
	for {
		line, err := readLine(in)
		if err != nil {
			return nil, err
		}
		if line == "" {
			return fields, nil
		}
		parts := fieldLine.FindStringSubmatch(line)
		if parts == nil {
			return nil, fmt.Errorf("bad field line %q", line)
		}
		fields = append(fields, field{parts[1], parts[2]})
	}
}

// check finds the one framing, and that nothing is there that is ours to say.
func (s *seen) check() error {
	if !strings.HasPrefix(s.target, "/") && s.target != "*" {
		return fmt.Errorf("target %q is not a path", s.target)
	}
	if hosts := s.values("Host"); len(hosts) != 1 || !hostOfTests.MatchString(hosts[0]) {
		return fmt.Errorf("hosts %q", hosts)
	}
	lengths, codings := s.values("Content-Length"), s.values("Transfer-Encoding")
	switch {
	case len(lengths)+len(codings) > 1:
		return fmt.Errorf("lengths %q and codings %q", lengths, codings)
	case len(codings) == 1 && codings[0] != "chunked":
		return fmt.Errorf("coding %q", codings[0])
	case len(codings) == 1:
		s.framing = codings[0]
	case len(lengths) == 1:
		if n, err := strconv.ParseUint(lengths[0], 10, 63); err != nil || strconv.FormatUint(n, 10) != lengths[0] {
			return fmt.Errorf("length %q", lengths[0])
		}
		s.framing = "length " + lengths[0]
	}
	if s.framing == "length 0" {
		s.framing = ""
	}
	return s.checkForwarded()
}

var hostOfTests = regexp.MustCompile(`^(?i:app\.localhost)\.?(:[0-9]*)?$`)

func (s *seen) checkForwarded() error {
	for _, f := range s.fields {
		if forgeable(f.name) && !slices.Contains([]string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", hopsHeader}, f.name) {
			return fmt.Errorf("forged %q", f.name)
		}
	}
	client, proto := s.values("X-Forwarded-For"), s.values("X-Forwarded-Proto")
	if !slices.Equal(client, []string{"127.0.0.1"}) || !slices.Equal(proto, []string{"https"}) {
		return fmt.Errorf("forwarded for %q over %q", client, proto)
	}
	return nil
}

func readBody(in *bufio.Reader, framing string) (string, []field, error) {
	if framing == "" {
		return "", nil, nil
	}
	var body bytes.Buffer
	if length, ok := strings.CutPrefix(framing, "length "); ok {
		n, _ := strconv.ParseInt(length, 10, 64)
		_, err := io.CopyN(&body, in, n)
		return body.String(), nil, err
	}
	for {
		line, err := readLine(in)
		if err != nil {
			return body.String(), nil, err
		}
		if !sizeLine.MatchString(line) {
			return body.String(), nil, fmt.Errorf("bad chunk size %q", line)
		}
		n, _ := strconv.ParseInt(line, 16, 64)
		if n == 0 {
			break
		}
		if _, err := io.CopyN(&body, in, n); err != nil {
			return body.String(), nil, err
		}
		if end, err := readLine(in); end != "" || err != nil {
			return body.String(), nil, cmpErr(err, fmt.Errorf("chunk is followed by %q", end))
		}
	}
	trailer, err := readFields(in)
	for _, f := range trailer {
		for _, other := range notTrailers {
			if foldsTo(f.name, other) {
				err = fmt.Errorf("trailer %q", f.name)
			}
		}
		if forgeable(f.name) {
			err = fmt.Errorf("trailer %q", f.name)
		}
	}
	return body.String(), trailer, err
}

// notTrailers are names that say nothing good in a trailer (RFC 9110, section 6.5.1).
var notTrailers = []string{"host", "content-length", "transfer-encoding", "trailer", "te", "expect", "connection"}

func cmpErr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// take returns what was recorded since the last call.
func (w *witness) take() (requests, faults []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.requests {
		requests = append(requests, s.String())
	}
	faults = w.faults
	w.requests, w.faults = nil, nil
	return requests, faults
}

// A witnessed is a proxy in front of a witness.
type witnessed struct {
	*fixture
	*witness
	backend Backend
}

func startWitnessed(t testing.TB) *witnessed {
	t.Helper()
	w := &witnessed{witness: new(witness)}
	w.backend = rawBackend(t, func(conn net.Conn) { w.serve(conn) })
	w.fixture = start(t, Route{Host: "app.localhost", Path: "/", Backend: w.backend})
	return w
}

// settled ends the proxy and returns what the witness saw of it.
func (w *witnessed) settled(t testing.TB) (requests, faults []string) {
	t.Helper()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	w.Shutdown(ended)
	// Connections are accepted in turn: once this one is, all are.
	last, err := net.Dial("tcp", w.backend.URL.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer last.Close()
	io.WriteString(last, lastWord)
	eventually(t, "the connections to the backend to end", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.last && w.open == 0
	})
	return w.take()
}

// lastWord begins the connection that says that there are no others.
const lastWord = "END\r\n"

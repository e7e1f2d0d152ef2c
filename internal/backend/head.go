package backend

import (
	"bytes"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Nearly every head of a response is of a form that leaves nothing open: it is
// there as a whole, has neither folded lines nor odd characters, and says in one
// way how its body ends. Such a head is parsed here, at a third of the cost. All
// others are net/http's to understand or to refuse, which sees every byte of
// them: nothing is consumed before a head is found to be plain.

const (
	version     = "HTTP/1.1 "
	statusLine  = len(version + "200")
	notPlain    = -1
	notWholeYet = 0
)

// plainHead returns how many bytes the head at the beginning of b has, and how
// many lines below the first.
func plainHead(b []byte) (size, lines int) {
	for {
		end := bytes.IndexByte(b[size:], '\n')
		if end < 0 {
			return notWholeYet, 0
		}
		line := b[size : size+end]
		first := size == 0
		size += end + 1
		switch {
		case end == 0 || line[end-1] != '\r' || !isText(line[:end-1]):
			return notPlain, 0
		case first:
			if !bytes.HasPrefix(line, []byte(version)) {
				return notPlain, 0
			}
		case end == 1:
			return size, lines
		case bytes.IndexByte(line, ':') <= 0:
			return notPlain, 0
		default:
			lines++
		}
	}
}

// readPlain reads a plain head. It consumes nothing if the head is another.
func (x *exchange) readPlain(method string) bool {
	in := x.scratch.in
	for want := 1; ; {
		b, err := in.Peek(max(want, in.Buffered()))
		if err != nil {
			return false
		}
		size, lines := plainHead(b)
		if size == notWholeYet {
			want = len(b) + 1
			continue
		}
		if size == notPlain || !x.parse(string(b[:size]), lines, method) {
			return false
		}
		_, err = in.Discard(size)
		return err == nil
	}
}

// parse takes a head of so many lines, and reports whether it is plain.
func (x *exchange) parse(head string, lines int, method string) bool {
	first, rest := cutLine(head)
	status, ok := parseStatus(first)
	if !ok {
		return false
	}
	header := x.call.Header
	if header == nil || isInterim(status) {
		header = make(http.Header, lines)
	}
	clear(header)
	values := make([]string, lines)
	framing := framing{length: unsaid}
	for i := range values {
		var line string
		line, rest = cutLine(rest)
		colon := strings.IndexByte(line, ':')
		name := line[:colon]
		ok, canonical := isPlainName(name)
		if !ok {
			return false
		}
		if !canonical {
			name = textproto.CanonicalMIMEHeaderKey(name)
		}
		value := textproto.TrimString(line[colon+1:])
		if !framing.note(name, value) {
			return false
		}
		if others := header[name]; others != nil {
			header[name] = append(others, value)
			continue
		}
		values[i] = value
		header[name] = values[i : i+1 : i+1]
	}
	return x.frame(first, status, header, method, framing)
}

// cutLine returns the first line of a plain head, and the rest.
func cutLine(head string) (line, rest string) {
	end := strings.IndexByte(head, '\n')
	return head[:end-1], head[end+1:]
}

// parseStatus returns the status of a response's first line.
func parseStatus(line string) (status int, ok bool) {
	if len(line) < statusLine || len(line) > statusLine && line[statusLine] != ' ' {
		return 0, false
	}
	for _, c := range []byte(line[len(version):statusLine]) {
		if c < '0' || c > '9' {
			return 0, false
		}
		status = 10*status + int(c-'0')
	}
	return status, true
}

// isPlainName reports whether a name may be that of a header, and has canonical
// form already.
func isPlainName(name string) (ok, canonical bool) {
	canonical = true
	begins := true // a word
	for i := range len(name) {
		c := name[i]
		if !httpguts.IsTokenRune(rune(c)) {
			return false, false
		}
		if begins && 'a' <= c && c <= 'z' || !begins && 'A' <= c && c <= 'Z' {
			canonical = false
		}
		begins = c == '-'
	}
	return name != "", canonical
}

// unsaid is the length of a body that has no Content-Length.
const unsaid = -1

// A framing is what a head says of the end of its body and of the connection.
type framing struct {
	length  int64
	chunked bool
	option  string // of the connection
}

// note takes a header's line, and reports whether the head is plain still.
func (f *framing) note(name, value string) bool {
	switch name {
	case "Content-Length":
		if f.length != unsaid || f.chunked || value == "" || len(value) > 18 {
			return false
		}
		n, err := strconv.ParseUint(value, 10, 63)
		f.length = int64(n)
		return err == nil
	case "Transfer-Encoding":
		if f.length != unsaid || f.chunked || value != "chunked" {
			return false
		}
		f.chunked = true
	case "Connection":
		if f.option != "" || value == "" {
			return false
		}
		f.option = value
		return strings.EqualFold(value, "keep-alive") || strings.EqualFold(value, "close") || strings.EqualFold(value, "upgrade")
	case "Trailer", "Pragma":
		return false // net/http makes something of them
	}
	return true
}

// frame makes the response of a plain head. What it finds is what net/http finds.
func (x *exchange) frame(first string, status int, header http.Header, method string, f framing) bool {
	bodiless := method == http.MethodHead || status >= 100 && status < 200 || status == http.StatusNoContent || status == http.StatusNotModified
	if bodiless && f.chunked {
		return false
	}
	closes := strings.EqualFold(f.option, "close")
	if closes {
		delete(header, "Connection")
	}
	length := f.length
	x.chunked = nil
	switch {
	case bodiless:
		x.left = 0
		if method != http.MethodHead {
			length = 0
		}
	case f.chunked:
		delete(header, "Transfer-Encoding")
		x.chunks(x.scratch.in)
	case length == unsaid:
		x.left, closes = untilClose, true
	default:
		x.left = length
	}
	x.res = http.Response{
		Status:        strings.TrimLeft(first[len(version):], " "),
		StatusCode:    status,
		Proto:         version[:len(version)-1],
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		ContentLength: length,
		Close:         closes,
	}
	if f.chunked {
		x.res.TransferEncoding = []string{"chunked"}
	}
	return true
}

package backend

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"golang.org/x/net/http/httpguts"
)

var (
	errBadHead    = errors.New("the head of the request has a character that does not belong there")
	errBadTrailer = errors.New("the trailer of the request has a name or a character that does not belong there")
)

// appendHead appends the head of c as it goes over the wire. With last the
// target is told that the connection ends with the response.
func (c *Call) appendHead(head []byte, last bool) ([]byte, error) {
	if !httpguts.ValidHeaderFieldName(c.Method) {
		return head, errBadHead
	}
	head = append(head, c.Method...)
	head = append(head, ' ')
	from := len(head)
	head = append(head, c.Path...)
	head = append(head, c.Query...)
	ok := isText(head[from:]) && bytes.IndexByte(head[from:], '\t') < 0 // servers may split the line there
	head = append(head, " HTTP/1.1\r\nHost: "...)
	from = len(head)
	head = append(head, c.Host...)
	ok = ok && isText(head[from:])
	head = append(head, "\r\n"...)
	for _, f := range c.Fields {
		if isFraming(f.Name) {
			continue
		}
		ok = ok && isName(f.Name)
		head = append(head, f.Name...)
		head = append(head, ": "...)
		from = len(head)
		head = append(head, f.Value...)
		ok = ok && isText(head[from:])
		head = append(head, "\r\n"...)
	}
	switch {
	case c.Upgrade != "":
		head = append(head, "Connection: Upgrade\r\nUpgrade: "...)
		from = len(head)
		head = append(head, c.Upgrade...)
		ok = ok && isText(head[from:])
		head = append(head, "\r\n"...)
	case last:
		head = append(head, "Connection: close\r\n"...)
	}
	head = c.appendFraming(head)
	if c.chunked() && len(c.Trailer) > 0 {
		names, valid := trailerNames(c.Trailer)
		ok = ok && valid
		head = append(head, "Trailer: "...)
		for i, name := range names {
			if i > 0 {
				head = append(head, ',')
			}
			head = append(head, name...)
		}
		head = append(head, "\r\n"...)
	}
	if !ok {
		return head, errBadHead
	}
	return append(head, "\r\n"...), nil
}

func (c *Call) appendFraming(head []byte) []byte {
	switch {
	case c.chunked():
		head = append(head, "Transfer-Encoding: chunked\r\n"...)
	case c.sends():
		head = append(head, "Content-Length: "...)
		head = strconv.AppendInt(head, c.Length, 10)
		head = append(head, "\r\n"...)
	case c.Method == http.MethodPost, c.Method == http.MethodPut, c.Method == http.MethodPatch:
		head = append(head, "Content-Length: 0\r\n"...)
	}
	if c.Continue && c.sends() {
		head = append(head, "Expect: 100-continue\r\n"...)
	}
	return head
}

// isFraming reports whether a header is not among the fields of a call, for the
// call says by other means what it would. A second one could be taken for the
// true one.
func isFraming(name string) bool {
	switch name {
	case "Connection", "Content-Length", "Expect", "Host", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// sends reports whether c has a body with anything in it.
func (c *Call) sends() bool { return c.Body != nil && c.Length != 0 }

// chunked reports whether the body of c goes out in chunks.
func (c *Call) chunked() bool { return c.Body != nil && c.Length < 0 }

// trailerNames returns the names in order, and whether they may be announced.
func trailerNames(trailer http.Header) (names []string, ok bool) {
	names = slices.Sorted(maps.Keys(trailer))
	for _, name := range names {
		switch http.CanonicalHeaderKey(name) {
		case "Transfer-Encoding", "Trailer", "Content-Length":
			return nil, false
		}
		if !isName(name) {
			return nil, false
		}
	}
	return names, true
}

// appendTrailer appends the lines of a trailer.
func appendTrailer(b []byte, trailer http.Header) ([]byte, error) {
	for _, name := range slices.Sorted(maps.Keys(trailer)) {
		for _, value := range trailer[name] {
			if !isName(name) || !isText([]byte(value)) {
				return b, errBadTrailer
			}
			b = append(b, name...)
			b = append(b, ": "...)
			b = append(b, value...)
			b = append(b, "\r\n"...)
		}
	}
	return b, nil
}

// isName reports whether s may be the name of a header.
func isName(s string) bool {
	for i := range len(s) {
		if !httpguts.IsTokenRune(rune(s[i])) {
			return false
		}
	}
	return s != ""
}

// isText reports whether b has no control character but tabs. It looks at eight
// bytes at once: heads are long, and what it looks for is never there.
func isText(b []byte) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for len(b) >= 8 {
		v := binary.LittleEndian.Uint64(b)
		below := (v - ' '*ones) & ^v & tops
		del := v ^ 0x7f*ones
		if below|(del-ones)&^del&tops != 0 && bytes.ContainsFunc(b[:8], isControl) {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if isControl(rune(c)) {
			return false
		}
	}
	return true
}

func isControl(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }

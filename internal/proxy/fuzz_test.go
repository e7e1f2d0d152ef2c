package proxy

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// FuzzRequest sends whatever bytes, and a request behind them.
func FuzzRequest(f *testing.F) {
	for _, c := range slices.Concat(refused, passing, broken) {
		if len(c.raw) < 1<<10 {
			f.Add([]byte(c.raw))
		}
	}
	w := new(witness)
	p := startPlain(f, Route{Host: "app.localhost", Path: "/", Backend: rawBackend(f, func(conn net.Conn) {
		conn.SetDeadline(time.Time{})
		w.serve(conn)
	})})
	f.Fuzz(func(t *testing.T, raw []byte) {
		p.exchange(t, slices.Concat(raw, []byte(after)))
		p.compare(t, w)
		p.logs.TakeAll()
	})
}

// FuzzRequestH2 sends whatever fields and data. Names and values are divided
// by NULs.
func FuzzRequestH2(f *testing.F) {
	for _, c := range corpusH2 {
		if fields := strings.Join(c.fields, "\x00"); len(fields) < 1<<10 {
			f.Add(fields, strings.Join(c.data, ""), strings.Join(c.trail, "\x00"))
		}
	}
	w := new(witness)
	p := startPlain(f, Route{Host: "app.localhost", Path: "/", Backend: rawBackend(f, func(conn net.Conn) {
		conn.SetDeadline(time.Time{})
		w.serve(conn)
	})})
	var client *plainH2
	f.Fuzz(func(t *testing.T, fields, data, trailers string) {
		c := h2Case{fields: strings.Split(fields, "\x00")}
		if data != "" {
			c.data = []string{data}
		}
		if trailers != "" {
			c.trail = strings.Split(trailers, "\x00")
		}
		if client == nil {
			client = p.dialH2(t)
		}
		if !client.try(c) {
			client.conn.Close()
			client = nil
		}
		p.compare(t, w)
		p.logs.TakeAll()
	})
}

// FuzzResponse has a backend answer whatever bytes.
func FuzzResponse(f *testing.F) {
	for _, response := range responses {
		f.Add([]byte(response), false)
		f.Add([]byte(response), true)
	}
	p, w, a := startAnswered(f)
	f.Fuzz(func(t *testing.T, response []byte, head bool) {
		p.checkResponse(t, a, methodFor(head), string(response))
		p.compare(t, w)
		p.checkLogs(t)
	})
}

func methodFor(head bool) string {
	if head {
		return http.MethodHead
	}
	return http.MethodGet
}

// A plainH2 is a connection over which many cases are sent.
type plainH2 struct {
	conn    net.Conn
	framer  *http2.Framer
	block   *bytes.Buffer
	encoder *hpack.Encoder
	stream  uint32
}

func (p *plainProxy) dialH2(t testing.TB) *plainH2 {
	t.Helper()
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, http2.ClientPreface)
	c := &plainH2{conn: conn, framer: http2.NewFramer(conn, conn), block: new(bytes.Buffer), stream: 1}
	c.encoder = hpack.NewEncoder(c.block)
	c.framer.AllowIllegalWrites = true
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.framer.WriteSettings()
	c.framer.WriteSettingsAck()
	return c
}

// try sends a case, and reports whether the connection can be used again.
func (c *plainH2) try(h h2Case) bool {
	c.conn.SetDeadline(time.Now().Add(patience))
	h.send(c.framer, c.stream, c.encoder, c.block)
	result := results(c.framer, c.stream)[0]
	c.framer.WriteRSTStream(c.stream, http2.ErrCodeCancel)
	c.stream += 2
	return result != "goaway" && result != "end"
}

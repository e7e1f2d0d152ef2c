package e2e

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"testing"
)

// Frames of HTTP/2 (RFC 9113, section 6) that the tests of limits need.
const (
	frameData      = 0
	frameHeaders   = 1
	frameRST       = 3
	frameSettings  = 4
	frameGoAway    = 7
	flagEndStream  = 1
	flagEndHeaders = 4

	settingEnableConnectProtocol = 8 // RFC 8441, section 3
)

// An h2frame is one of these.
type h2frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

func (f h2frame) bytes() []byte {
	head := append(prefixed(3, f.payload)[:3], f.kind, f.flags)
	return append(binary.BigEndian.AppendUint32(head, f.stream), f.payload...)
}

func readFrame(r io.Reader) (f h2frame, err error) {
	var head [9]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return f, err
	}
	f.kind, f.flags, f.stream = head[3], head[4], binary.BigEndian.Uint32(head[5:])
	f.payload = make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	_, err = io.ReadFull(r, f.payload)
	return f, err
}

// get is a request without a body. Fields are in HPACK's plainest form (RFC
// 7541, section 6.2.2), where no length is above 126.
func get(stream uint32, host, path string) h2frame {
	block := []byte{0x82, 0x87}                                       // GET, https
	block = append(append(block, 0x01), prefixed(1, []byte(host))...) // :authority
	block = append(append(block, 0x04), prefixed(1, []byte(path))...) // :path
	return h2frame{frameHeaders, flagEndStream | flagEndHeaders, stream, block}
}

// dialH2 opens an HTTP/2 connection and returns what the server's SETTINGS say.
func (s *server) dialH2(t *testing.T, host string) (*tls.Conn, map[uint16]uint32) {
	t.Helper()
	conn, err := s.dialTLS(t, host, "h2")
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	conn.Write(h2frame{kind: frameSettings}.bytes())
	first, err := readFrame(conn)
	if err != nil || first.kind != frameSettings {
		t.Fatalf("got %v, %v; want SETTINGS", first, err)
	}
	settings := make(map[uint16]uint32)
	for p := first.payload; len(p) >= 6; p = p[6:] {
		settings[binary.BigEndian.Uint16(p)] = binary.BigEndian.Uint32(p[2:])
	}
	return conn, settings
}

// TestNoWebSocketsOverH2 asks a server whose environment tells net/http to
// offer them. What devproxy starts has that environment unchanged.
func TestNoWebSocketsOverH2(t *testing.T) {
	for _, value := range []string{"", "http2xconnect=1", "http2debug=0,http2xconnect=1,x=y"} {
		h := newHome(t, "GODEBUG="+value)
		s := start(t, h, head+`routes."app.localhost" = "builtin:hello"`)
		_, settings := s.dialH2(t, "app.localhost")
		if len(settings) == 0 {
			t.Error("the server has no settings at all")
		}
		if v, ok := settings[settingEnableConnectProtocol]; ok {
			t.Errorf("GODEBUG=%s: SETTINGS_ENABLE_CONNECT_PROTOCOL is offered: %d", value, v)
		}
		got := h.devproxy(t, "exec", "--", "/bin/sh", "-c", `echo "$GODEBUG"`).must(t, 0).stdout
		if got != value+"\n" {
			t.Errorf("a program started by devproxy sees GODEBUG=%q, want %q", got, value)
		}
	}
}

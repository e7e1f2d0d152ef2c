package proxy

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A head of maxHeader bytes passes, whatever its shape, one byte more gets a
// page, and one that net/http does not read is refused by it.
func TestHeadSize(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(w http.ResponseWriter, r *http.Request) {
		var size int
		for name, values := range r.Header {
			if strings.HasPrefix(name, "X-Pad") {
				size += len(name) + len(strings.Join(values, "")) + len(": \r\n")*len(values)
			}
		}
		fmt.Fprint(w, size)
	})})
	const begin = "GET / HTTP/1.1\r\nHost: app.localhost\r\n"
	for _, test := range []struct {
		name   string
		field  int // bytes of each
		size   int // of the whole head
		status int
	}{
		{"one field", maxHeader, maxHeader, 200},
		{"one field", maxHeader, maxHeader + 1, 431},
		{"many fields", 100, maxHeader, 200},
		{"many fields", 100, maxHeader + 1, 431},
		{"far too large", 1000, maxReadHeader + 8<<10, 431},
	} {
		var fields []string
		for left := test.size - len(begin) - len("\r\n"); left > 0; {
			n := left
			if left >= 2*test.field {
				n = test.field
			}
			name := fmt.Sprintf("X-Pad-%d", len(fields)/2)
			fields = append(fields, name, strings.Repeat("x", n-len(name)-len(": \r\n")))
			left -= n
		}
		t.Run(fmt.Sprint(test.name, " ", test.size, " h1"), func(t *testing.T) {
			text := begin
			for i := 0; i < len(fields); i += 2 {
				text += fields[i] + ": " + fields[i+1] + "\r\n"
			}
			if len(text)+2 != test.size {
				t.Fatalf("the head has %d bytes, want %d", len(text)+2, test.size)
			}
			res := f.raw(t, "app.localhost", text+"\r\n")
			f.checkHead(t, res, readAll(t, res.Body), test.status, test.size)
		})
		t.Run(fmt.Sprint(test.name, " ", test.size, " h2"), func(t *testing.T) {
			res, body := f.bigH2(t, fields)
			f.checkHead(t, res, body, test.status, test.size)
		})
	}
	if n := f.logs.FilterMessage(msgHeadTooLarge).Len(); n != 1 {
		t.Errorf("got %d lines for the host, want one", n)
	}
}

// bigH2 sends a GET with fields over HTTP/2, more than clients send that obey
// the server's SETTINGS_MAX_HEADER_LIST_SIZE.
func (f *fixture) bigH2(t *testing.T, fields []string) (*http.Response, string) {
	conn := f.connectH2(t, "app.localhost")
	conn.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var block strings.Builder
	encoder := hpack.NewEncoder(&block)
	head := []string{":method", "GET", ":scheme", "https", ":authority", "app.localhost", ":path", "/"}
	for i, all := 0, append(head, fields...); i < len(all); i += 2 {
		encoder.WriteField(hpack.HeaderField{Name: strings.ToLower(all[i]), Value: all[i+1]})
	}
	go func() {
		text := block.String()
		first := true
		for len(text) > 0 {
			part := text[:min(len(text), 16<<10)]
			text = text[len(part):]
			if first {
				conn.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(part), EndStream: true, EndHeaders: text == ""})
			} else {
				conn.WriteContinuation(1, text == "", []byte(part))
			}
			first = false
		}
	}()
	res, body := &http.Response{}, ""
	for {
		frame, err := conn.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			fmt.Sscan(frame.PseudoValue("status"), &res.StatusCode)
		case *http2.DataFrame:
			body += string(frame.Data())
		case *http2.GoAwayFrame:
			res.StatusCode = 431 // net/http gives up on the connection, too
			return res, frame.ErrCode.String()
		}
		if h := frame.Header(); h.StreamID == 1 && h.Type != http2.FrameSettings && h.Flags.Has(http2.FlagDataEndStream) {
			return res, body
		}
	}
}

func (f *fixture) checkHead(t *testing.T, res *http.Response, body string, status, size int) {
	t.Helper()
	if res.StatusCode != status {
		t.Fatalf("got %d %q, want %d", res.StatusCode, body, status)
	}
	want := "devproxy: The headers of the request have 257 KiB, of which 0 are cookies; devproxy passes on up to 256 KiB.\n"
	if status == 200 {
		want = fmt.Sprint(size - len("GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n"))
	} else if size > maxReadHeader {
		return // net/http's own words
	}
	if body != want {
		t.Errorf("got %q, want %q", body, want)
	}
}

// Who has too many cookies is told what to do about it.
func TestCookiesAreTooLarge(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: nowhere})
	res, body := get(t, f.client(t, "h1"), f.url("app.localhost", "/"), "Cookie", strings.Repeat("a=secret; ", 30<<10), "Accept", "text/html")
	if res.StatusCode != 431 || !strings.Contains(body, "Delete the cookies") || strings.Contains(body, "secret") {
		t.Errorf("got %d %q, want 431 with advice", res.StatusCode, body)
	}
	for _, entry := range f.logs.All() {
		if strings.Contains(fmt.Sprint(entry.ContextMap()), "secret") {
			t.Errorf("a cookie is in the log: %v", entry)
		}
	}
}

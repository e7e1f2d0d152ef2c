package proxy

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"
)

func TestAccessLog(t *testing.T) {
	b := app(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(201)
		io.WriteString(w, "12345")
	})
	down := at("127.0.0.1:" + closedPort(t))
	f := start(t,
		Route{Host: "app.localhost", Path: "/", Backend: b},
		Route{Host: "app.localhost", Path: "/down", Backend: down},
		Route{Host: "app.localhost", Path: "/silent", Backend: Backend{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), Name: "silent"}},
	)
	f.access.Store(true)
	for protocol, name := range map[string]string{"h1": "HTTP/1.1", "h2": "HTTP/2.0"} {
		client := f.client(t, protocol)
		for _, test := range []struct {
			url, host, path string
			status, bytes   int64
			backend         string
		}{
			{f.url("app.localhost", "/a%2Fb?token=secret"), "app.localhost", "/a%2Fb", 201, 5, b.Name},
			{f.url("app.localhost", "/down?token=secret"), "app.localhost", "/down", 503, -1, down.Name},
			{f.url("ap.localhost", "/?token=secret"), "ap.localhost", "/", 404, -1, ""},
			{f.url("app.localhost", "/silent"), "app.localhost", "/silent", 200, 0, "silent"},
		} {
			get(t, client, test.url, "Cookie", "secret", "Authorization", "secret")
			eventually(t, "the access line", func() bool { return f.logs.FilterMessage("request").Len() == 1 })
			var got map[string]any
			for _, line := range f.logs.TakeAll() {
				if line.Message != "request" {
					continue
				}
				if line.LoggerName != "access" || line.Level != zapcore.InfoLevel {
					t.Errorf("%s: got logger %q at %v, want access at info", test.url, line.LoggerName, line.Level)
				}
				got = line.ContextMap()
			}
			want := map[string]any{
				"method": "GET", "host": test.host, "path": test.path, "status": test.status,
				"protocol": name, "backend": test.backend,
			}
			for key, value := range want {
				if got[key] != value {
					t.Errorf("%s: got %s %v, want %v", test.url, key, got[key], value)
				}
			}
			if bytes := got["bytes"]; test.bytes >= 0 && bytes != test.bytes || test.bytes < 0 && bytes.(int64) == 0 {
				t.Errorf("%s: got %v bytes", test.url, bytes)
			}
			if duration, ok := got["duration"].(time.Duration); !ok || duration <= 0 {
				t.Errorf("%s: got duration %v", test.url, got["duration"])
			}
			for key, value := range got {
				if text, ok := value.(string); ok && strings.Contains(text, "secret") {
					t.Errorf("%s: %s has a secret: %q", test.url, key, text)
				}
			}
			if len(got) != len(want)+2 {
				t.Errorf("%s: got fields %v", test.url, got)
			}
		}
	}
}

func TestAccessLogIsSwitched(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, says("x"))})
	client := f.client(t, "h2")
	for _, on := range []bool{false, true, false} {
		f.access.Store(on)
		f.logs.TakeAll()
		get(t, client, f.url("app.localhost", "/"))
		if on {
			eventually(t, "the access line", func() bool { return f.logs.FilterMessage("request").Len() == 1 })
		} else {
			eventually(t, "the request to end", func() bool { return f.requests.Load() == 0 })
			if got := f.logs.FilterMessage("request").Len(); got != 0 {
				t.Errorf("switched off: got %d lines", got)
			}
		}
	}
}

// The writer that handlers get has all abilities of net/http's.
func TestResponseWriter(t *testing.T) {
	errs := make(chan error, 3)
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: Backend{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		errs <- rc.SetWriteDeadline(time.Now().Add(patience))
		errs <- rc.SetReadDeadline(time.Time{})
		errs <- rc.Flush()
		w.(http.Flusher).Flush()
		io.WriteString(w, "done")
	})}})
	both(t, func(t *testing.T, protocol string) {
		if _, body := get(t, f.client(t, protocol), f.url("app.localhost", "/")); body != "done" {
			t.Errorf("got %q", body)
		}
		for range 3 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	})
}

// A handler of ours that panics is an error in the log and no silent success.
func TestHandlerPanics(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: Backend{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic("oops")
	})}})
	f.access.Store(true)
	if res, err := f.client(t, "h1").Get(f.url("app.localhost", "/")); err == nil {
		res.Body.Close()
		t.Errorf("got %d, want a broken connection", res.StatusCode)
	}
	eventually(t, "the access line", func() bool { return f.logs.FilterMessage("request").Len() == 1 })
	if got := f.logs.FilterMessage("request").All()[0].ContextMap()["status"]; got != int64(500) {
		t.Errorf("logged status %v, want 500", got)
	}
	eventually(t, "the panic in the log", func() bool { return f.logs.FilterLevelExact(zapcore.ErrorLevel).Len() == 1 })
}

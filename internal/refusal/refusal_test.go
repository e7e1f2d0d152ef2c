package refusal

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRecognise(t *testing.T) {
	tested := make(map[string]bool)
	for _, s := range samples {
		t.Run(s.file, func(t *testing.T) {
			tested[s.file] = true
			r := s.response(t)
			if !Worth(r.Status, r.Header) {
				t.Error("Worth = false, want true")
			}
			got, ok := Recognise(r)
			if !ok {
				t.Fatalf("not recognised; body:\n%s", r.Body)
			}
			if got.App != s.app || got.Fix != s.fix || got.File != s.where {
				t.Errorf("got %+v\nwant app %q, fix %q, file %q", got, s.app, s.fix, s.where)
			}
			checkNote(t, got)
			if n := fits(t, r); n != 1 {
				t.Errorf("%d refusals fit, want 1", n)
			}
		})
	}
	files, err := filepath.Glob("testdata/*.http")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !tested[filepath.Base(file)] {
			t.Errorf("no test reads %s", file)
		}
	}
}

// fits returns how many refusals know r.
func fits(t *testing.T, r Response) int {
	t.Helper()
	a, ok := read(r)
	if !ok {
		t.Fatal("not readable")
	}
	n := 0
	for _, known := range refusals {
		if _, ok := known.note(a); ok && known.status == r.Status {
			n++
		}
	}
	return n
}

// checkNote fails unless note can be shown anywhere.
func checkNote(t *testing.T, note Note) {
	t.Helper()
	if note.App == "" || note.Problem == "" || note.Fix == "" {
		t.Errorf("incomplete: %+v", note)
	}
	for _, s := range []string{note.App, note.Problem, strings.ReplaceAll(note.Fix, "\n", " "), note.File} {
		for _, c := range []byte(s) {
			if c < ' ' || c > '~' {
				t.Errorf("%q in %q", c, s)
			}
		}
	}
}

// Whatever a page of its own an app answers stays the app's, also to a form
// and with a large head.
func TestOrdinaryAnswers(t *testing.T) {
	n := 0
	err := fs.WalkDir(os.DirFS("testdata"), "ordinary", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		n++
		for _, method := range []string{"GET", "POST"} {
			for _, path := range []string{"/", "/favicon.ico", "/denied/", "/_next/static/x.js"} {
				for _, size := range []int{333, 20 << 10, 100 << 10} {
					r := asked
					r.Method, r.Path, r.HeadBytes = method, path, size
					if note, ok := Recognise(recording(t, name, r)); ok {
						t.Errorf("%s, %s %s, head of %d bytes: %+v", name, method, path, size, note)
					}
				}
			}
		}
		return nil
	})
	if err != nil || n < 20 {
		t.Fatalf("%d answers read, %v", n, err)
	}
}

// One sign is not enough: each change takes one away.
func TestOneSignIsNotEnough(t *testing.T) {
	status := func(n int) func(*Response) { return func(r *Response) { r.Status = n } }
	without := func(name string) func(*Response) { return func(r *Response) { r.Header.Del(name) } }
	kind := func(s string) func(*Response) { return func(r *Response) { r.Header.Set("Content-Type", s) } }
	host := func(s string) func(*Response) {
		return func(r *Response) { r.Host, r.Origin = s, "https://"+s }
	}
	foreign := func(r *Response) { r.Origin = "" }
	within := func(r *Response) { r.Body = append([]byte("The log says: "), r.Body...) }
	tests := []struct {
		file   string
		why    string
		change func(*Response)
	}{
		{"vite-8.3.8-dev.http", "another status", status(200)},
		{"vite-8.3.8-dev.http", "a page about Vite", kind("text/html")},
		{"vite-8.3.8-dev.http", "about another host", host("other.test")},
		{"angular-build-22.2.7-middleware.http", "about another host", host("other.test")},
		{"webpack-dev-server-4.15.2.http", "another length", func(r *Response) { r.Header.Set("Content-Length", "20") }},
		{"webpack-dev-server-4.15.2.http", "not of Express", without("X-Powered-By")},
		{"webpack-dev-server-6.1.0.http", "not of Express", without("X-Powered-By")},
		{"webpack-dev-server-6.1.0.http", "only quoted", within},
		{"next-16.4.6-script.http", "a path of the app", func(r *Response) { r.Path = "/admin" }},
		{"next-16.4.6-script.http", "the app's own type", kind("text/plain")},
		{"next-16.4.6-script.http", "asked by another site", foreign},
		{"next-16.4.6-script.http", "a name that Next.js lets in", host("shop.localhost")},
		{"storybook-10.6.7.http", "a name that Storybook lets in", host("shop.localhost")},
		{"storybook-10.6.7.http", "a page", kind("text/html")},
		{"rails-7.2.2.2.http", "from behind the middleware", func(r *Response) { r.Header.Set("X-Request-Id", "1") }},
		{"rails-7.2.2.2.http", "about another host", host("shop.tes")},
		{"sinatra-4.1.1.http", "a name that Sinatra lets in", host("shop.test")},
		{"django-5.2.18-debug-host.http", "about another host", host("other.test")},
		{"django-5.2.18-plain-host.http", "a form that may be bad", func(r *Response) { r.Path, r.Method = "/", "POST" }},
		{"django-5.2.18-plain-host.http", "a path that may be bad", func(r *Response) { r.Path = "/orders" }},
		{"django-5.2.18-plain-host.http", "a page of the app's", func(r *Response) { r.Body = append(r.Body, make([]byte, 200)...) }},
		{"django-5.2.18-debug-csrf-origin.http", "sent by another site", foreign},
		{"django-5.2.18-debug-csrf-origin.http", "about another origin", host("other.test")},
		{"django-5.2.18-plain-csrf.http", "sent by another site", foreign},
		{"sveltekit-2.70.4-node.http", "sent by another site", foreign},
		{"sveltekit-2.70.4-node.http", "about another method", func(r *Response) { r.Method = "PUT" }},
		{"astro-5.18.2-node.http", "only quoted", within},
		{"airtunes-reported.http", "another server", func(r *Response) { r.Header.Set("Server", "AirTunesProxy") }},
		{"airtunes-reported.http", "with a body", within},
		{"airtunes-unnamed-reported.http", "one header alone", without("X-Apple-ProcessingTime")},
		{"go-1.26.8-tls.http", "only quoted", within},
		{"tomcat-reported-tls.http", "only quoted", within},
		{"node-20.20.2-head.http", "a small head", head(9000)},
		{"node-20.20.2-head.http", "another server", func(r *Response) { r.Header.Set("Server", "x") }},
		{"go-1.26.8-head.http", "a small head", head(400)},
		{"werkzeug-2.2.2-head.http", "a small head", head(9000)},
		{"nginx-1.22.1-head.http", "a small head", head(4000)},
		{"apache-2.4.71-head.http", "a small head", head(4000)},
		{"gunicorn-20.1.0-field.http", "a small head", head(400)},
		{"puma-5.6.5-head.http", "a small head", head(9000)},
		{"puma-5.6.5-head.http", "with a header", func(r *Response) { r.Header.Set("Connection", "close") }},
		{"puma-6.6.0-head.http", "a small head", head(9000)},
	}
	for _, test := range tests {
		t.Run(test.file+" "+test.why, func(t *testing.T) {
			r := known(t, test.file)
			test.change(&r)
			if note, ok := Recognise(r); ok {
				t.Errorf("recognised: %+v", note)
			}
		})
	}
}

// known returns the sample in file, which Recognise knows.
func known(t *testing.T, file string) Response {
	t.Helper()
	for _, s := range samples {
		if s.file == file {
			r := s.response(t)
			if _, ok := Recognise(r); !ok {
				t.Fatal("not recognised unchanged")
			}
			return r
		}
	}
	t.Fatalf("%s is no sample", file)
	return Response{}
}

// Next.js up to 16.0 lets in one label below localhost, not two.
func TestNextBelowLocalhost(t *testing.T) {
	r := known(t, "next-16.4.6-script.http")
	r.Host, r.Origin = "a.shop.localhost", "https://a.shop.localhost"
	if note, ok := Recognise(r); !ok || note.Fix != `allowedDevOrigins: ["a.shop.localhost"],` {
		t.Errorf("got %+v, %t", note, ok)
	}
}

func TestCompressed(t *testing.T) {
	const file = "django-5.2.18-debug-host.http"
	zip := func(w io.WriteCloser, err error) io.WriteCloser {
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	codings := []struct {
		name   string
		writer func(io.Writer) io.WriteCloser
		want   bool
	}{
		{"gzip", func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }, true},
		{"X-Gzip", func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }, true},
		{"deflate", func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }, true},
		{"deflate", func(w io.Writer) io.WriteCloser { return zip(flate.NewWriter(w, 6)) }, true},
		{"br", func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }, false},
		{"gzip, gzip", func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }, false},
	}
	for _, coding := range codings {
		t.Run(coding.name, func(t *testing.T) {
			r := known(t, file)
			var packed bytes.Buffer
			w := coding.writer(&packed)
			// Much follows, as on the real page, so that Peek cuts the stream.
			for _, part := range [][]byte{r.Body, noise(64 << 10)} {
				if _, err := w.Write(part); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if packed.Len() <= Peek {
				t.Fatalf("packed into %d bytes, want more than %d", packed.Len(), Peek)
			}
			r.Header.Set("Content-Encoding", coding.name)
			r.Body = packed.Bytes()
			if _, ok := Recognise(r); ok != coding.want {
				t.Errorf("recognised = %t, want %t", ok, coding.want)
			}
			if got := Worth(r.Status, r.Header); got != coding.want {
				t.Errorf("Worth = %t, want %t", got, coding.want)
			}
		})
	}
}

// noise returns n bytes that do not compress.
func noise(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// A small body that grows without end is read to the bound.
func TestCompressedBomb(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	for range 1 << 10 {
		if _, err := w.Write(make([]byte, 4<<10)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	text, ok := decode("gzip", packed.Bytes()[:min(packed.Len(), Peek)])
	if !ok || len(text) != maxText {
		t.Errorf("decode gave %d bytes, %t, want %d", len(text), ok, maxText)
	}
}

// What the caller did not check never reaches a note.
func TestUnfitNames(t *testing.T) {
	for _, name := range []string{
		"", `shop"test`, "shop.test\n", "<b>shop</b>", "shop test", "shöp.test", "[::1]", "shop.test:8443", strings.Repeat("a", 254),
	} {
		r := recording(t, "webpack-dev-server-4.15.2.http", asked)
		r.Host = name
		if note, ok := Recognise(r); ok {
			t.Errorf("host %q: %+v", name, note)
		}
	}
	for _, origin := range []string{
		"http://shop.localhost", "https://shop.localhost.evil.test", "https://shop.localhost:", "https://shop.localhost:8443/x",
		"https://shop.localhost:123456", `https://shop.localhost"`, "https://other.test", "null",
	} {
		r := recording(t, "sveltekit-2.70.4-node.http", asked)
		form(&r)
		r.Origin = origin
		if note, ok := Recognise(r); ok {
			t.Errorf("origin %q: %+v", origin, note)
		}
	}
}

func TestUnanswered(t *testing.T) {
	tests := []struct {
		head     int
		app, fix string
	}{
		{0, "", ""},
		{333, "", ""},
		{3584, "", ""},
		{3960, "uWSGI", "buffer-size = 32768"}, // uWSGI 2.0.21 closed without a reset
		{5370, "uWSGI", "buffer-size = 32768"}, // and here with one
		{16 << 10, "uWSGI", "buffer-size = 32768"},
		{17437, "uWSGI or Node.js", "buffer-size = 65535\n" + nodeFix},
		{64 << 10, "uWSGI or Node.js", cookiesFix},
		{1 << 20, "uWSGI or Node.js", cookiesFix},
	}
	for _, test := range tests {
		note, ok := Unanswered(test.head)
		if ok != (test.app != "") || note.App != test.app || note.Fix != test.fix {
			t.Errorf("%d bytes: %+v, %t, want %q, %q", test.head, note, ok, test.app, test.fix)
		}
		if ok {
			checkNote(t, note)
		}
	}
}

package static

import (
	"mime"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestRanges(t *testing.T) {
	h := later(tree(t, map[string]string{"a.txt": "0123456789", "empty.txt": ""}))
	etag := get(h, "/a.txt").Header().Get("ETag")
	for _, tt := range []struct {
		path   string
		header []string
		status int
		body   string
		ranges string // Content-Range
	}{
		{"/a.txt", []string{"Range", "bytes=2-4"}, 206, "234", "bytes 2-4/10"},
		{"/a.txt", []string{"Range", "bytes=7-"}, 206, "789", "bytes 7-9/10"},
		{"/a.txt", []string{"Range", "bytes=-1"}, 206, "9", "bytes 9-9/10"},
		{"/a.txt", []string{"Range", "bytes=0-99"}, 206, "0123456789", "bytes 0-9/10"},
		{"/a.txt", []string{"Range", "bytes=10-"}, 416, "invalid range: failed to overlap\n", "bytes */10"},
		{"/a.txt", []string{"Range", "lines=1-2"}, 416, "invalid range\n", ""},
		{"/empty.txt", []string{"Range", "bytes=0-"}, 200, "", ""},
		{"/a.txt", []string{"Range", "bytes=2-4", "If-Range", etag}, 206, "234", "bytes 2-4/10"},
		{"/a.txt", []string{"Range", "bytes=2-4", "If-Range", `"other"`}, 200, "0123456789", ""},
		{"/a.txt", []string{"Range", "bytes=2-4", "If-Match", `"other"`}, 412, "", ""},
		{"/a.txt", []string{"Range", "bytes=2-4", "If-None-Match", etag}, 304, "", ""},
	} {
		w := get(h, tt.path, tt.header...)
		if w.Code != tt.status || w.Body.String() != tt.body || w.Header().Get("Content-Range") != tt.ranges {
			t.Errorf("%s %q: got %d %q, Content-Range %q; want %d %q, %q", tt.path, tt.header,
				w.Code, w.Body, w.Header().Get("Content-Range"), tt.status, tt.body, tt.ranges)
		}
	}
	w := get(h, "/a.txt", "Range", "bytes=0-1,8-9")
	kind, _, _ := mime.ParseMediaType(w.Header().Get("Content-Type"))
	if w.Code != 206 || kind != "multipart/byteranges" || strings.Count(w.Body.String(), "Content-Range: ") != 2 {
		t.Errorf("two ranges: got %d %q %q", w.Code, kind, w.Body)
	}
}

func TestConditions(t *testing.T) {
	dir := tree(t, map[string]string{"a.txt": "red"})
	path := filepath.Join(dir, "a.txt")
	h := later(dir)
	first := get(h, "/a.txt")
	etag, modified := first.Header().Get("ETag"), first.Header().Get("Last-Modified")
	if !strings.HasPrefix(etag, `"`) || modified == "" {
		t.Fatalf("got ETag %q, Last-Modified %q", etag, modified)
	}
	for _, tt := range []struct {
		name, value string
		status      int
	}{
		{"If-None-Match", etag, 304},
		{"If-None-Match", "W/" + etag, 304},
		{"If-None-Match", `"x", ` + etag, 304},
		{"If-None-Match", `"x"`, 200},
		{"If-Modified-Since", modified, 304},
		{"If-Modified-Since", "Mon, 01 Jan 2001 00:00:00 GMT", 200},
		{"If-Unmodified-Since", "Mon, 01 Jan 2001 00:00:00 GMT", 412},
	} {
		w := get(h, "/a.txt", tt.name, tt.value)
		if w.Code != tt.status || w.Code != 200 && w.Body.Len() > 0 {
			t.Errorf("%s: %s: got %d %q, want %d", tt.name, tt.value, w.Code, w.Body, tt.status)
		}
		if w.Code == 304 && (w.Header().Get("ETag") != etag || w.Header().Get("Cache-Control") != "no-cache") {
			t.Errorf("304: got header %v", w.Header())
		}
	}

	// An edit of the same length is seen, one that sets the time back to what
	// it was too, where the system tells.
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, "tan")
	back := info.ModTime()
	if runtime.GOOS == "windows" {
		back = back.Add(time.Millisecond)
	} else {
		changed, _ := inodeOf(info)
		// The clock of the file system goes on in steps.
		for now := changed; now.Equal(changed); now, _ = inodeOf(info) {
			write(t, path, "tan")
			if err := os.Chtimes(path, back, back); err != nil {
				t.Fatal(err)
			}
			if info, err = os.Stat(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Chtimes(path, back, back); err != nil {
		t.Fatal(err)
	}
	if w := get(h, "/a.txt", "If-None-Match", etag, "If-Modified-Since", modified); w.Code != 200 || w.Body.String() != "tan" {
		t.Errorf("after an edit: got %d %q", w.Code, w.Body)
	}
}

// A file that may change again within one step of its times cannot be
// compared, and is always sent.
func TestUnsettled(t *testing.T) {
	dir := tree(t, map[string]string{"a.txt": "a"})
	info, err := os.Stat(filepath.Join(dir, "a.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		after time.Duration
		want  bool
	}{
		{-time.Hour, false},
		{0, false},
		{settled - 100*time.Millisecond, false},
		{settled + 100*time.Millisecond, true},
	} {
		h := &folder{dir, func() time.Time { return info.ModTime().Add(tt.after) }}
		w := get(h, "/a.txt", "If-Modified-Since", info.ModTime().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"))
		_, etag := w.Header()["Etag"]
		_, modified := w.Header()["Last-Modified"]
		if notModified := w.Code == 304; notModified != tt.want || etag != tt.want || !notModified && (modified || w.Body.String() != "a") {
			t.Errorf("after %v: got %d, header %v", tt.after, w.Code, w.Header())
		}
	}
}

// The time of modification may be set to whatever, that of the change not.
func TestUnsettledInode(t *testing.T) {
	dir := tree(t, map[string]string{"a.txt": "a"})
	path := filepath.Join(dir, "a.txt")
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, past, past); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	changed, _ := inodeOf(info)
	if changed.IsZero() {
		t.Skip("this system does not tell when the inode changed")
	}
	h := &folder{dir, func() time.Time { return changed }}
	if etag := get(h, "/a.txt").Header().Get("ETag"); etag != "" {
		t.Errorf("got ETag %s, want none", etag)
	}
}

func TestTypes(t *testing.T) {
	for _, tt := range []struct {
		name, text, want string
		nosniff          bool
	}{
		{"a.html", "", "text/html; charset=utf-8", true},
		{"a.CSS", "", "text/css; charset=utf-8", true},
		{"a.js", "", "text/javascript; charset=utf-8", true},
		{"a.min.mjs", "", "text/javascript; charset=utf-8", true},
		{"a.json", "", "application/json", true},
		{"a.js.map", "", "application/json", true},
		{"a.wasm", "", "application/wasm", true},
		{"a.webmanifest", "", "application/manifest+json", true},
		{"a.svg", "", "image/svg+xml", true},
		{"a.png", "", "image/png", true},
		{"a.jpg", "", "image/jpeg", true},
		{"a.webp", "", "image/webp", true},
		{"a.avif", "", "image/avif", true},
		{"a.ico", "", "image/x-icon", true},
		{"a.woff2", "", "font/woff2", true},
		{"a.xml", "", "application/xml", true},
		{"a.pdf", "", "application/pdf", true},
		{"a.mp4", "", "video/mp4", true},
		{"a.webm", "", "video/webm", true},
		{"a.txt", "<script>alert(1)</script>", "text/plain; charset=utf-8", true},
		{"LICENSE", "free", "text/plain; charset=utf-8", false},
		{"page", "<!doctype html><p>", "text/html; charset=utf-8", false},
		{"a.unknown-to-all", "\x00\x01\x02", "application/octet-stream", false},
		{"empty", "", "text/plain; charset=utf-8", false},
	} {
		w := get(New(tree(t, map[string]string{tt.name: tt.text})), "/"+tt.name)
		if got := w.Header().Get("Content-Type"); w.Code != 200 || got != tt.want || w.Body.String() != tt.text {
			t.Errorf("%s: got %d %q, want %q", tt.name, w.Code, got, tt.want)
		}
		if got := w.Header().Get("X-Content-Type-Options") == "nosniff"; got != tt.nosniff {
			t.Errorf("%s: nosniff: got %t, want %t", tt.name, got, tt.nosniff)
		}
	}
}

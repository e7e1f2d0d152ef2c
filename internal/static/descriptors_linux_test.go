package static

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Requests that clients give up leave nothing open. The garbage collector,
// which would close what is forgotten, is off meanwhile.
func TestAborted(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	dir := tree(t, map[string]string{"big.bin": "", "index.html": "home"})
	if err := os.Truncate(filepath.Join(dir, "big.bin"), 16<<20); err != nil {
		t.Fatal(err)
	}
	rounds := 500
	if testing.Short() {
		rounds = 50
	}
	for _, h2 := range []bool{false, true} {
		h := New(dir)
		var serving sync.WaitGroup
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer serving.Done()
			h.ServeHTTP(w, r)
		}))
		server.EnableHTTP2 = h2
		server.StartTLS()
		for i := range rounds {
			ctx, cancel := context.WithCancel(t.Context())
			r, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/big.bin", nil)
			if err != nil {
				t.Fatal(err)
			}
			if i%2 == 0 {
				r.Header.Set("Range", "bytes=0-8000000,8000002-")
			}
			serving.Add(1)
			response, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(response.Body, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			cancel()
			response.Body.Close()
		}
		serving.Wait()
		server.Close()
		for _, path := range []string{"/", "/none", "/big.bin/", "/big.bin/x", "/.env"} {
			get(h, path)
		}
		if open := openUnder(t, dir); len(open) > 0 {
			t.Errorf("HTTP/2 %t: %d open: %q", h2, len(open), open[0])
		}
	}
}

// openUnder lists the open files and folders of this process under dir.
func openUnder(t *testing.T, dir string) []string {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var open []string
	for _, entry := range entries {
		// The descriptor of the listing itself is gone by now.
		if target, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil && strings.HasPrefix(target, dir) {
			open = append(open, target)
		}
	}
	return open
}

func TestNoDescriptorsLeft(t *testing.T) {
	dir := tree(t, map[string]string{"docs/index.html": "docs"})
	h := New(dir)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	// Whatever is open stays so; the next of the lowest numbers free are
	// what the limit decides about.
	var statuses []int
	for spare := range 8 {
		var held []*os.File
		low := limit
		low.Cur = 64
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
			t.Fatal(err)
		}
		for {
			file, err := os.Open(os.DevNull)
			if err != nil {
				break
			}
			held = append(held, file)
		}
		for range min(spare, len(held)) {
			held[len(held)-1].Close()
			held = held[:len(held)-1]
		}
		w := get(h, "/docs/")
		for _, file := range held {
			file.Close()
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		statuses = append(statuses, w.Code)
		if w.Code == 503 && (!strings.HasPrefix(w.Body.String(), "devproxy: too many open files") || w.Header().Get("Retry-After") == "") {
			t.Errorf("got %q, header %v", w.Body, w.Header())
		}
		if w.Code != 503 && w.Code != 200 {
			t.Errorf("%d descriptors left: got %d %q", spare, w.Code, w.Body)
		}
	}
	if statuses[0] != 503 || statuses[len(statuses)-1] != 200 {
		t.Errorf("got %d for 0, 1, … descriptors left", statuses)
	}
	if open := openUnder(t, dir); len(open) > 0 {
		t.Errorf("open: %q", open)
	}
}

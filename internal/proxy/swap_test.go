package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"
)

// Replacing routes under load fails no request, and streams, sockets and
// connections of other routes do not notice.
func TestSwapUnderLoad(t *testing.T) {
	ticks := map[string]chan bool{"/h1": make(chan bool), "/h2": make(chan bool)}
	streaming := app(t, func(w http.ResponseWriter, r *http.Request) {
		for i := 0; ; i++ {
			fmt.Fprintf(w, "%d\n", i)
			w.(http.Flusher).Flush()
			select {
			case <-ticks[r.URL.Path]:
			case <-r.Context().Done():
				return
			}
		}
	})
	fixed := []Route{
		{Host: "stream.localhost", Path: "/", Backend: streaming},
		{Host: "app.localhost", Path: "/", Backend: upgrades(t, "", echo)},
	}
	moving := []Backend{app(t, says("one")), app(t, says("two"))}
	routes := func(i int) []Route {
		list := append([]Route{{Host: "moving.localhost", Path: "/", Backend: moving[i%2]}}, fixed...)
		for n := range i % 20 {
			list = append(list, Route{Host: fmt.Sprintf("extra%d.localhost", n), Path: "/", Backend: nowhere})
		}
		return list
	}
	f := start(t, routes(0)...)

	type stream struct {
		*http.Response
		lines *bufio.Reader
	}
	var streams []stream
	for _, protocol := range []string{"h1", "h2"} {
		res := do(t, f.client(t, protocol), newRequest(t, "GET", f.url("stream.localhost", "/"+protocol), nil))
		streams = append(streams, stream{res, bufio.NewReader(res.Body)})
	}
	conn, in := f.openSocket(t, "")

	swaps := 300
	if testing.Short() {
		swaps = 50
	}
	done := make(chan bool)
	var load sync.WaitGroup
	stop := sync.OnceFunc(func() { close(done); load.Wait() })
	defer stop()
	for _, protocol := range []string{"h1", "h2", "h1", "h2"} {
		client := f.client(t, protocol)
		load.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				res, err := client.Get(f.url("moving.localhost", "/"))
				if err != nil {
					t.Errorf("%s: %v", protocol, err)
					return
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				if text := string(body); res.StatusCode != 200 || err != nil || text != "one" && text != "two" {
					t.Errorf("%s: got %d %q, %v", protocol, res.StatusCode, text, err)
					return
				}
			}
		})
	}
	for i := range swaps {
		if err := f.table.Replace(routes(i)); err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprint("message ", i)
		conn.SetDeadline(time.Now().Add(patience))
		io.WriteString(conn, text)
		expect(t, in, text)
		for _, s := range streams {
			if line, err := s.lines.ReadString('\n'); err != nil || line != fmt.Sprintln(i) {
				t.Fatalf("stream: got %q, %v; want %d", line, err, i)
			}
		}
		for _, tick := range ticks {
			tick <- true
		}
	}
	stop()
	// A swap counts from the next request on.
	for i := range 2 {
		if err := f.table.Replace(routes(i)); err != nil {
			t.Fatal(err)
		}
		if _, got := get(t, f.client(t, "h2"), f.url("moving.localhost", "/")); got != []string{"one", "two"}[i] {
			t.Errorf("after swap %d: got %q", i, got)
		}
	}
}

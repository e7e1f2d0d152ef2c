package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func (t *Table) tenureOf(host string) *tenure {
	if r := t.current.Load().lookup(host, "/"); r != nil {
		return r.tenure
	}
	return nil
}

func replace(t testing.TB, table *Table, routes ...Route) {
	t.Helper()
	if err := table.Replace(routes); err != nil {
		t.Fatal(err)
	}
}

func TestTenure(t *testing.T) {
	app := Route{Host: "app.localhost", Path: "/", Backend: at("127.0.0.1:1")}
	ruled := app
	ruled.Rules = Rules{Hold: time.Second, SendHost: "x", KeepHSTS: true}
	moved := app
	moved.Backend = at("127.0.0.1:2")
	other := Route{Host: "other.localhost", Path: "/", Backend: at("127.0.0.1:1")}
	insecure := app
	insecure.Backend = Backend{URL: mustURL(t, "https://127.0.0.1:1"), Name: "x"}
	verified := insecure
	insecure.Backend.Insecure = true

	const moment = time.Nanosecond
	for _, test := range []struct {
		name  string
		steps []Route       // each a table of its own; one without a host is empty
		pause time.Duration // after each step but the last
		ends  bool          // what began with the first table ends after the last
	}{
		{"same", []Route{app, app}, 0, false},
		{"rules", []Route{app, ruled, app}, time.Minute, false},
		{"other route", []Route{app, other}, 0, true},
		{"removed", []Route{app, {}}, 0, true},
		{"moved", []Route{app, moved}, 0, true},
		{"verification", []Route{insecure, verified}, 0, true},
		{"back in time", []Route{app, {}, app}, streamGrace - moment, false},
		{"back in time with rules", []Route{app, moved, ruled}, streamGrace - moment, false},
		{"away twice", []Route{app, {}, app, moved, app}, streamGrace - moment, false},
		{"back too late", []Route{app, {}, app}, streamGrace + moment, true},
		{"away for good", []Route{app, {}, app, {}}, streamGrace / 2, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				table := new(Table)
				var began *tenure
				for i, r := range test.steps {
					var routes []Route
					if r.Host != "" {
						routes = []Route{r}
					}
					replace(t, table, routes...)
					if i == 0 {
						began = table.tenureOf("app.localhost")
					}
					if i < len(test.steps)-1 {
						time.Sleep(test.pause)
						synctest.Wait()
						if began.ctx.Err() != nil && test.pause <= streamGrace {
							t.Fatalf("ended after step %d", i)
						}
					}
				}
				if test.pause <= streamGrace {
					time.Sleep(streamGrace - moment)
					synctest.Wait()
					if began.ctx.Err() != nil {
						t.Error("ended before the time of grace was over")
					}
				}
				time.Sleep(2 * moment)
				synctest.Wait()
				if ended := began.ctx.Err() != nil; ended != test.ends {
					t.Errorf("ended: %t, want %t", ended, test.ends)
				}
				if test.ends && context.Cause(began.ctx) != errRouteGone {
					t.Errorf("ended by %v", context.Cause(began.ctx))
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if len(table.leaving) > 0 {
					t.Errorf("%d tenures are kept", len(table.leaving))
				}
			})
		})
	}
}

// graceIsOver lets the time of grace pass.
func (t *Table) graceIsOver() {
	t.replacing.Lock()
	defer t.replacing.Unlock()
	for _, gone := range t.leaving {
		gone.grace.Reset(0)
	}
}

// What runs on a route that is gone ends after the time of grace, what runs
// on another does not, although their backend is the same.
func TestStreamsEndWithTheirRoute(t *testing.T) {
	for name, after := range map[string]func(gone Route) []Route{
		"removed":    func(Route) []Route { return nil },
		"retargeted": func(gone Route) []Route { gone.Backend = nowhere; return []Route{gone} },
	} {
		both(t, func(t *testing.T, protocol string) {
			t.Run(name, func(t *testing.T) {
				arrived, left := make(chan bool, 10), make(chan bool, 10)
				backend := app(t, func(w http.ResponseWriter, r *http.Request) {
					switch r.URL.Path {
					case "/events":
						w.(http.Flusher).Flush()
					case "/download":
						w.Header().Set("Content-Length", "10")
						io.WriteString(w, "half")
						w.(http.Flusher).Flush()
					}
					arrived <- true
					<-r.Context().Done()
					left <- true
				})
				gone := Route{Host: "gone.localhost", Path: "/", Backend: backend}
				socket := Route{Host: "app.localhost", Path: "/", Backend: upgrades(t, "", echo)}
				stays := Route{Host: "stays.localhost", Path: "/", Backend: backend}
				f := start(t, gone, socket, stays)
				client := f.client(t, protocol)
				var responses []*http.Response
				for _, url := range []string{f.url("gone.localhost", "/events"), f.url("gone.localhost", "/download"), f.url("stays.localhost", "/events")} {
					responses = append(responses, do(t, client, newRequest(t, "GET", url, nil)))
					receive(t, "the request at the backend", arrived)
				}
				unanswered := make(chan string, 1)
				go func() {
					res, err := client.Get(f.url("gone.localhost", "/unanswered"))
					if err != nil {
						unanswered <- err.Error()
						return
					}
					defer res.Body.Close()
					body, _ := io.ReadAll(res.Body)
					unanswered <- fmt.Sprint(res.StatusCode, " ", string(body))
				}()
				receive(t, "the request at the backend", arrived)
				conn, in := f.openSocket(t, "")

				replace(t, f.table, append(after(gone), stays)...)
				io.WriteString(conn, "still here")
				expect(t, in, "still here")
				f.table.graceIsOver()

				for _, res := range responses[:2] {
					if rest, err := io.ReadAll(res.Body); err == nil {
						t.Errorf("%s: got %q and a proper end", res.Request.URL.Path, rest)
					}
				}
				if rest, _ := io.ReadAll(in); len(rest) > 0 {
					t.Errorf("upgraded connection: got %q", rest)
				}
				if got := receive(t, "an answer", unanswered); !strings.HasPrefix(got, "503 ") || !strings.Contains(got, "gone or leads elsewhere") {
					t.Errorf("unanswered request: got %q", got)
				}
				for range 3 {
					receive(t, "the end at the backend", left)
				}
				eventually(t, "a line for each stream", func() bool {
					return f.logs.FilterMessage("response ended: its route is gone or leads elsewhere").Len() == 3
				})
				if got := f.logs.FilterMessage("response broken off by the backend").Len(); got > 0 {
					t.Errorf("%d are blamed on the backend", got)
				}
				select {
				case <-left:
					t.Error("the stream of the other route has ended")
				default:
				}
			})
		})
	}
}

// Routes may be replaced and asked at any time, from anywhere.
func TestReplaceWhileServing(t *testing.T) {
	backends := []Backend{app(t, says("a")), app(t, says("a"))}
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: backends[0]})
	client := f.client(t, "h2")
	done := make(chan bool)
	var replacing, asking sync.WaitGroup
	for i := range 2 {
		replacing.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				r := Route{Host: "app.localhost", Path: "/", Backend: backends[(n+i)%2], Rules: Rules{Hold: time.Duration(n)}}
				if err := f.table.Replace([]Route{r}); err != nil {
					t.Error(err)
				}
				f.table.Covers("app.localhost")
			}
		})
	}
	for range 4 {
		asking.Go(func() {
			for range 100 {
				res, err := client.Get(f.url("app.localhost", "/"))
				if err != nil {
					t.Error(err)
					return
				}
				body, err := bufio.NewReader(res.Body).ReadString(0)
				res.Body.Close()
				if res.StatusCode != 200 || body != "a" || err != io.EOF {
					t.Errorf("got %d %q, %v", res.StatusCode, body, err)
				}
			}
		})
	}
	asking.Wait()
	close(done)
	replacing.Wait()
}

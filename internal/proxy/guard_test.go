package proxy

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What runs when a certificate expires ends with it.
func TestStreamsEndWithTheCertificate(t *testing.T) {
	ca := newClientCA(t)
	left := make(chan struct{}, 2)
	backend := app(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		left <- struct{}{}
	})
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: backend, Clients: &asks(true, ca).ClientAuth})
	both(t, func(t *testing.T, protocol string) {
		brief := ca.issue(t, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(2*time.Second)
		})
		res, err := f.as(t, protocol, brief).Get(f.url("app.localhost", "/"))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != 200 {
			t.Fatalf("got %s", res.Status)
		}
		receive(t, "the end of the stream", left)
	})
}

// What runs for a client whose certificate is not accepted any more ends at
// once, and nothing else does.
func TestRecheckClients(t *testing.T) {
	ca := newClientCA(t)
	cert, other := ca.issue(t, nil), ca.issue(t, nil)
	for name, test := range map[string]struct {
		clients    *gate                                                           // at first; nil: none
		cert       *tls.Certificate                                                // of the client
		change     func(f *fixture, list *revoked, at func(clients *gate) []Route) // what happens
		ends       bool
		otherStays bool
	}{
		"revoked": {asks(true, ca), cert, func(f *fixture, list *revoked, _ func(*gate) []Route) {
			list.cert.Store(cert.Leaf)
			f.RecheckClients()
		}, true, true},
		"revoked, was only asked for": {asks(false, ca), cert, func(f *fixture, list *revoked, _ func(*gate) []Route) {
			list.cert.Store(cert.Leaf)
			f.RecheckClients()
		}, true, true},
		"nothing": {asks(true, ca), cert, func(f *fixture, _ *revoked, _ func(*gate) []Route) { f.RecheckClients() }, false, true},
		"nobody, only asked": {asks(false, ca), nil, func(f *fixture, _ *revoked, _ func(*gate) []Route) {
			f.RecheckClients()
		}, false, true},
		"other anchors": {asks(true, ca), cert, func(f *fixture, _ *revoked, at func(*gate) []Route) {
			replace(t, f.table, at(asks(true, newClientCA(t)))...)
		}, true, false},
		"the same anchors":  {asks(true, ca), cert, func(f *fixture, _ *revoked, at func(*gate) []Route) { replace(t, f.table, at(asks(true, ca))...) }, false, true},
		"required now":      {asks(false, ca), nil, func(f *fixture, _ *revoked, at func(*gate) []Route) { replace(t, f.table, at(asks(true, ca))...) }, true, true},
		"required, has one": {asks(false, ca), cert, func(f *fixture, _ *revoked, at func(*gate) []Route) { replace(t, f.table, at(asks(true, ca))...) }, false, true},
		"turned on":         {nil, cert, func(f *fixture, _ *revoked, at func(*gate) []Route) { replace(t, f.table, at(asks(true, ca))...) }, true, false},
		"asked for now":     {nil, nil, func(f *fixture, _ *revoked, at func(*gate) []Route) { replace(t, f.table, at(asks(false, ca))...) }, false, true},
		"turned off":        {asks(true, ca), cert, func(f *fixture, _ *revoked, at func(*gate) []Route) { replace(t, f.table, at(nil)...) }, false, true},
	} {
		both(t, func(t *testing.T, protocol string) {
			t.Run(name, func(t *testing.T) {
				arrived, left := make(chan string, 10), make(chan string, 10)
				backend := app(t, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path != "/unanswered" {
						w.(http.Flusher).Flush()
					}
					arrived <- r.URL.Path
					<-r.Context().Done()
					left <- r.URL.Path
				})
				folder := Backend{Name: "dir:", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.(http.Flusher).Flush()
					arrived <- "handler"
					<-r.Context().Done()
					left <- "handler"
				})}
				socket := upgrades(t, "", echo)
				at := func(clients *gate) []Route {
					var policy *ClientAuth
					if clients != nil {
						policy = &clients.ClientAuth
					}
					return []Route{
						{Host: "app.localhost", Path: "/", Backend: backend, Clients: policy},
						{Host: "app.localhost", Path: "/ws", Backend: socket, Clients: policy},
						{Host: "app.localhost", Path: "/handler", Backend: folder, Clients: policy},
						{Host: "open.localhost", Path: "/", Backend: backend},
					}
				}
				list := new(revoked)
				f := startConfigured(t, func(cfg *Config) { cfg.RefuseClient = list.refuse }, at(test.clients)...)
				client, second := f.as(t, protocol, test.cert), f.as(t, protocol, other)
				open := func(client *http.Client, host, path string) *http.Response {
					res := do(t, client, newRequest(t, "GET", f.url(host, path), nil))
					receive(t, "the request at the backend", arrived)
					return res
				}
				events := open(client, "app.localhost", "/events")
				open(client, "open.localhost", "/open")
				open(second, "app.localhost", "/second")
				if test.clients != nil { // else it has no guard
					open(client, "app.localhost", "/handler")
				}
				config := &tls.Config{RootCAs: authority().pool, ServerName: "app.localhost"}
				if test.cert != nil {
					config.Certificates = []tls.Certificate{*test.cert}
				}
				conn, err := tls.Dial("tcp", f.addr.String(), config)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(patience))
				io.WriteString(conn, strings.Replace(upgradeHead, "GET / ", "GET /ws ", 1))
				in := bufio.NewReader(conn)
				if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != 101 {
					t.Fatalf("upgrade: got %v, %v", res, err)
				}
				unanswered := make(chan string, 1)
				go func() {
					res, err := client.Get(f.url("app.localhost", "/unanswered"))
					if err != nil {
						unanswered <- err.Error()
						return
					}
					defer res.Body.Close()
					unanswered <- res.Status
				}()
				receive(t, "the request at the backend", arrived)

				test.change(f, list, at)
				if !test.ends {
					io.WriteString(conn, "still here")
					expect(t, in, "still here")
					select {
					case path := <-left:
						t.Errorf("%s has ended", path)
					default:
					}
					return
				}
				if rest, err := io.ReadAll(events.Body); err == nil {
					t.Errorf("events: got %q and a proper end", rest)
				}
				if rest, _ := io.ReadAll(in); len(rest) > 0 {
					t.Errorf("upgraded connection: got %q", rest)
				}
				want := "403 Forbidden"
				if test.clients == nil {
					want = "421 Misdirected Request"
				}
				if got := receive(t, "an answer", unanswered); got != want {
					t.Errorf("unanswered request: got %q, want %q", got, want)
				}
				ended := []string{"/events", "/unanswered"}
				if test.clients != nil {
					ended = append(ended, "handler")
				}
				if !test.otherStays {
					ended = append(ended, "/second")
				}
				for range ended {
					if got := receive(t, "the end at the backend", left); !slices.Contains(ended, got) {
						t.Errorf("%s has ended", got)
					}
				}
				eventually(t, "a line about it", func() bool { return f.logs.FilterMessage(msgEndedWithClient).Len() >= 2 })
				if got := f.logs.FilterMessage("response broken off by the backend").Len(); got > 0 {
					t.Errorf("%d are blamed on the backend", got)
				}
				eventually(t, "the guards to be gone", func() bool {
					f.guards.mu.Lock()
					defer f.guards.mu.Unlock()
					return len(f.guards.running) <= 1 // the other client's
				})
			})
		})
	}
}

// A route that is leaving has no grace for those whom its host does not let in
// any more.
func TestNoGraceForOpenStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := &ClientAuth{Require: true, Anchors: func() *Anchors { return nil }}
		open := Route{Host: "app.localhost", Path: "/", Backend: at("127.0.0.1:1")}
		shut := open
		shut.Clients = policy
		moved := shut
		moved.Backend = at("127.0.0.1:2")
		for name, steps := range map[string][][]Route{
			"at once":                   {{open}, {shut}},
			"and moved":                 {{open}, {moved}},
			"removed in between":        {{open}, nil, {shut}},
			"removed, then another way": {{open}, nil, {moved}},
		} {
			table := new(Table)
			replace(t, table, steps[0]...)
			began := table.tenureOf("app.localhost")
			for _, routes := range steps[1:] {
				replace(t, table, routes...)
			}
			if began.ctx.Err() == nil {
				t.Errorf("%s: what was open goes on", name)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if len(table.leaving) > 0 {
				t.Errorf("%s: %d tenures are kept", name, len(table.leaving))
			}
		}
	})
}

package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// A stream in both directions ends for the client when the backend dies, also
// while the client says nothing.
func TestHTTP2BackendDiesWhileClientIsSilent(t *testing.T) {
	for _, test := range []struct {
		name  string
		begun bool // the response
	}{{"within the response", true}, {"before it", false}} {
		t.Run(test.name, func(t *testing.T) {
			asked := make(chan bool, 1)
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if test.begun {
					w.(http.Flusher).Flush()
				}
				r.Body.Read(make([]byte, 5))
				asked <- true
				<-r.Context().Done()
			}))
			srv.Config.Protocols = new(http.Protocols)
			srv.Config.Protocols.SetUnencryptedHTTP2(true)
			srv.Start()
			t.Cleanup(srv.Close)
			target := &url.URL{Scheme: "h2c", Host: srv.Listener.Addr().String()}
			f := start(t, Route{Host: "app.localhost", Path: "/", Backend: Backend{URL: target, Name: target.String()}})

			body, w := io.Pipe()
			t.Cleanup(func() { w.Close() })
			type answer struct {
				status int
				err    error // of reading the body
			}
			head, answered := make(chan bool, 1), make(chan answer, 1)
			client, req := f.client(t, "h2"), newRequest(t, "POST", f.url("app.localhost", "/"), body)
			go func() {
				res, err := client.Do(req)
				if err != nil {
					answered <- answer{0, err}
					return
				}
				head <- true
				_, err = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				answered <- answer{res.StatusCode, err}
			}()
			io.WriteString(w, "hello")
			receive(t, "the request at the backend", asked)
			if test.begun {
				receive(t, "the head of the response", head)
			}
			srv.CloseClientConnections()
			got := receive(t, "the end of the response", answered)
			switch {
			case test.begun && (got.status != 200 || got.err == nil):
				t.Errorf("got %d and error %v; want 200 that breaks off", got.status, got.err)
			case !test.begun && (got.status != 502 || got.err != nil):
				t.Errorf("got %d and error %v, want 502", got.status, got.err)
			}
		})
	}
}

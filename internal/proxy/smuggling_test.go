package proxy

import (
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var statusLine = regexp.MustCompile(`HTTP/1\.[01] ([0-9]{3}) `)

// try sends a case and returns the statuses of the final responses.
func (w *witnessed) try(t testing.TB, raw string) string {
	t.Helper()
	conn := w.connect(t, "app.localhost")
	defer conn.Close()
	sent := make(chan bool)
	go func() {
		defer close(sent)
		io.WriteString(conn, raw) // what is refused may be cut off
	}()
	all, _ := io.ReadAll(conn)
	conn.Close()
	<-sent
	var statuses []string
	for _, line := range statusLine.FindAllStringSubmatch(string(all), -1) {
		if line[1] != "100" {
			statuses = append(statuses, line[1])
		}
	}
	return strings.Join(statuses, " ")
}

// A request with one meaning reaches the backend as the one request that it
// is, in plain form; all others are refused, and end the connection.
func TestCorpusH1(t *testing.T) {
	for _, c := range refused {
		c.ends = true
		t.Run(c.name, c.check)
	}
	for _, c := range passing {
		t.Run(c.name, c.check)
	}
}

func (c h1Case) check(t *testing.T) {
	w := startWitnessed(t)
	status := w.try(t, c.raw+after)
	requests, faults := w.settled(t)
	wantStatus, want := c.status, c.saw
	if !c.ends {
		wantStatus += " 200"
		want = append(slices.Clone(want), "GET /after")
	}
	if status != wantStatus || !slices.Equal(requests, want) || len(faults) > 0 {
		t.Errorf("got %s, the backend %q\nwant %s, the backend %q\nfaults: %q", status, requests, wantStatus, want, faults)
	}
}

// A body that goes wrong never comes to an end at the backend, and nothing
// behind it is taken for a request.
func TestCorpusH1Bodies(t *testing.T) {
	for _, c := range broken {
		t.Run(c.name, func(t *testing.T) {
			w := startWitnessed(t)
			status := w.try(t, c.raw+after)
			requests, faults := w.settled(t)
			if status != "400" || len(faults) > 0 || len(requests) > 1 ||
				len(requests) == 1 && !(strings.HasPrefix(requests[0], "POST /x chunked ") && strings.HasSuffix(requests[0], " (cut off)")) {
				t.Errorf("got %s, the backend %q; want 400 and at most a part of the request\nfaults: %q", status, requests, faults)
			}
		})
	}
}

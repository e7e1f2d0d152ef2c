package backend

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Whatever a backend sends, and however it comes, the two clients make the same
// of it.
func FuzzResponse(f *testing.F) {
	for _, s := range samples() {
		f.Add([]byte(s.text+s.junk), []byte{1, 30, 2}, s.method == "HEAD")
	}
	quiet(f)
	stage := raise(f, "unix")
	f.Fuzz(func(t *testing.T, data, cuts []byte, head bool) {
		// Beyond that the two have limits of their own for trailers.
		data = data[:min(len(data), 4000)]
		method := "GET"
		if head {
			method = "HEAD"
		}
		show := show{call: ask(method), script: answer(false, cut(data, cuts)...)}
		want, got := stage.play(t, viaNetHTTP, show), stage.play(t, directly, show)
		if strings.Contains(want.call, "status 101") {
			return // what comes behind belongs to another protocol
		}
		junk := behind(method, data)
		if junk {
			got.reused = "2 connections" // what comes late is seen late
		}
		want.reused = "2 connections" // the backend's side of the first has ended
		same(t, want, got)
		if !want.whole || strings.Contains(want.call, "broken off") {
			return
		}
		if junk {
			cuts = nil
		}
		show.script = answer(true, cut(data, cuts)...)
		want, got = stage.play(t, viaNetHTTP, show), stage.play(t, directly, show)
		if junk {
			want.reused = "2 connections"
		}
		same(t, want, got)
	})
}

// cut returns data in pieces; the first ones are as long as lengths say.
func cut(data, lengths []byte) (pieces []string) {
	for _, n := range lengths[:min(len(lengths), 8)] {
		if int(n) < len(data) && n > 0 {
			pieces, data = append(pieces, string(data[:n])), data[n:]
		}
	}
	return append(pieces, string(data))
}

// behind reports whether anything follows the response that data begins with.
func behind(method string, data []byte) bool {
	in := bufio.NewReader(bytes.NewReader(data))
	for {
		res, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return false
		}
		if res.StatusCode < 100 || res.StatusCode > 199 {
			_, _ = io.Copy(io.Discard, res.Body)
			_, err := in.Peek(1)
			return err == nil
		}
	}
}

// Whatever is called for, one request arrives, which says that and nothing
// else, or none.
func FuzzCall(f *testing.F) {
	f.Add("GET", "/", "", "app.test", "Accept", "*/*", "", false, "")
	f.Add("POST", "/a%20b", "?c=d", "app.test:80", "X", "a b", "hello", false, "")
	f.Add("POST", "//a[b]", "?", "[::1]", "Cookie", "a=b", "hello", true, "X-Sum")
	f.Add("OPTIONS", "*", "", "", "X", "\t", strings.Repeat("x", 70_000), true, "")
	f.Add("HEAD", "/\r\n", "?\n", "a\r\nb", "X\r\nY", "a\r\nb", "", false, "a\r\nb")
	f.Add("PUT", "/%zz", "?a#b", "\xff", "X_y", "\xc3\xa9", "x", false, "")
	stage := raise(f, "unix")
	f.Fuzz(func(t *testing.T, method, path, query, host, name, value, body string, chunked bool, trailer string) {
		name, trailer = http.CanonicalHeaderKey(name), http.CanonicalHeaderKey(trailer)
		if isFraming(name) || name == "User-Agent" {
			t.Skip("not among the fields of a call")
		}
		if path != "*" && !strings.HasPrefix(path, "/") || query != "" && query[0] != '?' || method == "CONNECT" || method == "" {
			t.Skip("not what makes the target of a request")
		}
		make := func(ctx context.Context, _ context.CancelCauseFunc) *Call {
			c := &Call{Context: ctx, Method: method, Path: path, Query: query, Host: host, Fields: []Field{{name, value}}}
			switch {
			case chunked:
				c.Body, c.Length = newSource(body), -1
				if trailer != "" {
					c.Trailer = http.Header{trailer: {value}}
				}
			case body != "":
				c.Body, c.Length = newSource(body), int64(len(body))
			}
			return c
		}
		text := fine
		if method == "HEAD" {
			text = strings.TrimSuffix(fine, "hello")
		}
		show := show{once: true, call: make, script: answer(true, text)}
		got := stage.play(t, directly, show)
		if strings.Contains(got.call, "no response") {
			if got.arrived != "" && (trailer == "" || !strings.Contains(got.arrived, "broken off")) {
				t.Errorf("a request that was refused arrived: %s", got.arrived)
			}
		} else if want := arrives(make(t.Context(), nil), got.arrived); got.arrived != want {
			t.Errorf("what arrived\ngot  %q\nwant %q", got.arrived, want)
		}
		// net/http changes some hosts, spaces around values, and what does not
		// belong into a path that begins with two slashes; and it forgets the
		// trailer of a body that turns out to be empty.
		if chunked && body == "" && trailer != "" || !plainHost(host) || strings.TrimSpace(value) != value || strings.HasPrefix(path, "//") {
			return
		}
		want := stage.play(t, viaNetHTTP, show)
		if strings.HasPrefix(want.call, "no response") && strings.HasPrefix(got.call, "no response") {
			return // with one error or another
		}
		same(t, want, got)
	})
}

// plainHost reports whether net/http sends host as it is.
func plainHost(host string) bool {
	return host != "" && !strings.ContainsFunc(host, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune(".-:", r))
	})
}

// arrives returns what a stage has to note of c. A body that may be left out was,
// if none was noted.
func arrives(c *Call, noted string) string {
	lines := []string{"Host: " + c.Host, c.Fields[0].Name + ": " + c.Fields[0].Value}
	var rest string
	var all []byte
	if c.Body != nil {
		all, _ = io.ReadAll(c.Body)
		rest = "\nbody " + brief(all)
	}
	switch {
	case c.Length > 0:
		lines = append(lines, fmt.Sprint("Content-Length: ", c.Length))
	case c.Length < 0 && len(all) == 0 && !strings.Contains(noted, rest):
		rest = ""
	case c.Length < 0:
		lines = append(lines, "Transfer-Encoding: chunked")
		trailer := make(http.Header)
		for name, values := range c.Trailer {
			lines = append(lines, "Trailer: "+name)
			trailer[name] = []string{strings.Trim(values[0], " \t")}
		}
		rest += fmt.Sprintf("\ntrailer %v, <nil>", trailer)
	case c.Method == "POST", c.Method == "PUT", c.Method == "PATCH":
		lines = append(lines, "Content-Length: 0")
	}
	slices.SortStableFunc(lines, func(a, b string) int {
		nameA, _, _ := strings.Cut(a, ":")
		nameB, _, _ := strings.Cut(b, ":")
		return strings.Compare(nameA, nameB)
	})
	return fmt.Sprintf("connection 1: %s %s%s HTTP/1.1\n%s%s", c.Method, c.Path, c.Query, strings.Join(lines, "\n"), rest)
}

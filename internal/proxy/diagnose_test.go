package proxy

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
)

// recorded returns a backend that gives the same answer to every request.
func recorded(t *testing.T, name string) (b Backend, body string) {
	t.Helper()
	raw, err := os.ReadFile("../refusal/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(string(raw))), nil)
	if err != nil {
		t.Fatal(err)
	}
	body = readAll(t, res.Body)
	if body == "" {
		return answers(t, string(raw)), "" // with not a header more
	}
	return app(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil // or net/http guesses one
		for name, values := range res.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(res.StatusCode)
		io.WriteString(w, body)
	}), body
}

// A dev server's refusal of the host becomes one line in the log and a page for
// browsers; others get it as it is.
func TestRefusals(t *testing.T) {
	for name, want := range map[string]struct{ app, fix string }{
		"vite-6.4.6-dev.http":            {"Vite", "allowedHosts"},
		"webpack-dev-server-4.15.2.http": {"webpack-dev-server", "allowedHosts"},
		"django-4.2.28-plain-csrf.http":  {"Django", "SECURE_PROXY_SSL_HEADER"},
		"airtunes-reported.http":         {"AirPlay", ""},
		"nginx-1.22.1-tls.http":          {"", `to = "https://127.0.0.1:`},
		"node-20.20.2-head.http":         {"", "--max-http-header-size"},
		"next-16.4.6-script.http":        {"Next", "allowedDevOrigins"},
		"ordinary/" + ordinary(t):        {},
	} {
		t.Run(name, func(t *testing.T) {
			b, body := recorded(t, name)
			f := start(t, Route{Host: "shop.test", Path: "/", Backend: b})
			client := f.client(t, "h2")
			path := "/"
			if strings.HasPrefix(name, "next") {
				path = "/_next/static/chunks/main.js"
			}
			method, size := "GET", 1
			if strings.HasPrefix(name, "node") {
				size = 20_000
			}
			if strings.Contains(name, "csrf") {
				method = "POST"
			}
			ask := func(headers ...string) (*http.Response, string) {
				headers = append(headers, "Cookie", "a="+strings.Repeat("x", size))
				r := newRequest(t, method, f.url("shop.test", path), nil, headers...)
				res := do(t, client, r)
				return res, readAll(t, res.Body)
			}
			plain, got := ask()
			if got != body {
				t.Errorf("a client that is no browser: got\n%s\nwant\n%s", got, body)
			}
			page, got := ask("Accept", browser)
			if page.StatusCode != plain.StatusCode {
				t.Errorf("got status %d for a browser and %d for others", page.StatusCode, plain.StatusCode)
			}
			lines := f.logs.FilterMessage(msgRefused).All()
			if want.app+want.fix == "" {
				if got != body || len(lines) != 0 {
					t.Errorf("got %d lines in the log and\n%s\nwant the app's own page", len(lines), got)
				}
				return
			}
			if text := html.UnescapeString(got); !strings.Contains(text, want.app) || !strings.Contains(text, want.fix) || !strings.Contains(text, "devproxy") {
				t.Errorf("a browser: got\n%s\nwant a page that names %s and %s", got, want.app, want.fix)
			}
			if len(lines) != 1 {
				t.Fatalf("got %d lines in the log, want 1", len(lines))
			}
			if line := fmt.Sprint(lines[0].ContextMap()); !strings.Contains(line, want.fix) || !strings.Contains(line, "shop.test") {
				t.Errorf("log: got %s", line)
			}
		})
	}
}

// ordinary names an answer that is nothing but what an app may say.
func ordinary(t *testing.T) string {
	t.Helper()
	entries, err := os.ReadDir("../refusal/testdata/ordinary")
	if err != nil || len(entries) == 0 {
		t.Fatal(err)
	}
	return entries[0].Name()
}

// A server that closes on large heads without a word is explained by their size.
func TestLargeHeadWithoutAnswer(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: rawBackend(t, func(conn net.Conn) {
		io.CopyN(io.Discard, conn, 100)
	})})
	client := f.client(t, "h1")
	for size, want := range map[int]string{100: "own log", 5000: "buffer-size", 20000: "max-http-header-size"} {
		_, body := get(t, client, f.url("app.localhost", "/"), "Cookie", "a="+strings.Repeat("x", size))
		if !strings.Contains(body, want) {
			t.Errorf("head of %d bytes: got %q, want it to mention %q", size, body, want)
		}
	}
}

// No line is shown for a host that the backend never got.
func TestRefusalOfAnotherHost(t *testing.T) {
	for _, name := range []string{"webpack-dev-server-4.15.2.http", "vite-6.4.6-dev.http"} {
		b, body := recorded(t, name)
		f := start(t, Route{Host: "front.test", Path: "/", Backend: b, Rules: Rules{SendHost: "shop.test"}})
		if _, got := get(t, f.client(t, "h2"), f.url("front.test", "/"), "Accept", "text/html"); got != body {
			t.Errorf("%s: got %q, want what the app sent", name, got)
		}
		if n := f.logs.FilterMessage(msgRefused).Len(); n > 0 {
			t.Errorf("%s: got %d lines in the log, want none", name, n)
		}
	}
}

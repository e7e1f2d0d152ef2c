package proxy

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"

func TestNotFound(t *testing.T) {
	f := start(t,
		Route{Host: "shop.localhost", Path: "/", Backend: nowhere},
		Route{Host: "shop.localhost", Path: "/api", Backend: nowhere},
		Route{Host: "xn--bcher-kva.localhost", Path: "/", Backend: nowhere},
		Route{Host: "*.tenant.localhost", Path: "/", Backend: nowhere},
		Route{Host: "docs.localhost", Path: "/guide", Backend: nowhere},
	)
	both(t, func(t *testing.T, protocol string) {
		client := f.client(t, protocol)
		res, body := get(t, client, f.url("shp.localhost", "/x"), "Accept", browser)
		if res.StatusCode != 404 || res.Header.Get("Content-Type") != "text/html; charset=utf-8" || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("got %d %v", res.StatusCode, res.Header)
		}
		for _, want := range []string{
			"No route serves shp.localhost.",
			fmt.Sprintf("Did you mean <a href=%q>shop.localhost</a>", f.url("shop.localhost", "/")),
			fmt.Sprintf("<a href=%q>shop.localhost/api</a>", f.url("shop.localhost", "/api")),
			fmt.Sprintf("<a href=%q>bücher.localhost</a>", f.url("xn--bcher-kva.localhost", "/")),
			"<span>*.tenant.localhost</span>",
		} {
			if !strings.Contains(body, want) {
				t.Errorf("page lacks %q:\n%s", want, body)
			}
		}

		res, body = get(t, client, f.url("shp.localhost", "/x"), "Accept", "*/*")
		want := "devproxy: No route serves shp.localhost. Did you mean " + f.url("shop.localhost", "/") + " ?\n"
		if res.StatusCode != 404 || body != want {
			t.Errorf("plain: got %d %q, want 404 %q", res.StatusCode, body, want)
		}
		_, body = get(t, client, f.url("docs.localhost", "/other"))
		if want := `devproxy: No route of docs.localhost serves the path "/other".` + "\n"; body != want {
			t.Errorf("path: got %q, want %q", body, want)
		}
		_, body = get(t, client, f.url("docs.localhost", "/other"), "Accept", browser)
		if docs, shop := strings.Index(body, ">docs.localhost/guide<"), strings.Index(body, ">shop.localhost<"); docs < 0 || docs > shop {
			t.Errorf("path: the host's own routes should come first:\n%s", body)
		}
	})
	// By address: the port is the real one, and there is no nearest name.
	res := f.raw(t, "", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
	if got := readAll(t, res.Body); got != "devproxy: No route serves 127.0.0.1.\n" {
		t.Errorf("by address: got %q", got)
	}
}

// Nothing a client or a backend sends, and no name, becomes markup.
func TestPagesAreEscaped(t *testing.T) {
	const attack = `<script>alert(1)</script>"'&`
	b := at("127.0.0.1:" + closedPort(t))
	b.Name = "http://" + attack
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: b}, Route{Host: "x.localhost", Path: "/y", Backend: b})
	client := f.client(t, "h1")
	for path, host := range map[string]string{"/": "app.localhost", "/" + attack: "x.localhost"} {
		res := f.raw(t, host, "GET "+strings.ReplaceAll(path, " ", "")+" HTTP/1.1\r\nHost: "+host+"\r\nAccept: text/html\r\n\r\n")
		body := readAll(t, res.Body)
		if strings.Contains(body, "<script>alert") || !strings.Contains(body, "&lt;script&gt;") {
			t.Errorf("%s: got\n%s", path, body)
		}
	}
	inner := func(body, element string) string {
		_, body, _ = strings.Cut(body, "<"+element+">")
		body, _, _ = strings.Cut(body, "</"+element+">")
		hash := sha256.Sum256([]byte(body))
		return "'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"
	}
	res, body := get(t, client, f.url("app.localhost", "/"), "Accept", browser)
	strict := "default-src 'none'; base-uri 'none'; form-action 'none'; style-src " + inner(body, "style")
	if got, want := res.Header.Get("Content-Security-Policy"), strict+"; connect-src 'self'; script-src "+inner(body, "script"); got != want {
		t.Errorf("policy of a page that waits: got %q, want %q", got, want)
	}
	res, _ = get(t, client, f.url("x.localhost", "/"), "Accept", browser)
	if got := res.Header.Get("Content-Security-Policy"); got != strict {
		t.Errorf("policy: got %q, want %q", got, strict)
	}
	if links := regexp.MustCompile(`(?i)(src|url)\s*[=(]|@import|style=`).FindString(body); links != "" {
		t.Errorf("the page loads something: %q", links)
	}
}

func TestBadGatewayPage(t *testing.T) {
	port := closedPort(t)
	f := start(t, Route{Host: "app.localhost", Path: "/api", Backend: at("localhost:" + port)})
	res, body := get(t, f.client(t, "h2"), f.url("app.localhost", "/api/x"), "Accept", browser)
	if res.StatusCode != 503 || res.Header.Get("Retry-After") != "1" {
		t.Errorf("got %d, Retry-After %q; want 503 and 1 second", res.StatusCode, res.Header.Get("Retry-After"))
	}
	text := html.UnescapeString(body)
	for _, want := range []string{
		"app.localhost/api", "http://localhost:" + port, "nobody listens there",
		"127.0.0.1:" + port, "[::1]:" + port, "refused", "Is the app running",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("page lacks %q:\n%s", want, text)
		}
	}
	if got := f.logs.FilterMessage("backend failed").Len(); got != 1 {
		t.Errorf("got %d log lines, want 1", got)
	}
}

func TestManyRoutesAreCut(t *testing.T) {
	var routes []Route
	for i := range 500 {
		routes = append(routes, Route{Host: fmt.Sprintf("app%d.localhost", i), Path: "/", Backend: nowhere})
	}
	f := start(t, routes...)
	_, body := get(t, f.client(t, "h1"), f.url("zzzzzzzz.localhost", "/"), "Accept", browser)
	if got := strings.Count(body, "<li>"); got != listedRoutes {
		t.Errorf("got %d routes, want %d", got, listedRoutes)
	}
	if want := fmt.Sprintf("and %d more", 500-listedRoutes); !strings.Contains(body, want) {
		t.Errorf("page lacks %q", want)
	}
}

func TestWantsHTML(t *testing.T) {
	for accept, want := range map[string]bool{
		browser: true, "text/html": true, "TEXT/HTML;q=0.1": true, "*/*": false, "": false, "text/*": false,
		"application/json, text/plain, */*": false, "text/html;q=0": false, "text/html; q=0.000": false, "text/html;level=1": true,
	} {
		if got := wantsHTML(&http.Request{Header: http.Header{"Accept": {accept}}}); got != want {
			t.Errorf("Accept %q: got %t, want %t", accept, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	s := tableOf(t, "shop.localhost/", "blog.localhost/", "a.localhost/", "storefront.localhost/", "*.tenant.localhost/", "api.shop.test/")
	for host, want := range map[string]string{
		"shp.localhost":        "shop.localhost/",
		"shopp.localhost":      "shop.localhost/",
		"hsop.localhost":       "shop.localhost/",
		"shop.lcoalhost":       "shop.localhost/",
		"stroefornt.localhost": "storefront.localhost/",
		"b.localhost":          "a.localhost/",
		"api.shp.test":         "api.shop.test/",
		"wiki.localhost":       "",
		"tenant.localhost":     "",
		"127.0.0.1":            "",
	} {
		if got := key(s.nearest(host)); got != want {
			t.Errorf("nearest(%q): got %q, want %q", host, got, want)
		}
	}
}

func FuzzTypos(f *testing.F) {
	f.Add("shop", "shp")
	f.Add("ab", "ba")
	f.Add("", "x")
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a) > 100 || len(b) > 100 {
			return
		}
		const limit = 1000
		d := typos(a, b, limit)
		if (d == 0) != (a == b) || d > max(len(a), len(b)) {
			t.Errorf("typos(%q, %q): got %d", a, b, d)
		}
		if back := typos(b, a, limit); back != d {
			t.Errorf("typos(%q, %q): got %d one way, %d the other", a, b, d, back)
		}
		for cut := range 4 {
			if got := typos(a, b, cut); got != min(d, cut) {
				t.Errorf("typos(%q, %q, %d): got %d, want %d", a, b, cut, got, min(d, cut))
			}
		}
	})
}

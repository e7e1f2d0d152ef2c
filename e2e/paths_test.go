package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// mirror is a Flask app behind ProxyFix that says what it takes a request for,
// and what of it came over the wire.
const mirror = `
import sys
from flask import Flask, jsonify, request, url_for
from werkzeug.middleware.proxy_fix import ProxyFix

app = Flask("mirror")
fixed = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_prefix=1)


def keep_host(environ, start_response):
    environ["mirror.host"] = environ["HTTP_HOST"]
    return fixed(environ, start_response)


app.wsgi_app = keep_host


@app.route("/", defaults={"path": ""})
@app.route("/<path:path>", endpoint="page")
def page(path):
    response = jsonify(
        host=request.environ["mirror.host"],
        path=request.path,
        url=url_for("page", path="cart", _external=True),
        prefix=request.headers.get("X-Forwarded-Prefix", ""),
        team=request.headers.get("X-Team", ""),
        cookie=request.headers.get("Cookie", ""),
        origin=request.headers.get("Origin", ""),
    )
    response.headers["Strict-Transport-Security"] = "max-age=31536000"
    response.headers["X-Version"] = "1"
    response.headers["X-Debug"] = "secret"
    return response


app.run(port=int(sys.argv[1]))
`

// What the mirror says.
type reflected struct{ Host, Path, URL, Prefix, Team, Cookie, Origin string }

// TestRules reaches a Flask app by routes of many kinds, through curl.
func TestRules(t *testing.T) {
	flask, curl := python(t, "flask"), tool(t, "curl")
	h := newHome(t)
	h.write(t, "mirror.py", mirror)
	addr := vacant(t)
	_, port, _ := net.SplitHostPort(addr)
	h.startAt(t, flask, "mirror.py", port)
	waitDial(t, addr)
	s := start(t, h, head+strings.ReplaceAll(`
[routes]
"app.localhost" = PORT
"*.tenant.localhost" = PORT
"bücher.localhost" = PORT
[routes."app.localhost/api"]
to = PORT
strip_prefix = true
[routes."app.localhost/api/raw"]
to = PORT
[routes."backend.localhost"]
to = "http://127.0.0.1:PORT"
host = "backend"
[routes."named.localhost"]
to = PORT
host = "shop.example:3000"
hsts = "keep"
[routes."rules.localhost"]
to = PORT
request_headers = { set = { X-Team = "squirrels" }, remove = ["Cookie"] }
response_headers = { set = { X-Version = "2" }, remove = ["X-Debug"] }
`, "PORT", port))

	at := func(host string) string { return fmt.Sprintf("%s:%d", host, s.port) }
	const cookie, origin = "session=fluffy", "https://elsewhere.example"
	for _, test := range []struct {
		host, path string
		want       reflected
		headers    []string // of the response
		without    []string
	}{
		{host: "app.localhost", path: "/", want: reflected{Path: "/"}, headers: []string{"x-version: 1", "x-debug: secret"}, without: []string{"strict-transport-security"}},
		{host: "app.localhost", path: "/api", want: reflected{Path: "/", URL: "/api/cart", Prefix: "/api"}},
		{host: "app.localhost", path: "/api/users/7", want: reflected{Path: "/users/7", URL: "/api/cart", Prefix: "/api"}},
		{host: "app.localhost", path: "/api/raw/x", want: reflected{Path: "/api/raw/x"}},
		{host: "app.localhost", path: "/apis", want: reflected{Path: "/apis"}},
		{host: "app.localhost", path: "/API/x", want: reflected{Path: "/API/x"}},
		{host: "backend.localhost", path: "/", want: reflected{Path: "/", Host: "127.0.0.1:" + port}},
		{host: "named.localhost", path: "/", want: reflected{Path: "/", Host: "shop.example:3000"}, headers: []string{"strict-transport-security: max-age=31536000"}},
		{host: "rules.localhost", path: "/", want: reflected{Path: "/", Team: "squirrels", Cookie: "none"}, headers: []string{"x-version: 2"}, without: []string{"x-debug"}},
		{host: "one.tenant.localhost", path: "/", want: reflected{Path: "/"}},
		{host: "a.b.tenant.localhost", path: "/x", want: reflected{Path: "/x"}},
		{host: "bücher.localhost", path: "/", want: reflected{Path: "/", Host: at("xn--bcher-kva.localhost"), URL: "https://" + at("xn--bcher-kva.localhost") + "/cart"}},
	} {
		t.Run(test.host+test.path, func(t *testing.T) {
			got := h.run(t, curl, "--silent", "--show-error", "--include", "--cacert", h.rootFile(), "--path-as-is",
				"-H", "Cookie: "+cookie, "-H", "Origin: "+origin, s.url(test.host, test.path)).must(t, 0)
			head, body, _ := strings.Cut(got.stdout, "\r\n\r\n")
			var said reflected
			if err := json.Unmarshal([]byte(body), &said); err != nil {
				t.Fatalf("%v: %s", err, got)
			}
			want := test.want
			want.Origin = origin
			if want.Host == "" {
				want.Host = at(test.host)
			}
			switch {
			case want.URL == "":
				want.URL = "/cart"
				fallthrough
			case strings.HasPrefix(want.URL, "/"):
				want.URL = "https://" + at(test.host) + want.URL
			}
			switch want.Cookie {
			case "":
				want.Cookie = cookie
			case "none":
				want.Cookie = ""
			}
			if said != want {
				t.Errorf("got  %+v\nwant %+v", said, want)
			}
			head = strings.ToLower(head) + "\r\n"
			for _, line := range test.headers {
				if !strings.Contains(head, "\r\n"+line+"\r\n") {
					t.Errorf("no header %q in\n%s", line, head)
				}
			}
			for _, name := range test.without {
				if strings.Contains(head, "\r\n"+name+":") {
					t.Errorf("header %s in\n%s", name, head)
				}
			}
		})
	}
	t.Run("the base of a wildcard", func(t *testing.T) {
		got := h.run(t, curl, "--silent", "--cacert", h.rootFile(), "--write-out", "%{http_code}", s.url("tenant.localhost", "/")).must(t, 0)
		if !strings.HasSuffix(got.stdout, "404") {
			t.Errorf("got %s, want 404", got)
		}
	})
}

// oneOrigin is a page whose API is below a path of its own host.
const oneOrigin = `<!DOCTYPE html><title>shop</title><script>
(async () => {
	let me;
	try {
		await fetch("/api/login", {method: "POST"});
		me = await (await fetch("/api/me")).text();
	} catch (e) { me = String(e) }
	await fetch("/report", {method: "POST", body: JSON.stringify({me, origin: location.origin, cookies: document.cookie})});
})();
</script>`

// TestOneOrigin has a page and its API in two servers and on one host: cookies
// and requests need no permission from anybody.
func TestOneOrigin(t *testing.T) {
	type visit struct{ Me, Origin, Cookies, Sent string }
	visits := make(chan visit, 10)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, oneOrigin)
		case "/report":
			var v visit
			if err := json.NewDecoder(r.Body).Decode(&v); err != nil {
				t.Error(err)
			}
			v.Sent = r.Header.Get("Cookie")
			visits <- v
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(page.Close)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.Path {
		case "POST /login":
			http.SetCookie(w, &http.Cookie{Name: "__Host-session", Value: "fluffy", Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
		case "GET /me":
			io.WriteString(w, r.Header.Get("Cookie"))
		default:
			http.Error(w, r.Method+" "+r.URL.Path, http.StatusNotFound)
		}
	}))
	t.Cleanup(api.Close)
	h := newHome(t)
	s := start(t, h, usual+fmt.Sprintf(`
routes."bücher.localhost" = %q
[routes."bücher.localhost/api"]
to = %q
strip_prefix = true
`, page.URL, api.URL))
	settle(t)
	trustAll(t, h)
	const session = "__Host-session=fluffy"
	want := visit{Me: session, Origin: strings.TrimSuffix(s.url("xn--bcher-kva.localhost", ""), ":443"), Sent: session}
	browsers := startBrowsers(t, h)
	for _, b := range browsers {
		b.open(t, s.url("bücher.localhost", "/"))
		select {
		case got := <-visits:
			if got != want {
				t.Errorf("%s: got %+v, want %+v", b.name, got, want)
			}
		case <-time.After(patience):
			t.Errorf("%s: no report of the page", b.name)
		}
	}
	stopBrowsers(t, browsers)
}

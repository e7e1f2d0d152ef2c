package e2e

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

// djangoServers run django_app.py.
var djangoServers = []struct {
	name string
	args func(t *testing.T, port string) []string
}{
	{"runserver", func(t *testing.T, port string) []string {
		return []string{python(t, "django"), appFile(t, "django_app.py"), "runserver", "--noreload", port}
	}},
	{"gunicorn", func(t *testing.T, port string) []string {
		python(t, "django")
		return []string{tool(t, "gunicorn"), "--bind", "127.0.0.1:" + port, "--threads", "4", "django_app:application"}
	}},
}

// djangoDatabase makes a database with one user in it.
func djangoDatabase(t *testing.T) string {
	t.Helper()
	h := newHome(t)
	path := filepath.Join(h.work, "db.sqlite3")
	for _, command := range []string{"migrate", "createuser"} {
		cmd := h.command(t, python(t, "django"), "-B", appFile(t, "django_app.py"), command)
		cmd.Env = append(cmd.Env, "DATABASE="+path)
		finish(t, cmd).must(t, 0)
	}
	return path
}

// TestDjango has Django believe the proxy (SECURE_PROXY_SSL_HEADER): its CSRF
// protection, its log-in and its redirects work as without a proxy.
func TestDjango(t *testing.T) {
	database := djangoDatabase(t)
	for _, server := range djangoServers {
		t.Run(server.name, func(t *testing.T) {
			port := freePort(t)
			env := []string{"DATABASE=" + database, "BEHIND_PROXY=1"}
			startApp(t, "127.0.0.1:"+port, env, server.args(t, port)...)
			backend := "http://127.0.0.1:" + port
			s := start(t, newHome(t), head+fmt.Sprintf("routes.\"django.localhost\" = %q\nroutes.\"shop.test\" = %[1]q", backend))
			for _, p := range curlProtocols {
				t.Run(p.name, func(t *testing.T) {
					c := curler{s: s, host: "django.localhost", proto: p.flag}
					t.Run("place", func(t *testing.T) { djangoPlace(t, c, "https") })
					t.Run("login", func(t *testing.T) { djangoLogin(t, c) })
					t.Run("csrf", func(t *testing.T) { djangoCSRF(t, c) })
					t.Run("allowed hosts", func(t *testing.T) {
						c.host = "shop.test" // needs to be named in ALLOWED_HOSTS
						if got := c.do(t, "/seen/").must(t, 400); !strings.Contains(got.body, "ALLOWED_HOSTS") {
							t.Errorf("refused, but not for the host: %s", got)
						}
					})
				})
			}
		})
	}
}

// djangoPlace asks the app where it is.
func djangoPlace(t *testing.T, c curler, scheme string) map[string]any {
	seen := c.do(t, "/seen/?q=1", "--header", "Origin: "+c.origin(), "--referer", c.url("/from?this=page")).must(t, 200).json(t)
	mustHold(t, seen, map[string]any{
		"scheme": scheme, "secure": scheme == "https", "host": strings.TrimPrefix(c.origin(), "https://"),
		"url":    strings.Replace(c.url("/seen/?q=1"), "https", scheme, 1),
		"origin": c.origin(), "referer": c.url("/from?this=page"), "client": "127.0.0.1",
	})
	return seen
}

// token fetches a form's CSRF token; its cookie goes into the jar.
func (c curler) token(t *testing.T) string {
	t.Helper()
	return c.do(t, "/seen/").must(t, 200).json(t)["token"].(string)
}

// djangoLogin opens a page that needs a log-in, logs in, and is back.
func djangoLogin(t *testing.T, c curler) {
	c.jar = filepath.Join(t.TempDir(), "jar")
	const login = "/accounts/login/?next=/account/"
	if got := c.do(t, "/account").must(t, 301).header.Get("Location"); got != "/account/" {
		t.Errorf("without the slash: redirected to %s", got)
	}
	if got := c.do(t, "/account/").must(t, 302).header.Get("Location"); got != login {
		t.Errorf("without a log-in: redirected to %s, want %s", got, login)
	}
	form := c.do(t, login).must(t, 200)
	if cookie := form.header.Get("Set-Cookie"); !strings.HasPrefix(cookie, "csrftoken=") || !strings.Contains(cookie, "Secure") {
		t.Errorf("the form's cookie is %q", cookie)
	}
	_, rest, _ := strings.Cut(form.body, `name="csrfmiddlewaretoken" value="`)
	token, _, _ := strings.Cut(rest, `"`)

	for _, tt := range []struct{ next, want string }{
		{"/account/", "/account/"},
		{c.url("/account/"), c.url("/account/")},                                                                 // the host with its port, and the scheme, are ours
		{strings.Replace(c.url("/account/"), "https", "http", 1), "/accounts/profile/"},                          // is not secure
		{strings.Replace(c.url("/account/"), c.origin(), "https://django.localhost:1", 1), "/accounts/profile/"}, // another port
	} {
		got := c.do(t, "/accounts/login/", "--referer", c.url(login), "--header", "Origin: "+c.origin(),
			"--data", url.Values{"username": {"squirrel"}, "password": {"acorn"}, "next": {tt.next}, "csrfmiddlewaretoken": {token}}.Encode()).must(t, 302)
		if location := got.header.Get("Location"); location != tt.want {
			t.Errorf("next=%s: redirected to %s, want %s", tt.next, location, tt.want)
		}
		if cookies := strings.Join(got.header["Set-Cookie"], "\n"); !strings.Contains(cookies, "sessionid=") || strings.Count(cookies, "Secure") != 2 {
			t.Errorf("the session's cookies are %q", cookies)
		}
		token = c.token(t) // logging in changes it
	}
	if got := c.do(t, "/account/").must(t, 200).body; got != "account of squirrel" {
		t.Errorf("after the log-in: %q", got)
	}
}

// djangoCSRF sends forms that Django has to accept and forms that it has to
// refuse.
func djangoCSRF(t *testing.T, c curler) {
	c.jar = filepath.Join(t.TempDir(), "jar")
	token := c.token(t)
	for _, tt := range []struct {
		name    string
		referer string
		token   string
		status  int
		says    string
	}{
		{"own page", c.url("/form"), token, 200, "noted x"},
		{"no token", c.url("/form"), "", 403, "CSRF"},
		{"no page", "", token, 403, "Referer"},
		{"another site's page", "https://bank.example/form", token, 403, "Referer"},
		{"another port's page", "https://django.localhost:1/form", token, 403, "Referer"},
		{"plain http", "http://django.localhost/form", token, 403, "insecure"},
	} {
		got := c.do(t, "/note/", "--referer", tt.referer, "--data", url.Values{"text": {"x"}, "csrfmiddlewaretoken": {tt.token}}.Encode())
		if got.status != tt.status || !strings.Contains(got.body, tt.says) {
			t.Errorf("%s: want %d and %q, got %s", tt.name, tt.status, tt.says, got)
		}
	}
}

// TestDjangoUntold is Django without SECURE_PROXY_SSL_HEADER: it takes itself
// for an http site. Since Django 4 it then refuses every form of a browser,
// which names an origin that is https.
func TestDjangoUntold(t *testing.T) {
	port := freePort(t)
	startApp(t, "127.0.0.1:"+port, []string{"DATABASE=" + djangoDatabase(t)}, djangoServers[0].args(t, port)...)
	s := start(t, newHome(t), head+fmt.Sprintf("routes.\"django.localhost\" = \"http://127.0.0.1:%s\"", port))
	c := curler{s: s, host: "django.localhost", proto: "--http2", jar: filepath.Join(t.TempDir(), "jar")}
	seen := djangoPlace(t, c, "http")
	got := c.do(t, "/note/", "--referer", c.url("/form"), "--header", "Origin: "+c.origin(),
		"--data", url.Values{"text": {"x"}, "csrfmiddlewaretoken": {c.token(t)}}.Encode())
	if seen["version"].(float64) < 4 {
		got.must(t, 200)
	} else if got.must(t, 403); !strings.Contains(got.body, "Origin checking failed") {
		t.Errorf("refused, but not for the origin: %s", got)
	}
}

package refusal

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// asked is what the browser asked in every recording that a test does not
// change.
var asked = Response{
	Host:      "shop.test",
	Origin:    "https://shop.test:8443",
	Method:    "GET",
	Path:      "/",
	HeadBytes: 333,
}

// recording returns the response in a file of testdata to the request r.
func recording(t testing.TB, name string, r Response) Response {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), nil)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer resp.Body.Close()
	r.Status, r.Header = resp.StatusCode, resp.Header
	if r.Body, err = io.ReadAll(io.LimitReader(resp.Body, Peek)); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return r
}

// A sample is a recording that is to be recognised.
type sample struct {
	file   string
	change func(*Response) // of the request; nil for asked
	app    string
	fix    string
	where  string
}

// form makes the request one of a form on a name that needs no line of its own.
func form(r *Response) {
	r.Host, r.Origin, r.Method = "shop.localhost", "https://shop.localhost:8443", "POST"
}

func post(r *Response) { r.Method = "POST" }

// head gives the request a head of n bytes.
func head(n int) func(*Response) { return func(r *Response) { r.HeadBytes = n } }

const (
	viteFix     = `server: { allowedHosts: ["shop.test"] },`
	previewFix  = `preview: { allowedHosts: ["shop.test"] },`
	webpackFix  = `devServer: { allowedHosts: ["shop.test"] },`
	nextFix     = `allowedDevOrigins: ["shop.test"],`
	djangoFix   = `ALLOWED_HOSTS += ["shop.test", "localhost", "127.0.0.1"]`
	kitFix      = `csrf: { trustedOrigins: ["https://shop.localhost:8443"] },`
	tlsFix      = `to = "https://ADDRESS:PORT"`
	airPlayFix  = "flask run --port 5001\nor switch AirPlay Receiver off: System Settings, General, AirDrop & Handoff"
	nodeFix     = "NODE_OPTIONS=--max-http-header-size=131072"
	cookiesFix  = "delete the cookies of this site in the browser"
	railsConfig = "config/environments/development.rb"
	kitConfig   = "svelte.config.js, under kit"
)

var samples = []sample{
	{"vite-5.4.21-dev.http", nil, "Vite", viteFix, "vite.config.js"},
	{"vite-5.4.21-preview.http", nil, "Vite", previewFix, "vite.config.js"},
	{"vite-6.4.6-dev.http", nil, "Vite", viteFix, "vite.config.js"},
	{"vite-6.4.6-preview.http", nil, "Vite", previewFix, "vite.config.js"},
	{"vite-7.3.8-dev.http", nil, "Vite", viteFix, "vite.config.js"},
	{"vite-7.3.8-preview.http", nil, "Vite", previewFix, "vite.config.js"},
	{"vite-8.3.8-dev.http", nil, "Vite", viteFix, "vite.config.js"},
	{"vite-8.3.8-preview.http", nil, "Vite", previewFix, "vite.config.js"},
	{"astro-5.18.2-dev.http", nil, "Vite", viteFix, "vite.config.js"},
	{"angular-build-22.2.7-middleware.http", nil, "Angular", `"allowedHosts": ["shop.test"]`, `angular.json, under "serve", "options"`},
	{"webpack-dev-server-3.11.3.http", nil, "webpack-dev-server", webpackFix, "webpack.config.js"},
	{"webpack-dev-server-4.15.2.http", nil, "webpack-dev-server", webpackFix, "webpack.config.js"},
	{"webpack-dev-server-5.2.7.http", nil, "webpack-dev-server", webpackFix, "webpack.config.js"},
	{"webpack-dev-server-6.1.0.http", nil, "webpack-dev-server", webpackFix, "webpack.config.js"},
	{"next-16.4.6-reload-socket.http", func(r *Response) { r.Path = "/_next/webpack-hmr" }, "Next.js", nextFix, "next.config.js"},
	{"next-16.4.6-script.http", func(r *Response) { r.Path = "/shop/_next/static/chunks/main.js" }, "Next.js", nextFix, "next.config.js"},
	{"storybook-10.6.7.http", nil, "Storybook", `core: { allowedHosts: ["shop.test"] },`, ".storybook/main.ts"},
	{"rails-6.1.7.10.http", nil, "Rails", `config.hosts << "shop.test"`, railsConfig},
	{"rails-7.2.2.2.http", nil, "Rails", `config.hosts << "shop.test"`, railsConfig},
	{"rails-7.2.2.2-xhr.http", nil, "Rails", `config.hosts << "shop.test"`, railsConfig},
	{"sinatra-4.1.1.http", func(r *Response) { r.Host, r.Origin = "shop.internal", "https://shop.internal:8443" }, "Sinatra",
		`set :host_authorization, { permitted_hosts: ["shop.internal", ".localhost"] }`, "the file of the app"},
	{"django-3.2.25-debug-host.http", nil, "Django", djangoFix, "settings.py"},
	{"django-4.2.28-debug-host.http", nil, "Django", djangoFix, "settings.py"},
	{"django-5.2.18-debug-host.http", post, "Django", djangoFix, "settings.py"},
	{"django-5.2.18-debug-host-text.http", nil, "Django", djangoFix, "settings.py"},
	{"django-3.2.25-plain-host.http", nil, "Django", djangoFix, "settings.py"},
	{"django-4.2.28-plain-host.http", nil, "Django", djangoFix, "settings.py"},
	{"django-5.2.18-plain-host.http", func(r *Response) { r.Path = "/favicon.ico" }, "Django", djangoFix, "settings.py"},
	{"django-4.2.28-debug-csrf-origin.http", post, "Django", schemeHeader, "settings.py"},
	{"django-5.2.18-debug-csrf-origin.http", post, "Django", schemeHeader, "settings.py"},
	{"django-4.2.28-plain-csrf.http", post, "Django", schemeHeader, "settings.py"},
	{"django-5.2.18-plain-csrf.http", post, "Django", schemeHeader, "settings.py"},
	{"sveltekit-2.70.4-preview.http", form, "SvelteKit", kitFix, kitConfig},
	{"sveltekit-2.70.4-node.http", form, "SvelteKit", kitFix, kitConfig},
	{"sveltekit-2.70.4-node-json.http", form, "SvelteKit", kitFix, kitConfig},
	{"astro-5.18.2-node.http", form, "Astro", `security: { allowedDomains: [{ hostname: "shop.localhost" }] },`, "astro.config.mjs"},
	{"airtunes-reported.http", nil, "AirPlay Receiver", airPlayFix, ""},
	{"airtunes-unnamed-reported.http", nil, "AirPlay Receiver", airPlayFix, ""},
	{"go-1.26.8-tls.http", nil, "Go", tlsFix, "devproxy.toml"},
	{"nginx-1.22.1-tls.http", nil, "nginx", tlsFix, "devproxy.toml"},
	{"apache-2.4.71-tls.http", nil, "Apache", tlsFix, "devproxy.toml"},
	{"tomcat-reported-tls.http", nil, "Tomcat", tlsFix, "devproxy.toml"},
	{"node-20.20.2-head.http", head(17437), "Node.js", nodeFix, ""},
	{"vite-8.3.8-head.http", head(20445), "Node.js", nodeFix, ""},
	{"go-1.26.8-head.http", head(30515), "Go", "MaxHeaderBytes: 1 << 20,", "the app's http.Server"},
	{"werkzeug-2.2.2-head.http", head(100935), "Python", cookiesFix, ""},
	{"nginx-1.22.1-head.http", head(9343), "nginx", "large_client_header_buffers 4 128k;", "nginx.conf, under http"},
	{"apache-2.4.71-head.http", head(9343), "Apache", "LimitRequestFieldSize 131072", "httpd.conf, outside of virtual hosts"},
	{"gunicorn-20.1.0-field.http", head(9343), "gunicorn", "gunicorn --limit-request-field_size 131072", ""},
	{"gunicorn-20.1.0-line.http", head(5333), "gunicorn", "gunicorn --limit-request-line 0", ""},
	{"puma-5.6.5-head.http", head(100935), "Puma", cookiesFix, ""},
	{"puma-6.6.0-head.http", head(100935), "Puma", cookiesFix, ""},
}

// response returns the recording of s with its request.
func (s sample) response(t testing.TB) Response {
	r := asked
	if s.change != nil {
		s.change(&r)
	}
	return recording(t, s.file, r)
}

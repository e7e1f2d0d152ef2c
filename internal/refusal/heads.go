package refusal

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
)

// From these sizes on, in bytes, the products refuse a request's head, or the
// part of it that they count, as they come.
const (
	// uWSGI counts the variables that it makes of the head, about 200 bytes
	// more: it gave up at a head of 3,960 bytes. A long path counts thrice.
	uwsgiHead   = 3584
	nodeMax     = 16 << 10
	apacheField = 8190
	gunicornMax = 4094 // of the request line; 8190 of a field
	nginxField  = 8 << 10
	pythonField = 64 << 10
	pumaField   = 80 << 10
	goMin       = 4 << 10 // what net/http grants beyond MaxHeaderBytes
	uwsgiMost   = 65535   // the largest buffer-size
)

// tooLarge is the sentence about a head that app does not take.
func (a answer) tooLarge(app string) string {
	return fmt.Sprintf("The request's head is larger than %s takes. It is mostly cookies: those of every port of a host name count together.", app)
}

// nodeHead is Node.js's own server, Vite's and Next.js's among them: an answer
// with nothing in it.
func nodeHead(a answer) (Note, bool) {
	if a.HeadBytes <= nodeMax || len(a.text) > 0 || !bare(a.Header) {
		return Note{}, false
	}
	return Note{
		App:     "Node.js",
		Problem: a.tooLarge("Node.js"),
		Fix:     "NODE_OPTIONS=--max-http-header-size=131072",
	}, true
}

// bare reports whether h has nothing but how the connection goes on.
func bare(h http.Header) bool {
	for name := range h {
		if name != "Connection" {
			return false
		}
	}
	return true
}

func goHead(a answer) (Note, bool) {
	if a.HeadBytes <= goMin || a.media() != "text/plain" || !a.says("431 Request Header Fields Too Large") {
		return Note{}, false
	}
	return Note{
		App:     "Go",
		Problem: a.tooLarge("the Go server"),
		Fix:     "MaxHeaderBytes: 1 << 20,",
		File:    "the app's http.Server",
	}, true
}

// pythonHead is http.server of Python's library, on which the dev servers of
// Flask and Django stand. Nothing sets its limit.
func pythonHead(a answer) (Note, bool) {
	if a.HeadBytes <= pythonField || !strings.Contains(a.Header.Get("Server"), "Python/") || !a.has("Line too long") {
		return Note{}, false
	}
	return Note{
		App:     "Python",
		Problem: a.tooLarge("the dev server of Flask or Django") + " No setting changes that.",
		Fix:     deleteCookies,
	}, true
}

// deleteCookies is what remains where no setting helps.
const deleteCookies = "delete the cookies of this site in the browser"

func nginxHead(a answer) (Note, bool) {
	if a.HeadBytes <= nginxField || a.media() != "text/html" || !a.has("<title>400 Request Header Or Cookie Too Large</title>") {
		return Note{}, false
	}
	return Note{
		App:     "nginx",
		Problem: a.tooLarge("nginx"),
		Fix:     "large_client_header_buffers 4 128k;",
		File:    "nginx.conf, under http",
	}, true
}

func apacheHead(a answer) (Note, bool) {
	if a.HeadBytes <= apacheField || a.media() != "text/html" || !a.has("Size of a request header field exceeds server limit.") {
		return Note{}, false
	}
	return Note{
		App:     "Apache",
		Problem: a.tooLarge("Apache"),
		Fix:     "LimitRequestFieldSize 131072",
		File:    "httpd.conf, outside of virtual hosts",
	}, true
}

func gunicornHead(a answer) (Note, bool) {
	if a.HeadBytes <= gunicornMax || a.media() != "text/html" || !a.has("<h1><p>Bad Request</p></h1>") {
		return Note{}, false
	}
	switch {
	case a.has("Error parsing headers: &#x27;limit request headers fields size&#x27;"):
		return Note{App: "gunicorn", Problem: a.tooLarge("gunicorn"), Fix: "gunicorn --limit-request-field_size 131072"}, true
	case a.has("Request Line is too large ("):
		return Note{App: "gunicorn", Problem: "The request's URL is longer than gunicorn takes.", Fix: "gunicorn --limit-request-line 0"}, true
	}
	return Note{}, false
}

// pumaHead is a status line alone up to Puma 5; Puma 6 adds the error in
// development.
func pumaHead(a answer) (Note, bool) {
	silent := len(a.text) == 0 && len(a.Header) == 0
	loud := a.media() == "" && bytes.HasPrefix(a.text, []byte("Puma caught this error: HTTP element "))
	if a.HeadBytes <= pumaField || !silent && !loud {
		return Note{}, false
	}
	return Note{App: "Puma", Problem: a.tooLarge("Puma") + " No setting changes that.", Fix: deleteCookies}, true
}

// Unanswered explains a backend that closed the connection without a response,
// by the size in bytes of the request head sent to it. Such an end has many
// causes; for a small head it says nothing.
func Unanswered(headBytes int) (Note, bool) {
	switch {
	case headBytes <= uwsgiHead:
		return Note{}, false
	case headBytes <= nodeMax:
		return Note{
			App:     "uWSGI",
			Problem: "uWSGI closes the connection without a word when the request's head is larger than 4096 bytes, its default; this one probably is too large.",
			Fix:     "buffer-size = 32768",
			File:    "uwsgi.ini",
		}, true
	case headBytes < uwsgiMost-uwsgiMost/16:
		return Note{
			App:     "uWSGI or Node.js",
			Problem: "The request's head is larger than 16 KiB: uWSGI takes 4096 bytes by default (the first line, for uwsgi.ini), Node.js 16 KiB (the second, for its environment).",
			Fix:     "buffer-size = 65535\nNODE_OPTIONS=--max-http-header-size=131072",
		}, true
	}
	return Note{
		App:     "uWSGI or Node.js",
		Problem: "The request's head is near 64 KiB or larger, more than uWSGI can take and more than other servers do by default. It is mostly cookies.",
		Fix:     deleteCookies,
	}, true
}

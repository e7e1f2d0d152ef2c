// Package refusal recognises the answers that dev servers and apps give only
// because they sit behind a proxy (an unknown host name, a scheme they do not
// believe, a request head larger than they take) and says which line to add
// where.
//
// It reads a status, headers and the beginning of a body, and does nothing
// else: the proxy shows the [Note]. A wrong note is worse than none, so every
// refusal is known by two signs at least, measured against the product (the
// recordings are in testdata). A note has our own words, the host name and the
// origin in it, never anything the backend sent.
package refusal

import (
	"bytes"
	"net/http"
	"strings"
)

// Peek is how many bytes of a response's body Recognise wants at most.
const Peek = 8 << 10

// A Response is what a backend answered, with what is known of the request.
type Response struct {
	Status int
	Header http.Header
	// Body is the beginning of the body, as the backend sent it (without the
	// transfer coding): at most Peek bytes count, fewer are fine.
	Body []byte

	// Host is the request's host name as the browser sees it, in its ASCII
	// form and without port.
	Host string
	// OtherHost says that the backend got another Host than that. A refusal
	// that does not name the host is then about one which nobody asked for.
	OtherHost bool
	// Origin is what the browser has in its address bar, such as
	// https://shop.localhost:8443. Leave it empty when the request came from
	// another site (its own Origin header differs): refusing that one is right,
	// and no line should be added for it.
	Origin    string
	Method    string
	Path      string // in any form, without the query
	HeadBytes int    // size of the request head sent to the backend
}

// A Note says what a refusal means and how to end it.
type Note struct {
	App     string // whose refusal it is: "Vite", "Django"
	Problem string // one sentence or two
	Fix     string // the exact line to add, or the command; lines are separated by "\n"
	File    string // where the line goes; "" when it is a command or something to do
}

// invalidHost is all that webpack-dev-server says.
const invalidHost = "Invalid Host header"

// Worth reports, by status and headers alone, whether Recognise could know the
// response. It is meant to be asked of every response and allocates nothing.
func Worth(status int, h http.Header) bool {
	switch status {
	case http.StatusOK:
		// webpack-dev-server refused with 200 until version 5.1.
		return h.Get("Content-Length") == "19" && h.Get("X-Powered-By") == "Express"
	case http.StatusBadRequest, http.StatusForbidden:
		return readable(h.Get("Content-Encoding")) && textual(h)
	case http.StatusRequestHeaderFieldsTooLarge:
		return true
	}
	return false
}

// textual reports whether a body of plain words may follow: text, none at all,
// or the few bytes of JSON in which SvelteKit wraps its sentence.
func textual(h http.Header) bool {
	kind := h.Get("Content-Type")
	return kind == "" || strings.HasPrefix(kind, "text/") ||
		strings.HasPrefix(kind, "application/json") && len(h.Get("Content-Length")) <= 2
}

// Recognise returns the note for a refusal that it knows.
func Recognise(r Response) (Note, bool) {
	if !Worth(r.Status, r.Header) {
		return Note{}, false
	}
	a, ok := read(r)
	if !ok {
		return Note{}, false
	}
	for _, known := range refusals {
		if known.status != a.Status {
			continue
		}
		if note, ok := known.note(a); ok {
			return note, true
		}
	}
	return Note{}, false
}

// refusals are all that Recognise knows. No two fit the same answer.
var refusals = [...]struct {
	status int
	note   func(answer) (Note, bool)
}{
	{http.StatusOK, webpack},
	{http.StatusForbidden, vite},
	{http.StatusForbidden, angular},
	{http.StatusForbidden, webpack},
	{http.StatusForbidden, next},
	{http.StatusForbidden, storybook},
	{http.StatusForbidden, rails},
	{http.StatusForbidden, sinatra},
	{http.StatusBadRequest, djangoHost},
	{http.StatusBadRequest, djangoQuiet},
	{http.StatusForbidden, djangoForm},
	{http.StatusForbidden, crossSiteForm},
	{http.StatusForbidden, airTunes},
	{http.StatusBadRequest, speaksTLS},
	{http.StatusRequestHeaderFieldsTooLarge, nodeHead},
	{http.StatusRequestHeaderFieldsTooLarge, goHead},
	{http.StatusRequestHeaderFieldsTooLarge, pythonHead},
	{http.StatusBadRequest, nginxHead},
	{http.StatusBadRequest, apacheHead},
	{http.StatusBadRequest, gunicornHead},
	{http.StatusBadRequest, pumaHead},
}

// An answer is a Response whose parts are fit for use.
type answer struct {
	Response
	text []byte // of the body, decompressed
	host string // checked and in lower case, or ""
	// origin is that of host, checked, or "".
	origin string
}

// read checks and decodes r.
func read(r Response) (answer, bool) {
	text, ok := decode(r.Header.Get("Content-Encoding"), r.Body[:min(len(r.Body), Peek)])
	if !ok {
		return answer{}, false
	}
	a := answer{Response: r, text: bytes.TrimSpace(text)}
	if isName(r.Host) {
		a.host = strings.ToLower(r.Host)
		if isOrigin(r.Origin, a.host) {
			a.origin = strings.ToLower(r.Origin)
		}
	}
	return a, true
}

// says reports whether the whole body is s.
func (a answer) says(s string) bool { return string(a.text) == s }

// has reports whether s stands in the part of the body that is known.
func (a answer) has(s string) bool { return bytes.Contains(a.text, []byte(s)) }

// media returns the content type without its parameters.
func (a answer) media() string {
	kind, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(kind))
}

// isName reports whether s can stand in a configuration line of any language
// as it is.
func isName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_':
		default:
			return false
		}
	}
	return true
}

// isOrigin reports whether s is an https origin of host, on any port.
func isOrigin(s, host string) bool {
	s, ok := strings.CutPrefix(strings.ToLower(s), "https://"+host)
	if !ok || s == "" {
		return ok
	}
	port, ok := strings.CutPrefix(s, ":")
	return ok && port != "" && len(port) <= 5 && strings.Trim(port, "0123456789") == ""
}

package proxy

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"devproxy/internal/hostname"
)

const (
	// listedRoutes is how many routes a page lists.
	listedRoutes = 50

	// shownPath is how many bytes of a request's path a page repeats.
	shownPath = 200
)

//go:embed pages/page.html
var pageText string

//go:embed pages/style.css
var styleText string

//go:embed pages/wait.js
var waitText string

// pages writes devproxy's own answers: a page for browsers, one line of text
// for all others.
type pages struct {
	template *template.Template
	policy   string // the Content-Security-Policy header
	waiting  string // that of a page that waits for the backend
}

// A page is one such answer. All its fields are shown as text, whatever
// characters they have.
type page struct {
	Status  int
	Title   string
	Message string // a sentence
	Fix     *fact  // what to do, to the letter
	Facts   []fact
	Hint    string
	Nearest *link // what was probably meant
	Routes  []link
	More    int  // routes that are not listed
	Wait    bool // load again when the backend is there
}

type fact struct{ Label, Value string }

// A link is a route and its URL, "" for a wildcard, which has none.
type link struct{ Text, URL, Backend string }

func newPages() *pages {
	tmpl := template.Must(template.New("page").Parse(pageText))
	// Style sheet and script go into the page; their hashes are all that the
	// policy allows.
	template.Must(tmpl.New("style").Parse(styleText))
	template.Must(tmpl.New("wait").Parse(waitText))
	// Without frame-ancestors: an app that shows another route in a frame
	// should show this page, too, when that route is broken.
	policy := "default-src 'none'; base-uri 'none'; form-action 'none'; style-src " + sourceHash(styleText)
	return &pages{tmpl, policy, policy + "; connect-src 'self'; script-src " + sourceHash(waitText)}
}

// sourceHash allows a text in a Content-Security-Policy.
func sourceHash(text string) string {
	hash := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"
}

func (p *pages) write(w http.ResponseWriter, r *http.Request, pg page) {
	if wantsHTML(r) {
		if body, ok := p.render(pg); ok {
			p.describe(w.Header(), len(body), pg.Wait)
			w.WriteHeader(pg.Status)
			w.Write(body)
			return
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Vary", "Accept")
	plainError(w, pg.Status, pg.line())
}

// render returns a page as HTML.
func (p *pages) render(pg page) (body []byte, ok bool) {
	var b bytes.Buffer
	err := p.template.Execute(&b, pg)
	return b.Bytes(), err == nil
}

// describe sets the headers of a page of so many bytes.
func (p *pages) describe(h http.Header, size int, waits bool) {
	policy := p.policy
	if waits {
		policy = p.waiting
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(size))
}

// line is the page for those who read text.
func (pg page) line() string {
	var b strings.Builder
	b.WriteString("devproxy: " + pg.Message)
	if pg.Fix != nil {
		fmt.Fprintf(&b, " %s: %s.", pg.Fix.Label, pg.Fix.Value)
	}
	for _, f := range pg.Facts {
		fmt.Fprintf(&b, " %s: %s.", f.Label, f.Value)
	}
	if pg.Nearest != nil {
		fmt.Fprintf(&b, " Did you mean %s ?", pg.Nearest.URL)
	}
	if pg.Hint != "" {
		b.WriteString(" " + pg.Hint)
	}
	return b.String()
}

// wantsHTML reports whether the client is a browser that will show the answer
// as a page: only those ask for HTML by name. Scripts and images on a page
// do not, nor do command line tools.
func wantsHTML(r *http.Request) bool {
	for _, accept := range r.Header["Accept"] {
		for option := range strings.SplitSeq(accept, ",") {
			kind, params, _ := strings.Cut(option, ";")
			if strings.EqualFold(strings.TrimSpace(kind), "text/html") && !zeroWeight(params) {
				return true
			}
		}
	}
	return false
}

// zeroWeight reports whether the parameters of a media range have a weight of 0
// (RFC 9110, section 12.4.2).
func zeroWeight(params string) bool {
	for param := range strings.SplitSeq(params, ";") {
		if q, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(param)), "q="); ok {
			weight, err := strconv.ParseFloat(q, 32)
			return err == nil && weight == 0
		}
	}
	return false
}

// notFound answers a request that no route is for.
func (p *Proxy) notFound(x *exchange, r *http.Request, routes *snapshot) {
	name := hostname.Display(x.host)
	pg := page{
		Status:  http.StatusNotFound,
		Title:   "No route for this host",
		Message: fmt.Sprintf("No route serves %s.", name),
	}
	if routes.host(x.host) != nil {
		pg.Title = "No route for this path"
		pg.Message = fmt.Sprintf("No route of %s serves the path %s.", name, x.shownPath())
	} else if route := routes.nearest(x.host); route != nil {
		nearest := x.link(route)
		pg.Nearest = &nearest
	}
	if wantsHTML(r) {
		pg.Routes, pg.More = x.links(routes)
	}
	p.pages.write(x, r, pg)
}

// links lists the routes, those of the request's host first.
func (x *exchange) links(routes *snapshot) (list []link, more int) {
	var others []link
	for _, r := range routes.routes {
		if r.Host == x.host {
			list = append(list, x.link(r))
		} else if len(others) < listedRoutes {
			others = append(others, x.link(r))
		}
	}
	list = append(list, others...)
	list = list[:min(len(list), listedRoutes)]
	return list, len(routes.routes) - len(list)
}

func (x *exchange) link(r *Route) link {
	l := link{Text: r.label(), Backend: r.Backend.Name}
	if !strings.HasPrefix(r.Host, "*.") {
		l.URL = httpsURL(r.Host, x.conn.local.Port(), r.Path)
	}
	return l
}

func (x *exchange) shownPath() string {
	if len(x.path) > shownPath {
		return strconv.QuoteToASCII(x.path[:shownPath]) + "…"
	}
	return strconv.QuoteToASCII(x.path)
}

// badGateway answers a request whose backend gave no response.
func (p *Proxy) badGateway(x *exchange, r *http.Request, f failure) {
	pg := page{
		Status: f.status,
		Title:  "The app does not answer",
		Message: fmt.Sprintf("%s is routed to %s, but %s.",
			x.route.label(), x.route.Backend.Name, f.reason),
		Hint: f.hint,
	}
	if f.title != "" {
		pg.Title = f.title
	}
	if f.absent {
		pg.Title = "The app is not there"
		pg.Wait = r.Method == http.MethodGet
		x.Header().Set("Retry-After", "1")
	}
	if f.detail != "" {
		pg.Facts = []fact{{"Error", f.detail}}
	}
	p.pages.write(x, r, pg)
}

// misdirected answers a request for another host than its connection is for.
// Browsers then ask again on a connection of its own (RFC 9110, section 15.5.20).
func (p *Proxy) misdirected(x *exchange, r *http.Request) {
	opened := "an address, without a server name (SNI)"
	if name := r.TLS.ServerName; name != "" {
		opened = strconv.QuoteToASCII(name)
	}
	p.pages.write(x, r, page{
		Status: http.StatusMisdirectedRequest,
		Title:  "Wrong connection for this host",
		Message: fmt.Sprintf("This connection was opened for %s, but the request is for %s.",
			opened, hostname.Display(x.host)),
		Hint: "The host of a request must be the one that the certificate of its connection names.",
	})
}

// refuse answers a request that makes no sense.
func (p *Proxy) refuse(x *exchange, r *http.Request, why error) {
	p.pages.write(x, r, page{
		Status:  http.StatusBadRequest,
		Title:   "Bad request",
		Message: fmt.Sprintf("The request cannot be routed: %v.", why),
	})
}

// refuseConnect answers CONNECT, which asks for a tunnel: this is not that
// kind of proxy. What the client has sent for the tunnel already must not be
// taken for requests.
func (p *Proxy) refuseConnect(x *exchange, r *http.Request) {
	if r.ProtoMajor == 1 {
		x.Header().Set("Connection", "close")
	}
	p.pages.write(x, r, page{
		Status:  http.StatusNotImplemented,
		Title:   "CONNECT is not supported",
		Message: "This is a reverse proxy: it opens no tunnels.",
		Hint:    "Do not set it as HTTPS_PROXY; open the URL of a route instead.",
	})
}

// badBody answers a request whose body could not be read to its end.
func (p *Proxy) badBody(x *exchange, r *http.Request) {
	p.pages.write(x, r, page{
		Status:  http.StatusBadRequest,
		Title:   "Bad request",
		Message: "The body of the request is malformed or incomplete.",
	})
}

package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// ServeRedirect accepts plain HTTP on ln and sends clients on to the same URL
// under https on httpsPort, provided that a route has the host. It may be
// called for several listeners, each from its own goroutine. It closes ln,
// and returns nil after Shutdown, else why it cannot go on accepting.
func (p *Proxy) ServeRedirect(ln net.Listener, httpsPort uint16) error {
	return unlessClosed(p.redirect.Serve(redirectListener{newRefuser(ln, p.log, &p.notices), httpsPort}))
}

// A redirectListener remembers where its clients are sent.
type redirectListener struct {
	net.Listener
	httpsPort uint16
}

type httpsPortKey struct{}

// redirectContext is the base context of the redirect server.
func redirectContext(ln net.Listener) context.Context {
	return context.WithValue(context.Background(), httpsPortKey{}, ln.(redirectListener).httpsPort)
}

// serveRedirect answers a request that came over plain HTTP. The redirect is
// temporary and may not be stored: a browser that remembered it would not
// reach what else runs on this port later.
func (p *Proxy) serveRedirect(w http.ResponseWriter, r *http.Request) {
	routes := p.table.current.Load()
	host, err := routes.normalHost(r.Host)
	w.Header().Set("Cache-Control", "no-store")
	if err != nil || routes.host(host) == nil {
		plainError(w, http.StatusNotFound, "devproxy: no route serves this host")
		return
	}
	path, err := requestPath(r)
	if err != nil || !strings.HasPrefix(path, "/") {
		plainError(w, http.StatusBadRequest, "devproxy: the request target is not a valid path")
		return
	}
	port := r.Context().Value(httpsPortKey{}).(uint16)
	redirectTemporarily(w, httpsURL(host, port, path), r.URL)
}

// redirectTemporarily sends the client to a URL, with the query of the one it
// has asked for. Nobody may store that.
func redirectTemporarily(w http.ResponseWriter, to string, asked *url.URL) {
	if asked.ForceQuery || asked.RawQuery != "" {
		to += "?" + asked.RawQuery
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Location", to)
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusTemporaryRedirect)
}

// plainError answers with one line of text.
func plainError(w http.ResponseWriter, status int, line string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(line)+1))
	w.WriteHeader(status)
	io.WriteString(w, line+"\n")
}

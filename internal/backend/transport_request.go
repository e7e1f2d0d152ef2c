package backend

import (
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
)

// request returns c as net/http takes it.
func (c *Call) request(t Target) *http.Request {
	ctx := c.Ending()
	if interim := c.Interim; interim != nil {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
			Got1xxResponse: func(code int, header textproto.MIMEHeader) error { return interim(code, http.Header(header)) },
		})
	}
	r := (&http.Request{
		Method:        c.Method,
		URL:           c.url(t),
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        make(http.Header, len(c.Fields)+4),
		Host:          c.Host,
		ContentLength: c.Length,
		Trailer:       c.Trailer,
	}).WithContext(ctx)
	if c.Body != nil {
		r.Body = c.Body
	}
	for _, f := range c.Fields {
		if !isFraming(f.Name) {
			r.Header[f.Name] = append(r.Header[f.Name], f.Value)
		}
	}
	if r.Header["User-Agent"] == nil {
		r.Header["User-Agent"] = []string{""} // or net/http would send its own
	}
	if c.Upgrade != "" {
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", c.Upgrade)
	}
	if c.Continue {
		r.Header.Set("Expect", "100-continue")
	}
	return r
}

// url returns a URL that net/http writes as the path and the query of c.
func (c *Call) url(t Target) *url.URL {
	u := &url.URL{Scheme: "http", Host: t.Address}
	switch t.Scheme {
	case "https":
		u.Scheme = "https"
	case "unix":
		u.Host = "localhost" // not used; the path of a socket is no host
	}
	u.RawQuery = strings.TrimPrefix(c.Query, "?")
	u.ForceQuery = c.Query == "?"
	SetPath(u, c.Path)
	return u
}

// SetPath makes u, a URL or a request target, write path, which is escaped, as it
// is.
func SetPath(u *url.URL, path string) {
	if plain, err := url.PathUnescape(path); err == nil {
		if u.Path, u.RawPath = plain, ""; u.EscapedPath() == path {
			return
		}
		if u.RawPath = path; u.EscapedPath() == path {
			return
		}
	}
	// net/url would write Opaque "//x" as "scheme://x". So a path that begins
	// with two slashes and has characters that belong escaped gets them escaped.
	if !strings.HasPrefix(path, "//") {
		u.Opaque = path
	}
}

package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

const (
	appTime = 2 * time.Second
	appBody = 8 << 10 // of the page, in bytes
)

// An App is a server behind devproxy.
type App struct {
	Backend *url.URL // http://host:port; a host of "localhost" is tried on both families
	Host    string   // of the Host header, with the port unless it is 443
	Path    string   // escaped
	Port    string   // of our listener
}

// Scheme asks the app for one page as devproxy would, and judges whether it
// knows that the person is on https.
func (a App) Scheme(ctx context.Context) Verdict {
	ctx, cancel := context.WithTimeout(ctx, appTime)
	defer cancel()
	resp, err := a.get(ctx)
	if err != nil {
		return Verdict{State: Unknown, Detail: "no answer to a request: " + Reason(err)}
	}
	defer resp.Body.Close()
	to, err := resp.Location()
	if resp.StatusCode < 300 || resp.StatusCode > 399 || err != nil {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, appBody))
		return a.judgePage(resp, body)
	}
	return a.judgeRedirect(resp, to)
}

func (a App) get(ctx context.Context) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.Backend.String(), nil)
	if err != nil {
		return nil, err
	}
	req.URL.Path, req.URL.RawPath = "", ""
	if u, err := url.ParseRequestURI(a.Path); err == nil {
		req.URL.Path, req.URL.RawPath = u.Path, u.RawPath
	}
	req.Host = a.Host
	req.Header.Set("Accept", "text/html")
	req.Header.Set("User-Agent", "devproxy-doctor")
	req.Header.Set("X-Forwarded-For", "127.0.0.1")
	req.Header.Set("X-Forwarded-Proto", "https")
	req.Header.Set("X-Forwarded-Host", a.Host)
	req.Header.Set("X-Forwarded-Port", a.Port)
	transport := &http.Transport{DialContext: dialBackend, DisableKeepAlives: true}
	return transport.RoundTrip(req)
}

// dialBackend reaches "localhost" on both families, as devproxy does.
func dialBackend(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	host, port, err := net.SplitHostPort(address)
	if err != nil || !strings.EqualFold(host, "localhost") {
		return d.DialContext(ctx, network, address)
	}
	conn, err := d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return d.DialContext(ctx, network, net.JoinHostPort("::1", port))
	}
	return conn, nil
}

// judgeRedirect looks where the app sends a person who is on https already.
func (a App) judgeRedirect(resp *http.Response, to *url.URL) Verdict {
	// Relative ones are resolved against the backend's URL, whose scheme says
	// nothing; they keep the person's.
	if raw, err := url.Parse(resp.Header.Get("Location")); err == nil && raw.Scheme == "" {
		return Verdict{State: OK, Detail: "redirects without naming a scheme"}
	}
	if !strings.EqualFold(to.Hostname(), hostOf(a.Host)) {
		return Verdict{State: Unknown, Detail: "redirects to another host: " + shortened(to.Hostname())}
	}
	same := to.EscapedPath() == a.Path || to.EscapedPath() == "" && a.Path == "/"
	same = same && to.RawQuery == ""
	fix := "make it heed X-Forwarded-Proto: " + framework(resp.Header)
	switch {
	case to.Scheme == "http" && same:
		return Verdict{Fail, "redirects to the same page over http, so it goes round in circles", fix}
	case to.Scheme == "http":
		return Verdict{Warn, fmt.Sprintf("ignores X-Forwarded-Proto: redirects to http://%s", shortened(to.Host)), fix}
	case to.Scheme == "https" && same:
		return Verdict{Fail, "redirects to the very same https page, so it goes round in circles: it takes the request for http", fix}
	}
	return Verdict{State: OK, Detail: "redirects within https"}
}

// judgePage looks for links that lead away from https.
func (a App) judgePage(resp *http.Response, body []byte) Verdict {
	host := hostOf(a.Host)
	for _, end := range []string{"/", ":", `"`, "'"} {
		if bytes.Contains(bytes.ToLower(body), []byte("http://"+host+end)) {
			return Verdict{Warn, "its page has links to http://" + host, "make it heed X-Forwarded-Proto: " + framework(resp.Header)}
		}
	}
	return Verdict{State: OK, Detail: fmt.Sprintf("answers %d and leads nobody to http", resp.StatusCode)}
}

func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return hostport
}

// framework says how the framework that the headers betray is told to trust
// a proxy; all of the usual ones where they betray none.
func framework(h http.Header) string {
	const (
		flask   = "Flask: app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1, x_host=1) from werkzeug.middleware.proxy_fix"
		django  = `Django: SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")`
		express = `Express: app.set("trust proxy", "loopback")`
		rails   = "Rails: config.assume_ssl = true"
	)
	server, powered := strings.ToLower(h.Get("Server")), strings.ToLower(h.Get("X-Powered-By"))
	switch {
	case strings.Contains(server, "werkzeug"):
		return flask
	case strings.Contains(server, "wsgiserver"):
		return django
	case strings.Contains(powered, "express"):
		return express
	case h.Get("X-Runtime") != "":
		return rails
	}
	return strings.Join([]string{flask, django, express, rails}, "; ")
}

// Reason says why a connection could not be made, in words.
func Reason(err error) string {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens there (connection refused)"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no way to that machine (unreachable)"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed without an answer"
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return "the system does not allow the connection (a firewall?)"
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return fmt.Sprintf("the name %s is not found", dns.Name)
	}
	if errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	return err.Error()
}

package proxy

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"devproxy/internal/hostname"
)

var (
	errHost   = errors.New("the Host header is not a valid host name")
	errPath   = errors.New("the request target is not a valid path")
	errMethod = errors.New("the method is not a valid token")
	errLength = errors.New("the Content-Length is not that of the body")
)

// splitHost returns the host of a Host header or :authority, without its port
// and without the brackets of an IPv6 address. It reports false when
// hostport has another form than host[:port].
func splitHost(hostport string) (host string, ok bool) {
	host, port := hostport, ""
	if rest, bracketed := strings.CutPrefix(hostport, "["); bracketed {
		if host, port, ok = strings.Cut(rest, "]"); !ok || !strings.Contains(host, ":") {
			return "", false
		}
		if port != "" && port[0] != ':' {
			return "", false
		}
		port = strings.TrimPrefix(port, ":")
	} else if i := strings.IndexByte(hostport, ':'); i >= 0 {
		host, port = hostport[:i], hostport[i+1:]
	}
	if port != "" {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return "", false
		}
	}
	return host, host != ""
}

// normalHost returns the host of a Host header or :authority in the form the
// table knows: a normalised name, or an IP address in its canonical spelling.
func (s *snapshot) normalHost(hostport string) (string, error) {
	host, ok := splitHost(hostport)
	if !ok {
		return "", errHost
	}
	// A name that is a key of the table is in normal form; most requests end here.
	if _, ok := s.exact[host]; ok {
		return host, nil
	}
	if addr, ok := parseIP(host); ok {
		return addr.String(), nil
	}
	// Clients send A-labels. Backends would read a name in Unicode, which only
	// HTTP/2 lets through to here, in ways of their own.
	if !isASCII(host) {
		return "", errHost
	}
	name, err := hostname.Normalize(host)
	if err != nil {
		return "", errHost
	}
	return name, nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// isToken reports whether s is a token (RFC 9110, section 5.6.2), as a method
// must be. HTTP/2 can carry others, which would not fit a request line.
func isToken(s string) bool {
	for i := range len(s) {
		if !alphanumeric(s[i]) && strings.IndexByte("!#$%&'*+-.^_`|~", s[i]) < 0 {
			return false
		}
	}
	return s != ""
}

// parseIP returns the address that host spells, comparable to others: without
// a zone, and not an IPv4 address in IPv6 clothes.
func parseIP(host string) (netip.Addr, bool) {
	// Names seldom begin with a digit; spare them ParseAddr's error.
	if host == "" || (host[0] < '0' || host[0] > '9') && !strings.Contains(host, ":") {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(host)
	return comparableIP(addr), err == nil
}

func comparableIP(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// directed reports whether host, in the form normalHost returns, is the one
// the connection was opened for, and so the one its certificate names: the
// client's SNI, or the address it connected to when it sent none. Anything
// else is a forged Host header, or a browser that reuses a connection for a
// host it does not belong to (RFC 9110, section 7.4).
func directed(state *tls.ConnectionState, local netip.AddrPort, host string) bool {
	sni := state.ServerName
	if sni == host {
		return true
	}
	if addr, ok := parseIP(host); ok {
		named, isIP := parseIP(sni)
		return sni == "" && addr == comparableIP(local.Addr()) || isIP && addr == named
	}
	name, err := hostname.Normalize(sni)
	return err == nil && name == host
}

// requestPath returns the path of the request as it came over the wire,
// without the query: net/url would decode it and then escape it its own way.
func requestPath(r *http.Request) (string, error) {
	uri := r.RequestURI
	// HTTP/2 can carry a space, which would end the target on an HTTP/1.1
	// request line; net/http has refused all other control characters.
	if strings.Contains(uri, " ") {
		return "", errPath
	}
	if !strings.HasPrefix(uri, "/") && uri != "*" {
		// The absolute form, http://host/path. Another scheme-like prefix, as
		// in "http:path", would end up glued to the host name somewhere. HTTP/2
		// has no such form, and net/http takes the host from elsewhere there
		// (RFC 9113, section 8.3.1).
		_, rest, ok := strings.Cut(uri, "://")
		if !ok || r.URL.Host == "" || r.ProtoMajor > 1 {
			return "", errPath
		}
		uri = "/"
		if i := strings.IndexAny(rest, "/?"); i >= 0 && rest[i] == '/' {
			uri = rest[i:]
		}
	}
	path, _, _ := strings.Cut(uri, "?")
	return path, nil
}

// agreesOnLength reports whether the request's body has the length that the request
// says. In HTTP/2 net/http goes by the first of several lengths, and by none
// where there is no body (RFC 9113, section 8.1.1).
func agreesOnLength(r *http.Request) bool {
	for _, value := range r.Header["Content-Length"] {
		if n, err := strconv.ParseInt(value, 10, 64); err != nil || n != r.ContentLength {
			return false
		}
	}
	return true
}

// httpsURL returns the URL of a host and an escaped path on an https port.
func httpsURL(host string, port uint16, path string) string {
	if port != 443 {
		host = net.JoinHostPort(host, strconv.Itoa(int(port)))
	}
	return "https://" + host + path
}

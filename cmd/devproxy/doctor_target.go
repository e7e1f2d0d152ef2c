package main

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"devproxy/internal/config"
	"devproxy/internal/hostname"
)

// A target is what doctor was asked about.
type target struct {
	text string // as a person reads it
	host string // a normalised name or an address
	port uint16 // 0 where none was named
	path string // escaped; "" where none was named
}

const targetHint = "write a host name such as shop.localhost, or a URL such as https://shop.localhost:8443/api"

// parseTarget parses HOST, HOST:PORT or an https URL.
func parseTarget(arg string) (*target, error) {
	wrong := func(format string, args ...any) error { return withHint(usagef(format, args...), "%s", targetHint) }
	switch {
	case arg == "":
		return nil, wrong("the host is empty")
	case strings.ContainsFunc(arg, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }):
		return nil, wrong("%q has blanks or control characters", arg)
	}
	rest, isURL := arg, false
	if scheme, after, ok := strings.Cut(arg, "://"); ok {
		if !strings.EqualFold(scheme, "https") {
			return nil, wrong("the scheme %q is not https", scheme)
		}
		rest, isURL = after, true
	} else if addr, err := netip.ParseAddr(arg); err == nil && addr.Is6() {
		rest = "[" + arg + "]"
	}
	authority, _, _ := strings.Cut(rest, "/")
	if strings.Contains(authority, "@") {
		return nil, wrong("a user name or password does not belong here") // not repeated: it may be secret
	}
	u, err := url.Parse("https://" + rest)
	if err != nil {
		return nil, wrong("%q is not a host or an https URL", arg)
	}
	t := &target{path: u.EscapedPath()}
	if !isURL && t.path == "/" {
		t.path = ""
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
		if addr.Zone() != "" {
			return nil, wrong("%q: an address with a zone has no certificate", arg)
		}
		t.host = addr.Unmap().String()
	} else if t.host, err = hostname.Normalize(u.Hostname()); err != nil {
		return nil, wrong("%v", err)
	}
	t.text = hostname.Display(t.host)
	if strings.Contains(t.host, ":") {
		t.text = "[" + t.host + "]"
	}
	if text := u.Port(); text != "" {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || port == 0 {
			return nil, wrong("port %s is not between 1 and 65535", text)
		}
		t.port = uint16(port)
		t.text += ":" + text
	}
	if isURL {
		t.text = "https://" + t.text + t.path
	}
	return t, nil
}

// address returns where to connect to.
func (t *target) address() string {
	port := t.port
	if port == 0 {
		port = httpsPort
	}
	return net.JoinHostPort(t.host, strconv.Itoa(int(port)))
}

// onThisMachine reports whether the target's name or address is this machine's
// whatever any resolver says.
func (t *target) onThisMachine() bool {
	addr, err := netip.ParseAddr(t.host)
	return err == nil && addr.IsLoopback() || hostname.Within(t.host, "localhost")
}

// routesOf returns those of routes that answer for the target: the one for
// its path or, where none was named, all of its host.
func (t *target) routesOf(routes []config.Route) []config.Route {
	host := ""
	for _, r := range routes {
		base, wild := strings.CutPrefix(r.Host, "*.")
		switch {
		case r.Host == t.host:
			host = r.Host
		case wild && t.host != base && hostname.Within(t.host, base) && host != t.host && len(r.Host) > len(host):
			host = r.Host
		}
	}
	var found []config.Route
	for _, r := range routes {
		if r.Host != host {
			continue
		}
		r.Host = t.host // the very name that was asked for
		switch {
		case t.path == "":
			found = append(found, r)
		case !pathWithin(t.path, r.Path):
		case len(found) == 0 || len(r.Path) > len(found[0].Path):
			found = []config.Route{r}
		}
	}
	return found
}

// pathWithin reports whether a route for prefix answers for path.
func pathWithin(path, prefix string) bool {
	return prefix == "/" || path == prefix || strings.HasPrefix(path, prefix+"/")
}

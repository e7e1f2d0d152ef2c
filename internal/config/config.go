// Package config reads devproxy.toml: it finds the file, decodes it, checks
// every value and returns plain typed values. All mistakes of a file are
// reported together, each with its line and, where there is one, a hint on
// what to write instead.
//
// It knows nothing of what the values are for: whether an address can be
// listened on, a backend answers or a certificate may be issued is for others
// to find out.
package config

import (
	"crypto/x509"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"devproxy/internal/hostname"
)

// A Config is what a file says, checked and in normal form. It is not changed
// after it was made: readers may share it.
//
// The fields marked with a key are the one documentation of that key.
type Config struct {
	// File is the absolute path of the file, or "" when there is none.
	File string

	// Listen (listen, an array of "IP:port") are the addresses that serve
	// https. Port 0 stands for any free port. Nil when unset: devproxy then
	// chooses; an empty array is a mistake.
	Listen []netip.AddrPort

	// Redirect (redirect, an array of "IP:port") are the addresses that send
	// http requests to https. Nil when unset: devproxy then chooses; empty
	// turns the redirect off.
	Redirect []netip.AddrPort

	// Domains (ca.domains, an array of names) are the domains for which the
	// root may sign besides the ones it always may. Normalised, sorted, without
	// repetition. Public suffixes ("dev", "co.uk", "github.io") are mistakes.
	Domains []string

	Log Log

	// KeyLog (tls.keylog, a path) is the file that the secrets of clients' TLS
	// connections are written to, for Wireshark: absolute and clean. Whoever
	// reads it can read all that they send and get, so that it is always among
	// the Warnings. A relative path begins in the folder of the file. "" when
	// unset: they are not written.
	KeyLog string

	// Routes ([routes]) are in the order of the file. No two have the same host
	// and path.
	Routes []Route

	// Warnings are things that work but are likely to surprise, in the same
	// form as mistakes.
	Warnings []*Error
}

// Log says what is logged.
type Log struct {
	Level  string // log.level: "debug", "info" (when unset), "warn" or "error"
	Format string // log.format: "console" (when unset) or "json"
	Access bool   // log.access: one line per request; true when unset
}

// A Route sends the requests for a host, below a path, to a target.
type Route struct {
	// Host is a normalised name, or "*." and a normalised name: any name below
	// that one, at any depth.
	Host string

	// Path is "/" or begins with a slash and does not end with one ("/api"). It
	// is in escaped form, as in a request line, with capital letters in
	// percent-encodings.
	Path string

	// Target (to) is where requests go; not to be modified. It is one of
	//   - http://host:port, https://host:port and h2c://host:port (HTTP/2 without
	//     encryption), always with a port,
	//   - unix:/path, HTTP over a socket, and dir:/path, the files of a folder:
	//     Path is absolute, clean and not escaped. TargetText shows them,
	//   - builtin:hello, an app of devproxy's own, named by Opaque.
	Target *url.URL

	// StripPrefix (strip_prefix) hides Path from the backend. Never set where
	// Path is "/".
	StripPrefix bool

	// HostHeader (host) is the Host that the backend sees: "preserve" (when
	// unset) is that of the browser, "backend" that of Target, and all else is
	// it itself, a name in normal form or an IP address, perhaps with a port.
	HostHeader string

	// Hold (hold, such as "5s") is how long to wait for a backend that refuses
	// connections: from 0, not at all, to 10 minutes. 5 seconds when unset.
	Hold time.Duration

	// KeepHSTS (hsts, "strip" or "keep") lets Strict-Transport-Security of
	// responses through. Browsers remember it for a name longer than a developer
	// does [32]: "strip" when unset.
	KeepHSTS bool

	// Insecure (insecure) skips the verification of the backend's certificate.
	// Set for https only.
	Insecure bool

	// ClientAuth (client_auth) says whether certificates are asked for from the
	// clients of the host: "none" (when unset), "request", when those without one
	// are served, too, or "require". ClientCA (client_ca) is the absolute path of
	// the PEM file with the certificates that theirs have to lead to, or be, and
	// ClientAnchors are these; without it they have to lead to devproxy's own CA.
	// All routes of a host have the same, which one of them says at least. A
	// wildcard's hold for the names that it answers for.
	ClientAuth    string
	ClientCA      string
	ClientAnchors []*x509.Certificate

	// RequestHeaders (request_headers) are applied to what the backend gets,
	// ResponseHeaders (response_headers) to what the browser gets. HostHeader,
	// Hold and RequestHeaders are as when unset for dir: and builtin:.
	RequestHeaders, ResponseHeaders HeaderRules

	// Line is where the file defines the route; 0 when the command line does.
	Line int
}

// HeaderRules change the header fields of a message: first Remove, then Set.
// Names are in canonical form (textproto.CanonicalMIMEHeaderKey), and none is in
// both. Values may be secrets; no message quotes them. Not to be modified.
type HeaderRules struct {
	Set    map[string]string // by name; "" is a value like others; nil for none
	Remove []string          // sorted, without repetition; nil for none
}

// TargetText returns the target as a person writes it in a file. In that of
// unix: and dir: blanks and percent signs stand for themselves, other than in
// Target.String.
func (r Route) TargetText() string {
	if r.Target.Scheme == "unix" || r.Target.Scheme == "dir" {
		return r.Target.Scheme + ":" + r.Target.Path
	}
	return r.Target.String()
}

// Key returns the host and, unless it is "/", the path, as a person writes them
// in a file: international names are readable.
func (r Route) Key() string {
	key := hostname.Display(r.Host)
	if r.Path != "/" {
		key += r.Path
	}
	return key
}

// same reports whether both routes answer for the same host and path.
func (r Route) same(other Route) bool {
	return r.Host == other.Host && r.Path == other.Path
}

// Default returns the configuration used where there is no file: one route,
// hello.localhost, to the built-in app.
func Default() *Config {
	return &Config{
		Log:    defaultLog(),
		Routes: []Route{newRoute("hello.localhost", "/", &url.URL{Scheme: "builtin", Opaque: "hello"})},
	}
}

// newRoute returns a route without options. The target may be nil for now.
func newRoute(host, path string, target *url.URL) Route {
	return Route{Host: host, Path: path, Target: target, HostHeader: hostPreserve, Hold: defaultHold, ClientAuth: clientAuthNone}
}

// WithRoutes returns a copy of c in which each of the extra routes replaces the
// one with the same host and path or, where there is none, follows the others.
// A host that asks for client certificates goes on asking for them. What would surprise about them, a target that is devproxy itself included, is
// among the Warnings of the copy.
func (c *Config) WithRoutes(extra []Route) *Config {
	merged := *c
	merged.Routes = slices.Clone(c.Routes)
	merged.Warnings = slices.Clone(c.Warnings)
	for _, r := range extra {
		if i := slices.IndexFunc(c.Routes, func(o Route) bool { return o.Host == r.Host }); i >= 0 {
			r.takeClients(c.Routes[i])
		}
		if i := slices.IndexFunc(merged.Routes, r.same); i >= 0 {
			merged.Routes[i] = r
			continue
		}
		merged.Routes = append(merged.Routes, r)
	}
	if len(extra) == 0 {
		return &merged
	}
	wildcards := wildcardsOf(merged.Routes)
	for _, r := range merged.Routes {
		if !slices.ContainsFunc(extra, r.same) {
			continue
		}
		found := []*Error{warnTarget(r, r.Key()), c.loop(r, r.Key()), c.exposed(r, r.Key())}
		if !slices.ContainsFunc(c.Routes, r.same) { // else c warns of its host already
			found = append(found, warnHost(r, r.Key()))
		}
		if !slices.ContainsFunc(c.Routes, func(o Route) bool { return o.Host == r.Host }) {
			found = append(found, warnClients(r, wildcards, r.Key()))
		}
		for _, w := range found {
			if w != nil {
				merged.Warnings = append(merged.Warnings, w.tidy())
			}
		}
	}
	return &merged
}

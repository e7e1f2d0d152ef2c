package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"devproxy/internal/hostname"
)

// Values of host that are not names.
const (
	hostPreserve = "preserve"
	hostBackend  = "backend"
)

const (
	defaultHold = 5 * time.Second
	longestHold = 10 * time.Minute // a browser has given up long before
)

// readLongForm reads [routes."key"] into r. The path of r is "" when its key is
// wrong; its target stays nil when that is.
func (p *parser) readLongForm(t table, key string, r *Route) {
	known := routeSection.keys
	for _, k := range t.unknown(known) {
		hint := ""
		switch {
		case slices.Contains(headersSection.keys, k):
			hint = fmt.Sprintf("%q belongs into request_headers or response_headers", k)
		case nearest(k, known) == "" && !strings.Contains(key, "."):
			hint = fmt.Sprintf("if you mean the host %q, put it in quotes", key+"."+k)
		case strings.Contains(k, "."): // added to the end of the file, below the last long form
			hint = fmt.Sprintf(`if it is a route, move it up to the others below [routes], or give it a line of its own: [routes.%q]`, k)
		}
		t.reportUnknown(k, known, hint)
	}
	if !t.has("to") {
		p.report(fault(`add a line such as to = "http://127.0.0.1:5000"`, `no target: "to" is missing`), routeName(key), t.path...)
	} else {
		var e *Error
		if r.Target, e = readTarget(t.values["to"], p.folder); e != nil {
			p.report(e, routeName(key), t.at("to")...)
		}
	}
	if r.StripPrefix, _ = t.flag("strip_prefix"); r.StripPrefix && r.Path == "/" {
		t.report("strip_prefix", fault(fmt.Sprintf("remove it, or add a path to the route: %q", strings.TrimSuffix(key, "/")+"/api"), "the route has no path to strip"))
	}
	hsts, _ := t.choice("hsts", "strip", "keep")
	r.KeepHSTS = hsts == "keep"
	r.ResponseHeaders = readHeaders(t, "response_headers", true)
	p.readClientAuth(t, key, r)
	p.readBackendOptions(t, r)
}

// readBackendOptions reads the keys that make sense only where another program
// gets the requests.
func (p *parser) readBackendOptions(t table, r *Route) {
	if r.Target != nil && (r.Target.Scheme == "dir" || r.Target.Scheme == "builtin") {
		for _, key := range []string{"host", "hold", "insecure", "request_headers"} {
			if t.has(key) {
				t.report(key, fault("remove "+key, "is only for a backend, not for %q", r.Target.Scheme+":"))
			}
		}
		return
	}
	if s, ok := t.text("host"); ok {
		var e *Error
		if r.HostHeader, e = parseHostHeader(s); e != nil {
			t.report("host", e)
		}
	}
	if t.has("hold") {
		var e *Error
		if r.Hold, e = parseHold(t.values["hold"]); e != nil {
			t.report("hold", e)
		}
	}
	if r.Insecure, _ = t.flag("insecure"); r.Insecure && r.Target != nil && r.Target.Scheme != "https" {
		t.report("insecure", fault("remove insecure, or write the target as https://host:port",
			"only https has certificates to verify, not %q", r.Target.Scheme+":"))
	}
	r.RequestHeaders = readHeaders(t, "request_headers", false)
}

// parseHostHeader parses host: one of two words, or a host as in a URL, which
// it returns in normal form.
func parseHostHeader(s string) (string, *Error) {
	const usual = `write "preserve", "backend" or a name such as "shop.example" or "localhost:3000"`
	if s == hostPreserve || s == hostBackend {
		return s, nil
	}
	// "backends" may well be the name of a host; what is near the other word
	// hardly is.
	switch lower := strings.ToLower(s); {
	case lower == hostBackend:
		return "", fault(fmt.Sprintf("did you mean %q?", hostBackend), "%q is not one of the words that host knows", s)
	case len(s) <= len(hostPreserve)+2 && distance(lower, hostPreserve) <= 2:
		return "", fault(fmt.Sprintf("did you mean %q?", hostPreserve), "%q is not one of the words that host knows", s)
	}
	if ip, err := netip.ParseAddr(s); err == nil && ip.Is6() {
		return "", fault(fmt.Sprintf("write %q", "["+ip.String()+"]"), "the IPv6 address %q needs brackets", s)
	}
	if _, rest, ok := strings.Cut(s, "://"); ok {
		return "", fault(fmt.Sprintf("write %q", rest), "%q is a URL, not a host", s)
	}
	host, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		n, ok := parsePort(s[i+1:])
		if !ok || n == 0 {
			return "", fault(usual, "%q is not a name with a port between 1 and 65535", s)
		}
		host, port = s[:i], ":"+strconv.Itoa(int(n))
	}
	if ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")); err == nil {
		switch {
		case ip.Zone() != "":
			return "", fault(usual, "%q: an address with a zone cannot be a Host", s)
		case ip.Is4() && host == ip.String():
			return host + port, nil
		case ip.Is6() && strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]"):
			return "[" + ip.String() + "]" + port, nil
		}
	}
	if strings.ContainsAny(host, "[]") {
		return "", fault(usual, "in %q the brackets do not hold an IPv6 address", s)
	}
	name, err := hostname.Normalize(host)
	if err != nil {
		return "", fault(usual, "%s", err)
	}
	name += port
	if name == hostPreserve || name == hostBackend { // "preserve."
		return "", fault(fmt.Sprintf("write %q if you mean the word", name), "%q cannot be told from %q", s, name)
	}
	return name, nil
}

// parseHold parses hold.
func parseHold(value any) (time.Duration, *Error) {
	const usual = `write a duration such as "5s", "500ms" or "1m"; "0s" turns it off`
	s, ok := value.(string)
	if n, isNumber := value.(int64); isNumber && n >= 0 {
		return 0, fault(fmt.Sprintf(`write %q`, strconv.FormatInt(n, 10)+"s"), "%d has no unit", n)
	}
	if !ok {
		return 0, fault(usual, "must be a duration, not %s", kind(value))
	}
	hold, err := time.ParseDuration(s)
	switch {
	case err != nil && isDigits(s):
		return 0, fault(fmt.Sprintf("write %q", s+"s"), "%q has no unit", s)
	case err != nil:
		return 0, fault(usual, "%q is not a duration", s)
	case hold < 0:
		return 0, fault(`write "0s" to turn it off`, "%q is negative", s)
	case hold > longestHold:
		return 0, fault(`write "10m" or less`, "%q is longer than 10 minutes", s)
	}
	return hold, nil
}

package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"devproxy/internal/hostname"
)

// longForm reports whether a table looks like the long form of a route.
func longForm(values map[string]any) bool {
	return slices.ContainsFunc(routeSection.keys, func(key string) bool { _, ok := values[key]; return ok })
}

// routeName returns what messages call a route.
func routeName(key string) string { return fmt.Sprintf("route %q", key) }

// ParseRoute parses a route of the command line, "host[/path]=target". Relative
// paths of unix: and dir: begin in folder, an absolute path. The error is an
// *Error without file and line.
func ParseRoute(arg, folder string) (Route, error) {
	key, value, ok := strings.Cut(arg, "=")
	if !ok {
		e := fault(`write host=target, such as "shop.localhost=5173"`, "no target")
		e.Key = routeName(arg)
		return Route{}, e.tidy()
	}
	r, e := parseKey(key)
	if e == nil {
		r.Target, e = parseTarget(value, folder)
	}
	if e != nil {
		e.Key = routeName(key)
		return Route{}, e.tidy()
	}
	return r, nil
}

// readRoutes reads [routes]. All its tables are called by their route in
// messages.
func (p *parser) readRoutes(t table) {
	type spelling struct {
		key  string
		line int
	}
	seen := map[[2]string]spelling{}
	inTop := topSection.keys
	p.config.Routes = make([]Route, 0, len(t.values))
	for _, key := range t.keys() {
		if slices.Contains(inTop, key) && misplaced(key, "routes") != "" && !isTarget(t.values[key]) {
			p.report(fault(misplaced(key, "routes"), "stands below [routes], where keys are host names"), key, t.at(key)...)
			continue
		}
		report := func(e *Error, below ...string) {
			p.report(e, routeName(key), t.at(append([]string{key}, below...)...)...)
		}
		values, isTable := t.values[key].(map[string]any)
		if isTable && unquoted(key, values) {
			for _, l := range leaves([]string{key}, values) {
				p.report(fault(fmt.Sprintf("write %s", l.quoted()), "the host name is not in quotes"),
					routeName(l.name()), t.at(l.path...)...)
			}
			continue
		}
		r, e := parseKey(key)
		if e != nil {
			report(e)
		} else {
			r.Line = p.layout.line(t.at(key)...)
			id := [2]string{r.Host, r.Path}
			if first, ok := seen[id]; ok {
				report(fault("keep one of the two", "the same route as %q on line %d", first.key, first.line))
				r.Host = ""
			} else {
				seen[id] = spelling{key, r.Line}
			}
		}
		if isTable {
			p.readLongForm(table{p: p, path: t.at(key), prefix: routeName(key) + ": ", values: values}, key, &r)
		} else if r.Target, e = readTarget(t.values[key], p.folder); e != nil {
			report(e)
		}
		if r.Host == "" || r.Target == nil {
			continue
		}
		p.config.Routes = append(p.config.Routes, r)
		for _, w := range []*Error{warnHost(r, key), warnTarget(r, key), warnFolder(r, key, p.folder)} {
			if w != nil {
				p.warn(w, r.Line)
			}
		}
	}
}

// isTarget reports whether a value can be meant as the target of a route.
func isTarget(value any) bool {
	_, e := readTarget(value, anyFolder)
	m, isTable := value.(map[string]any)
	return e == nil || isTable && longForm(m)
}

// parseKey parses "host[/path]", the key of a route, into a Route without a
// target.
func parseKey(key string) (Route, *Error) {
	if scheme, rest, ok := strings.Cut(key, "://"); ok && !strings.Contains(scheme, "/") {
		return Route{}, fault(fmt.Sprintf("write %q", rest), "a route is a host name and a path, not a URL")
	}
	host, path := key, ""
	if i := strings.IndexByte(key, '/'); i >= 0 {
		host, path = key[:i], key[i:]
	}
	host, e := parseHost(host)
	if e != nil {
		return Route{}, e
	}
	path, e = parsePath(path)
	if e != nil {
		return Route{}, e
	}
	return newRoute(host, path, nil), nil
}

// parseHost returns a name, or "*." and a name, in normal form.
func parseHost(host string) (string, *Error) {
	if host == "" {
		return "", fault(`write "shop.localhost" or "shop.localhost/api"`, "no host name")
	}
	if ip, ok := parseIP(host); ok {
		return "", fault("use a name below localhost, which needs no setting up", "the IP address %s as a host is not supported yet", ip)
	}
	if name, port, ok := strings.Cut(host, ":"); ok {
		if _, ok := parsePort(port); !ok {
			return "", fault("", "host name %q: character ':' is not allowed", host)
		}
		return "", fault(fmt.Sprintf("write %q; the port is that of listen", name), "a route has no port of its own")
	}
	name, wildcard := strings.CutPrefix(host, "*.")
	if host == "*" || name == "" || strings.Contains(name, "*") {
		return "", fault(`"*.localhost" is every name below localhost`, "in %q the * does not stand for the first label of a name", host)
	}
	name, err := hostname.Normalize(name)
	if err != nil {
		return "", fault("", "%s", err)
	}
	if wildcard {
		name = "*." + name
	}
	return name, nil
}

// parseIP parses an IP address in the forms that hosts of URLs have, with or
// without a port.
func parseIP(host string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddrPort(host); err == nil {
		return addr.Addr(), true
	}
	ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return ip, err == nil
}

// parsePath returns a path in the form of Route.Path.
func parsePath(path string) (string, *Error) {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '%':
			if i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2]) {
				return "", fault("write %25 for a percent sign", "in the path %q two hexadecimal digits must follow each %%", path)
			}
			b.WriteString(strings.ToUpper(path[i : i+3]))
			i += 2
		case c == '?' || c == '#':
			return "", fault("routes are chosen by host and path only", "the path %q contains %q", path, c)
		case c == '\\':
			return "", fault("separate the parts of a path by /", "the path %q contains %q", path, c)
		case c == ' ':
			return "", fault("write %20 for a blank", "the path %q contains a blank", path)
		case c < ' ' || c == 0x7f:
			return "", fault("", "the path %q contains a control character", path)
		case c >= 0x80 || strings.IndexByte("\"<>^`{|}", c) >= 0:
			fmt.Fprintf(&b, "%%%02X", c) // as clients send it
		default:
			b.WriteByte(c)
		}
	}
	escaped := strings.TrimSuffix(b.String(), "/")
	if escaped == "" {
		return "/", nil
	}
	for segment := range strings.SplitSeq(escaped[1:], "/") {
		switch strings.ReplaceAll(segment, "%2E", ".") {
		case "":
			return "", fault("", "the path %q contains %q", path, "//")
		case ".", "..":
			return "", fault("clients resolve such parts before they send a request", "the path %q contains %q", path, segment)
		}
	}
	return escaped, nil
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

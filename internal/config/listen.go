package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"devproxy/internal/hostname"
)

// Ports that devproxy listens on, at both loopback addresses, where the file
// does not say. It is cmd/devproxy that opens them (its listen.go); here they
// only serve to find targets that are devproxy itself.
const (
	usualHTTPS    = 443  // listen unset
	fallbackHTTPS = 8443 // listen unset, where 443 is not allowed
	usualHTTP     = 80   // redirect unset
)

// readListen reads listen.
func (p *parser) readListen(top table) []netip.AddrPort {
	if v, ok := top.values["listen"].([]any); ok && len(v) == 0 {
		top.report("listen", fault(`write listen = ["127.0.0.1:443"], or remove the key for the usual addresses`, "no address"))
	}
	return p.readAddresses(top, "listen", nil)
}

// readRedirect reads redirect, which has to come after listen.
func (p *parser) readRedirect(top table) []netip.AddrPort {
	return p.readAddresses(top, "redirect", p.config.Listen)
}

// readAddresses reads an array of addresses, none of which may overlap with
// another or with those taken already. It returns nil when the key is unset.
func (p *parser) readAddresses(top table, key string, taken []netip.AddrPort) []netip.AddrPort {
	if !top.has(key) {
		return nil
	}
	addrs := []netip.AddrPort{}
	top.texts(key, func(_ int, s string, report func(*Error)) {
		addr, e := parseAddress(s)
		if e != nil {
			report(e)
			return
		}
		inUse := func(other netip.AddrPort) bool { return overlap(addr, other) }
		switch i, j := slices.IndexFunc(addrs, inUse), slices.IndexFunc(taken, inUse); {
		case i >= 0 && addrs[i] == addr:
			report(fault("remove one of the two", "%q is there twice", addr))
		case i >= 0:
			report(fault("remove one of the two", "%q and %q overlap", addrs[i], addr))
		case j >= 0 && taken[j] == addr:
			report(fault("redirect serves http; give it another port, such as 80", "%q is an address of listen as well", addr))
		case j >= 0:
			report(fault("redirect serves http; give it another port, such as 80", "%q overlaps with %q of listen", addr, taken[j]))
		default:
			addrs = append(addrs, addr)
		}
	})
	return addrs
}

// overlap reports whether two sockets cannot listen on both addresses. Port 0
// is a different port each time.
func overlap(a, b netip.AddrPort) bool {
	if a.Port() != b.Port() || a.Port() == 0 || a.Addr().Is4() != b.Addr().Is4() {
		return false
	}
	return a.Addr() == b.Addr() || a.Addr().IsUnspecified() || b.Addr().IsUnspecified()
}

// parseAddress parses "IP:port". Names are refused: which addresses they mean
// may change, and localhost means two.
func parseAddress(s string) (netip.AddrPort, *Error) {
	if addr, err := netip.ParseAddrPort(s); err == nil {
		// ::ffff:127.0.0.1 is 127.0.0.1 to the kernel.
		return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), nil
	}
	return netip.AddrPort{}, fault(addressHint(s), "%q is not an IP address and a port", s)
}

// addressHint guesses what was meant by an address that is none.
func addressHint(s string) string {
	const usual = `write an IP address and a port: "127.0.0.1:443" or "[::1]:443"`
	bothLoopbacks := func(port uint16) string {
		return fmt.Sprintf(`write "127.0.0.1:%d", "[::1]:%d"`, port, port)
	}
	if ip, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		// "::1:443" is an address of its own, but nobody means that one.
		if i := strings.LastIndexByte(s, ':'); ip.Is6() && !strings.HasPrefix(s, "[") && i > 0 {
			port, isPort := parsePort(s[i+1:])
			if short, err := netip.ParseAddr(s[:i]); err == nil && isPort && port >= 10 {
				return fmt.Sprintf("write %q", netip.AddrPortFrom(short, port))
			}
		}
		return fmt.Sprintf("add the port: %q", netip.AddrPortFrom(ip, 443))
	}
	if port, ok := parsePort(s); ok {
		return bothLoopbacks(port)
	}
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return usual
	}
	host := s[:i]
	port, isPort := parsePort(s[i+1:])
	switch ip, err := netip.ParseAddr(strings.Trim(host, "[]")); {
	case !isPort:
		return "ports are numbers from 0 to 65535"
	case host == "" || host == "*":
		return bothLoopbacks(port) + fmt.Sprintf(`; to be reachable from other machines "0.0.0.0:%d", "[::]:%d"`, port, port)
	case err == nil:
		return fmt.Sprintf("write %q", netip.AddrPortFrom(ip, port))
	case strings.Contains(host, "/"):
		return usual
	}
	name, err := hostname.Normalize(host)
	switch {
	case err != nil:
		return usual
	case hostname.Within(name, "localhost"):
		return bothLoopbacks(port)
	}
	return usual + "; host names belong below [routes]"
}

// parsePort parses the decimal digits of a port.
func parsePort(s string) (port uint16, ok bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil
}

// checkLoops reports targets that are devproxy's own addresses.
func (p *parser) checkLoops() {
	for _, r := range p.config.Routes {
		if e := p.config.loop(r, r.Key()); e != nil {
			e.File, e.Line = p.file, r.Line
			p.mistakes = append(p.mistakes, e)
		}
	}
}

// loop returns the mistake of a route whose target is devproxy's own address,
// or nil. The key is how messages call the route.
func (c *Config) loop(r Route, key string) *Error {
	if r.Target.Host == "" {
		return nil
	}
	const hint = "give the port of the app behind devproxy"
	mistake := func(hint string, own netip.AddrPort, when string) *Error {
		e := fault(hint, "the target %s is devproxy itself, which listens on %s%s", r.Target, own, when)
		e.Key = routeName(key)
		return e
	}
	for _, own := range slices.Concat(c.Listen, c.Redirect) {
		if reaches(r.Target, own) {
			return mistake(hint, own, "")
		}
	}
	for _, usual := range []struct {
		set        bool
		port       uint16
		when, free string
	}{
		{c.Listen != nil, usualHTTPS, " unless told otherwise", "listen to other addresses"},
		{c.Listen != nil, fallbackHTTPS, " where 443 is not allowed", "listen to other addresses"},
		{c.Redirect != nil, usualHTTP, " unless told otherwise", "redirect to other addresses or, to turn it off, to []"},
	} {
		for _, ip := range []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()} {
			if own := netip.AddrPortFrom(ip, usual.port); !usual.set && reaches(r.Target, own) {
				return mistake(hint+"; if that is the app's, set "+usual.free, own, usual.when)
			}
		}
	}
	return nil
}

// reaches reports whether a connection to a target arrives at a socket on own.
// Of names it knows localhost and those below it (RFC 6761, section 6.3).
func reaches(target *url.URL, own netip.AddrPort) bool {
	host := target.Hostname()
	if port, _ := parsePort(target.Port()); port == 0 || port != own.Port() {
		return false
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return hostname.Within(host, "localhost") &&
			(own.Addr() == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || own.Addr() == netip.IPv6Loopback() || own.Addr().IsUnspecified())
	}
	ip = ip.Unmap()
	if ip == own.Addr() {
		return true
	}
	// What is sent to 0.0.0.0 or :: arrives at the loopback interface.
	local := ip.IsLoopback() || ip.IsUnspecified()
	return ip.Is4() == own.Addr().Is4() && local &&
		(own.Addr().IsUnspecified() || ip.IsUnspecified() && own.Addr().IsLoopback())
}

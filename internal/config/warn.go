package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"devproxy/internal/hostname"
)

// preloaded are the top-level domains that are as a whole on the HSTS preload
// list of browsers and open to registrations. The list is for warnings: a
// missing one does no harm.
var preloaded = []string{
	"app", "bank", "boo", "channel", "dad", "day", "dev", "esq", "foo", "ing", "insurance", "meme",
	"mov", "new", "nexus", "page", "phd", "prof", "rsvp", "zip",
}

// shared are public suffixes below domains that are none themselves, of the
// providers with the most users. publicsuffix does not tell what lies below a
// domain; like preloaded, the list is for warnings.
var shared = []string{
	"app.render.com", "auth.us-east-1.amazoncognito.com", "blob.core.windows.net", "hosting.ovh.net",
	"pub.instances.scw.cloud", "ip.linodeusercontent.com", "map.fastly.net", "members.linode.com",
	"s3.amazonaws.com", "s3.cn-north-1.amazonaws.com.cn", "services.clever-cloud.com",
	"studio.us-east-1.sagemaker.aws", "transfer-webapp.us-east-1.on.aws", "up.railway.app",
}

// warnDomain returns what is likely to surprise about a domain of the root, or
// nil.
func warnDomain(domain string) *Error {
	for _, suffix := range shared {
		if hostname.Within(suffix, domain) {
			return fault("write a domain of your own, such as "+strconv.Quote("shop."+suffix),
				"below %q lies the public suffix %q: the root could sign for the sites of strangers", domain, suffix)
		}
	}
	return nil
}

// warnTarget returns what is likely to surprise about the target of a route, or
// nil. The key is how the user wrote the route.
func warnTarget(r Route, key string) *Error {
	if r.Target.Host == "" || nearby(r.Target.Hostname()) {
		return nil
	}
	scheme := r.Target.Scheme
	w := fault(fmt.Sprintf("make sure that you want that; targets on this machine begin with %s://localhost or %[1]s://127.0.0.1", scheme),
		"requests, with their cookies and passwords, leave this machine unencrypted for %s", r.Target.Host)
	switch {
	case scheme == "https" && r.Insecure:
		w = fault("remove insecure, or make sure that you want that",
			"the certificate of %s is not verified: anybody on the way there can read and change requests, with their cookies and passwords", r.Target.Host)
	case scheme == "https":
		return nil
	}
	w.Key = routeName(key)
	return w
}

// warnFolder returns what is likely to surprise about the folder that a route of
// a file in folder serves, or nil. Whoever wrote the file, which may come with
// somebody's repository, chose what every page in a browser can ask for.
func warnFolder(r Route, key, folder string) *Error {
	if r.Target.Scheme != "dir" {
		return nil
	}
	rel, err := filepath.Rel(folder, r.Target.Path)
	if err == nil && rel != "." && filepath.IsLocal(rel) {
		return nil
	}
	w := fault("make sure that you want that, or serve a folder beside the file",
		"all files in %s are served, which is not a folder below that of the file", r.Target.Path)
	w.Key = routeName(key)
	return w
}

// sharedSpace is for the networks of carriers and overlays (RFC 6598): like a
// private network it is not the Internet.
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// nearby reports whether a host of a target is this machine or, by its look, in
// a network of the user.
func nearby(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		return ip.IsLoopback() || ip.IsUnspecified() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || sharedSpace.Contains(ip)
	}
	top := host[strings.LastIndexByte(host, '.')+1:]
	if isNumber(top) {
		return false // to some resolvers an IPv4 address: "134744072" is 8.8.8.8
	}
	return top == host || slices.ContainsFunc([]string{"localhost", "internal", "local", "test", "home.arpa"},
		func(domain string) bool { return hostname.Within(host, domain) })
}

// warnHost returns what is likely to surprise about the host of a route, or
// nil. The key is how the user wrote the route.
func warnHost(r Route, key string) *Error {
	host, wildcard := strings.CutPrefix(r.Host, "*.")
	top := host[strings.LastIndexByte(host, '.')+1:]
	var w *Error
	switch {
	case host == "localhost":
		return nil
	case isNumber(top):
		w = fault("end the name with a word, such as localhost",
			"browsers take a name that ends with a number for an IP address")
	case top == host && !wildcard:
		w = fault(fmt.Sprintf("%q works without that", r.Host+".localhost"),
			"browsers search the web for a single word, and no rule makes it this machine")
	case slices.Contains(preloaded, top):
		w = fault("names below localhost and test are free of that",
			"browsers use nothing but https for .%s and offer no way past a certificate that they do not trust", top)
	case hostname.Within(host, "local"):
		w = fault("names below localhost and test are free of that",
			"names below .local are looked up by multicast DNS (RFC 6762), which can take seconds or find another machine")
	default:
		return nil
	}
	w.Key = routeName(key)
	return w
}

// isNumber reports whether URLs take a host with this last label for an IPv4
// address (WHATWG URL, "ends in a number").
func isNumber(label string) bool {
	hex, ok := strings.CutPrefix(label, "0x")
	return isDigits(label) || ok && strings.Trim(hex, "0123456789abcdef") == ""
}

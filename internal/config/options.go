package config

import (
	"strings"

	"devproxy/internal/hostname"
)

// readOptions reads what the long form of a route holds besides its target.
func readOptions(t table) {
	t.flag("strip_prefix")
	if host, ok := t.text("host"); ok && host != "preserve" && host != "backend" {
		if _, err := hostname.Normalize(host); err != nil {
			t.report("host", fault(`write "preserve", "backend" or a host name`, "%s", err))
		}
	}
	t.duration("hold")
	t.choice("hsts", "strip", "keep")
	t.flag("insecure")
	t.choice("client_auth", "none", "request", "require")
	if file, ok := t.text("client_ca"); ok && file == "" {
		t.report("client_ca", fault("write the path of a PEM file", "no file"))
	}
	readHeaders(t, "request_headers")
	readHeaders(t, "response_headers")
	t.refuseUnsupported(unsupportedRouteKeys)
}

// readHeaders reads { set = { Name = "value" }, remove = ["Name"] }.
func readHeaders(route table, key string) {
	t, ok := route.table(key, route.prefix+key+".")
	if !ok {
		return
	}
	known := []string{"set", "remove"}
	for _, k := range t.unknown(known) {
		t.reportUnknown(k, known, "")
	}
	if set, ok := t.table("set", t.prefix+"set."); ok {
		for _, name := range set.keys() {
			if !isToken(name) {
				set.report(name, fault("", "%q is not the name of a header", name))
			}
			if value, ok := set.text(name); ok && strings.ContainsAny(value, "\r\n\x00") {
				set.report(name, fault("", "a header's value is one line"))
			}
		}
	}
	t.texts("remove", func(name string, report func(*Error)) {
		if !isToken(name) {
			report(fault("", "%q is not the name of a header", name))
		}
	})
}

// isToken reports whether s can name a header (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	letter := func(r rune) bool {
		return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' ||
			strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	}
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return !letter(r) }) < 0
}

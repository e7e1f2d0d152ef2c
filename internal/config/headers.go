package config

import (
	"fmt"
	"maps"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// framing are fields that belong to one connection or say where a message ends
// (RFC 9110, sections 7.6.1 and 10.1.1; RFC 9112, section 6). A rule for one of
// them would have the two sides disagree on that.
var framing = []string{
	"connection", "content-length", "expect", "http2-settings", "keep-alive", "te", "trailer",
	"transfer-encoding", "upgrade",
}

// readHeaders reads request_headers or response_headers, the table key of a
// route. No message quotes a value.
func readHeaders(t table, key string, response bool) HeaderRules {
	if !t.has(key) {
		return HeaderRules{}
	}
	values, ok := t.values[key].(map[string]any)
	if !ok {
		t.mistyped(key, "a table", fmt.Sprintf(`write %s = { set = { X-Name = "value" }, remove = ["X-Other"] }`, key))
		return HeaderRules{}
	}
	h := table{p: t.p, path: t.at(key), prefix: t.prefix + key + ".", values: values}
	for _, k := range h.unknown(headersSection.keys) {
		hint := "what can be written here is set and remove"
		_, isText := values[k].(string)
		switch near := nearest(strings.ToLower(k), headersSection.keys); {
		case near != "":
			hint = fmt.Sprintf("did you mean %q?", near)
		case slices.Contains(routeSection.keys, k):
			hint = fmt.Sprintf("move %q up, to the other keys of the route", k)
		case isText && isToken(k):
			hint = fmt.Sprintf(`write set = { %s = "…" }`, k)
		}
		h.p.report(fault(hint, "unknown key"), h.prefix+headerLabel(k), h.at(k)...)
	}
	set := h.readSet(response)
	return HeaderRules{Set: set, Remove: h.readRemove(set, response)}
}

// readSet reads set.
func (t table) readSet(response bool) map[string]string {
	if !t.has("set") {
		return nil
	}
	values, ok := t.values["set"].(map[string]any)
	if !ok {
		t.mistypedHidden("set", "a table", `write set = { X-Name = "value" }`)
		return nil
	}
	fields := table{p: t.p, path: t.at("set"), prefix: t.prefix + "set.", values: values}
	var set map[string]string
	first := map[string]string{} // as written, by canonical name
	for _, key := range fields.keys() {
		report := func(e *Error) { t.p.report(e, fields.prefix+headerLabel(key), fields.at(key)...) }
		name, e := headerName(key, response)
		if e != nil {
			report(e)
			continue
		}
		if other, ok := first[name]; ok {
			report(fault("keep one of the two", "the same header as %q on line %d", other, t.p.layout.line(fields.at(other)...)))
			continue
		}
		first[name] = key
		value, e := headerValue(values[key])
		if e != nil {
			report(e)
			continue
		}
		if set == nil {
			set = map[string]string{}
		}
		set[name] = value
	}
	return set
}

// readRemove reads remove. set is what is set.
func (t table) readRemove(set map[string]string, response bool) []string {
	if _, isArray := t.values["remove"].([]any); t.has("remove") && !isArray {
		t.mistypedHidden("remove", "an array of names", `write remove = ["X-Name"]`)
		return nil
	}
	names := map[string]bool{}
	t.texts("remove", func(_ int, s string, report func(*Error)) {
		name, e := headerName(s, response)
		if _, isSet := set[name]; e == nil && isSet {
			e = fault("take it out of remove: set replaces what is there", "%q is in set as well", s)
		}
		if e != nil {
			report(e)
			return
		}
		names[name] = true
	})
	return slices.Sorted(maps.Keys(names))
}

// mistypedHidden is mistyped for a value that may hold a header's.
func (t table) mistypedHidden(key, want, hint string) {
	t.report(key, fault(hint, "must be %s", want))
}

// headerName returns the canonical form of the name of a header that rules may
// change.
func headerName(name string, response bool) (string, *Error) {
	if !isToken(name) {
		return "", fault("write a name such as X-Name, without a value", "%s is not the name of a header", strconv.Quote(cutName(name)))
	}
	canonical := textproto.CanonicalMIMEHeaderKey(name)
	folded := foldName(name)
	shown := strconv.Quote(canonical)
	if plain := textproto.CanonicalMIMEHeaderKey(folded); plain != canonical {
		shown = fmt.Sprintf("%q, which apps read as %q,", name, plain)
	}
	switch isHost := folded == "host"; {
	case slices.Contains(framing, folded) || strings.HasPrefix(folded, "proxy-"):
		return "", fault("take it out", "%s concerns one connection or the length of one body: devproxy sees to it", shown)
	case isHost && response:
		return "", fault("take it out", "%s is not for responses", shown)
	case isHost:
		return "", fault(`use host = "…"`, "%s has a key of its own", shown)
	case response && folded == "strict-transport-security":
		return "", fault(`use hsts = "keep" to let the backend's through; devproxy strips it otherwise`, "%s has a key of its own", shown)
	case response && folded == "alt-svc":
		return "", fault("take it out: devproxy removes it from all responses", "%s would send browsers past devproxy", shown)
	case !response && setByProxy(folded):
		return "", fault("take it out: clients cannot forge it, so apps may believe it", "%s is devproxy's to set", shown)
	}
	return canonical, nil
}

// setByProxy reports whether devproxy sets or drops a header of requests.
func setByProxy(folded string) bool {
	return folded == "forwarded" || folded == "x-real-ip" || folded == "client-cert" || folded == "x-client-cert" ||
		slices.ContainsFunc([]string{"x-forwarded-", "x-devproxy-", "client-cert-", "x-client-cert-"},
			func(prefix string) bool { return strings.HasPrefix(folded, prefix) })
}

// foldName returns a name as apps compare it: CGI, and with it WSGI, PHP and
// Rack, does not tell case and underscores, and some dots, from hyphens.
func foldName(name string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return '-'
		}
		return unicode.ToLower(r)
	}, name)
}

// headerValue returns the value of a header without blanks around it.
func headerValue(value any) (string, *Error) {
	s, ok := value.(string)
	if !ok {
		return "", fault("strings stand in quotes", "the value must be a string")
	}
	s = strings.Trim(s, " \t")
	if strings.ContainsFunc(s, func(r rune) bool { return r != '\t' && unicode.IsControl(r) }) {
		return "", fault("a header has one line of text", "the value contains a control character")
	}
	return s, nil
}

// tokenMarks are what a token may hold besides bareLetters (RFC 9110, section
// 5.6.2).
const tokenMarks = "!#$%&'*+.^`|~"

func isToken(s string) bool { return s != "" && strings.Trim(s, bareLetters+tokenMarks) == "" }

// headerLabel returns what messages call a key that should be the name of a
// header.
func headerLabel(key string) string {
	if isToken(key) {
		return key
	}
	return strconv.Quote(cutName(key))
}

// cutName returns a name up to where it stops being one: a value may follow.
func cutName(name string) string {
	if isToken(name) || name == "" {
		return name
	}
	return name[:len(name)-len(strings.TrimLeft(name, bareLetters+tokenMarks))] + "…"
}

// aboutHeaders reports whether a line of the file, in which path is the last
// key, may hold the value of a header.
func aboutHeaders(path []string, line string) bool {
	return aboutHeader(line) || slices.ContainsFunc(path, aboutHeader) || len(path) > 3 && path[0] == "routes"
}

// aboutHeader is aboutHeaders for a line or a part of a key. It is meant to be
// right where the key is misspelt.
func aboutHeader(s string) bool {
	return strings.Contains(strings.ToLower(s), "header")
}

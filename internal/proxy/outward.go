package proxy

import (
	"cmp"
	"net/http"
	"strings"

	"go.uber.org/zap"

	"devproxy/internal/backend"
)

// msgHeld is what the log says of requests that wait for their backend.
const msgHeld = "nobody listens at a backend: requests wait for it"

// prepare makes the call to the backend, whose head it writes to fields. Method,
// host, path, query and headers stay as they are, but for what is between us and
// the client only, and what the route's rules change.
func (x *exchange) prepare(r *http.Request, fields *fields) {
	route := x.route
	c := &x.call
	c.Method = r.Method
	c.Path, c.Query = route.stripped(x.path), query(r.RequestURI)
	c.Host = cmp.Or(route.Rules.SendHost, r.Host)
	c.Upgrade = upgrade(r.Header)
	if r.ProtoAtLeast(1, 1) { // others would take it for the response (RFC 9110, section 15.2)
		c.Interim = x.interim
	}
	if h := x.Header(); len(h) == 0 {
		c.Header = h
	}
	c.Hold = route.Rules.Hold
	if route.Rules.Hold > 0 {
		c.Held = x.held
	}
	if r.ContentLength != 0 {
		x.prepareBody(r)
	}
	head := outgoing{fields: fields.list[:0], rules: &route.Rules.Request}
	head.passOn(r.Header)
	x.introduce(&head, r)
	head.setRuled()
	fields.list = head.fields
	c.Fields = head.fields
}

// prepareBody adds the request's body to the call.
func (x *exchange) prepareBody(r *http.Request) {
	x.body = &requestBody{in: r, body: r.Body, over: make(chan struct{})}
	if scheme := x.route.target.Scheme; r.ProtoMajor == 1 && (scheme == "h2c" || scheme == "https") {
		x.body.body = newAbandonable(r.Body)
	}
	if len(r.Trailer) > 0 {
		x.body.trailer = announcedTrailers(r.Trailer)
		x.route.Rules.Request.dropFolded(x.body.trailer)
	}
	x.call.Body = x.body
	x.call.Length = r.ContentLength
	x.call.Trailer = x.body.trailer
	x.call.Continue = hasToken(r.Header["Expect"], "100-continue")
}

// query returns the query of a request target, with its question mark.
func query(target string) string {
	if i := strings.IndexByte(target, '?'); i >= 0 {
		return target[i:]
	}
	return ""
}

// upgrade returns the protocol that a client wants to switch to; "" for none.
// To HTTP/2 nobody may: that is obsolete (RFC 9113, section 3.1), and the
// requests in it would pass by the routes and the headers set here.
func upgrade(h http.Header) string {
	protocol := h.Get("Upgrade")
	if protocol == "" || !hasToken(h["Connection"], "upgrade") {
		return ""
	}
	for i := range len(protocol) {
		if protocol[i] < ' ' || protocol[i] > '~' {
			return ""
		}
	}
	for token := range strings.SplitSeq(protocol, ",") {
		if token, _, _ = strings.Cut(token, "/"); strings.EqualFold(strings.TrimSpace(token), "h2c") {
			return ""
		}
	}
	return protocol
}

// An outgoing is a head on its way to a backend, to which no header comes that
// the rules of a route remove or set.
type outgoing struct {
	fields []backend.Field
	rules  *HeaderRules
}

func (o *outgoing) add(name, value string) {
	if !o.rules.folded(name) {
		o.fields = append(o.fields, backend.Field{Name: name, Value: value})
	}
}

// passOn adds what the backend is to get of the client's headers.
func (o *outgoing) passOn(in http.Header) {
	named := connectionNames(in["Connection"])
	for name, values := range in {
		if endsHere(name) || named[name] || forgeable(name) || o.rules.folded(name) {
			continue
		}
		for _, value := range values {
			o.fields = append(o.fields, backend.Field{Name: name, Value: value})
		}
	}
	if hasToken(in["Te"], "trailers") {
		o.add("Te", "trailers")
	}
}

// setRuled adds the headers that the rules set.
func (o *outgoing) setRuled() {
	for name, value := range o.rules.Set {
		o.fields = append(o.fields, backend.Field{Name: name, Value: value})
	}
}

// introduce tells the backend how the client reached us: its address, the scheme,
// host and port of the URL, who it is, and through which routes it came. It
// trusts nobody in front of us: what came in under these names was not passed on.
func (x *exchange) introduce(o *outgoing, r *http.Request) {
	if x.conn.client != "" {
		o.add("X-Forwarded-For", x.conn.client)
	}
	o.add("X-Forwarded-Proto", "https")
	o.add("X-Forwarded-Host", r.Host)
	if x.conn.port != "" {
		o.add("X-Forwarded-Port", x.conn.port)
	}
	if x.client != nil {
		o.add("X-Client-Cert-Subject", x.client.subject)
		o.add("X-Client-Cert-Fingerprint", x.client.fingerprint)
		o.add("Client-Cert", x.client.encoded)
	}
	if x.route.strips() {
		o.add("X-Forwarded-Prefix", x.route.Path)
	}
	o.add(hopsHeader, hopsThrough(r.Header, x.route))
}

// endsHere reports whether a header of a request is between the client and us
// only, or says what a backend.Call says elsewhere.
func endsHere(name string) bool {
	switch name {
	case "Content-Length", "Expect", "Host", "Http2-Settings":
		return true
	}
	return hopByHop(name)
}

// held says that the request waits, which a person sees as a page that does not
// come.
func (x *exchange) held() {
	if p := x.proxy; p.due(notice{msgHeld, x.host, x.route.Backend.Name}) {
		p.log.Info(msgHeld,
			zap.String("host", x.host),
			zap.String("backend", x.route.Backend.Name),
			zap.Duration("hold", x.route.Rules.Hold))
	}
}

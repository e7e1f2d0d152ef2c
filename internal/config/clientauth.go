package config

import (
	"fmt"
	"strings"

	"devproxy/internal/hostname"
)

// Values of client_auth.
const (
	clientAuthNone    = "none"
	clientAuthRequest = "request"
	clientAuthRequire = "require"
)

// A clientPolicy is what one route says about the client certificates of its
// host.
type clientPolicy struct {
	route Route
	key   string   // of the route, as the file writes it
	path  []string // of its client_auth
}

// readClientAuth reads client_auth and client_ca. Their values hold for the
// whole host, so that settleClients puts them into its routes.
func (p *parser) readClientAuth(t table, key string, r *Route) {
	auth, stated := t.choice("client_auth", clientAuthNone, clientAuthRequest, clientAuthRequire)
	file, ok := t.text("client_ca")
	switch {
	case !ok:
	case !t.has("client_auth"):
		t.report("client_ca", fault(`add client_auth = "require", or "request"`, "nothing asks for certificates"))
		return
	case auth == clientAuthNone:
		t.report("client_ca", fault(`remove client_ca, or write client_auth = "require"`, "nothing asks for certificates"))
		return
	default:
		path, anchors, warning, e := p.anchors(file)
		if e != nil {
			t.report("client_ca", e)
			return
		}
		if warning != nil {
			warning.Key = t.label("client_ca")
			p.warn(warning, p.layout.line(t.at("client_ca")...))
		}
		r.ClientCA, r.ClientAnchors = path, anchors
	}
	if !stated || r.Host == "" {
		return
	}
	r.ClientAuth = auth
	p.clients = append(p.clients, clientPolicy{route: *r, key: key, path: t.at("client_auth")})
}

// settleClients gives all routes of a host what one of them says about client
// certificates. Two that say different things are a mistake.
func (p *parser) settleClients() {
	stated := map[string]clientPolicy{} // by host
	for _, policy := range p.clients {
		host := policy.route.Host
		first, ok := stated[host]
		if !ok {
			stated[host] = policy
		} else if first.route.ClientAuth != policy.route.ClientAuth || first.route.ClientCA != policy.route.ClientCA {
			p.report(fault("they hold for a whole host: write them at one of its routes, or the same at all",
				"other client_auth or client_ca than %s on line %d", routeName(first.key), p.layout.line(first.path...)),
				routeName(policy.key), policy.path...)
		}
	}
	for i, r := range p.config.Routes {
		if policy, ok := stated[r.Host]; ok {
			p.config.Routes[i].takeClients(policy.route)
		}
	}
	wildcards := wildcardsOf(p.config.Routes)
	warned := map[string]bool{}
	for _, r := range p.config.Routes {
		if _, ok := stated[r.Host]; ok || warned[r.Host] {
			continue
		}
		if w := warnClients(r, wildcards, r.Key()); w != nil {
			warned[r.Host] = true
			p.warn(w, r.Line)
		}
	}
}

// takeClients makes r ask for the client certificates that from asks for.
func (r *Route) takeClients(from Route) {
	r.ClientAuth, r.ClientCA, r.ClientAnchors = from.ClientAuth, from.ClientCA, from.ClientAnchors
}

// wildcardsOf returns the first route of each wildcard, by its base.
func wildcardsOf(routes []Route) map[string]Route {
	first := map[string]Route{}
	for _, r := range routes {
		base, wildcard := strings.CutPrefix(r.Host, "*.")
		if _, known := first[base]; wildcard && !known {
			first[base] = r
		}
	}
	return first
}

// warnClients returns what is likely to surprise about a route whose host asks
// for no client certificates, or nil: the wildcard that would otherwise answer
// for it asks.
func warnClients(r Route, wildcards map[string]Route, key string) *Error {
	if r.ClientAuth != clientAuthNone {
		return nil
	}
	for base := hostname.Parent(strings.TrimPrefix(r.Host, "*.")); base != ""; base = hostname.Parent(base) {
		other, ok := wildcards[base]
		if !ok {
			continue
		}
		if other.ClientAuth == clientAuthNone {
			return nil
		}
		w := fault(fmt.Sprintf(`add client_auth = %q to it, or "none" if that is meant`, other.ClientAuth),
			"asks for no client certificates, other than %q: a host with routes of its own says so itself", other.Key())
		w.Key = routeName(key)
		return w
	}
	return nil
}

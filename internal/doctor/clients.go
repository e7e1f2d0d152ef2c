package doctor

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"devproxy/internal/hostname"
)

// A Machine is what clients find on this machine. Its functions may be called
// concurrently.
type Machine struct {
	Env        func(string) string
	Home       string // "" where there is none
	ConfigHome string // XDG_CONFIG_HOME; "": .config below Home
	Path       string // where clients are looked up, as in PATH; relative folders do not count

	// Programs are further folders with browsers: a desktop may start them
	// from where the shell's PATH does not lead.
	Programs []string

	// SystemFiles and SystemDirs are where the system's roots may be, best
	// first: see the functions of these names.
	SystemFiles, SystemDirs []string

	Root *x509.Certificate // nil: there is none yet

	// Handshake proves that a client which takes exactly roots for trust
	// anchors accepts what the root signs for.
	Handshake func(ctx context.Context, roots *x509.CertPool) error

	// Stores are what the trust stores say, under the names that trust gives
	// to them.
	Stores []Store

	// Python tells where the Python that a program is looks for roots.
	Python func(ctx context.Context, program string) (Python, error)

	// Curl tells the version of libcurl that a curl uses, as AskCurl does.
	Curl func(ctx context.Context, program string) (int, error)

	// SystemNode tells whether a node reads the system's roots, as
	// ReadsSystemRoots does.
	SystemNode func(program string) bool

	// Commands, as they are typed: trust, to trust the root, and exec, which
	// goes before a client's own.
	Trust, Exec string
}

// A Store is a trust store and whether it was proven to trust the root.
type Store struct {
	Name, Location string
	Verdict
}

// A Route is a name that clients are to reach, and what they meet there.
type Route struct {
	Host      string // normalised; not a wildcard
	Addresses []Address
	LookupErr error // the system could not be asked

	// GoFinds: Go's own resolver finds the name, which programs built without
	// cgo use. It reads the hosts file and asks name servers, and nothing else.
	GoFinds bool

	// Served is ok if devproxy serves the name now, with a certificate that its
	// root proves; or else why not.
	Served Verdict

	Names string // the command that makes the system find the name
}

// An Address is one that the system finds for a name.
type Address struct {
	Addr    netip.Addr
	Here    bool // it is one of this machine's
	Answers bool // devproxy answers there
}

// Clients says of each client that is installed whether it gets to all of
// routes. It is ok only if nothing is known that stands in the way.
func (m Machine) Clients(ctx context.Context, routes []Route) []Client {
	found := []Client{}
	for _, r := range rules() {
		program := m.program(r)
		if program == "" {
			continue
		}
		var python Python
		var pythonErr error
		if r.source == fromCertifi || r.client == "python" {
			python, pythonErr = m.Python(ctx, program)
			if r.source == fromCertifi && pythonErr == nil && python.Certifi == "" {
				continue // requests is not installed
			}
		}
		var v Verdict
		if pythonErr != nil {
			v = Verdict{State: Unknown, Detail: fmt.Sprintf("cannot tell where %s looks for roots: %v", program, pythonErr)}
		} else {
			v = m.trusts(ctx, r, program, python)
		}
		r.finds = m.findsLocalhost(ctx, r)
		trusts := v
		for _, route := range routes {
			v = worst(v, route.reach(r), m.proxied(r, route))
		}
		if trusts.State != OK && v == trusts {
			v = alsoUnfound(v, r, routes)
		}
		if v.State == OK && len(routes) == 0 {
			v = Verdict{State: Unknown, Detail: "there is no route to reach"}
		}
		v.Fix = strings.ReplaceAll(v.Fix, tryMark, r.try)
		found = append(found, Client{r.client, v})
	}
	return found
}

// alsoUnfound adds to the verdict of a client that does not trust the root that
// it does not find a name either: one fix alone would not do.
func alsoUnfound(v Verdict, r rule, routes []Route) Verdict {
	for _, route := range routes {
		reach := route.reach(r)
		if reach.State != Warn || reach.Fix != route.Names {
			continue
		}
		v.Detail += "; " + reach.Detail
		if v.Fix != "" {
			v.Fix = reach.Fix + " && " + v.Fix
		}
		return v
	}
	return v
}

// tryMark stands in a fix for the client's own command.
const tryMark = "\x00"

// reach says whether a client finds a name, and devproxy there.
func (route Route) reach(r rule) Verdict {
	if route.Served.State != OK {
		return route.Served
	}
	if r.finds && hostname.Within(route.Host, "localhost") {
		return Verdict{State: OK}
	}
	shown := hostname.Display(route.Host)
	if r.source == fromJava && strings.Contains(route.Host, "_") {
		return Verdict{Fail, fmt.Sprintf("refuses %s for its underscore", shown), "use a hyphen instead"} // clients.md §1
	}
	if r.source == fromJava && !strings.Contains(route.Host, ".") {
		// Seen with Java 17: it leaves such names out of its ClientHello, is
		// given the certificate of the address and finds "No name matching".
		return Verdict{Warn, fmt.Sprintf("does not name %s to the server, as it has no dot, so it gets the certificate of the address", shown), "use a name with a dot, such as app.localhost"}
	}
	if route.LookupErr != nil {
		return Verdict{Unknown, fmt.Sprintf("cannot tell where %s leads: %v", shown, route.LookupErr), route.Names}
	}
	if len(route.Addresses) == 0 {
		return Verdict{Warn, "does not find the name " + shown, route.Names}
	}
	answering := 0
	for _, a := range route.Addresses {
		if !a.Here {
			return Verdict{Fail, fmt.Sprintf("%s leads to another machine: %s", shown, a.Addr), route.Names}
		}
		if a.Answers {
			answering++
		}
	}
	switch {
	case answering == 0:
		return Verdict{Fail, fmt.Sprintf("finds %s at %s, where devproxy does not listen", shown, route.Addresses[0].Addr), listenBoth}
	case answering < len(route.Addresses) && r.oneAddress:
		return Verdict{Warn, fmt.Sprintf("may try only an address of %s where devproxy does not listen", shown), listenBoth}
	case r.source == fromGo && !route.GoFinds:
		return Verdict{Warn, "programs built without cgo do not find the name " + shown, route.Names}
	}
	return Verdict{State: OK}
}

const listenBoth = "listen on both families: remove listen from devproxy.toml, or name 127.0.0.1 and [::1] there"

// proxied says whether a client would ask a proxy for a name of this machine.
func (m Machine) proxied(r rule, route Route) Verdict {
	// Browsers keep loopback names to themselves.
	if r.source == fromBrowser && hostname.Within(route.Host, "localhost") {
		return Verdict{State: OK}
	}
	for _, name := range r.proxies {
		if m.Env(name) != "" && !m.direct(r.direct, route.Host) {
			return Verdict{Warn, fmt.Sprintf("goes through the proxy of %s, which does not know %s", name, hostname.Display(route.Host)), m.tryExec(r)}
		}
	}
	return Verdict{State: OK}
}

// direct reports whether each of the variables that is set, and one is, keeps
// host out of the proxy's way. Clients prefer one spelling or the other.
func (m Machine) direct(variables []string, host string) bool {
	any := false
	for _, name := range variables {
		value := strings.TrimSpace(m.Env(name))
		if value == "" {
			continue
		}
		any = true
		if value != "*" && !slices.ContainsFunc(strings.Split(value, ","), func(entry string) bool { return bypasses(entry, host) }) {
			return false
		}
	}
	return any
}

// bypasses reports whether all clients agree that an entry of NO_PROXY covers
// host. Go takes ".shop.test" for the names below only.
func bypasses(entry, host string) bool {
	entry = strings.ToLower(strings.TrimSpace(entry))
	below := strings.TrimPrefix(entry, ".")
	return below != "" && (entry == host || strings.HasSuffix(host, "."+below))
}

func (m Machine) tryExec(r rule) string {
	if r.source == fromBrowser {
		return "add the name to NO_PROXY, and start the browser again"
	}
	return m.Exec + " " + tryMark
}

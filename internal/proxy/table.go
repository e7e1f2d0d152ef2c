package proxy

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"devproxy/internal/backend"
	"devproxy/internal/hostname"
)

// A Route says which backend answers for a host and a path.
type Route struct {
	// Host is a normalised name (hostname.Normalize), or "*." and one. The
	// wildcard stands for one or more labels: it matches names of any depth
	// below its base, but not the base.
	Host string

	// Path is "/" for the whole host, or an absolute path without a final
	// slash, in the escaped form in which it appears on the wire. It matches
	// itself and what lies below it: "/api" matches "/api/users", not "/apis".
	Path string

	Backend Backend
	Rules   Rules

	// Clients says which client certificates the host asks for, nil that it asks
	// for none. It must be the same pointer for all routes of a host: a path
	// beside a protected one would be a way around it.
	Clients *ClientAuth

	target backend.Target // the zero value with a handler
	pool   *backend.Pool  // nil with a handler
	tenure *tenure
}

// A Backend answers requests: a server at a URL, or a handler in this
// process. Exactly one of URL and Handler is set.
type Backend struct {
	// URL is "http://host:port", "h2c://host:port" (HTTP/2 without TLS),
	// "https://host:port" or "unix:/path". A host of "localhost" means both
	// loopback addresses, 127.0.0.1 and ::1.
	URL *url.URL

	// ServerName is what the certificate at an https URL must be for; "" means
	// the URL's host. Insecure takes any certificate. Roots returns the anchors,
	// and nil means the system's; it is called concurrently, and the same for
	// all backends of a table.
	ServerName string
	Insecure   bool
	Roots      func() *x509.CertPool

	// Handler is called from many goroutines at once. It sees the request as
	// the client sent it, with the TLS state of the client's connection.
	Handler http.Handler

	// Name is how logs and pages call the backend, such as its target as the
	// configuration has it.
	Name string
}

// Probe reports whether a backend accepts connections, and has a certificate
// that is accepted where its URL is https: nil if so, and always nil for a
// handler. It sends no request. It gives up when ctx ends, at the latest after
// some 5 seconds for each address.
func Probe(ctx context.Context, b Backend) error {
	target, err := b.target()
	if err != nil || b.Handler != nil {
		return err
	}
	return backend.Probe(ctx, target, b.Roots)
}

// target returns where the backend's URL leads, nowhere for a handler.
func (b Backend) target() (backend.Target, error) {
	if (b.URL == nil) == (b.Handler == nil) {
		return backend.Target{}, errors.New("a backend needs either a URL or a handler")
	}
	if b.Handler != nil {
		return backend.Target{}, nil
	}
	t, err := backend.ParseTarget(b.URL)
	if err == nil && t.Scheme == "https" {
		t.ServerName, t.Insecure = cmp.Or(b.ServerName, t.ServerName), b.Insecure
	}
	return t, err
}

// A Table decides which route answers a request. All methods may be called
// at any time from any goroutine; a request is decided by the routes in force
// when it begins.
type Table struct {
	current atomic.Pointer[snapshot]

	replacing sync.Mutex // guards what follows
	pools     backend.Pools
	leaving   map[destination]*tenure // of routes that are gone, for the time of grace
	followers []func()                // called after routes were replaced
}

// NewTable returns a table of the given routes; none is fine too. It fails as
// Replace does.
func NewTable(routes []Route) (*Table, error) {
	t := new(Table)
	if err := t.Replace(routes); err != nil {
		return nil, err
	}
	return t, nil
}

// Replace puts routes in the place of all routes so far, in one step. On an
// error, which names a route that is malformed or there twice, the table
// stays as it is. The slice may be reused afterwards; URLs and handlers may
// not be changed any more.
//
// What runs on routes that stay, or whose rules only have changed, goes on. What
// runs on one that is gone or leads elsewhere is ended after 10 seconds, unless
// it is back by then. What runs for clients without a certificate that their host
// insists on by now is ended at once.
func (t *Table) Replace(routes []Route) error {
	s, err := newSnapshot(routes)
	if err != nil {
		return err
	}
	for _, follow := range t.install(s) {
		follow()
	}
	return nil
}

// onReplace has follow called after each Replace.
func (t *Table) onReplace(follow func()) {
	t.replacing.Lock()
	defer t.replacing.Unlock()
	t.followers = append(t.followers, follow)
}

// install puts s in force, and returns who is to be told.
func (t *Table) install(s *snapshot) []func() {
	t.replacing.Lock()
	defer t.replacing.Unlock()
	s.inForce, s.replaced = context.WithCancel(context.Background())
	t.connect(s)
	t.settle(s)
	if last := t.current.Swap(s); last != nil {
		last.replaced()
	}
	return slices.Clone(t.followers)
}

// connect gives each route of s the pool of its target, and gives up those that
// no route leads to any more.
func (t *Table) connect(s *snapshot) {
	used := make(map[backend.Target]bool)
	for _, r := range s.routes {
		if r.Backend.Handler == nil {
			used[r.target] = true
			r.pool = t.pools.Get(r.target, r.Backend.Roots)
		}
	}
	t.pools.Keep(func(target backend.Target) bool { return used[target] })
}

// Covers reports whether host, a normalised name, is routed or is one that a
// person may well type by mistake: a name under the parent domain of a routed
// host, or the base of a wildcard. Such names deserve a certificate, so that
// they can be told which routes exist.
func (t *Table) Covers(host string) bool {
	s := t.current.Load()
	if s.host(host) != nil || s.wildcard[host] != nil {
		return true
	}
	for parent := hostname.Parent(host); parent != ""; parent = hostname.Parent(parent) {
		if _, ok := s.parents[parent]; ok {
			return true
		}
	}
	return false
}

// A snapshot is the table at one moment. Nothing reachable from it changes once
// it is in force, but that inForce ends.
type snapshot struct {
	routes   []*Route               // in the order given
	exact    map[string]*hostRoutes // by name
	wildcard map[string]*hostRoutes // by the base, without "*."
	parents  map[string]struct{}    // parent domains of all hosts
	asks     bool                   // one of them asks for client certificates

	inForce  context.Context // ends when another snapshot has replaced this one
	replaced context.CancelFunc
}

// hostRoutes holds the routes of one host.
type hostRoutes struct {
	clients *ClientAuth       // nil: no certificates are asked for
	root    *Route            // the route of path "/", if any
	paths   map[string]*Route // the others, by path
	longest int               // bytes of the longest key of paths
}

func newSnapshot(routes []Route) (*snapshot, error) {
	s := &snapshot{
		routes:   make([]*Route, 0, len(routes)),
		exact:    make(map[string]*hostRoutes),
		wildcard: make(map[string]*hostRoutes),
		parents:  make(map[string]struct{}),
	}
	for _, r := range routes {
		if err := s.add(&r); err != nil {
			return nil, fmt.Errorf("route %q: %w", r.label(), err)
		}
	}
	return s, nil
}

func (s *snapshot) add(r *Route) error {
	var err error
	if r.target, err = r.Backend.target(); err != nil {
		return err
	}
	base, wild := strings.CutPrefix(r.Host, "*.")
	if normal, err := hostname.Normalize(base); err != nil {
		return err
	} else if normal != base {
		return fmt.Errorf("host is not normalised, should be %q", normal)
	}
	hosts := s.exact
	if wild {
		hosts = s.wildcard
	}
	h := hosts[base]
	if h == nil {
		h = &hostRoutes{paths: make(map[string]*Route), clients: r.Clients}
		hosts[base] = h
	}
	switch {
	case r.Clients != h.clients:
		return errors.New("another route of the host asks for other client certificates")
	case r.Clients != nil && r.Clients.Anchors == nil:
		return errors.New("client certificates need anchors")
	}
	s.asks = s.asks || r.Clients != nil
	if err := h.add(r); err != nil {
		return err
	}
	if parent := hostname.Parent(r.Host); parent != "" {
		s.parents[parent] = struct{}{}
	}
	s.routes = append(s.routes, r)
	return nil
}

func (h *hostRoutes) add(r *Route) error {
	switch {
	case r.Path == "/" && h.root != nil || h.paths[r.Path] != nil:
		return errors.New("two routes have this host and path")
	case r.Path == "/":
		h.root = r
	case !strings.HasPrefix(r.Path, "/") || strings.HasSuffix(r.Path, "/"):
		return fmt.Errorf("path %q must begin with a slash and not end with one", r.Path)
	default:
		h.paths[r.Path] = r
		h.longest = max(h.longest, len(r.Path))
	}
	return nil
}

// host returns the routes of a normalised name, or nil. The cost depends on
// the labels of the name only: longer wildcards are simply asked first.
func (s *snapshot) host(name string) *hostRoutes {
	if h := s.exact[name]; h != nil {
		return h
	}
	for base := hostname.Parent(name); base != ""; base = hostname.Parent(base) {
		if h := s.wildcard[base]; h != nil {
			return h
		}
	}
	return nil
}

// route returns the route for an escaped path, or nil; there may be no h. It
// tries the prefixes of path that end at a segment, longest first. The length of
// the longest known path bounds the work, whatever clients send.
func (h *hostRoutes) route(path string) *Route {
	if h == nil {
		return nil
	}
	end := len(path)
	if end > h.longest {
		end = strings.LastIndexByte(path[:h.longest+1], '/')
	}
	for end > 0 {
		if r := h.paths[path[:end]]; r != nil {
			return r
		}
		end = strings.LastIndexByte(path[:end], '/')
	}
	return h.root
}

// label returns the host and path as a person writes them.
func (r *Route) label() string {
	if r.Path == "/" {
		return hostname.Display(r.Host)
	}
	return hostname.Display(r.Host) + r.Path
}

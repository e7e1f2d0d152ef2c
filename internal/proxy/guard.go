package proxy

import (
	"crypto/tls"
	"sync"
)

// RecheckClients ends at once what runs for clients whose certificates are not
// accepted any more: responses, event streams and upgraded connections. It is to
// be called after the answers of Config.RefuseClient or of the hosts' Anchors
// have changed; when the routes do, or a certificate expires, it happens by itself.
func (p *Proxy) RecheckClients() {
	for _, g := range p.guards.nextTurn() {
		p.recheck(g)
	}
}

// recheck ends an exchange whose client is not let in any more.
func (p *Proxy) recheck(g *guard) {
	policy := p.table.current.Load().clients(g.host)
	if policy == nil {
		return
	}
	client, reason := p.identify(g.conn, g.tls, policy.anchors())
	if client == nil && (policy.Require || g.accepted) {
		g.end(policy, reason)
	}
}

// A guard can end an exchange of a host that asks for client certificates.
type guard struct {
	host     string
	conn     *connection
	tls      *tls.ConnectionState
	accepted bool // the app was told of the client's certificate
	cancel   func()

	mu     sync.Mutex // guards what follows, and serialises cancel with the end of the exchange
	over   bool
	policy *ClientAuth // by which it was ended, if so
	reason string      // then: why
}

func (g *guard) end(policy *ClientAuth, reason string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.over && g.policy == nil {
		g.policy, g.reason = policy, reason
		g.cancel()
	}
}

// ended returns by which policy the exchange was ended, and why; nil if it was
// not. There may be no guard.
func (g *guard) ended() (*ClientAuth, string) {
	if g == nil {
		return nil, ""
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.policy, g.reason
}

// guards are those of all exchanges that were let in. What was decided in one
// turn does not count in the next.
type guards struct {
	mu      sync.Mutex // guards what follows
	turns   uint64
	running map[*guard]struct{}
}

func (s *guards) turn() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.turns
}

// enter notes g, which was decided in the given turn, and reports whether that
// still is the turn.
func (s *guards) enter(g *guard, turn uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turns != turn {
		return false
	}
	if s.running == nil {
		s.running = make(map[*guard]struct{})
	}
	s.running[g] = struct{}{}
	return true
}

func (s *guards) leave(g *guard) {
	s.mu.Lock()
	delete(s.running, g)
	s.mu.Unlock()
	g.mu.Lock()
	g.over = true
	g.mu.Unlock()
}

// nextTurn begins a turn, and returns the guards of those before.
func (s *guards) nextTurn() []*guard {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turns++
	all := make([]*guard, 0, len(s.running))
	for g := range s.running {
		all = append(all, g)
	}
	return all
}

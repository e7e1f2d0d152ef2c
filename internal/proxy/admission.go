package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.uber.org/zap"

	"devproxy/internal/hostname"
)

// What the log says of clients without a certificate that is accepted.
const (
	msgClientRefused = "a client was refused: its host wants a client certificate"
	msgClientIgnored = "a client certificate was not accepted: the app is not told of it"
)

var errClientGone = errors.New("its host wants a client certificate, and there is none that is accepted")

// enforce answers a request for a host that asks for client certificates. Nothing
// is told or reached before the client was let in.
func (p *Proxy) enforce(x *exchange, r *http.Request, routes *snapshot, hosted *hostRoutes) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	rc := http.NewResponseController(x)
	x.guard = &guard{
		host: x.host,
		conn: x.conn,
		tls:  r.TLS,
		cancel: func() {
			cancel(errClientGone)
			_ = rc.SetWriteDeadline(time.Now().Add(closeTime)) // see exchange.endEarly
		},
	}
	if p.admit(x, r, hosted.clients) {
		defer p.guards.leave(x.guard)
		if x.client != nil {
			defer time.AfterFunc(time.Until(x.client.until)+time.Second, func() { p.recheck(x.guard) }).Stop()
		}
		p.answer(x, r.WithContext(ctx), routes, hosted)
	}
}

// admit reports whether the client is let in; if not, the request is answered.
func (p *Proxy) admit(x *exchange, r *http.Request, policy *ClientAuth) bool {
	for {
		turn := p.guards.turn()
		anchors := policy.anchors()
		client, reason := p.identify(x.guard.conn, r.TLS, anchors)
		askedElse := !x.guard.conn.asked.same(anchors)
		switch {
		case client == nil && policy.Require && askedElse:
			p.askAgain(x, r)
			return false
		case client == nil && policy.Require:
			p.clientRefused(x, r, policy, reason)
			return false
		case client == nil && askedElse && r.Header["Upgrade"] == nil:
			x.Header().Set("Connection", "close") // the next connection is asked
		}
		x.client = client
		x.guard.accepted = client != nil
		if p.guards.enter(x.guard, turn) {
			if client == nil && reason != noneSent {
				p.clientIgnored(x, policy, reason)
			}
			return true
		}
		// Something has changed in between.
		if now := p.table.current.Load().clients(x.host); now != nil {
			policy = now
		}
	}
}

// identify returns who a client is by its certificate, or why it is nobody.
func (p *Proxy) identify(conn *connection, state *tls.ConnectionState, anchors *Anchors) (client *identity, reason string) {
	if len(state.PeerCertificates) == 0 {
		return nil, noneSent
	}
	known := conn.acquaint(anchors, state.PeerCertificates, time.Now())
	if client = known.client; client == nil {
		p.sessions.refused.add(refusedCert{anchors.hash(), hashOfFirst(state.PeerCertificates)})
		return nil, known.reason
	}
	if p.refuseClient != nil {
		if err := p.refuseClient(client.cert); err != nil {
			p.sessions.refused.add(refusedCert{anchors.hash(), hashOfFirst(state.PeerCertificates)})
			return nil, err.Error()
		}
	}
	return client, ""
}

// clientRefused answers a request without an accepted certificate. Its
// connection is closed: a client asks for another certificate, or finds one that
// it did not have, on a new one only.
func (p *Proxy) clientRefused(x *exchange, r *http.Request, policy *ClientAuth, reason string) {
	hint := p.clientCertHint(policy, x.host)
	p.noticeClient(msgClientRefused, x.host, reason, hint)
	pg := page{
		Status:  http.StatusForbidden,
		Title:   "The client certificate is not accepted",
		Message: fmt.Sprintf("%s wants a client certificate, and the one that was sent is not accepted: %s.", hostname.Display(x.host), reason),
		Fix:     hint,
	}
	if reason == noneSent {
		pg.Title = "A client certificate is needed"
		pg.Message = fmt.Sprintf("%s wants a client certificate, and %s.", hostname.Display(x.host), reason)
	}
	if wantsHTML(r) {
		pg.Hint = "Browsers remember which certificate was chosen, also that none was: after installing another, close all windows of the browser and open it again."
	}
	x.Header().Set("Connection", "close")
	p.pages.write(x, r, pg)
}

// endedUnanswered answers a request that was let in, but is not any more.
func (x *exchange) endedUnanswered(r *http.Request) {
	if policy, reason := x.guard.ended(); policy != nil {
		x.proxy.clientRefused(x, r, policy, reason)
		return
	}
	x.proxy.askAgain(x, r) // it began when nothing was asked
}

// askAgain answers a request on a connection whose client was not asked for what
// its host asks for now. Browsers then try again on a new one (RFC 9110,
// section 15.5.20), which is asked.
func (p *Proxy) askAgain(x *exchange, r *http.Request) {
	x.Header().Set("Connection", "close")
	p.pages.write(x, r, page{
		Status:  http.StatusMisdirectedRequest,
		Title:   "This connection is too old",
		Message: fmt.Sprintf("It was opened before %s asked for client certificates, or when it asked for others.", hostname.Display(x.host)),
		Hint:    "On a new connection the client is asked for one.",
	})
}

func (p *Proxy) clientIgnored(x *exchange, policy *ClientAuth, reason string) {
	p.noticeClient(msgClientIgnored, x.host, reason, p.clientCertHint(policy, x.host))
}

// noticeClient logs that a client's certificate is not accepted. Of the
// certificate nothing is said but that.
func (p *Proxy) noticeClient(message, host, reason string, hint *fact) {
	if !p.due(notice{message, host, reason}) {
		return
	}
	fields := []zap.Field{zap.String("host", host), zap.String("reason", reason)}
	if hint != nil {
		fields = append(fields, zap.String("hint", hint.Label+": "+hint.Value))
	}
	p.log.Warn(message, fields...)
}

// clientCertHint says where an accepted certificate comes from; nil if nobody
// knows.
func (p *Proxy) clientCertHint(policy *ClientAuth, host string) *fact {
	switch {
	case policy.CA != "":
		return &fact{"Certificates have to come from the CA in", policy.CA}
	case p.clientHint != nil:
		return &fact{"To make one", p.clientHint(host)}
	}
	return nil
}

package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	// headerTimeout bounds a TLS handshake, and from its first byte the head
	// of an HTTP/1.1 request. Nothing else that clients do has a time limit.
	headerTimeout = 10 * time.Second

	// keepAlive is how long a connection may stay without a request, longer
	// than browsers keep theirs: they should be the ones to close.
	keepAlive = 10 * time.Minute

	// maxHeader limits the head of a request, as HTTP/1.1 would write it. It is
	// far beyond the cookies of all the apps that ever ran on localhost and
	// share its jar.
	maxHeader = 256 << 10

	// maxReadHeader is where net/http stops reading. It is higher, so that the
	// answer to a head that is too large can be a page that helps, and because
	// for HTTP/2 net/http adds 32 bytes to each field (RFC 9113, section 6.5.2).
	maxReadHeader = 2 * maxHeader

	// maxStreams is the number of requests at once on an HTTP/2 connection.
	// Browsers stop at a few hundred. net/http closes a connection that has
	// four times as many waiting for a handler, so the number also decides how
	// many requests a page may cancel in a burst.
	maxStreams = 1500

	// streamWindow is how much of a request's body may lie here because the
	// backend does not read it, and connWindow how much of all bodies on an
	// HTTP/2 connection. By net/http's defaults one app that stops in an upload,
	// as at a breakpoint, stops every other body on its connection. Beyond
	// 4 MiB net/http need not take connWindow.
	streamWindow = 256 << 10
	connWindow   = 4<<20 - 1

	// quietTime is how long there has to be no request before a shutdown
	// closes the connections that browsers hold open.
	quietTime = 200 * time.Millisecond

	// closeTime is how long what was cancelled may take to end: a shutdown waits for
	// it, and what is written to a client then fails.
	closeTime = time.Second
)

// newServers sets up the two servers and the context of all their requests.
func (p *Proxy) newServers(cfg Config) {
	base, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	errorLog := log.New(serverLog{p.log}, "", 0)
	p.https = &http.Server{
		Handler:     http.HandlerFunc(p.serve),
		TLSConfig:   p.tlsConfig(cfg),
		ConnState:   p.connState,
		ConnContext: withConnection,
		// RFC 8441 (WebSockets over HTTP/2) stays off, net/http's default, which
		// internal/http2env defends: were it offered, browsers would use it.
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          maxStreams,
			MaxReceiveBufferPerStream:     streamWindow,
			MaxReadFrameSize:              streamWindow, // larger ones would not fit
			MaxReceiveBufferPerConnection: connWindow,
		},
		DisableGeneralOptionsHandler: true, // "OPTIONS *" is the backend's to answer
		ReadHeaderTimeout:            headerTimeout,
		IdleTimeout:                  keepAlive,
		MaxHeaderBytes:               maxReadHeader,
		ErrorLog:                     errorLog,
		BaseContext:                  func(net.Listener) context.Context { return base },
	}
	p.redirect = &http.Server{
		Handler:                      http.HandlerFunc(p.serveRedirect),
		BaseContext:                  redirectContext,
		DisableGeneralOptionsHandler: true,
		ReadTimeout:                  headerTimeout,
		WriteTimeout:                 headerTimeout,
		MaxHeaderBytes:               maxHeader,
		ErrorLog:                     errorLog,
	}
}

func (p *Proxy) tlsConfig(cfg Config) *tls.Config {
	config := &tls.Config{
		MinVersion:       tls.VersionTLS12,
		NextProtos:       []string{"h2", "http/1.1", "http/1.0"}, // curl --http1.0 offers nothing else
		GetCertificate:   p.certificate,
		VerifyConnection: cfg.VerifyConnection,

		// Small records at first, crypto/tls's default, show the beginning of a
		// response sooner where packets are small and get lost. Here they only
		// mean more of them.
		DynamicRecordSizingDisabled: true,
	}
	if cfg.KeyLog != nil {
		config.KeyLogWriter = keyLog(cfg.KeyLog)
	}
	p.sessions.keys, p.sessions.verify, p.sessions.log = config, cfg.VerifyConnection, cfg.KeyLog
	p.sessions.bind(config, nil)
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		return p.configFor(config, hello), nil
	}
	return config
}

// Serve accepts connections on ln and speaks TLS on them. It may be called
// for several listeners, each from its own goroutine. It closes ln, and
// returns nil after Shutdown, else why it cannot go on accepting.
func (p *Proxy) Serve(ln net.Listener) error {
	return unlessClosed(p.https.ServeTLS(gatheringListener{newRefuser(ln, p.log, &p.notices), &p.below}, "", ""))
}

func unlessClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown ends the proxy. Listeners are closed at once and requests in
// progress are waited for, until ctx ends at the latest. Then upgraded
// connections, which do not end by themselves, and the requests that are left
// are broken off. It returns ctx's error if there were such requests.
func (p *Proxy) Shutdown(ctx context.Context) error {
	p.table.pools.StopWaiting()
	err := p.drain(ctx)
	p.cancel()
	p.below.haste.Store(true)
	p.https.Close()
	p.redirect.Close()
	p.settle()
	p.table.pools.CloseIdle()
	return err
}

// drain returns when no requests are left: net/http says so, or there has
// been none for quietTime, nor anything to write of their responses, as there is
// long after them for clients that read slowly. net/http alone would wait 5 seconds
// for each connection that a browser has opened in case it might need it.
func (p *Proxy) drain(ctx context.Context) error {
	servers, cancel := context.WithCancel(ctx)
	var closing sync.WaitGroup
	closing.Go(func() { p.https.Shutdown(servers) })
	closing.Go(func() { p.redirect.Shutdown(servers) })
	drained := make(chan struct{})
	go func() { closing.Wait(); close(drained) }()
	defer func() { cancel(); <-drained }()

	const steps = 4
	tick := time.NewTicker(quietTime / steps)
	defer tick.Stop()
	for quiet := 0; quiet < steps; {
		select {
		case <-drained:
			return ctx.Err()
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if quiet++; p.requests.Load() > 0 || p.below.writing.Load() > 0 {
				quiet = 0
			}
		}
	}
	return nil
}

// settle waits until everything that was cancelled has returned.
func (p *Proxy) settle() {
	for deadline := time.Now().Add(closeTime); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if p.requests.Load() == 0 && p.upgrades.Load() == 0 {
			return
		}
	}
}

// A serverLog takes the lines that net/http's servers write and logs them.
type serverLog struct{ log *zap.Logger }

func (l serverLog) Write(line []byte) (int, error) {
	level := zapcore.WarnLevel
	switch {
	case bytes.HasPrefix(line, []byte("http: panic serving")):
		level = zapcore.ErrorLevel
	case bytes.HasPrefix(line, []byte("http: TLS handshake error")), bytes.HasPrefix(line, []byte("http2: ")):
		// Clients that leave or scan. Those that do not trust the root are
		// logged by clientLeft.
		level = zapcore.DebugLevel
	}
	if entry := l.log.Check(level, "http server"); entry != nil {
		entry.Write(zap.ByteString("detail", bytes.TrimSpace(line)))
	}
	return len(line), nil
}

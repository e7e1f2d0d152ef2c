package backend

import (
	"context"
	"net"
	"net/http"
)

// net/http's client speaks HTTP/2 and TLS, and HTTP/1.1 where a connection cannot
// be looked at without waiting. The files whose names begin with transport are
// about it alone.

// streamWindow is how much of a response over HTTP/2 may lie here because
// the client does not read it. net/http's default is 4 MiB, and a page can
// have hundreds of responses open. On loopback more makes nothing faster.
const streamWindow = 256 << 10

// newTransport returns net/http's client for the connections of g. It waits for
// responses without limit: a person may sit in the debugger.
func (p *Pool) newTransport(g *generation) *http.Transport {
	t := &http.Transport{
		Proxy:                  nil,  // HTTP_PROXY is for the internet, not for backends
		DisableCompression:     true, // or it would ask for gzip and unpack it
		MaxIdleConnsPerHost:    idlePerBackend,
		IdleConnTimeout:        idleTimeout,
		ExpectContinueTimeout:  continueWait,
		TLSHandshakeTimeout:    dialTimeout,
		MaxResponseHeaderBytes: maxResponseHead,
		Protocols:              new(http.Protocols),
		HTTP2:                  &http.HTTP2Config{MaxReceiveBufferPerStream: streamWindow},
	}
	t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := p.dial(ctx, g)
		if err != nil {
			return nil, err
		}
		return p.newConn(c), nil
	}
	switch p.target.Scheme {
	case "h2c":
		t.Protocols.SetUnencryptedHTTP2(true)
	case "https":
		t.Protocols.SetHTTP1(true)
		t.Protocols.SetHTTP2(true)
		t.TLSClientConfig = p.tlsConfig()
	default:
		t.Protocols.SetHTTP1(true)
	}
	return t
}

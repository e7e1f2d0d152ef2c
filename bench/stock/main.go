// Command stock is the proxy that a page of Go makes: httputil.ReverseProxy
// with a pool of connections that is large enough, and one of buffers.
package main

import (
	"crypto/tls"
	"flag"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

func main() {
	listen := flag.String("listen", "", "`address` to serve https on")
	cert := flag.String("cert", "", "`file` of the certificates")
	key := flag.String("key", "", "`file` of the private key")
	app := flag.String("app", "", "`address` of the app")
	live := flag.String("live", "", "`address` of the app below /live/")
	pool := flag.Int("pool", 0, "idle connections kept")
	flag.Parse()
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			target := &url.URL{Scheme: "http", Host: *app}
			if strings.HasPrefix(r.In.URL.Path, "/live/") {
				target.Host = *live
			}
			r.SetURL(target)
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		BufferPool: new(buffers),
		Transport: &http.Transport{
			MaxIdleConnsPerHost: *pool,
			IdleConnTimeout:     time.Hour,
			DisableCompression:  true,
		},
	}
	server := &http.Server{Addr: *listen, Handler: proxy, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13}}
	log.Fatal(server.ListenAndServeTLS(*cert, *key))
}

// buffers are those that bodies are copied with.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[]byte); ok {
		return *buffer
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(buffer []byte) { b.pool.Put(&buffer) }

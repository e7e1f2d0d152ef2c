package proxy

import (
	"fmt"
	"net/http"

	"go.uber.org/zap"
)

const msgHeadTooLarge = "the head of a request is too large"

// headSize returns how many bytes the head of a request has in HTTP/1.1,
// whatever it came over.
func headSize(r *http.Request) int {
	const perField = len(": \r\n")
	size := len(r.Method) + len(r.RequestURI) + len("  HTTP/1.1\r\n\r\n") + len("Host") + len(r.Host) + perField
	for name, values := range r.Header {
		for _, value := range values {
			size += len(name) + len(value) + perField
		}
	}
	return size
}

// headTooLarge answers a request with a head of size bytes.
func (p *Proxy) headTooLarge(x *exchange, r *http.Request, size int) {
	var cookies int
	for _, value := range r.Header["Cookie"] {
		cookies += len(value)
	}
	if p.due(notice{kind: msgHeadTooLarge, host: x.host}) {
		p.log.Warn(msgHeadTooLarge, zap.String("host", x.host),
			zap.Int("bytes", size), zap.Int("cookie_bytes", cookies), zap.Int("limit", maxHeader))
	}
	pg := page{
		Status: http.StatusRequestHeaderFieldsTooLarge,
		Title:  "Request headers too large",
		Message: fmt.Sprintf("The headers of the request have %d KiB, of which %d are cookies; devproxy passes on up to %d KiB.",
			(size+1023)>>10, (cookies+1023)>>10, maxHeader>>10),
	}
	if cookies > maxHeader/2 {
		pg.Hint = "Delete the cookies of this site in the browser; apps on localhost share one jar, whatever their port."
	}
	p.pages.write(x, r, pg)
}

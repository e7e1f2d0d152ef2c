// Command live is the app that takes uploads and echoes what comes over an
// upgraded connection: what the plain backend cannot do.
package main

import (
	"crypto/sha1"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
)

func main() {
	listen := flag.String("listen", "", "`address` to serve http on")
	flag.Parse()
	http.HandleFunc("/", name)
	http.HandleFunc("/live/upload", upload)
	http.HandleFunc("/live/socket", socket)
	log.Fatal(http.ListenAndServe(*listen, nil))
}

// name tells which app answers: nobody else sets this header.
func name(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("X-App", "live")
}

// upload reads a body to its end and answers with its length.
func upload(w http.ResponseWriter, r *http.Request) {
	buffer := make([]byte, 256<<10)
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, buffer)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintln(w, n)
}

// socket accepts a WebSocket and sends back all bytes that come. No proxy here
// looks into frames, so neither does it.
func socket(w http.ResponseWriter, r *http.Request) {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) // RFC 6455, section 4.2.2
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	io.Copy(struct{ io.Writer }{conn}, buffered)
}

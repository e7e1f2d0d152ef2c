package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// sumHeader carries the SHA-256 of a body, in a header or a trailer.
const sumHeader = "X-Body-Sha256"

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// A mortal is a backend that is killed and comes back on the same port.
type mortal struct {
	addr string

	mu     sync.Mutex
	server *http.Server
	conns  map[net.Conn]struct{}
	kills  []*outage
}

// An outage lasts from the moment before a kill to the one after it, when no
// connection is left.
type outage struct{ began, ended time.Time }

// live starts the backend.
func (m *mortal) live() error {
	ln, err := net.Listen("tcp", m.addr)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.addr = ln.Addr().String()
	m.conns = make(map[net.Conn]struct{})
	m.server = &http.Server{Handler: soakApp(), ConnState: func(c net.Conn, state http.ConnState) {
		m.mu.Lock()
		defer m.mu.Unlock()
		switch state {
		case http.StateNew:
			m.conns[c] = struct{}{}
		case http.StateClosed, http.StateHijacked:
			delete(m.conns, c)
		}
	}}
	server := m.server
	go server.Serve(ln)
	return nil
}

// kill ends the backend in the middle of what it does: by a FIN on each
// connection, or as after a crash by a RST.
func (m *mortal) kill(reset bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := &outage{began: time.Now(), ended: time.Now().Add(time.Hour)}
	m.kills = append(m.kills, now)
	if reset {
		for c := range m.conns {
			c.(*net.TCPConn).SetLinger(0)
		}
	}
	server := m.server
	m.mu.Unlock()
	server.Close()
	m.mu.Lock()
	now.ended = time.Now()
}

// killGrace is how long devproxy may take to see that a connection it keeps has
// ended. What it sends over it before that is lost as if it had been under way.
const killGrace = 500 * time.Millisecond

// killedAt reports whether a request that began and failed at these times may
// have been under way at a kill.
func (m *mortal) killedAt(began, failed time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.kills {
		if began.Before(k.ended.Add(killGrace)) && failed.After(k.began) {
			return true
		}
	}
	return false
}

// soakApp is the backend's handler.
func soakApp() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set(sumHeader, sumOf(body))
		w.Write(body)
	})
	mux.HandleFunc("POST /upload", func(w http.ResponseWriter, r *http.Request) {
		hash := sha256.New()
		if _, err := io.Copy(hash, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
		io.WriteString(w, hex.EncodeToString(hash.Sum(nil)))
	})
	mux.HandleFunc("GET /download", func(w http.ResponseWriter, r *http.Request) {
		size, _ := strconv.ParseInt(r.FormValue("size"), 10, 64)
		body := newNoise(size)
		if r.FormValue("chunked") == "" {
			w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		}
		w.Header().Set("Trailer", sumHeader)
		if _, err := io.Copy(w, body); err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set(sumHeader, body.sum())
	})
	mux.HandleFunc("GET /events", numbered(50*time.Millisecond, nil))
	mux.HandleFunc("GET /ws", echoMessages)
	return mux
}

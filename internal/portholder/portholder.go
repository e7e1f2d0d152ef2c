// Package portholder finds out who listens on a TCP port, for messages such as
// "port 443 is taken by nginx (pid 4711)". It never asks for privileges: of
// other users' processes it may know the user only.
package portholder

import (
	"errors"
	"fmt"
	"net/netip"
)

// ErrNotFound says that nobody listens on the address: the holder may have
// gone, or lives in another network namespace.
var ErrNotFound = errors.New("no listener found")

// A Holder is a process that listens on a port.
type Holder struct {
	PID     int    // 0 if the process belongs to someone whose processes we may not look into
	Command string // its name, for interpreters with that of the script; "" if unknown
	UID     int    // of the socket's creator
	User    string // the name for UID; "" if it has none
}

// String returns h as messages show it: "python3 app.py (pid 4711)", or as
// much of it as is known.
func (h Holder) String() string {
	switch {
	case h.PID != 0 && h.Command != "":
		return fmt.Sprintf("%s (pid %d)", h.Command, h.PID)
	case h.PID != 0:
		return fmt.Sprintf("pid %d", h.PID)
	case h.User != "":
		return fmt.Sprintf("a process of user %s", h.User)
	default:
		return fmt.Sprintf("a process of user %d", h.UID)
	}
}

// Find returns who keeps others from listening on addr: the listener on that
// very address, or else on a wildcard address that covers it, or else, if addr
// is a wildcard itself, on any address it covers.
//
// Its error matches ErrNotFound if there is none, and errors.ErrUnsupported on
// systems other than Linux.
func Find(addr netip.AddrPort) (Holder, error) {
	return find(addr)
}

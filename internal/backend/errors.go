package backend

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"syscall"
)

// A DialError says that no connection was made, and so nothing sent: one
// error for each address tried.
type DialError []error

func (e *DialError) Error() string {
	texts := make([]string, len(*e))
	for i, err := range *e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (e *DialError) Unwrap() []error { return *e }

// Refused reports whether nobody listens at the target: an address refused, or
// there is no socket of that name.
func (e *DialError) Refused() bool {
	for _, err := range *e {
		if isRefused(err) || errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	return false
}

// Exhausted reports whether this process has no descriptor left for a
// connection.
func (e *DialError) Exhausted() bool {
	return errors.Is(e, syscall.EMFILE) || errors.Is(e, syscall.ENFILE)
}

// Timeout reports whether time ran out before an address answered. An address
// that refused did answer.
func (e *DialError) Timeout() bool {
	if e.Refused() {
		return false
	}
	for _, err := range *e {
		timeout, ok := errors.AsType[interface {
			error
			Timeout() bool
		}](err)
		if ok && timeout.Timeout() {
			return true
		}
	}
	return false
}

// A StreamError says that a backend broke off one stream of HTTP/2. net/http
// keeps its own to itself, but errors.As turns it into one that looks the same.
type StreamError struct {
	StreamID uint32
	Code     uint32 // RFC 9113, section 7
	Cause    error
}

func (e StreamError) Error() string {
	return fmt.Sprintf("the backend reset stream %d: code %d", e.StreamID, e.Code)
}

// nobodyThere reports whether a round trip failed because nobody listens.
func nobodyThere(err error) bool {
	dial, ok := errors.AsType[*DialError](err)
	return ok && dial.Refused()
}

// Windows has numbers of its own, which are not those of package syscall.
const (
	wsaAddrFamily  = syscall.Errno(10047)
	wsaNetUnreach  = syscall.Errno(10051)
	wsaConnRefused = syscall.Errno(10061)
)

func isRefused(err error) bool { return isErrno(err, syscall.ECONNREFUSED, wsaConnRefused) }

// nobodyListens reports whether err says that nobody listens at an address of
// this machine: the connection was refused, or there is no such family.
// EADDRNOTAVAIL does not: connect also fails with it when no port is left on
// our side, which any user of the machine can bring about.
func nobodyListens(err error) bool {
	return isRefused(err) ||
		isErrno(err, syscall.EAFNOSUPPORT, wsaAddrFamily) ||
		isErrno(err, syscall.ENETUNREACH, wsaNetUnreach)
}

func isErrno(err error, unix, windows syscall.Errno) bool {
	return errors.Is(err, unix) || runtime.GOOS == "windows" && errors.Is(err, windows)
}

package elevate

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"
)

// marker parts what sudo prints from what the command does. It begins with a
// character that no prompt contains, so that prompts pass without delay.
const marker = "\x1edevproxy: command starts"

const (
	tailBytes = 4 << 10
	tailLines = 5
)

// output receives everything that sudo and the command print. The zero value
// is ready.
type output struct {
	live    io.Writer          // for what precedes the marker; may be nil
	onStart func() *time.Timer // called at the marker; may be nil

	mu      sync.Mutex // guards what follows
	closed  bool
	started time.Time // zero until the marker came
	limit   *time.Timer
	held    []byte // could be the beginning of the marker
	tail    []byte // the last of what has not been shown
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closed: // an abandoned sudo; nobody listens
	case !o.started.IsZero():
		o.keepLocked(p)
	default:
		o.beforeLocked(p)
	}
	return len(p), nil
}

func (o *output) beforeLocked(p []byte) {
	text := append(o.held, p...)
	before, after, found := bytes.Cut(text, []byte(marker))
	if !found {
		n := partialMarker(text)
		before, o.held = text[:len(text)-n], bytes.Clone(text[len(text)-n:])
	}
	if o.live != nil {
		o.live.Write(before)
	} else {
		o.keepLocked(before)
	}
	if found {
		o.started = time.Now()
		o.tail = nil
		if o.onStart != nil {
			o.limit = o.onStart()
		}
		o.keepLocked(after)
	}
}

// partialMarker returns the length of the longest end of text that begins the
// marker.
func partialMarker(text []byte) int {
	for n := min(len(text), len(marker)-1); n > 0; n-- {
		if strings.HasPrefix(marker, string(text[len(text)-n:])) {
			return n
		}
	}
	return 0
}

func (o *output) keepLocked(p []byte) {
	o.tail = append(o.tail, p...)
	if len(o.tail) > 2*tailBytes {
		o.tail = bytes.Clone(o.tail[len(o.tail)-tailBytes:])
	}
}

// close ends the output. It returns how long the command has run, 0 if it did
// not start, and the end of what was printed and not shown, for an error.
func (o *output) close() (took time.Duration, said string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	if o.limit != nil {
		o.limit.Stop()
	}
	if !o.started.IsZero() {
		took = max(time.Since(o.started), 1)
	}
	return took, lastLines(o.tail)
}

// lastLines returns the last lines of text in one, without what could steer a
// terminal, after ": ".
func lastLines(text []byte) string {
	var lines []string
	for line := range strings.Lines(string(text[max(0, len(text)-tailBytes):])) {
		line = strings.Map(func(r rune) rune {
			if r == '\t' {
				return ' '
			}
			if !unicode.IsPrint(r) {
				return -1
			}
			return r
		}, line)
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return ""
	}
	return ": " + strings.Join(lines[max(0, len(lines)-tailLines):], "; ")
}

//go:build unix

package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

const (
	soon  = 20 * time.Millisecond
	later = time.Hour
)

// past is a deadline that ends what is under way.
var past = time.Unix(1, 0)

// A result is what a Read of up to 64 bytes has brought.
type result struct {
	data string
	err  error
}

func readSoon(c *Conn) <-chan result {
	results := make(chan result, 1)
	go func() {
		b := make([]byte, 64)
		n, err := c.Read(b)
		results <- result{string(b[:n]), err}
	}()
	return results
}

// is reports on what a Conn knows of its Reads.
func (c *Conn) is(ok func(p *patience) bool) bool {
	c.patience.mu.Lock()
	defer c.patience.mu.Unlock()
	return ok(&c.patience)
}

// expire has the poller's deadline pass, as if its time had come.
func (c *Conn) expire() { c.Conn.SetReadDeadline(past) }

func waiting(p *patience) bool { return p.waiting }
func asleep(p *patience) bool  { return p.asleep }

func TestReadDeadline(t *testing.T) {
	for name, set := range map[string]func(t *testing.T, c *Conn) <-chan result{
		"before the wait": func(t *testing.T, c *Conn) <-chan result {
			c.SetReadDeadline(time.Now().Add(soon))
			return readSoon(c)
		},
		"during the wait": func(t *testing.T, c *Conn) <-chan result {
			results := readSoon(c)
			await(t, func() bool { return c.is(waiting) })
			c.SetReadDeadline(time.Now().Add(soon))
			return results
		},
		"sooner than before": func(t *testing.T, c *Conn) <-chan result {
			c.SetReadDeadline(time.Now().Add(later))
			results := readSoon(c)
			await(t, func() bool { return c.is(waiting) })
			c.SetDeadline(past)
			return results
		},
		"later than what the poller knows": func(t *testing.T, c *Conn) <-chan result {
			results := readSoon(c)
			await(t, func() bool { return c.is(waiting) })
			began := time.Now()
			c.SetReadDeadline(began.Add(soon))
			c.SetReadDeadline(began.Add(3 * soon))
			inTime := time.Since(began) < soon // on a busy machine the first may come
			t.Cleanup(func() {
				if took := time.Since(began); inTime && took < 3*soon {
					t.Errorf("the wait has ended after %v", took)
				}
			})
			return results
		},
	} {
		t.Run(name, func(t *testing.T) {
			pairs(t, func(t *testing.T, c *Conn, other net.Conn) {
				if c.raw == nil {
					t.Skip("no socket")
				}
				if got := <-set(t, c); got.data != "" || !errors.Is(got.err, os.ErrDeadlineExceeded) {
					t.Errorf("got %+v", got)
				}
				// A new deadline, and all is as ever.
				c.SetReadDeadline(time.Now().Add(later))
				results := readSoon(c)
				await(t, func() bool { return c.is(waiting) })
				io.WriteString(other, "late")
				if got := <-results; got != (result{data: "late"}) {
					t.Errorf("got %+v", got)
				}
			})
		})
	}
}

// A deadline that was taken back ends nothing, though the poller's passes.
func TestReadDeadlineTakenBack(t *testing.T) {
	pairs(t, func(t *testing.T, c *Conn, other net.Conn) {
		if c.raw == nil {
			t.Skip("no socket")
		}
		passed := func(p *patience) bool { return p.armed.IsZero() }
		c.SetReadDeadline(time.Now().Add(later))
		results := readSoon(c)
		await(t, func() bool { return c.is(waiting) })
		c.SetReadDeadline(time.Time{})
		c.expire()
		await(t, func() bool { return c.is(passed) })
		io.WriteString(other, "first")
		if got := <-results; got != (result{data: "first"}) {
			t.Errorf("got %+v", got)
		}

		// Nor when it passes while nobody reads.
		c.SetReadDeadline(time.Now().Add(later))
		results = readSoon(c)
		await(t, func() bool { return c.is(waiting) })
		io.WriteString(other, "second")
		if got := <-results; got != (result{data: "second"}) {
			t.Errorf("got %+v", got)
		}
		c.SetReadDeadline(time.Time{})
		c.expire()
		go func() {
			if _, err := io.ReadFull(other, make([]byte, len("question"))); err == nil {
				io.WriteString(other, "answer")
			}
		}()
		written, n, err := c.Ask([]byte("question"), make([]byte, 64))
		if written != len("question") || n != len("answer") || err != nil {
			t.Errorf("got %d written, %d read, %v", written, n, err)
		}
	})
}

// Nor does it end a question that is under way, or make a connection unquiet. One
// that has come does both.
func TestDeadlineTakenBackFromOthers(t *testing.T) {
	pairs(t, func(t *testing.T, c *Conn, other net.Conn) {
		if c.raw == nil {
			t.Skip("no socket")
		}
		c.SetReadDeadline(time.Now().Add(later))
		go func() {
			if _, err := io.ReadFull(other, make([]byte, len("question"))); err != nil {
				return
			}
			for !c.is(waiting) {
				time.Sleep(time.Millisecond)
			}
			c.SetReadDeadline(time.Time{})
			c.expire()
			for !c.is(func(p *patience) bool { return p.armed.IsZero() || !p.waiting }) {
				time.Sleep(time.Millisecond)
			}
			io.WriteString(other, "answer")
		}()
		written, n, err := c.Ask([]byte("question"), make([]byte, 64))
		if written != len("question") || n != len("answer") || err != nil {
			t.Fatalf("got %d written, %d read, %v", written, n, err)
		}

		c.SetReadDeadline(time.Now().Add(later))
		results := readSoon(c)
		await(t, func() bool { return c.is(waiting) })
		io.WriteString(other, "one more")
		<-results
		c.SetReadDeadline(time.Time{})
		c.expire()
		if !c.IsQuiet() {
			t.Error("a deadline that was taken back makes the connection unquiet")
		}
		c.SetReadDeadline(past)
		if c.IsQuiet() {
			t.Error("a connection that was interrupted is quiet")
		}
		if written, _, err := c.Ask([]byte("question"), make([]byte, 64)); written != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %d written, %v after the interruption", written, err)
		}
	})
}

// Whoever dozes does not see what comes, until it is woken.
func TestDoze(t *testing.T) {
	for name, test := range map[string]struct {
		rouse func(c *Conn)
		want  result
	}{
		"woken":       {(*Conn).Wake, result{data: "unasked"}},
		"a deadline":  {func(c *Conn) { c.SetReadDeadline(time.Now().Add(later)) }, result{data: "unasked"}},
		"broken off":  {func(c *Conn) { c.SetReadDeadline(past) }, result{err: os.ErrDeadlineExceeded}},
		"closed":      {func(c *Conn) { c.Close() }, result{err: net.ErrClosed}},
		"no deadline": {func(c *Conn) { c.SetReadDeadline(time.Time{}) }, result{data: "unasked"}},
	} {
		t.Run(name, func(t *testing.T) {
			pairs(t, func(t *testing.T, c *Conn, other net.Conn) {
				if c.raw == nil {
					t.Skip("no socket")
				}
				c.Doze()
				results := readSoon(c)
				await(t, func() bool { return c.is(asleep) })
				io.WriteString(other, "unasked")
				test.rouse(c)
				got := <-results
				if got.data != test.want.data || !errors.Is(got.err, test.want.err) {
					t.Fatalf("got %+v, want %+v", got, test.want)
				}
				if !errors.Is(got.err, os.ErrDeadlineExceeded) {
					return
				}
				c.SetReadDeadline(time.Time{})
				if got := <-readSoon(c); got != (result{data: "unasked"}) {
					t.Errorf("got %+v afterwards", got)
				}
			})
		})
	}
}

// What ends a doze ends one that nobody has begun.
func TestDozeEnded(t *testing.T) {
	pairs(t, func(t *testing.T, c *Conn, other net.Conn) {
		if c.raw == nil {
			t.Skip("no socket")
		}
		c.Doze()
		c.SetReadDeadline(past)
		if got := <-readSoon(c); !errors.Is(got.err, os.ErrDeadlineExceeded) {
			t.Errorf("got %+v", got)
		}
		c.SetReadDeadline(time.Time{})
		io.WriteString(other, "after")
		if got := <-readSoon(c); got != (result{data: "after"}) {
			t.Errorf("got %+v", got)
		}
		c.Doze()
		c.Wake()
		io.WriteString(other, "woken")
		if got := <-readSoon(c); got != (result{data: "woken"}) {
			t.Errorf("got %+v", got)
		}
		c.Doze()
		c.Close()
		if got := <-readSoon(c); !errors.Is(got.err, net.ErrClosed) {
			t.Errorf("got %+v", got)
		}
	})
}

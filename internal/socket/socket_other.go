//go:build !unix

package socket

// CanLook says that a connection can be looked at without waiting.
const CanLook = false

type (
	reading  struct{}
	writing  struct{}
	asking   struct{}
	patience struct{}
)

func (c *Conn) prepare() {}

// Ask writes request to a connection at rest, and reads the beginning of what comes
// back: n bytes into reply, which has room for one at least. It says how much was
// written.
func (c *Conn) Ask(request, reply []byte) (written, n int, err error) {
	return c.askInSteps(request, reply)
}

// IsQuiet cannot look, and takes every connection for quiet.
func (c *Conn) IsQuiet() bool { return true }

// Doze does nothing: Reads look as ever.
func (c *Conn) Doze() {}

// Wake does nothing.
func (c *Conn) Wake() {}

//go:build unix && !linux && !darwin

package elevate

import (
	"errors"
	"os"
)

// Relays says that a process can be kept closed to the others of its user, and
// so be given a way to root.
const Relays = false

// Program fails: see Relays.
func Program() (*os.File, error) { return nil, errors.ErrUnsupported }

func peerUID(int) (uint32, error) { return 0, errors.ErrUnsupported }

func shield() error { return errors.ErrUnsupported }

//go:build unix && !linux && !darwin

package elevate

import "errors"

func peerUID(int) (uint32, error) { return 0, errors.ErrUnsupported }

func shield() error { return errors.ErrUnsupported }

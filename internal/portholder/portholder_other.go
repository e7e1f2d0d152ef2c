//go:build !linux

package portholder

import (
	"errors"
	"net/netip"
)

func find(netip.AddrPort) (Holder, error) { return Holder{}, errors.ErrUnsupported }

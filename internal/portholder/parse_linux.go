package portholder

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
)

// A socket is one that listens.
type socket struct {
	addr  netip.AddrPort // IPv4 in IPv6 is unmapped
	uid   int
	inode uint64
}

const stateListen = "0A" // TCP_LISTEN of the kernel's include/net/tcp_states.h

// parse returns the listening sockets in the text of /proc/net/tcp or tcp6
// (proc_net(5)) and skips whatever it does not understand.
func parse(text string) []socket {
	var sockets []socket
	for line := range strings.Lines(text) {
		// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …
		fields := strings.Fields(line)
		if len(fields) < 10 || fields[3] != stateListen {
			continue
		}
		addr, ok := parseAddr(fields[1])
		uid, uidErr := strconv.ParseUint(fields[7], 10, 32)
		inode, inodeErr := strconv.ParseUint(fields[9], 10, 64)
		if ok && uidErr == nil && inodeErr == nil {
			sockets = append(sockets, socket{addr: addr, uid: int(uid), inode: inode})
		}
	}
	return sockets
}

// parseAddr reads "0100007F:01BB". The kernel prints addresses as numbers of
// 32 bits in the machine's byte order, the port in the usual one.
func parseAddr(s string) (netip.AddrPort, bool) {
	address, port, _ := strings.Cut(s, ":")
	raw, err := hex.DecodeString(address)
	if err != nil || len(raw) != 4 && len(raw) != 16 {
		return netip.AddrPort{}, false
	}
	for word := range len(raw) / 4 {
		part := raw[4*word : 4*word+4]
		binary.NativeEndian.PutUint32(part, binary.BigEndian.Uint32(part))
	}
	addr, _ := netip.AddrFromSlice(raw)
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(number)), true
}

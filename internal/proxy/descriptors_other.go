//go:build !unix

package proxy

const descriptorHint = "close programs that have many connections open"

// outOfDescriptors reports false: the number of sockets has no such limit here.
func outOfDescriptors(error) bool { return false }

// descriptorLimit returns 0, for unknown.
func descriptorLimit() uint64 { return 0 }

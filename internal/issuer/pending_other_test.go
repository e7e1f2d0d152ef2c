//go:build !unix

package issuer

const lockable = false

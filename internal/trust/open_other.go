//go:build !linux

package trust

// isOpen would rather keep a file than take it from under a program.
func isOpen(string) bool { return true }

//go:build !unix

package issuer

import "context"

// lockFolder does nothing: folders cannot be locked here. Commit finds out by
// itself when another process was in between.
func lockFolder(context.Context, string, func()) (unlock func(), err error) {
	return func() {}, nil
}

func locked(string) bool { return false }

// syncFolder does nothing: Windows cannot open folders for that and does not
// need it.
func syncFolder(string) error { return nil }

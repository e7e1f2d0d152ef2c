//go:build !unix

package folderlock

// Folders cannot be locked here.
func try(string) (unlock func(), held bool, err error) { return func() {}, false, nil }

func held(string) bool { return false }

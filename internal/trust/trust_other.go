//go:build !linux

package trust

import "runtime"

// findStores finds nothing and says so.
func findStores(_ *Machine, a anchor) ([]store, []Status) {
	fix := "import the root certificate by hand"
	if a.file != "" {
		fix = "import " + a.file + " by hand"
	}
	return nil, []Status{{Store: "System", Detail: "no store is supported on " + runtime.GOOS + " yet", Fix: fix}}
}

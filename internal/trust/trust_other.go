//go:build !linux && !darwin && !windows

package trust

import "runtime"

// systemKinds is one that finds nothing and says so.
var systemKinds = []kind{{find: findNothing}}

func findNothing(_ *Machine, a anchor) ([]store, []Status) {
	fix := "import the root certificate by hand"
	if a.file != "" {
		fix = "import " + a.file + " by hand"
	}
	return nil, []Status{{Store: "System", Detail: "no store is supported on " + runtime.GOOS + " yet", Fix: fix}}
}

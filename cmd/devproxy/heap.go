package main

import "runtime"

// heapReserve is how much garbage there may be beyond what Go's default allows,
// which is as much as there is live memory, and at least 4 MiB in all. A proxy
// has next to none that is live: under load the collector would run dozens of
// times a second, for a fifteenth of the CPU time. This takes most of that away;
// each MiB more is one that a busy devproxy has more.
const heapReserve = 4 << 20

// reserveHeap has the garbage collector start later, until release is called,
// unless the environment says how it is to work. A higher percentage would do
// the same for little memory, but multiply the memory of thousands of
// connections; a memory limit would have the collector run all the time once
// they need more. What counts here as live is never touched, and so takes address
// space only: the reserve is the same whatever else there is.
func reserveHeap(env func(string) string) (release func()) {
	if env("GOGC") != "" || env("GOMEMLIMIT") != "" {
		return func() {}
	}
	reserve := make([]byte, heapReserve)
	return func() { runtime.KeepAlive(reserve) }
}

package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime returns the CPU time that a process and its descendants have used
// since they started, in user and kernel mode, threads that have ended
// included. The kernel counts it in nanoseconds.
func cpuTime(pid int) (time.Duration, error) {
	pids, err := family(pid)
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, pid := range pids {
		used, err := processClock(pid)
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// processClock reads the CPU clock of another process, as
// clock_getcpuclockid(3) finds it.
func processClock(pid int) (time.Duration, error) {
	const schedulerClock = 2
	var now unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|schedulerClock, &now); err != nil {
		return 0, err
	}
	return time.Duration(now.Nano()), nil
}

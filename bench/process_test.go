package main

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

// burn uses CPU time until the clock of this process has moved by d.
func burn(t *testing.T, d time.Duration) {
	t.Helper()
	start, err := processClock(os.Getpid())
	for now := start; err == nil && now-start < d; {
		now, err = processClock(os.Getpid())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestCPUTimeOfAProcessAndItsChildren(t *testing.T) {
	// Nobody waits for the inner shell to end but the outer one.
	cmd := exec.Command("sh", "-c", "sh -c 'while :; do :; done' & read line; kill $!; wait")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Write([]byte("\n"))
		cmd.Wait()
	})
	pid := cmd.Process.Pid
	for began := time.Now(); ; {
		pids, err := family(pid)
		if err != nil {
			t.Fatal(err)
		}
		used, err := cpuTime(pid)
		if err != nil {
			t.Fatal(err)
		}
		alone, err := processClock(pid)
		if err != nil {
			t.Fatal(err)
		}
		if len(pids) == 2 && slices.Contains(pids, pid) && used > alone+20*time.Millisecond {
			return
		}
		if time.Since(began) > patience {
			t.Fatalf("processes %v have used %v, %d alone %v; want two, and the second to use most", pids, used, pid, alone)
		}
	}
}

func TestSpend(t *testing.T) {
	c := &contender{process: &process{cmd: &exec.Cmd{Process: &os.Process{Pid: os.Getpid()}}}}
	used, err := spend(c, func() error { burn(t, 20*time.Millisecond); return nil })
	if err != nil || used < 20*time.Millisecond {
		t.Errorf("got %v, %v, want at least 20ms", used, err)
	}
}

func TestMemory(t *testing.T) {
	before, err := memory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 32<<20)
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1
	}
	after, err := memory(os.Getpid())
	if err != nil || after < before+24<<20 {
		t.Errorf("%v bytes before, %v (%v) with 32 MiB more", before, after, err)
	}
	if most := watchMemory(os.Getpid()).stop(); most < before+24<<20 {
		t.Errorf("the most was %v, want above %v", most, before+24<<20)
	}
	clear(block)
}

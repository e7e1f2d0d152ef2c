package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"
)

// soakTime returns how long TestSoak lasts: SOAKTIME under "make soak".
func soakTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("SOAKTIME")
	if text == "" || os.Getenv("DEVPROXY_SOAK") != "1" {
		return 20 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("SOAKTIME: %v", err)
	}
	return max(d, 20*time.Second)
}

// TestSoak keeps up every kind of traffic while the backend is killed and comes
// back, and other routes are reloaded. No request fails but those under way at
// a kill, and those cleanly; memory and descriptors do not grow.
func TestSoak(t *testing.T) {
	const (
		memoryMay      = 32 << 10 // grow, KiB
		descriptorsMay = 8
	)
	allowDescriptors(t, 4096)
	backend := &mortal{addr: "127.0.0.1:0"}
	if err := backend.live(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { backend.kill(false) })
	config := func(edit int) string {
		// One line for each request of so many would fill the memory of this test.
		return head + "log.access = false\n" + fmt.Sprintf(`
[routes."soak.localhost"]
to = "http://%s"
hold = "20s"
[routes."other%d.localhost"]
to = "builtin:hello"
`, backend.addr, edit)
	}
	s := start(t, newHome(t), config(0))
	k := &soak{s: s, backend: backend, longest: make(map[string]time.Duration)}

	total := soakTime(t)
	edits, kills := 0, 0
	phase := func(lasts time.Duration) (memory, descriptors int) {
		t.Helper()
		ctx, end := context.WithTimeout(t.Context(), lasts)
		defer end()
		done := make(chan struct{})
		go func() {
			defer close(done)
			edit, kill := time.NewTicker(time.Second), time.NewTicker(min(lasts/3, 10*time.Second))
			defer edit.Stop()
			defer kill.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-edit.C:
					edits++
					h := s.home.work + "/devproxy.toml"
					if err := rename(h, config(edits)); err != nil {
						k.fail("edit: %v", err)
					}
				case <-kill.C:
					kills++
					backend.kill(kills%2 == 0)
					time.Sleep(time.Duration(200+100*(kills%8)) * time.Millisecond) // how long it is away
					if err := backend.live(); err != nil {
						k.fail("restart the backend: %v", err)
					}
				}
			}
		}()
		clients := k.run(ctx, t)
		<-done
		s.calm(t, config(edits), clients...)
		descriptors = int(settled(t, func() int64 { return int64(s.descriptors(t)) }))
		return s.memory(t), descriptors
	}

	memory, descriptors := phase(max(total/5, 8*time.Second))
	s.forgetPeak(t)
	memoryEnd, descriptorsEnd := phase(total - max(total/5, 8*time.Second))
	t.Logf("%v: %d requests, %d messages, %d MiB of bodies, %d aborted by the client; %d reloads; %d kills, at which %d failed, %d of them by a 502",
		total, k.requests.Load(), k.messages.Load(), k.bytes.Load()>>20, k.aborted.Load(), edits, kills, k.killed.Load(), k.statuses.Load())
	t.Logf("memory %d KiB after the first fifth, %d at the end, %d at most; descriptors %d, %d; %d threads",
		memory, memoryEnd, s.vital(t, "VmHWM"), descriptors, descriptorsEnd, s.vital(t, "Threads"))
	t.Logf("longest: %v", k.longest)
	for _, failure := range k.failures {
		t.Error(failure)
	}
	if memoryEnd > memory+memoryMay {
		t.Errorf("memory grew from %d to %d KiB, want %d more at most", memory, memoryEnd, memoryMay)
	}
	if descriptorsEnd > descriptors+descriptorsMay {
		t.Errorf("descriptors grew from %d to %d, want %d more at most", descriptors, descriptorsEnd, descriptorsMay)
	}
	if k.requests.Load() < int64(10*total.Seconds()) || kills < 4 || k.messages.Load() == 0 || k.aborted.Load() == 0 {
		t.Error("so little traffic proves little")
	}
}

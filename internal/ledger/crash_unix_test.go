//go:build unix

package ledger

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// childFolder names the folder to the process that TestKilled kills.
const childFolder = "LEDGER_TEST_CHILD_FOLDER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		addForever(dir)
	}
	os.Exit(m.Run())
}

// addForever adds one entry after the other and prints the serial number of
// each when its Add has returned.
func addForever(dir string) {
	for i := 1; ; i++ {
		serial := fmt.Sprintf("%x%06x", os.Getpid(), i)
		if err := Add(context.Background(), dir, entry(serial), nil); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(serial)
	}
}

// TestKilled kills processes while they add. Whatever they had told of is in
// the ledger, which can be read at any moment.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	told := make(map[string]bool)
	for round := range 10 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childFolder+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			told[lines.Text()] = true
			if n == 2*round+1 { // from another moment each time
				cmd.Process.Kill()
			}
			mustRead(t, dir)
		}
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() != -1 {
			t.Fatalf("the process ended by itself: %v", err)
		}
		have := make(map[string]bool)
		for _, e := range mustRead(t, dir) {
			have[e.Serial] = true
		}
		for serial := range told {
			if !have[serial] {
				t.Fatalf("round %d: %s was added and is gone", round, serial)
			}
		}
	}
	// The next one finds the folder free.
	mustAdd(t, dir, entry("f00d"))
}

package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

// between are what may happen to a trusted root before it is untrusted.
var between = []struct {
	name string
	do   func(t *testing.T, h *home)
}{
	{"nothing", func(*testing.T, *home) {}},
	{"rotated", func(t *testing.T, h *home) {
		for range rounds(1, 3) {
			h.devproxy(t, "ca", "rotate").must(t, 0)
		}
	}},
	{"the CA deleted", func(t *testing.T, h *home) {
		for _, path := range []string{h.caFile(), h.rootFile()} {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}},
	{"dangling links", func(t *testing.T, _ *home) {
		files, err := filepath.Glob("/usr/local/share/ca-certificates/devproxy*.crt")
		if err != nil || len(files) != 1 {
			t.Fatalf("devproxy's files in the system's folder are %q, %v; want one", files, err)
		}
		if err := os.Remove(files[0]); err != nil {
			t.Fatal(err)
		}
		settle(t)
		if _, err := os.Lstat("/etc/ssl/certs/" + filepath.Base(files[0][:len(files[0])-len(".crt")]) + ".pem"); err != nil {
			t.Fatalf("update-ca-certificates leaves no link any more: %v", err)
		}
	}},
}

// TestMachineAsBefore compares the machine and a home before trust and after
// untrust, whatever happened meanwhile, with browsers that were used and with
// ones that never were.
func TestMachineAsBefore(t *testing.T) {
	for _, used := range []bool{false, true} {
		for _, with := range []bool{true, false} {
			browsers := map[bool]string{false: "new", true: "used"}[used]
			t.Run(browsers+", "+certutilName(with), func(t *testing.T) {
				withCertutil(t, with)
				h := newHome(t)
				if used {
					stopBrowsers(t, startBrowsers(t, h))
				}
				// The folders on the way to devproxy's own stay with it.
				if err := os.MkdirAll(h.state(), 0o700); err != nil {
					t.Fatal(err)
				}
				settle(t)
				clean := readMachine(t, h)
				for _, meanwhile := range between {
					t.Run(meanwhile.name, func(t *testing.T) {
						h.timed(t, "trust", "--java")
						t.Cleanup(func() { h.devproxy(t, "untrust").must(t, 0) })
						if same := clean.differences(readMachine(t, h)); len(same) == 0 {
							t.Fatal("trust has changed nothing")
						}
						meanwhile.do(t, h)
						h.timed(t, "untrust")
						clean.mustBe(t, readMachine(t, h))
					})
				}
			})
		}
	}
}

package trust

import (
	"context"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// stubCertutil plays certutil.exe: its stores are folders of certificates
// named by their SHA-1, and it writes down each command.
const stubCertutil = `#!/bin/sh
dir=$(dirname "$0")/stub
printf '%s\n' "$*" >>"$dir/log"
[ -e "$dir/broken" ] && { echo "CertUtil: -x command FAILED: 0x80070005 (WIN32: 5 ERROR_ACCESS_DENIED)"; exit 5; }
where=machine
[ "$1" = -user ] && { where=user; shift; }
linux() { printf '%s' "$1" | sed -e 's,^W:,,' -e 's,\\,/,g'; }
case $1 in
-store)
	if [ -z "$3" ]; then
		n=0
		for f in "$dir/$where"/*; do
			echo "================ Zertifikat $n ================"
			echo "Antragsteller: CN=$(openssl x509 -noout -subject -in "$f" | sed 's/.*= //')"
			echo "Zertifikathash(sha1): $(basename "$f")"
			n=$((n+1))
		done
		exit 0
	fi
	[ -e "$dir/$where/$3" ] || { echo "CertUtil: -store command FAILED: 0x80090011 (-2146893807 NTE_NOT_FOUND)"; exit 17; }
	openssl x509 -outform DER -in "$dir/$where/$3" -out "$(linux "$4")";;
-addstore)
	[ -e "$dir/no" ] && { echo "CertUtil: -addstore command FAILED: 0x800704c7 (ERROR_CANCELLED)"; exit 199; }
	f=$(linux "$3")
	cp "$f" "$dir/$where/$(openssl x509 -noout -fingerprint -sha1 -in "$f" | sed -e 's/.*=//' -e 's/://g' | tr A-F a-f)";;
-delstore)
	rm "$dir/$where/$3";;
*) echo "unexpected: $*"; exit 1;;
esac
`

type fakeWSL struct {
	t        *testing.T
	certutil string
	dir      string
}

func newFakeWSL(t *testing.T, m *Machine, drives string) *fakeWSL {
	t.Helper()
	tool(t, "openssl")
	f := &fakeWSL{t: t, certutil: filepath.Join(m.at(drives), "c/Windows/System32/certutil.exe")}
	f.dir = filepath.Join(filepath.Dir(f.certutil), "stub")
	for file, text := range map[string]string{
		f.certutil:               stubCertutil,
		m.at("/usr/bin/wslpath"): "#!/bin/sh\n[ \"$1\" = -w ] && printf 'W:%s\\n' \"$2\" | tr / '\\\\'\n",
	} {
		writeFile(t, file, []byte(text))
		if err := os.Chmod(file, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, where := range []string{"user", "machine"} {
		mkdir(t, filepath.Join(f.dir, where))
	}
	writeFile(t, m.at("/proc/version"), []byte("Linux version 5.15.0-microsoft-standard-WSL2 (root@x) #1 SMP\n"))
	return f
}

// runs returns the commands that changed anything, and forgets all.
func (f *fakeWSL) runs() []string {
	f.t.Helper()
	log, _ := os.ReadFile(filepath.Join(f.dir, "log"))
	os.Remove(filepath.Join(f.dir, "log"))
	var runs []string
	for line := range strings.Lines(string(log)) {
		if line = strings.TrimSpace(line); !strings.Contains(line, "-store") {
			runs = append(runs, line)
		}
	}
	return runs
}

func (f *fakeWSL) touch(name string) func() {
	f.t.Helper()
	writeFile(f.t, filepath.Join(f.dir, name), nil)
	return func() { os.Remove(filepath.Join(f.dir, name)) }
}

func TestWSLRoundTrip(t *testing.T) {
	for name, tt := range map[string]struct{ drives, conf string }{
		"usual":        {"/mnt", ""},
		"elsewhere":    {"/drives", "# mine\n[boot]\nroot=/no\n[automount]\nenabled = true\nroot = \"/drives/\"\n"},
		"spelt freely": {"/", "[ AutoMount ]\nRoot=/\n"},
	} {
		t.Run(name, func(t *testing.T) {
			root, file := newRoot(t)
			m := newMachine(t)
			f := newFakeWSL(t, m, tt.drives)
			if tt.conf != "" {
				writeFile(t, m.at("/etc/wsl.conf"), []byte(tt.conf))
				without(m, "") // what is said of the system's store
			}
			m.cfg.UserOnly = true // Windows lets the user
			other, otherFile := newRoot(t)
			mustInstall(t, m, other, otherFile)
			f.runs()
			before := contents(t, filepath.Join(f.dir, "user"))

			got := only(t, mustInstall(t, m, root, file))
			if got.State != Trusted || !got.Changed || got.Store != "Windows" || got.Location != f.certutil {
				t.Errorf("Install: got %+v, want Windows trusted", got)
			}
			if got, want := f.runs(), []string{"-user -addstore Root W:" + strings.ReplaceAll(file, "/", `\`)}; !slices.Equal(got, want) {
				t.Errorf("Install ran %q, want %q", got, want)
			}
			if got := only(t, mustInstall(t, m, root, file)); got.State != Trusted || got.Changed || f.runs() != nil {
				t.Errorf("second Install: got %+v, want no change", got)
			}
			if got := only(t, m.Status(t.Context(), root)); got.State != Trusted {
				t.Errorf("Status: got %+v, want trusted", got)
			}
			os.Remove(file) // the CA is gone
			got2, err := m.RemoveOnly(t.Context(), root)
			if err != nil {
				t.Fatal(err)
			}
			if got := only(t, got2); got.State != NotTrusted || !got.Changed {
				t.Errorf("Remove: got %+v, want not trusted", got)
			}
			if got := f.runs(); len(got) != 1 || !strings.HasPrefix(got[0], "-user -delstore Root ") {
				t.Errorf("Remove ran %q, want one -delstore", got)
			}
			checkSame(t, "trust and untrust", before, contents(t, filepath.Join(f.dir, "user")))
		})
	}
}

func TestWSLPlan(t *testing.T) {
	root, file := newRoot(t)
	m := newMachine(t)
	f := newFakeWSL(t, m, "/mnt")
	steps, err := m.Plan(t.Context(), root, file)
	if err != nil || len(steps) != 3 || steps[1].Command[0] != f.certutil || steps[1].Privileged || steps[2].Note != windowsAsks {
		t.Errorf("Plan: got %+v, %v, want receipts, a command without root, and a word on Windows asking", steps, err)
	}
	mustInstall(t, m, root, file)
	steps, err = m.PlanRemove(t.Context())
	if err != nil || len(steps) != 3 || steps[1].Command[2] != "-delstore" {
		t.Errorf("PlanRemove: got %+v, %v, want -delstore", steps, err)
	}
}

func TestWSLProblems(t *testing.T) {
	root, file := newRoot(t)
	m := newMachine(t)
	f := newFakeWSL(t, m, "/mnt")
	undo := f.touch("no")
	if got := only(t, mustInstall(t, m, root, file)); got.State != NotTrusted || !strings.Contains(got.Detail, "0x800704c7") || !strings.Contains(got.Fix, "Yes") {
		t.Errorf("answered No: got %+v, want not trusted, and what to do", got)
	}
	undo()
	undo = f.touch("broken")
	if got := only(t, mustInstall(t, m, root, file)); got.State != Unknown || !strings.Contains(got.Detail, "0x80070005") {
		t.Errorf("failing: got %+v, want unknown, and why", got)
	}
	undo()
	mustInstall(t, m, root, file)
	undo = f.touch("broken")
	if got := only(t, mustRemove(t, m)); got.State != Unknown || !exists(m.receipts.file()) {
		t.Errorf("Remove, failing: got %+v, want the receipt kept", got)
	}
	undo()
	// Deleted by hand in Windows.
	users, _ := filepath.Glob(filepath.Join(f.dir, "user", "*"))
	for _, u := range users {
		os.Remove(u)
	}
	f.runs()
	if got := only(t, mustRemove(t, m)); got.State != NotTrusted || got.Changed || f.runs() != nil {
		t.Errorf("gone already: got %+v, want not trusted, no command", got)
	}
	// The machine's store shows in the user's, and is not ours.
	writeMachine(t, f, root)
	if got := only(t, mustInstall(t, m, root, file)); got.State != Trusted || got.Changed || f.runs() != nil || len(mustLoad(t, m)) != 0 {
		t.Errorf("by the machine: got %+v, want trusted, no command, no receipt", got)
	}
	r := receiptOf(&windowsRoot{name: "Windows", certutil: f.certutil}, anchorFor(t, root, file))
	mkdir(t, m.cfg.State)
	if err := m.receipts.add(r); err != nil {
		t.Fatal(err)
	}
	if got := only(t, mustRemove(t, m)); got.State != Trusted || !strings.Contains(got.Detail, "machine") || f.runs() != nil {
		t.Errorf("Remove: got %+v, want trusted by the machine still", got)
	}
}

// writeMachine puts root into the machine's store, and so into the user's view.
func writeMachine(t *testing.T, f *fakeWSL, root *x509.Certificate) {
	t.Helper()
	w := windowsRoot{}
	file := filepath.Join(t.TempDir(), "root.pem")
	writeFile(t, file, rootPEM(root))
	ids, err := w.candidates(t.Context(), anchorFor(t, root, file), true)
	if err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{"machine", "user"} {
		writeFile(t, filepath.Join(f.dir, where, ids[0]), rootPEM(root))
	}
}

func TestNotWSL(t *testing.T) {
	for name, tt := range map[string]struct {
		disk    []string
		notices int
	}{
		"no WSL":               {[]string{"/proc/version=Linux version 6.1.0 (debian)"}, 0},
		"container on WSL":     {[]string{"/proc/version=Linux version 5.15 Microsoft"}, 0},
		"drives not mounted":   {[]string{"/proc/sys/fs/binfmt_misc/WSLInterop-late=x"}, 1},
		"certutil, no wslpath": {[]string{"/proc/sys/fs/binfmt_misc/WSLInterop=x", "/mnt/c/Windows/System32/certutil.exe=x"}, 1},
	} {
		m := newMachine(t)
		for _, what := range tt.disk {
			build(t, m.cfg.Root, what)
		}
		root, file := newRoot(t)
		got := mustInstall(t, m, root, file)
		if len(got) != tt.notices {
			t.Errorf("%s: got %+v, want %d notices", name, got, tt.notices)
		}
		for _, n := range got {
			if n.Store != "Windows" || n.State != Unknown || !strings.Contains(n.Fix, file) {
				t.Errorf("%s: got %+v, want a word on Windows", name, n)
			}
		}
	}
}

func TestListedCandidates(t *testing.T) {
	// Older Windows parts the bytes by spaces.
	for _, line := range []string{"Cert Hash(sha1): 0123456789abcdef0123456789abcdef01234567", "Cert Hash(sha1): 01 23 45 67 89 AB cd ef 01 23 45 67 89 ab cd ef 01 23 45 67\r"} {
		w := windowsRoot{run: scripted(result{out: "Root\n================ Certificate 0 ================\nSubject: CN=devproxy root\n" + line + "\n" +
			"================ Certificate 1 ================\nSubject: CN=Other\nCert Hash(sha1): ffffffffffffffffffffffffffffffffffffffff\n"})}
		got, err := w.candidates(t.Context(), anchor{}, false)
		if want := []string{"0123456789abcdef0123456789abcdef01234567"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %q, %v, want %q", line, got, err, want)
		}
	}
}

func scripted(r result) runner {
	return func(context.Context, ...string) (result, error) { return r, nil }
}

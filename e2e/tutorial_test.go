package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestTutorial does what docs/tutorial.md says, as someone new: with an
// ordinary account, sudo and Debian's programs.
func TestTutorial(t *testing.T) {
	python(t, "flask", "requests")
	for _, name := range []string{"curl", "openssl", "sudo", "sysctl", "tshark", "uwsgi"} {
		tool(t, name)
	}
	text, err := os.ReadFile("../docs/tutorial.md")
	if err != nil {
		t.Fatal(err)
	}
	h := newcomer(t)
	r := newReader(t, h)
	defer r.leave()
	done, err := r.follow(string(text))
	if err != nil {
		t.Fatal(err)
	}
	// Counted in another way than they are read.
	if fences := len(regexp.MustCompile("(?m)^[ \t>]*(```|~~~)").FindAllString(string(text), -1)); done*2 != fences {
		t.Errorf("%d blocks were run, written or compared; there are %d fences", done, fences)
	}
	// The last lines take everything back.
	if hosts := string(readIf(t, "/etc/hosts")); strings.Contains(hosts, "devproxy") {
		t.Errorf("the hosts file holds names of devproxy:\n%s", hosts)
	}
	if files, _ := filepath.Glob("/usr/local/share/ca-certificates/devproxy*"); len(files) > 0 {
		t.Errorf("the system still trusts %q", files)
	}
}

// newcomer returns the home of someone who may use sudo and has put devproxy
// on the PATH.
func newcomer(t *testing.T) *home {
	t.Helper()
	const name, uid = "squirrel", 54323
	h := addUser(t, name, uid)
	rule := "/etc/sudoers.d/" + name
	if err := os.WriteFile(rule, []byte(name+" ALL=(ALL:ALL) NOPASSWD: ALL\n"), 0o440); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(rule) })
	shadow := readIf(t, "/etc/shadow") // without a line there the account counts as locked
	if err := os.WriteFile("/etc/shadow", append(shadow, name+":*:20000:0:99999:7:::\n"...), 0o640); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.WriteFile("/etc/shadow", shadow, 0o640) })
	const lowPorts = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
	before := readIf(t, lowPorts)
	t.Cleanup(func() { os.WriteFile(lowPorts, before, 0o644) })

	programs := filepath.Join(h.dir, ".local", "bin")
	for _, dir := range []string{filepath.Dir(programs), programs} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		h.own(t, dir)
	}
	if err := os.Symlink(os.Getenv(envBinary), filepath.Join(programs, "devproxy")); err != nil {
		t.Fatal(err)
	}
	h = h.withEnv("PATH="+programs+":/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
		"SHELL=/bin/bash", "USER="+name, "LOGNAME="+name, "PYTHONDONTWRITEBYTECODE=1")
	t.Cleanup(func() { // if it went wrong half-way
		h.devproxy(t, "hosts", "clean")
		h.devproxy(t, "untrust")
	})
	return h
}

// TestTutorialRunner has the runner find what a wrong tutorial would show.
func TestTutorialRunner(t *testing.T) {
	tests := []struct {
		name, text string
		want       string // in the error; "": none
	}{
		{"state is kept", "```sh\nname=squirrel; cd /tmp\n```\n```sh\necho $name\npwd\n```\n```text\nsquirrel\n/tmp\n```\n", ""},
		{"file", "```python\n# hello.py\nprint('fluffy')\n```\n```sh\npython3 hello.py\n```\n```text\nfluffy\n```\n", ""},
		{"expected failure", "```sh fails\nls nothing\n```\n```text\nls: …nothing…\n```\n```sh\ntrue\n```\n", ""},
		{"failing block", "```sh\nfalse\ntrue\n```\n", "line 1: exit status 1"},
		{"failing pipe", "```sh\nfalse | cat\n```\n", "exit status 1"},
		{"no such command", "```sh\ndevprox\n```\n", "exit status 127"},
		{"failure that does not come", "```sh fails\ntrue\n```\n```text\n```\n", "exit status 0"},
		{"failure that may be any of two", "```sh fails\nfalse\nfalse\n```\n```text\n```\n", "of several commands"},
		{"failure unseen", "```sh fails\nfalse\n```\n", "nothing says how"},
		{"wrong output", "```sh\necho fluffy tail\n```\n```text\nfluffy tale\n```\n", "shown:\nfluffy tail\n"},
		{"more output", "```sh\necho a\necho b\n```\n```text\na\n```\n", "shown:\na\nb\n"},
		{"less output", "```sh\necho a\n```\n```text\na\nb\n```\n", "shown:\na\n"},
		{"open quote", "```sh\necho 'a\n```\n", "unexpected EOF"},
		{"does not end", "```sh\nsleep 60\n```\n", "it does not do so within"},
		{"reads the keyboard", "```sh\nread line\n```\n", "exit status 1"},
		{"open block", "Text\n```sh\ntrue\n", "line 2: the block does not end"},
		{"block in a block", "```sh\n```text\n```\n", "line 2: a block begins within"},
		{"indented block", "- so:\n  ```sh\n  true\n  ```\n", "line 2: a block has to begin"},
		{"tildes", "~~~sh\ntrue\n~~~\n", "line 1: a block has to begin"},
		{"no language", "```\ntrue\n```\n", "without a language"},
		{"unknown language", "```console\n$ true\n```\n", `"console" is neither run nor compared`},
		{"unknown word", "```sh skip\nfalse\n```\n", `"skip" means nothing`},
		{"text after a file", "```toml\n# a.toml\n```\n```text\na\n```\n", "no command before this text"},
		{"file without a name", "```toml\n[routes]\n```\n", "the first line of a file"},
		{"file elsewhere", "```toml\n# ../a.toml\n```\n", "the first line of a file"},
		{"terminals", "```sh terminal=2\necho ready; cat\n```\n```text\nready\n```\n```sh terminal=2\necho again; cat\n```\n```text\nagain\n```\n", ""},
		{"later in a terminal", "```sh terminal=2\nmkfifo p; echo ready; cat p -\n```\n```text\nready\n```\n```sh\necho fluffy >p\n```\n```text terminal=2\nfluffy\n```\n", ""},
		{"never in a terminal", "```sh terminal=2\necho ready; cat\n```\n```text\nready\n```\n```text terminal=2\nready\n```\n", "shown:\n\nexpected:\nready"},
		{"program that ends", "```sh terminal=2\necho no; exit 3\n```\n```text\nready\n```\n", "it has ended, exit status 3"},
		{"not said when ready", "```sh terminal=2\ncat\n```\n", "nothing says when"},
		{"terminal that is not there", "```text terminal=2\nready\n```\n", "nothing runs in terminal 2"},
		{"deaf to Ctrl-C", "```sh terminal=2\ntrap '' INT; echo ready; cat\n```\n```text\nready\n```\n```sh terminal=2\ntrue\n```\n```text\n```\n", "it does not end within"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newReader(t, newHome(t))
			if tt.want != "" {
				r.patience = time.Second // it is not what makes the others pass
			}
			defer r.leave()
			done, err := r.follow(tt.text)
			switch {
			case tt.want == "" && (err != nil || done != strings.Count(tt.text, "```")/2):
				t.Errorf("%d blocks done, %v", done, err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestExpectedText is how a tutorial's text is compared.
func TestExpectedText(t *testing.T) {
	for _, tt := range []struct {
		want, shown string
		matches     bool
	}{
		{"a\n", "a\n", true},
		{"a\n", "a", true},
		{"a\n", "a  \n", true},
		{"a\n", "b\n", false},
		{"a.c\n", "abc\n", false},
		{"", "", true},
		{"", "a\n", false},
		{"a … c\n", "a b b c\n", true},
		{"a …\n", "a b\nc\n", false},
		{"a\n…\nd\n", "a\nb\nc\nd\n", true},
		{"a\n…\n", "a\n", true},
		{"a\n…\nd\n", "a\nb\nc\n", false},
		{"until 2027-01-01 00:00:00\n", "until 2026-12-31 12:30:01\n", true},
		{"until 2027-01-01\n", "until today\n", false},
		{"serial 0123456789abcdef0123\n", "serial fedcba98765432100\n", true},
		{"serial 0123456789abcdef0123\n", "serial none\n", false},
		{"serial 01234567\n", "serial deadbeef\n", true},
		{"serial 01234567\n", "serial deadbee\n", false},
		{"00:11:22:33:44:55:66:77\n", "FF:11:22:33:44:55:66:77:88\n", true},
		{"one   two\n", "one         two\n", true},
		{"one   two\n", "one two\n", false},
	} {
		if got := matchAll(tt.want, tt.shown); got != tt.matches {
			t.Errorf("%q expected, %q shown: %v, want %v", tt.want, tt.shown, got, tt.matches)
		}
	}
	if got := matchStart("a\n…\nc\n", "a\nb\nc\nd\n"); got != 6 {
		t.Errorf("the text is in the first %d bytes, want 6", got)
	}
	if got := matchStart("c\n", "a\nb\nc\n"); got != -1 {
		t.Errorf("text elsewhere is found in %d bytes", got)
	}
}

package elevate

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

var quoteTests = []struct {
	words Command
	want  string
}{
	{Command{"/usr/bin/install", "-m", "0644", "/tmp/a.pem"}, "/usr/bin/install -m 0644 /tmp/a.pem"},
	{Command{"/bin/cp", "--", "/home/o'neil/my file", "/etc/hosts"}, `/bin/cp -- '/home/o'\''neil/my file' /etc/hosts`},
	{Command{"/bin/echo", ""}, "/bin/echo ''"},
	{Command{"/bin/echo", "$HOME", "`id`", "a;b", "*", "~", "#", "\\"}, "/bin/echo '$HOME' '`id`' 'a;b' '*' '~' '#' '\\'"},
	{Command{"/bin/echo", "bücher", "日本 語", "!!", "\ufffd"}, "/bin/echo 'bücher' '日本 語' '!!' '\ufffd'"},
	{Command{"/bin/echo", "a\nb", "\xff", "\x1b[2J"}, `/bin/echo "$(printf 'a\012b')" "$(printf '\377')" "$(printf '\033[2J')"`},
	{Command{"/bin/echo", "\n", "a\n\n"}, "/bin/echo '\n' \"$(printf 'a')\"'\n\n'"},
	{Command{"/bin/echo", "-n\t100% it's\\ !a"}, `/bin/echo "$(printf '\055n\011100\045 it\047s\134 \041a')"`},
	{Command{"/bin/echo", "C1 \u009b, order \u202e, bü"}, `/bin/echo "$(printf 'C1 \302\233, order \342\200\256, bü')"`},
	{Command{"/bin/echo", "\r\"$x`y`\x7f"}, "/bin/echo \"$(printf '\\015\"$x`y`\\177')\""},
}

func TestCommandString(t *testing.T) {
	for _, tt := range quoteTests {
		if got := tt.words.String(); got != tt.want {
			t.Errorf("String() = %s, want %s", got, tt.want)
		}
	}
}

func TestAvailable(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg  Config
		want string // "" if available
	}{
		"root":           {Config{Root: true}, ""},
		"sudo, terminal": {Config{Sudo: "/usr/bin/sudo", Terminal: true}, ""},
		"no sudo":        {Config{Terminal: true}, "cannot become root: there is no sudo"},
		"nothing":        {Config{}, "cannot become root: there is no sudo"},
		"broken sudo":    {Config{Sudo: "/no/such/sudo"}, "cannot become root: no terminal where sudo could ask for a password"},
	} {
		err := New(tt.cfg).Available()
		if got := errText(err); got != tt.want {
			t.Errorf("%s: Available() = %q, want %q", name, got, tt.want)
		}
		if err != nil && !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v does not match ErrUnavailable", name, err)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A bad command must be found before an earlier one ran.
func TestRunRefusesCommands(t *testing.T) {
	for want, c := range map[string]Command{
		"empty command":            {},
		"is not an absolute path":  {"rm", "-rf", "/tmp/x"},
		"contains an equals sign":  {"/tmp/A=b/cp"},
		`command "" is not an abs`: {""},
	} {
		first := Command{"/no/such/command"}
		err := New(Config{Root: true}).Run(t.Context(), []Command{first, c})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Run(%q) = %v, want an error with %q", c, err, want)
		}
	}
	if err := New(Config{}).Run(t.Context(), nil); err != nil {
		t.Errorf("Run of nothing = %v, want nil even where root is out of reach", err)
	}
}

func TestOutput(t *testing.T) {
	for _, tt := range []struct {
		name       string
		writes     []string
		live, tail string
		started    bool
	}{
		{"nothing", nil, "", "", false},
		{"only sudo", []string{"Password: ", "Sorry\n"}, "Password: Sorry\n", "", false},
		{"only the command", []string{marker + "\n", "out\n"}, "", ": out", true},
		{"both in one write", []string{"Password: \n" + marker + "\r\nout"}, "Password: \n", ": out", true},
		{"marker cut", []string{"Password: " + marker[:1], marker[1:5], marker[5:] + "\nout"}, "Password: ", ": out", true},
		{"no marker after all", []string{"a" + marker[:3], "b"}, "a" + marker[:3] + "b", "", false},
		{"marker twice", []string{marker + "\nx" + marker}, "", ": x" + marker[1:], true},
	} {
		var live strings.Builder
		starts := 0
		o := output{live: &live, onStart: func() *time.Timer { starts++; return time.NewTimer(time.Hour) }}
		for _, w := range tt.writes {
			if n, err := o.Write([]byte(w)); n != len(w) || err != nil {
				t.Errorf("%s: Write = %d, %v", tt.name, n, err)
			}
		}
		took, tail := o.close()
		if live.String() != tt.live || tail != tt.tail || took > 0 != tt.started || starts == 1 != tt.started {
			t.Errorf("%s: live %q, tail %q, took %v, %d starts; want %q, %q, started %v",
				tt.name, live.String(), tail, took, starts, tt.live, tt.tail, tt.started)
		}
	}
}

func TestOutputKeepsTheEnd(t *testing.T) {
	o := output{}
	o.Write([]byte(marker))
	for range 10_000 {
		o.Write([]byte("noise noise noise noise\n"))
	}
	if len(o.tail) > 3*tailBytes {
		t.Errorf("%d bytes kept", len(o.tail))
	}
	o.Write([]byte("one\n\ntwo\n\x1b[31mthree\x1b[0m\r\nfour\tfive\n"))
	if _, got := o.close(); got != ": noise noise noise noise; one; two; [31mthree[0m; four five" {
		t.Errorf("tail %q", got)
	}
}

// However the bytes are cut, what follows the marker never shows and what
// precedes it always does.
func FuzzOutput(f *testing.F) {
	f.Add("Password: ", "out\n", 3)
	f.Add("\x1edev", "", 1)
	f.Fuzz(func(t *testing.T, before, after string, size int) {
		if strings.Contains(before, marker) {
			t.Skip("the marker is what starts the output; what comes before it cannot hold one")
		}
		var live strings.Builder
		o := output{live: &live}
		for part := range slices.Chunk([]byte(before+marker+after), max(1, size)) {
			o.Write(part)
		}
		if live.String() != before {
			t.Errorf("shown %q, want %q", live.String(), before)
		}
		if want := lastLines([]byte(after)); len(after) < tailBytes {
			if _, got := o.close(); got != want {
				t.Errorf("tail %q, want %q", got, want)
			}
		}
	})
}

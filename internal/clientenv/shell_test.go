package clientenv

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

var hostileValues = []string{
	"plain", "", "a b", "'", "''", `'"'`, `"$HOME"`, "$(touch x)", "`touch x`", `\`, `\\`, `\'`, `'\`, `a\`,
	"a\nb", "\n", "a\n", "a\r\nb", "a\tb", "!!", "~", "*", "#", ";&|<>", "%PATH%", "C:\\Users\\J\u00f6rg\\it's.pem",
	"\u2018\u2019\u201a\u201b\u201c\u201d", "\U0001f512", "\x01\x1b[31m\x7f", "$env:X", "\xff\xfe", "-n", "@(1)", "{a,b}", "a'+[char]39+'b",
}

// shells are the programs that judge the quoting. Each script ends with the
// bytes of X in hexadecimal, and loads what Export returns as Evaluate says.
var shells = []struct {
	program string
	args    []string
	shell   Shell
	load    string // $1 is the exported text
}{
	{"bash", []string{"--norc", "-c"}, POSIX, `eval "$(printf '%s\n' "$1")"`},
	{"dash", []string{"-c"}, POSIX, `eval "$(printf '%s\n' "$1")"`},
	{"zsh", []string{"-fc"}, POSIX, `eval "$(printf '%s\n' "$1")"`},
	{"zsh", []string{"-f", "-o", "rcquotes", "-ic"}, POSIX, `eval "$(printf '%s\n' "$1")"`},
	{"fish", []string{"--no-config", "-c"}, Fish, `printf '%s\n' $argv[1] | source`},
	{"pwsh", []string{"-NoProfile", "-Command"}, PowerShell, `$env:EXPORTED | Out-String | Invoke-Expression`},
}

func TestRealShells(t *testing.T) {
	for _, sh := range shells {
		t.Run(strings.Join(append([]string{sh.program}, sh.args...), " "), func(t *testing.T) {
			path, err := exec.LookPath(sh.program)
			if err != nil && sh.shell == PowerShell {
				t.Skip("Debian has no PowerShell; FuzzExport follows its rules")
			}
			if err != nil {
				path = requireTool(t, sh.program)
			}
			for _, value := range hostileValues {
				if sh.shell == PowerShell && (value == "" || !utf8.ValidString(value)) {
					continue // it has no such values
				}
				exported := sh.shell.Export(Variable{"X", value}) + "\n" +
					sh.shell.Comment("to set these, it's: "+sh.shell.Evaluate("devproxy env")) + "\n" +
					sh.shell.Comment(value)
				script := sh.load + "\nsh -c 'printf %s \"$X\" | od -An -v -tx1'"
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				args := append(append([]string{}, sh.args...), script)
				if sh.program != "fish" && sh.shell != PowerShell {
					args = append(args, "name") // $0
				}
				cmd := exec.CommandContext(ctx, path, append(args, exported)...)
				cmd.Dir = t.TempDir()
				cmd.Env = append(cmd.Environ(), "HOME="+cmd.Dir, "EXPORTED="+exported, "TERM=dumb")
				out, err := cmd.CombinedOutput()
				cancel()
				if err != nil {
					t.Errorf("%q: %v\n%s", value, err, out)
					continue
				}
				if got, err := unhex(string(out)); err != nil || got != value {
					t.Errorf("%q became %q (%v, %s)", value, got, err, out)
				}
			}
		})
	}
}

func unhex(text string) (string, error) {
	var out []byte
	for field := range strings.FieldsSeq(text) {
		b, err := strconv.ParseUint(field, 16, 8)
		if err != nil {
			return "", err
		}
		out = append(out, byte(b))
	}
	return string(out), nil
}

// FuzzExport reads what each shell gets by that shell's rules, written down
// here once more and apart from the quoting.
func FuzzExport(f *testing.F) {
	for _, v := range hostileValues {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		check := func(shell Shell, prefix, want string, read func(string) (string, bool)) {
			line := shell.Export(Variable{"X", value})
			text, ok := strings.CutPrefix(line, prefix)
			if !ok {
				t.Fatalf("%s: %q lacks %q", shell, line, prefix)
			}
			if got, ok := read(text); !ok || got != want {
				t.Errorf("%s: %q is written %q, which is %q, %t", shell, value, line, got, ok)
			}
		}
		check(POSIX, "export X=", value, readPOSIX)
		check(Fish, "set -gx X ", value, readFish)
		check(PowerShell, "$env:X = ", string([]rune(value)), readPowerShell)
	})
}

// readPOSIX reads one word (POSIX.1-2017, XCU 2.2).
func readPOSIX(text string) (string, bool) {
	var out strings.Builder
	for text != "" {
		switch text[0] {
		case '\'':
			inside, rest, closed := strings.Cut(text[1:], "'")
			if !closed {
				return "", false
			}
			out.WriteString(inside)
			text = rest
		case '\\':
			if len(text) < 2 || text[1] == '\n' {
				return "", false
			}
			out.WriteByte(text[1])
			text = text[2:]
		default:
			return "", false // Export leaves nothing bare
		}
	}
	return out.String(), true
}

// readFish reads one word in single quotes
// (https://fishshell.com/docs/current/language.html#quotes).
func readFish(text string) (string, bool) {
	if len(text) < 2 || text[0] != '\'' {
		return "", false
	}
	var out strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\'':
			return out.String(), i == len(text)-1
		case c == '\\' && i+1 < len(text) && (text[i+1] == '\\' || text[i+1] == '\''):
			i++
			out.WriteByte(text[i])
		default:
			out.WriteByte(c)
		}
	}
	return "", false
}

// readPowerShell reads strings in single quotes and [char]s that are added up
// (about_Quoting_Rules, about_Operators). Only printable ASCII may be there.
func readPowerShell(text string) (string, bool) {
	var units []uint16
	for first := true; text != ""; first = false {
		if !first {
			var ok bool
			if text, ok = strings.CutPrefix(text, "+"); !ok {
				return "", false
			}
		}
		if number, ok := strings.CutPrefix(text, "[char]"); ok && !first {
			end := strings.IndexFunc(number, func(r rune) bool { return r < '0' || r > '9' })
			if end < 0 {
				end = len(number)
			}
			unit, err := strconv.ParseUint(number[:end], 10, 16)
			if err != nil {
				return "", false
			}
			units = append(units, uint16(unit))
			text = number[end:]
			continue
		}
		if text[0] != '\'' {
			return "", false
		}
		i := 1
		for ; ; i++ {
			if i >= len(text) || text[i] < ' ' || text[i] > '~' {
				return "", false
			}
			if text[i] == '\'' {
				if i+1 == len(text) || text[i+1] != '\'' {
					break
				}
				i++
			}
			units = append(units, uint16(text[i]))
		}
		text = text[i+1:]
	}
	return string(utf16.Decode(units)), true
}

// What a comment holds must not be run, whatever the shell takes for the end
// of a line.
func TestCommentsDoNothing(t *testing.T) {
	for _, sh := range shells {
		t.Run(strings.Join(append([]string{sh.program}, sh.args...), " "), func(t *testing.T) {
			path, err := exec.LookPath(sh.program)
			if err != nil && sh.shell == PowerShell {
				t.Skip("Debian has no PowerShell; TestComment looks at its comments")
			}
			if err != nil {
				path = requireTool(t, sh.program)
			}
			for _, end := range []string{"\n", "\r", "\r\n", "\v", "\f", "\x1c", "\u0085", "\u2028", "\u2029", "\\\n", "#>", "*/", "'", `"`, ")", "\x00"} {
				text := sh.shell.Export(Variable{"X", "kept"}) + "\n" + sh.shell.Comment("/home/a"+end+"X=run; set -gx X run #/devproxy.toml") + "\n"
				args := append(append([]string{}, sh.args...), sh.load+"\nsh -c 'printf %s \"$X\"'")
				if sh.program != "fish" && sh.shell != PowerShell {
					args = append(args, "name") // $0
				}
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				cmd := exec.CommandContext(ctx, path, append(args, text)...)
				cmd.Dir = t.TempDir()
				cmd.Env = append(cmd.Environ(), "HOME="+cmd.Dir, "EXPORTED="+text, "TERM=dumb")
				out, err := cmd.CombinedOutput()
				cancel()
				if string(out) != "kept" || err != nil {
					t.Errorf("%q: X is %q, %v; want kept", end, out, err)
				}
			}
		})
	}
}

func TestComment(t *testing.T) {
	for _, shell := range []Shell{POSIX, Fish, PowerShell} {
		for text, want := range map[string]string{
			"run: devproxy env": "# run: devproxy env",
			"J\u00f6rg's \u201c\U0001f512\u201d $(x) `x` \\": "# J\u00f6rg's \u201c\U0001f512\u201d $(x) `x` \\",
			"a\nb": "", "a\n": "", "a\rb": "", "a\tb": "", "a\x00b": "", "a\x1b[2Jb": "", "a\x7f": "",
			"a\u0085b": "", "a\u2028b": "", "a\u202eb": "", "a\u00a0b": "", "a\xffb": "",
		} {
			if got := shell.Comment(text); got != want {
				t.Errorf("%s: Comment(%q) = %q, want %q", shell, text, got, want)
			}
		}
	}
}

func TestParseShell(t *testing.T) {
	for name, want := range map[string]Shell{
		"bash": POSIX, "zsh": POSIX, "sh": POSIX, "bash.exe": POSIX, "fish": Fish,
		"pwsh": PowerShell, "powershell.exe": PowerShell, "tcsh": "", "": "", "nu": "",
	} {
		got, ok := ParseShell(name)
		if got != want || ok != (want != "") {
			t.Errorf("ParseShell(%q) = %q, %t, want %q", name, got, ok, want)
		}
	}
}

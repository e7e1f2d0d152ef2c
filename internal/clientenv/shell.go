package clientenv

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// A Shell is a syntax in which variables can be set.
type Shell string

// The shells known. POSIX is bash, zsh, dash, ksh and their like.
const (
	POSIX      Shell = "sh"
	Fish       Shell = "fish"
	PowerShell Shell = "powershell"
)

// ParseShell returns the shell that a program name stands for. ok is false if
// the name is unknown.
func ParseShell(name string) (shell Shell, ok bool) {
	switch strings.TrimSuffix(name, ".exe") {
	case "sh", "bash", "zsh", "dash", "ash", "ksh", "mksh", "busybox":
		return POSIX, true
	case "fish":
		return Fish, true
	case "powershell", "pwsh":
		return PowerShell, true
	}
	return "", false
}

// Export returns the line that sets a variable and hands it on to programs.
func (s Shell) Export(v Variable) string {
	switch s {
	case Fish:
		return "set -gx " + v.Name + " " + quoteFish(v.Value)
	case PowerShell:
		return "$env:" + v.Name + " = " + quotePowerShell(v.Value)
	}
	return "export " + v.Name + "=" + quotePOSIX(v.Value)
}

// Evaluate returns the line a person types to run what command prints.
func (s Shell) Evaluate(command string) string {
	switch s {
	case Fish:
		return command + " | source"
	case PowerShell:
		return command + " | Out-String | Invoke-Expression"
	}
	return fmt.Sprintf(`eval "$(%s)"`, command)
}

// Comment returns the line that says text and does nothing. It is empty for a
// text that is not one line for certain: what follows a line's end would be
// run.
func (s Shell) Comment(text string) string {
	if !IsOneLine(text) {
		return ""
	}
	return "# " + text // in all of them
}

// IsOneLine reports whether text is one line, and seen in full, whatever reads
// it: it holds nothing but printable characters.
func IsOneLine(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// In single quotes everything stands for itself, up to the next quote.
func quotePOSIX(value string) string {
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}

// In fish a backslash escapes itself and the quote, even in single quotes.
func quoteFish(value string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(value) + "'"
}

// PowerShell also takes typographic quotes for quotes, joins lines with the
// system's line end, and reads a program's output in the console's code page:
// so everything but printable ASCII is written by its number.
func quotePowerShell(value string) string {
	var out strings.Builder
	out.WriteByte('\'')
	for _, unit := range utf16.Encode([]rune(value)) {
		switch {
		case unit == '\'':
			out.WriteString("''")
		case unit < ' ' || unit > '~':
			fmt.Fprintf(&out, "'+[char]%d+'", unit)
		default:
			out.WriteByte(byte(unit))
		}
	}
	out.WriteByte('\'')
	return out.String()
}

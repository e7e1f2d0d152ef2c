package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"devproxy/internal/elevate"
)

// forged tries everything that strangers can write.
const forged = "evil\n  ok  verify  localhost\tverifies\r\x1b[2J\u009b31m\u202egnp.exe\u2066\u200b\u2060\ufeff\u00ad\u2028\u3164\ufe0e\xffend"

func TestPrintable(t *testing.T) {
	const shown = "evil\ufffd  ok  verify  localhost\ufffdverifies\ufffd\ufffd[2J\ufffd31m\ufffdgnp.exe" +
		"\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffdend"
	if got := printable(forged); got != shown {
		t.Errorf("got %q, want %q", got, shown)
	}
	for _, honest := range []string{"", "bücher.localhost → http://127.0.0.1:5000", "日本語 🚀", "é ✓ “a” …", "नमस्ते"} {
		if got := printable(honest); got != honest {
			t.Errorf("got %q, want %q as it is", got, honest)
		}
	}
}

// TestOneLine: whatever is said by the one ui, it is one line.
func TestOneLine(t *testing.T) {
	for _, tt := range []struct {
		name  string
		say   func(u *ui)
		lines int
	}{
		{"error", func(u *ui) { u.report(errors.New(forged)) }, 1},
		{"usage", func(u *ui) { u.report(usagef("%s", forged)) }, 1},
		{"error and hint", func(u *ui) { u.report(withHint(errors.New(forged), "%s", forged)) }, 2},
		{"two errors", func(u *ui) { u.report(errors.Join(errors.New(forged), errors.New(forged))) }, 2},
		{"two errors and a hint", func(u *ui) { u.report(withHint(errors.Join(errors.New("a"), errors.New(forged)), "%s", forged)) }, 3},
		{"two errors within one", func(u *ui) { u.report(fmt.Errorf("read: %w", errors.Join(errors.New("a"), errors.New("b")))) }, 1},
		{"commands", func(u *ui) {
			u.report(&hintedError{err: errors.New("x"), hint: "run", commands: []elevate.Command{{"cp", forged}}})
		}, 3},
		{"warning", func(u *ui) { u.warn(forged) }, 1},
		{"hint", func(u *ui) { u.hint(forged) }, 1},
		{"table", func(u *ui) { u.table([][]cell{{{forged, red}, {forged, ""}}}) }, 1},
		{"last column", func(u *ui) { u.table([][]cell{{{"a", ""}}, {{"b", ""}, {forged, dim}}}) }, 2},
	} {
		var out strings.Builder
		tt.say(&ui{out: &out, err: &out})
		got := out.String()
		if n := strings.Count(got, "\n"); n != tt.lines || !strings.HasSuffix(got, "\n") || strings.ContainsAny(got, "\t\r\x1b\u202e\u2066\u200b") {
			t.Errorf("%s: got %q, want %d lines and nothing of it obeyed", tt.name, got, tt.lines)
		}
	}
}

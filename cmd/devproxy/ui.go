package main

// Rules for everything devproxy says to a person:
//
//   - Results go to stdout, everything else to stderr.
//   - An error is one line, "devproxy: error: …": lower case, no final
//     period, what was attempted and the thing it failed on.
//   - A hint is one line, "devproxy: hint: …", and names a command that works
//     as typed. There is at most one for an error.
//   - A note is one line, "devproxy: note: …": something done otherwise than
//     asked, or worth knowing.
//   - What is shown is one line, whoever wrote it: file names, certificates and
//     other programs' errors cannot begin a line of ours, reorder it or hide a
//     part. Only cobra's help has more.
//   - Colour and symbols appear on a terminal only, and not under NO_COLOR.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"

	"devproxy/internal/config"
	"devproxy/internal/elevate"
)

type ui struct {
	out, err           io.Writer
	outTTY             bool
	outColor, errColor bool
}

func newUI(env func(string) string, stdout, stderr io.Writer) *ui {
	plain := env("NO_COLOR") != "" || env("TERM") == "dumb"
	return &ui{
		out:      stdout,
		err:      stderr,
		outTTY:   isTerminal(stdout),
		outColor: isTerminal(stdout) && !plain,
		errColor: isTerminal(stderr) && !plain,
	}
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// report prints an error that ends the program, all of its parts, each with
// its hint.
func (u *ui) report(err error) {
	if mistakes := config.Errors(err); len(mistakes) > 0 {
		for _, m := range mistakes {
			u.message("error", red, m.Error())
			u.hint(m.Hint)
		}
		return
	}
	for _, part := range severally(err) {
		u.message("error", red, part.Error())
	}
	if h, ok := errors.AsType[*hintedError](err); ok {
		u.hint(h.hint)
		u.commands(h.commands)
	}
}

// severally returns what err was joined of.
func severally(err error) []error {
	if h, ok := err.(*hintedError); ok {
		return severally(h.err)
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || !strings.Contains(err.Error(), "\n") {
		return []error{err}
	}
	var all []error
	for _, part := range joined.Unwrap() {
		all = append(all, severally(part)...)
	}
	return all
}

// note prints what is worth knowing and asks for nothing.
func (u *ui) note(text string) { u.message("note", dim, text) }

func (u *ui) warn(text string) { u.message("warning", yellow, text) }

// hint prints what to do next; "" prints nothing.
func (u *ui) hint(text string) {
	if text != "" {
		u.message("hint", cyan, text)
	}
}

// commands prints commands as they can be pasted.
func (u *ui) commands(list []elevate.Command) {
	for _, c := range list {
		fmt.Fprintf(u.err, "    %s\n", printable(c.String()))
	}
}

func (u *ui) message(kind string, c color, text string) {
	fmt.Fprintf(u.err, "devproxy: %s: %s\n", paint(u.errColor, c, kind), printable(text))
}

// printable makes text fit for a part of one line: what a terminal could take
// for a command, for the end of the line or for nothing at all is replaced by
// what can be seen.
func printable(text string) string { return strings.Map(visible, text) }

// visible returns r, or U+FFFD for what does not show as itself: controls, line
// ends, marks that change the direction, and what has no width.
func visible(r rune) rune {
	if !unicode.IsPrint(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
		return unicode.ReplacementChar
	}
	return r
}

// A color is an ANSI SGR parameter.
type color string

const (
	bold   color = "1"
	dim    color = "2"
	red    color = "31"
	green  color = "32"
	yellow color = "33"
	cyan   color = "36"
)

func paint(on bool, c color, text string) string {
	if !on || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// A cell is one entry of a table.
type cell struct {
	text  string
	color color // "" is plain
}

// table prints rows in aligned columns, indented by two. The last column is
// not padded.
func (u *ui) table(rows [][]cell) {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			row[i].text = printable(c.text)
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, c := range row {
			line.WriteString("  ")
			line.WriteString(paint(u.outColor && c.color != "", c.color, c.text))
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text)))
			}
		}
		fmt.Fprintln(u.out, strings.TrimRight(line.String(), " "))
	}
}

// mark puts a symbol before a word on a terminal.
func (u *ui) mark(ok bool, word string) cell {
	c, symbol := red, "✗ "
	if ok {
		c, symbol = green, "✓ "
	}
	if !u.outTTY {
		symbol = ""
	}
	return cell{symbol + word, c}
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

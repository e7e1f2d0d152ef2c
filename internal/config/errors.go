package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ErrEmpty is matched by the error for a file without any text. An editor may
// be in the middle of saving it.
var ErrEmpty = errors.New("the file is empty")

// An Error is one mistake, or one thing to warn about.
type Error struct {
	File    string // as messages call it; "" for a route of the command line
	Line    int    // from 1; 0 when no line is to blame
	Key     string // what the message is about, as a person calls it: "log.level", `route "app.localhost"`; may be ""
	Message string // what is wrong
	Hint    string // what to do about it; may be "". Not part of the error's text.

	cause error // what errors.Is may look for; nil for most
}

// Error returns "FILE:LINE: KEY: MESSAGE" without the parts that are empty.
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d", e.Line)
		}
		b.WriteString(": ")
	}
	if e.Key != "" {
		b.WriteString(e.Key)
		b.WriteString(": ")
	}
	b.WriteString(e.Message)
	return b.String()
}

// Unwrap lets errors.Is find ErrEmpty.
func (e *Error) Unwrap() error { return e.cause }

// Errors returns every Error that err is made of, in order.
func Errors(err error) []*Error {
	switch e := err.(type) {
	case *Error:
		return []*Error{e}
	case interface{ Unwrap() error }:
		return Errors(e.Unwrap())
	case interface{ Unwrap() []error }:
		var all []*Error
		for _, part := range e.Unwrap() {
			all = append(all, Errors(part)...)
		}
		return all
	}
	return nil
}

// fault returns an Error whose place and key the caller fills in.
func fault(hint, format string, args ...any) *Error {
	return &Error{Message: fmt.Sprintf(format, args...), Hint: hint}
}

// tidy makes e fit to be printed, whatever of the file it quotes: one line, not
// endless, nothing that a terminal obeys. It returns e.
func (e *Error) tidy() *Error {
	const longest = 500
	for _, text := range []*string{&e.Key, &e.Message, &e.Hint} {
		s := *text
		if len(s) > longest {
			s = strings.ToValidUTF8(s[:longest], "") + "…"
		}
		if strings.ContainsFunc(s, unprintable) {
			var b strings.Builder
			for _, r := range s {
				if unprintable(r) {
					b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
				} else {
					b.WriteRune(r)
				}
			}
			s = b.String()
		}
		*text = s
	}
	return e
}

func unprintable(r rune) bool { return !strconv.IsPrint(r) }

// byLine sorts errs by line and leaves those of one line in order.
func byLine(errs []*Error) {
	slices.SortStableFunc(errs, func(a, b *Error) int { return cmp.Compare(a.Line, b.Line) })
}

// join returns errs as one error, or nil when there are none.
func join(errs []*Error) error {
	all := make([]error, len(errs))
	for i, e := range errs {
		all[i] = e
	}
	return errors.Join(all...)
}

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"

	"devproxy/internal/doctor"
)

// Bounds on what strangers, such as the server that is looked at, can fill a
// report with.
const (
	foreignRunes         = 200  // of one field
	textRunes            = 2000 // of one text
	maxCertificatesShown = 10
)

// cut returns text without what is beyond most runes.
func cut(text string, most int) string {
	n := 0
	for i := range text {
		if n == most {
			return text[:i] + "…"
		}
		n++
	}
	return text
}

// bound cuts what is too long in a report. Commands stay whole: they are ours.
func (r *doctorReport) bound() {
	short := func(v *doctor.Verdict) {
		v.Detail, v.Fix = cut(v.Detail, textRunes), cut(v.Fix, textRunes)
	}
	for i := range r.Checks {
		c := &r.Checks[i]
		c.Subject = cut(c.Subject, textRunes)
		short(&c.Verdict)
		for client, name := range c.Names {
			c.Names[client] = cut(name, textRunes)
		}
	}
	for i := range r.Clients {
		short(&r.Clients[i].Verdict)
	}
}

// writeJSON prints v. encoding/json escapes but the controls of C0; whatever
// else a terminal might obey or not show is escaped here, which changes nothing
// of the data.
func writeJSON(w io.Writer, v any) error {
	var plain, out bytes.Buffer
	enc := json.NewEncoder(&plain)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	for text := plain.Bytes(); len(text) > 0; {
		r, size := utf8.DecodeRune(text)
		text = text[size:]
		if r == '\n' || visible(r) == r {
			out.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&out, `\u%04x`, unit)
		}
	}
	_, err := w.Write(out.Bytes())
	return err
}

package main

import (
	"fmt"
	"strings"
	"time"
)

// printShown prints a report for a person.
func (a *app) printShown(r shownReport, now time.Time) {
	a.printf("%s\n", paint(a.ui.outColor, bold, printable(cut(r.headline(), textRunes))))
	n := len(r.Certificates)
	for i, c := range r.Certificates[:min(n, maxCertificatesShown)] {
		title := ""
		if n > 1 {
			title = fmt.Sprintf("certificate %d of %d", i+1, n)
		}
		a.printPart(title, c.rows(now))
	}
	if more := n - maxCertificatesShown; more > 0 {
		a.printf("\n  and %s more, which --json shows\n", count(more, "certificate"))
	}
	for _, k := range r.Keys[:min(len(r.Keys), maxCertificatesShown)] {
		if k.Certificate == nil { // else it was said there
			a.printPart("", k.rows(n))
		}
	}
	for _, q := range r.Requests[:min(len(r.Requests), maxCertificatesShown)] {
		a.printPart("signing request", q.rows())
	}
	for _, l := range r.RevocationLists[:min(len(r.RevocationLists), maxCertificatesShown)] {
		a.printPart("revocation list", l.rows(now))
	}
	var rows [][]cell
	for _, c := range r.Checks {
		c.Subject = cut(c.Subject, foreignRunes)
		rows = append(rows, a.verdictRows(c)...)
	}
	if len(rows) > 0 {
		a.printf("\n")
		a.ui.table(rows)
	}
}

// printPart prints rows under a title, which may be "".
func (a *app) printPart(title string, rows [][]cell) {
	a.printf("\n")
	if title != "" {
		a.printf("%s\n", paint(a.ui.outColor, bold, title))
	}
	a.ui.table(rows)
}

// headline says in a line what is shown.
func (r shownReport) headline() string {
	var parts []string
	add := func(n int, noun string) {
		if n > 0 {
			parts = append(parts, count(n, noun))
		}
	}
	add(len(r.Certificates), "certificate")
	add(len(r.Keys), "private key")
	add(len(r.Requests), "signing request")
	add(len(r.RevocationLists), "revocation list")
	s := r.Source
	if s.Kind == "server" {
		at := ""
		if s.Address != s.Name {
			at = " at " + s.Address
		}
		words := []string{s.Version}
		if s.ALPN != "" {
			words = append(words, s.ALPN)
		}
		if s.AsksClient {
			parts = append(parts, "asks for a client certificate")
		}
		return s.Name + at + ": " + strings.Join(append(words, parts...), ", ")
	}
	if s.PKCS12 {
		return s.Name + ": PKCS#12, " + strings.Join(parts, ", ")
	}
	return s.Name + ": " + strings.Join(parts, ", ")
}

func (c shownCert) rows(now time.Time) [][]cell {
	issuer := c.Issuer
	if c.SelfIssued {
		issuer = "itself"
	}
	key := c.Key
	if c.WeakKey {
		key += ", weak"
	}
	if c.HasKey {
		key += ", and the private key is in the file"
	}
	validColor := color("")
	if c.DaysLeft < 0 {
		validColor = red
	}
	rows := [][]cell{
		{{"issued to", dim}, {orDefault(c.Subject, orDefault(c.Names.first(), "without a subject")), ""}},
		{{"issued by", dim}, {orDefault(issuer, "without a name"), ""}},
		{{"valid", dim}, {c.validity(now), validColor}},
	}
	add := func(name, text string, paint color) {
		if text != "" {
			rows = append(rows, []cell{{name, dim}, {cut(text, textRunes), paint}})
		}
	}
	add("names", c.Names.list(), "")
	add("for", c.purpose(), "")
	add("may sign for", c.Permitted.list(), "")
	add("never for", c.Excluded.list(), "")
	add("key", key, "")
	if c.WeakSignature {
		add("signature", c.Signature+", weak", yellow)
	}
	add("SHA-256", c.Fingerprint, "")
	add("serial", cut(c.Serial, foreignRunes), "")
	return rows
}

// validity says from when to when, and how far off the end is.
func (c shownCert) validity(now time.Time) string {
	span := c.NotBefore.UTC().Format(time.DateOnly) + " to " + c.NotAfter.UTC().Format(time.DateOnly)
	switch {
	case now.Before(c.NotBefore):
		return span + ", not yet"
	case now.After(c.NotAfter):
		return span + ", expired"
	case c.DaysLeft == 0:
		return span + ", less than a day left"
	}
	return span + ", " + count(c.DaysLeft, "day") + " left"
}

// purpose says what a certificate is for.
func (c shownCert) purpose() string {
	uses := someOf(c.Uses)
	if !c.CA {
		return orDefault(uses, "any use")
	}
	text := "a CA"
	switch {
	case c.PathLength == nil:
	case *c.PathLength == 0:
		text += " without others below it"
	default:
		text += " with at most " + count(*c.PathLength, "CA") + " below it"
	}
	if uses != "" {
		text += ", for " + uses
	}
	return text
}

func (k shownKey) rows(certificates int) [][]cell {
	text := k.Key
	switch {
	case k.Encrypted:
		text = "encrypted, so whose it is cannot be told"
	case k.Request != nil:
		text += ", of the signing request"
	case certificates > 0:
		text += ", of none of the certificates here"
	}
	return [][]cell{{{"private key", dim}, {text, ""}}}
}

func (q shownRequest) rows() [][]cell {
	rows := [][]cell{{{"asks for", dim}, {orDefault(q.Subject, "without a subject"), ""}}}
	if names := q.Names.list(); names != "" {
		rows = append(rows, []cell{{"names", dim}, {cut(names, textRunes), ""}})
	}
	return append(rows, []cell{{"key", dim}, {q.Key, ""}})
}

func (l shownList) rows(now time.Time) [][]cell {
	next := "not said"
	if !l.NextUpdate.IsZero() {
		next = l.NextUpdate.UTC().Format(time.DateOnly)
		if now.After(l.NextUpdate) {
			next += ", which is past"
		}
	}
	rows := [][]cell{
		{{"issued by", dim}, {l.Issuer, ""}},
		{{"issued on", dim}, {l.ThisUpdate.UTC().Format(time.DateOnly), ""}},
		{{"next update", dim}, {next, ""}},
		{{"revoked", dim}, {count(len(l.Serials), "certificate"), ""}},
	}
	if len(l.Serials) > 0 {
		rows = append(rows, []cell{{"serials", dim}, {cut(someOf(l.Serials), textRunes), ""}})
	}
	return rows
}

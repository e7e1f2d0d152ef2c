package explain

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
)

// maxNotes is how many certificates are complained of by name.
const maxNotes = 5

// notes returns what clients put up with but the server should not send: a
// wrong order, certificates that lead nowhere, the root.
func (q *inquiry) notes() []string {
	used := q.walk()
	var notes []string
	last := 0
	for _, c := range used {
		if i := indexIn(q.chain, c); i >= last {
			last = i
			continue
		}
		notes = append(notes, "the certificates are out of order: each should be followed by its issuer's")
		break
	}
	var needless []string
	for i, c := range q.chain {
		switch {
		case slices.ContainsFunc(q.chain[:i], c.Equal):
			needless = append(needless, "the certificate of "+name(c)+" is sent twice")
		case !slices.ContainsFunc(used, c.Equal):
			needless = append(needless, "the certificate of "+name(c)+" is sent, but did not issue any of the others")
		case i > 0 && q.selfSigned(c):
			needless = append(needless, "the root "+name(c)+" is sent, but clients must have it already")
		}
	}
	if more := len(needless) - maxNotes; more > 0 {
		needless = append(needless[:maxNotes], fmt.Sprintf("%s more are sent for nothing", count(more, "certificate")))
	}
	return append(notes, needless...)
}

// walk follows the chain from the server's certificate by what was sent.
func (q *inquiry) walk() []*x509.Certificate {
	at := q.chain[0]
	used := []*x509.Certificate{at}
	for !q.selfSigned(at) {
		i := slices.IndexFunc(q.looked, func(c *x509.Certificate) bool {
			return !slices.ContainsFunc(used, c.Equal) && bytes.Equal(c.RawSubject, at.RawIssuer) && q.signed(c, at) != forged
		})
		if i < 0 {
			break
		}
		at = q.looked[i]
		used = append(used, at)
	}
	return used
}

package doctor

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// maker is the organization in the subjects of every CA of devproxy.
const maker = "devproxy"

// Made reports whether a chain looks like one of devproxy's, of whichever CA.
func Made(chain []*x509.Certificate) bool {
	return len(chain) > 0 && slices.Contains(chain[0].Issuer.Organization, maker)
}

// Served judges the chain that a server presents for host, a name or an
// address: it has to be as devproxy sends it and lead to root. restart is what
// to do where the server is out of date.
func Served(chain []*x509.Certificate, host string, root *x509.Certificate, now time.Time, restart string) Verdict {
	if len(chain) == 0 {
		return Verdict{State: Fail, Detail: "no certificate was sent"}
	}
	leaf, roots, between := chain[0], x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(root)
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: between, CurrentTime: now})
	if err != nil {
		_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
		switch {
		case now.After(leaf.NotAfter):
			return Verdict{Fail, "the certificate expired on " + day(leaf.NotAfter), restart}
		case now.Before(leaf.NotBefore):
			return Verdict{Fail, "the certificate is not valid before " + day(leaf.NotBefore) + ", and the clock says " + day(now), "set the clock"}
		case unknown && len(chain) == 1 && Made(chain):
			return Verdict{Fail, "the server sends no intermediate", restart}
		case unknown && Made(chain):
			return Verdict{Fail, "signed by another CA of devproxy than the one on disk", restart}
		case unknown:
			return Verdict{Fail, fmt.Sprintf("not signed by devproxy, but by %q", shortened(leaf.Issuer.String())), "stop the program that holds the port"}
		}
		return Verdict{Fail, shortened(err.Error()), restart}
	}
	if slices.ContainsFunc(chain, func(c *x509.Certificate) bool { return c.Equal(root) }) {
		return Verdict{Warn, "the root is sent along: Firefox may go on trusting it after untrust", restart}
	}
	if len(chain) < 2 || !chain[1].PermittedDNSDomainsCritical {
		return Verdict{Warn, "the intermediate carries no constraints, so Java heeds none", restart}
	}
	return Verdict{State: OK, Detail: fmt.Sprintf("for %s until %s, by an intermediate with constraints, root not sent", host, day(leaf.NotAfter))}
}

// shortened returns what a stranger wrote without what is too much of it.
func shortened(text string) string {
	const most = 200 // runes
	n := 0
	for i := range text {
		if n == most {
			return text[:i] + "…"
		}
		n++
	}
	return text
}

func day(t time.Time) string { return t.Format(time.DateOnly) }

package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"devproxy/internal/doctor"
	"devproxy/internal/explain"
	"devproxy/internal/hostname"
)

// What a certificate can be judged as.
const (
	forServer = "server"
	forClient = "client"
	forCA     = "ca"
	forOther  = "other"
)

// judge adds to r what clients make of s.
func (e *examination) judge(ctx context.Context, s *shown, r *shownReport, now time.Time) {
	add := func(check, subject string, v doctor.Verdict) {
		r.Checks = append(r.Checks, doctor.Check{Check: check, Subject: subject, Verdict: v})
	}
	for _, p := range s.content.Problems {
		add("file", "damaged", doctor.Verdict{State: doctor.Fail, Detail: p, Fix: "take the file anew from where it came"})
	}
	for _, p := range s.content.Skipped {
		add("note", "not shown", doctor.Verdict{State: doctor.OK, Detail: p})
	}
	if chain := s.content.Certificates; len(chain) > 0 {
		r.Purpose = purposeOf(chain[0], s.host)
		r.Checks = append(r.Checks, keyChecks(r)...)
		r.Checks = append(r.Checks, e.judgeChain(ctx, chain, s.host, r, now)...)
		r.Checks = append(r.Checks, e.revokedChecks(chain[0])...)
	}
	for _, q := range s.content.Requests {
		add("request", "signature", judgeRequest(q))
	}
	for _, l := range s.content.RevocationLists {
		add("revocation-list", "signature", e.judgeList(l, s.content.Certificates, now))
	}
	for i, c := range r.Checks {
		if c.Commands == nil {
			r.Checks[i].Commands = []string{}
		}
		r.Checks[i].Detail, r.Checks[i].Fix = cut(c.Detail, textRunes), cut(c.Fix, textRunes)
	}
	r.OK = outcome(r.Checks)
}

// keyChecks complains of private keys that a server could not use with the
// certificates beside them.
func keyChecks(r *shownReport) []doctor.Check {
	var checks []doctor.Check
	for _, k := range r.Keys {
		v := doctor.Verdict{State: doctor.Fail}
		switch {
		case k.Encrypted, k.Certificate != nil && (*k.Certificate == 0 || r.Purpose == forCA):
			continue
		case k.Certificate != nil:
			v.Detail = fmt.Sprintf("the private key is that of certificate %d, but servers take the first for their own", *k.Certificate+1)
			v.Fix = fmt.Sprintf("put certificate %d first, and after it those of its issuers", *k.Certificate+1)
		default:
			v.Detail = "the private key is that of none of the certificates"
			v.Fix = "find the key that the certificate was made for, or have a certificate issued for this one"
		}
		checks = append(checks, doctor.Check{Check: "key", Subject: "private key", Verdict: v})
	}
	return checks
}

// judgeChain judges a certificate, followed by others, for host or, where that
// is "", for what it says it is for.
func (e *examination) judgeChain(ctx context.Context, chain []*x509.Certificate, host string, r *shownReport, now time.Time) []doctor.Check {
	one := func(check, subject string, v doctor.Verdict) []doctor.Check {
		return []doctor.Check{{Check: check, Subject: subject, Verdict: v}}
	}
	if i := slices.IndexFunc(chain, func(c *x509.Certificate) bool { return tooLong(c.PublicKey) }); i >= 0 {
		return one("verify", "key", doctor.Verdict{
			State:  doctor.Fail,
			Detail: fmt.Sprintf("the RSA key of certificate %d has more than %d bits, which clients refuse", i+1, longestKey),
			Fix:    "make a new key (ECDSA P-256)",
		})
	}
	leaf := chain[0]
	from, roots, err := e.trustedHere()
	if err != nil {
		return one("verify", r.Purpose, doctor.Verdict{State: doctor.Unknown, Detail: "cannot tell what this system trusts: " + err.Error()})
	}
	switch r.Purpose {
	case forServer:
		if host == "" {
			host = nameToJudge(leaf)
		}
		if host == "" {
			return one("verify", "names", doctor.Verdict{
				State: doctor.Fail, Detail: "the certificate names no host, so clients accept it for none",
				Fix: "have one issued that names the host: " + e.app.command("cert issue shop.localhost"),
			})
		}
		r.JudgedFor = hostname.Display(host)
		return e.judgeServer(ctx, chain, host, from, roots, now)
	case forClient:
		return one("client", "as a client", e.judgeUse(chain, from, roots, x509.ExtKeyUsageClientAuth, now,
			"a server that asks for certificates of this CA accepts it", "a server accepts it only if it is told to trust that CA: client_ca in devproxy.toml"))
	case forCA:
		checks := one("ca", "as a CA", e.judgeUse(chain, from, roots, x509.ExtKeyUsageAny, now,
			"clients accept what it signs, within its constraints", "clients accept nothing that it signs, unless they are told to trust it"))
		if len(chain) > 1 {
			checks = append(checks, one("note", "the others", doctor.Verdict{State: doctor.OK, Detail: "only the first certificate was judged"})...)
		}
		return checks
	}
	return one("verify", "for "+usesText(leaf), e.judgeUse(chain, from, roots, x509.ExtKeyUsageAny, now,
		"it is no certificate for servers or clients", "it is no certificate for servers or clients"))
}

// longestKey is the longest RSA key, in bits, that TLS clients take; Go's
// checks of longer ones take seconds and more.
const longestKey = 8192

func tooLong(public crypto.PublicKey) bool {
	k, ok := public.(*rsa.PublicKey)
	return ok && k.N.BitLen() > longestKey
}

// purposeOf returns what a certificate is to be judged as.
func purposeOf(c *x509.Certificate, host string) string {
	has := func(u x509.ExtKeyUsage) bool { return slices.Contains(c.ExtKeyUsage, u) }
	switch {
	case host != "":
		return forServer
	case c.BasicConstraintsValid && c.IsCA && len(c.DNSNames)+len(c.IPAddresses) == 0:
		return forCA
	case len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0, has(x509.ExtKeyUsageServerAuth), has(x509.ExtKeyUsageAny):
		return forServer
	case has(x509.ExtKeyUsageClientAuth):
		return forClient
	}
	return forOther
}

func usesText(c *x509.Certificate) string { return cut(someOf(usesOf(c)), foreignRunes) }

// nameToJudge returns the first name of a server's certificate: for a wildcard,
// one below it; where there are none, the first address or the common name,
// which some clients from before took.
func nameToJudge(c *x509.Certificate) string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	for _, name := range append(names, c.Subject.CommonName) {
		if net.ParseIP(name) != nil {
			return name
		}
		if base, wild := strings.CutPrefix(name, "*."); wild {
			name = "any." + base
		}
		if normal, err := hostname.Normalize(name); err == nil {
			return normal
		}
	}
	return ""
}

// trustedHere returns the roots of this system and devproxy's. Without a file
// with the former it is the latter alone, if there is one, and from is "".
func (e *examination) trustedHere() (from string, roots *x509.CertPool, err error) {
	from, roots, err = e.systemRoots()
	if err != nil {
		if e.seen.ca == nil {
			return "", nil, err
		}
		from, roots = "", x509.NewCertPool()
	}
	if e.seen.ca != nil {
		roots = roots.Clone()
		roots.AddCert(e.seen.ca.Root())
	}
	return from, roots, nil
}

// judgeServer says whether clients accept a server's chain for host.
func (e *examination) judgeServer(ctx context.Context, chain []*x509.Certificate, host, from string, roots *x509.CertPool, now time.Time) []doctor.Check {
	found := e.explain(ctx, chain, host, roots, now)
	if ctx.Err() != nil {
		return []doctor.Check{{Check: "verify", Subject: host, Verdict: doctor.Verdict{
			State: doctor.Unknown, Detail: fmt.Sprintf("cannot tell within %v: there is too much to look at", showTime),
		}}}
	}
	if from == "" { // whom else this system trusts is not known
		found.Causes = slices.DeleteFunc(found.Causes, func(c explain.Cause) bool {
			return slices.Contains([]explain.Kind{explain.SelfSigned, explain.SelfSignedInChain, explain.UnknownIssuer, explain.MissingIntermediate}, c.Kind)
		})
	}
	checks := causeChecks(found)
	add := func(check, subject string, v doctor.Verdict) {
		checks = append(checks, doctor.Check{Check: check, Subject: subject, Verdict: v})
	}
	shownHost := hostname.Display(host)
	ours := e.seen.ca != nil && e.provenByOurs(chain, host, now)
	switch {
	case found.Verified && ours:
		add("verify", shownHost, doctor.Verdict{State: doctor.OK, Detail: "clients here that trust the devproxy root accept it"})
		if v, lacks := e.systemLacksOurs(chain, host, now); lacks {
			add("verify", "this system", v)
		}
	case found.Verified:
		add("verify", shownHost, doctor.Verdict{State: doctor.OK, Detail: "clients here accept it: verifies against " + from})
	case from == "" && len(found.Causes) == 0:
		add("verify", shownHost, doctor.Verdict{State: doctor.Unknown, Detail: "does not lead to the devproxy root, and what else this system trusts cannot be told"})
	case e.madeElsewhere(chain):
		add("note", "another CA", doctor.Verdict{
			State:  doctor.OK,
			Detail: "a devproxy issued it, but another CA than the one on this machine now",
			Fix:    "have it issued anew: " + e.app.command("cert issue NAME") + ", or restart " + e.app.command("serve"),
		})
	}
	for _, note := range found.Notes {
		add("note", "chain", doctor.Verdict{State: doctor.OK, Detail: note})
	}
	return checks
}

// provenByOurs reports whether devproxy's root alone proves a chain.
func (e *examination) provenByOurs(chain []*x509.Certificate, host string, now time.Time) bool {
	roots := x509.NewCertPool()
	roots.AddCert(e.seen.ca.Root())
	return verifyShown(chain, host, roots, x509.ExtKeyUsageServerAuth, now) == nil
}

// madeElsewhere reports whether another devproxy's CA than that of this machine
// issued the first of chain.
func (e *examination) madeElsewhere(chain []*x509.Certificate) bool {
	if !doctor.Made(chain) || bytes.Equal(chain[0].RawSubject, chain[0].RawIssuer) {
		return false
	}
	return e.seen.ca == nil || chain[0].CheckSignatureFrom(e.seen.ca.Intermediate()) != nil
}

// systemLacksOurs says that the system's own roots do not have devproxy's.
func (e *examination) systemLacksOurs(chain []*x509.Certificate, host string, now time.Time) (doctor.Verdict, bool) {
	from, roots, err := e.systemRoots()
	if err != nil || verifyShown(chain, host, roots, x509.ExtKeyUsageServerAuth, now) == nil {
		return doctor.Verdict{}, false
	}
	return doctor.Verdict{State: doctor.Warn, Detail: from + " lacks the devproxy root, so programs that read it refuse this certificate", Fix: e.app.command("trust")}, true
}

// maxBetween bounds how many certificates of a file may lead to a root.
const maxBetween = 32

func verifyShown(chain []*x509.Certificate, host string, roots *x509.CertPool, use x509.ExtKeyUsage, now time.Time) error {
	options := x509.VerifyOptions{
		DNSName: host, Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{use},
	}
	for _, c := range chain[1:min(len(chain), maxBetween)] {
		options.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(options)
	return err
}

// judgeUse judges a certificate that is not a server's.
func (e *examination) judgeUse(chain []*x509.Certificate, from string, roots *x509.CertPool, use x509.ExtKeyUsage, now time.Time, accepted, untrusted string) doctor.Verdict {
	leaf := chain[0]
	err := verifyShown(chain, "", roots, use, now)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	switch {
	case err == nil && e.seen.ca != nil && e.ownChain(chain, use, now):
		return doctor.Verdict{State: doctor.OK, Detail: "leads to the devproxy root: " + accepted}
	case err == nil:
		return doctor.Verdict{State: doctor.OK, Detail: "leads to a root that is trusted here: " + accepted}
	case now.After(leaf.NotAfter):
		return doctor.Verdict{State: doctor.Fail, Detail: "it expired on " + leaf.NotAfter.UTC().Format(time.DateOnly), Fix: "have it issued anew"}
	case now.Before(leaf.NotBefore):
		return doctor.Verdict{State: doctor.Fail, Detail: "it is not valid before " + leaf.NotBefore.UTC().Format(time.DateOnly), Fix: "set the clock, or wait"}
	case unknown && from == "":
		return doctor.Verdict{State: doctor.Unknown, Detail: "it does not lead to the devproxy root, and what else this system trusts cannot be told"}
	case unknown:
		return doctor.Verdict{State: doctor.Fail, Detail: "it does not lead to a root that is trusted here", Fix: untrusted}
	}
	return doctor.Verdict{State: doctor.Fail, Detail: strings.TrimPrefix(err.Error(), "x509: "), Fix: "have it issued anew"}
}

func (e *examination) ownChain(chain []*x509.Certificate, use x509.ExtKeyUsage, now time.Time) bool {
	roots := x509.NewCertPool()
	roots.AddCert(e.seen.ca.Root())
	return verifyShown(chain, "", roots, use, now) == nil
}

package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"time"

	"devproxy/internal/doctor"
	"devproxy/internal/explain"
	"devproxy/internal/hostname"
)

// explainOther says why the certificate of a server that is not devproxy's, as
// far as the routes know, is refused. routed says that it is the port that is
// not devproxy's, not the host.
func (e *examination) explainOther(ctx context.Context, t *target, routed bool) error {
	shown, err := fetch(ctx, t)
	if err != nil {
		e.add("connection", t.address(), e.connectionVerdict(t, err, routed))
		return nil
	}
	chain := shown.Chain
	e.add("connection", t.address(), doctor.Verdict{State: doctor.OK, Detail: fmt.Sprintf("%s, %s sent", shown.Version, count(len(chain), "certificate"))})
	for i, c := range chain[:min(len(chain), maxCertificatesShown)] {
		e.add("connection", fmt.Sprintf("certificate %d", i), doctor.Verdict{
			State:  doctor.OK,
			Detail: fmt.Sprintf("%s, by %s, until %s", cut(subjectOf(c), foreignRunes), cut(c.Issuer.String(), foreignRunes), c.NotAfter.Format(time.DateOnly)),
		})
	}
	if more := len(chain) - maxCertificatesShown; more > 0 {
		e.add("connection", "more", doctor.Verdict{State: doctor.OK, Detail: fmt.Sprintf("and %d more", more)})
	}
	from, roots, err := e.systemRoots()
	if err != nil {
		e.add("verify", t.text, doctor.Verdict{State: doctor.Unknown, Detail: "cannot tell what this system trusts: " + err.Error()})
		return nil
	}
	if e.signedByUs(chain, t.host) && roots != nil {
		e.explainOwn(t, chain, roots, from)
		return nil
	}
	found := e.explain(ctx, chain, t.host, roots, time.Now())
	e.report.Checks = append(e.report.Checks, causeChecks(found)...)
	if len(found.Causes) == 0 {
		e.add("verify", t.text, doctor.Verdict{State: doctor.OK, Detail: "verifies against " + from})
	}
	for _, note := range found.Notes {
		e.add("verify", "note", doctor.Verdict{State: doctor.OK, Detail: note})
	}
	return nil
}

// explain is explain.Explain for one who knows the intermediate of this machine's
// CA: that it is missing is certain then.
func (e *examination) explain(ctx context.Context, chain []*x509.Certificate, host string, roots *x509.CertPool, now time.Time) explain.Explanation {
	found := explain.Explain(ctx, chain, host, roots, now)
	if e.seen.ca == nil || len(chain) == 0 {
		return found
	}
	intermediate := e.seen.ca.Intermediate()
	if slices.ContainsFunc(chain, intermediate.Equal) || chain[0].CheckSignatureFrom(intermediate) != nil {
		return found
	}
	for i := range found.Causes {
		c := &found.Causes[i]
		if c.Kind == explain.UnknownIssuer || c.Kind == explain.MissingIntermediate {
			c.Kind = explain.MissingIntermediate
			c.Problem = "the certificate of devproxy's intermediate, which issued the server's, is not sent with it"
			c.Fix = "give the server the whole file that devproxy wrote, not its first certificate only: clients need both"
		}
	}
	return found
}

// causeChecks says why clients refuse a chain.
func causeChecks(found explain.Explanation) []doctor.Check {
	state := doctor.Fail
	if found.Verified {
		state = doctor.Warn // some clients are stricter
	}
	var checks []doctor.Check
	for _, c := range found.Causes {
		names := map[string]string{}
		for client, name := range map[string]string{"OpenSSL": c.OpenSSL, "Python": c.Python, "Chromium": c.Chromium, "Firefox": c.Firefox} {
			if name != "" {
				names[client] = name
			}
		}
		checks = append(checks, doctor.Check{
			Check: "verify", Subject: string(c.Kind), Names: names,
			Verdict: doctor.Verdict{State: state, Detail: c.Problem, Fix: c.Fix},
		})
	}
	return checks
}

// explainOwn is for a certificate that our own root proves.
func (e *examination) explainOwn(t *target, chain []*x509.Certificate, roots *x509.CertPool, from string) {
	if !verifies(chain, t.host, roots) {
		e.add("verify", t.text, doctor.Verdict{
			State:  doctor.Fail,
			Detail: "signed by devproxy's root, which " + from + " lacks",
			Fix:    e.app.command("trust"),
		})
		return
	}
	e.add("verify", t.text, doctor.Verdict{State: doctor.OK, Detail: "signed by devproxy's root; verifies against " + from})
}

// verifies reports whether a client that does what the standard library does
// accepts a chain.
func verifies(chain []*x509.Certificate, host string, roots *x509.CertPool) bool {
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: between})
	return err == nil
}

// connectionVerdict says why there was no certificate to look at.
func (e *examination) connectionVerdict(t *target, err error, routed bool) doctor.Verdict {
	v := doctor.Verdict{State: doctor.Fail, Detail: err.Error()}
	_, oversize := errors.AsType[*explain.OversizeError](err)
	switch {
	case oversize:
		v.Fix = "have the server send its own certificate and the intermediates only"
	case routed:
		v.Fix = "devproxy serves this host on another port: leave the port out"
	case errors.Is(err, explain.ErrNotTLS) && t.onThisMachine():
		v.Fix = fmt.Sprintf("if an app speaks plain HTTP there, open http://%s, or put devproxy before it: %s",
			t.address(), e.app.command("app.localhost=http://"+t.address()))
	case hostname.Within(t.host, "localhost"):
		v.Fix = "no route has this host: " + e.app.command("routes") + " lists those there are"
	default:
		v.Fix = "see whether the name and the port are right"
	}
	return v
}

// fetch connects to a target. Names below localhost are this machine's,
// whether the system finds them or not.
func fetch(ctx context.Context, t *target) (explain.Presented, error) {
	if !hostname.Within(t.host, "localhost") {
		return explain.Fetch(ctx, t.address(), t.host)
	}
	_, port, err := net.SplitHostPort(t.address())
	if err != nil {
		return explain.Presented{}, err
	}
	shown, err := explain.Fetch(ctx, net.JoinHostPort("127.0.0.1", port), t.host)
	if err != nil {
		if other, err := explain.Fetch(ctx, net.JoinHostPort("::1", port), t.host); err == nil {
			return other, nil
		}
	}
	return shown, err
}

// systemRoots returns what this system trusts, and which file says so.
func (e *examination) systemRoots() (from string, roots *x509.CertPool, err error) {
	for _, file := range e.systemFiles {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		roots, err := doctor.FilePool(file)
		return file, roots, err
	}
	return "", nil, errors.New("no file with the system's roots was found")
}

// signedByUs reports whether the root on disk proves the chain.
func (e *examination) signedByUs(chain []*x509.Certificate, host string) bool {
	return e.seen.ca != nil && len(chain) > 0 && doctor.Served(chain, host, e.seen.ca.Root(), time.Now(), "").State == doctor.OK
}

// subjectOf names a certificate, by what it is for where it has no subject.
func subjectOf(c *x509.Certificate) string {
	if text := c.Subject.String(); text != "" {
		return text
	}
	if len(c.DNSNames) > 0 {
		return c.DNSNames[0]
	}
	if len(c.IPAddresses) > 0 {
		return c.IPAddresses[0].String()
	}
	return "without a subject"
}

package main

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"devproxy/internal/doctor"
	"devproxy/internal/ledger"
)

// revokedChecks says whether a certificate was revoked here.
func (e *examination) revokedChecks(c *x509.Certificate) []doctor.Check {
	if e.seen.state == "" {
		return nil
	}
	entries, err := ledger.Read(e.seen.state)
	if err != nil {
		return []doctor.Check{{Check: "revoked", Subject: "revoked", Verdict: doctor.Verdict{
			State: doctor.Unknown, Detail: "cannot tell whether it was revoked: " + err.Error(),
		}}}
	}
	// By what a running server goes by: a fingerprint is another one when the
	// signature is written in another valid way (ECDSA).
	i := slices.IndexFunc(entries, func(entry ledger.Entry) bool { return entry.Serial == serialText(c) })
	if i < 0 || entries[i].Revoked.IsZero() {
		return nil
	}
	return []doctor.Check{{Check: "revoked", Subject: "revoked", Verdict: doctor.Verdict{
		State:  doctor.Fail,
		Detail: "it was revoked on " + entries[i].Revoked.Format(time.DateOnly) + ": devproxy refuses it, and so does who reads the CA's revocation list",
		Fix:    "have another issued: " + e.app.command("cert issue NAME"),
	}}}
}

func judgeRequest(q *x509.CertificateRequest) doctor.Verdict {
	switch {
	case tooLong(q.PublicKey):
		return doctor.Verdict{State: doctor.Fail, Detail: fmt.Sprintf("its RSA key has more than %d bits, which clients refuse", longestKey), Fix: "make a new key (ECDSA P-256)"}
	case q.CheckSignature() != nil:
		return doctor.Verdict{State: doctor.Fail, Detail: "its signature is not that of the key in it: it was altered", Fix: "make the request anew"}
	case weakKey(q.PublicKey):
		return doctor.Verdict{State: doctor.Fail, Detail: "its key is too short to be accepted: " + keyKind(q.PublicKey), Fix: "make a new key (ECDSA P-256)"}
	}
	return doctor.Verdict{State: doctor.OK, Detail: "signed with the key in it"}
}

// judgeList judges a revocation list: of devproxy's CA, or of one whose
// certificate is in the same file.
func (e *examination) judgeList(l *x509.RevocationList, beside []*x509.Certificate, now time.Time) doctor.Verdict {
	const most = 10
	issuers := slices.Clone(beside[:min(len(beside), most)])
	if e.seen.ca != nil {
		issuers = append(issuers, e.seen.ca.Intermediate(), e.seen.ca.Root())
	}
	detail := "cannot be checked: the certificate of its issuer is not here"
	state := doctor.Unknown
	for _, issuer := range issuers {
		if tooLong(issuer.PublicKey) || string(issuer.RawSubject) != string(l.RawIssuer) {
			continue
		}
		if l.CheckSignatureFrom(issuer) != nil {
			state, detail = doctor.Fail, "it is not that of the issuer: the list was altered, or is of another CA with this name"
			continue
		}
		state, detail = doctor.OK, "signed by "+cut(distinguished(issuer.Subject), foreignRunes)
		break
	}
	if !l.NextUpdate.IsZero() && now.After(l.NextUpdate) {
		return doctor.Verdict{State: doctor.Fail, Detail: "the list is out of date since " + l.NextUpdate.UTC().Format(time.DateOnly), Fix: "get the next one; of devproxy's CA: " + e.app.command("cert crl")}
	}
	return doctor.Verdict{State: state, Detail: detail}
}

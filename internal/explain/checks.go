package explain

import (
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"time"
)

// causes returns all that is wrong with p.
func (p path) causes() []Cause {
	var all []Cause
	add := func(i int, c Cause, found bool) {
		if found {
			c.Index = i
			all = append(all, c)
		}
	}
	end := len(p.certs) - 1
	c, found := p.endCause()
	add(end, c, found)
	c, found = p.q.hostCause()
	add(0, c, found)
	for i := range p.certs {
		for _, check := range []func(int) (Cause, bool){p.keyCause, p.signatureCause, p.extensionCause, p.usageCause} {
			c, found = check(i)
			add(i, c, found)
		}
		c, found = p.timeCause(i, p.q.now)
		add(i, c, found)
		if i > 0 {
			for _, check := range []func(int) (Cause, bool){p.constraintCause, p.authorityCause, p.signerCause, p.lengthCause} {
				c, found = check(i)
				add(i, c, found)
			}
		}
	}
	for _, c := range strictCauses(p.certs[0]) {
		add(0, c, true)
	}
	return all
}

// endCause says why p does not lead to a trusted root.
func (p path) endCause() (Cause, bool) {
	end := len(p.certs) - 1
	last := p.certs[end]
	trust := "if you know whose it is, trust that CA's root on this machine"
	switch {
	case p.anchored:
		return Cause{}, false
	case p.forger != nil:
		return Cause{
			Kind:    InvalidSignature,
			Problem: fmt.Sprintf("the signature on %s is not that of %s, its issuer: the certificate was altered, or the wrong issuer's is sent with it", p.role(end), name(p.forger)),
			Fix:     "install the certificate and its chain on the server anew, as the CA gave them",
		}.called(sslSignature).browsers(chromiumAuthority, "SEC_ERROR_BAD_SIGNATURE"), true
	case p.q.selfSigned(last) && end == 0:
		return Cause{
			Kind:    SelfSigned,
			Problem: "the server's certificate is signed by itself and is not trusted here",
			Fix:     "use a certificate of a CA that clients trust, or trust this one on this machine",
		}.called(sslSelfSigned).browsers(chromiumAuthority, "MOZILLA_PKIX_ERROR_SELF_SIGNED_CERT"), true
	case p.q.selfSigned(last):
		return Cause{
			Kind:    SelfSignedInChain,
			Problem: fmt.Sprintf("the chain ends in the root %s, which is not trusted here", name(last)),
			Fix:     trust,
		}.called(sslRootInChain).browsers(chromiumAuthority, "SEC_ERROR_UNKNOWN_ISSUER"), true
	case p.namesake && weakAlgorithm(last):
		// That Go cannot check such a signature does not make it a forged one.
		return Cause{}, false
	case p.namesake:
		c := Cause{
			Kind: InvalidSignature,
			Problem: fmt.Sprintf("%s names %s as its issuer, which is trusted here, but that one's key did not sign it: a CA of the same name was made anew, or the certificate was altered",
				p.role(end), issuerName(last)),
			Fix: "have the certificate issued by the CA that is trusted, or trust the one that issued it",
		}.browsers(chromiumAuthority, "SEC_ERROR_BAD_SIGNATURE")
		// Which of the two depends on the key identifiers.
		c.OpenSSL = sslNoIssuer.String() + ", or " + sslSignature.String()
		c.Python = pythonSays(sslNoIssuer.text + ", or " + sslSignature.text)
		return c, true
	}
	c := Cause{}.called(sslNoIssuer).browsers(chromiumAuthority, "SEC_ERROR_UNKNOWN_ISSUER")
	switch {
	case end == 0 && p.strays:
		c.Kind = MissingIntermediate
		c.Problem = fmt.Sprintf("the server's certificate was issued by %s, whose own certificate is not among the others that the server sends", issuerName(last))
		c.Fix = fmt.Sprintf("have the server send the certificate of %s after its own (the full chain)", issuerName(last))
	case end == 0 && len(last.IssuingCertificateURL) > 0:
		c.Kind = MissingIntermediate
		c.Problem = fmt.Sprintf("the server sends its own certificate only, without that of %s, which issued it", issuerName(last))
		c.Fix = fmt.Sprintf("have the server send the full chain; the missing certificate is at %s", printable(last.IssuingCertificateURL[0]))
	default:
		c.Kind = UnknownIssuer
		c.Problem = fmt.Sprintf("%s was issued by %s, which is not trusted here", p.role(end), issuerName(last))
		c.Fix = trust + "; if " + issuerName(last) + " is an intermediate, have the server send its certificate, too"
	}
	return c, true
}

func (p path) timeCause(i int, now time.Time) (Cause, bool) {
	c := p.certs[i]
	switch {
	case now.After(c.NotAfter):
		return Cause{
			Kind:    Expired,
			Problem: fmt.Sprintf("%s expired on %s", p.role(i), moment(c.NotAfter, now)),
			Fix:     p.renew(i, ""),
		}.called(sslExpired).browsers(chromiumDate, either(i, "SEC_ERROR_EXPIRED_CERTIFICATE", "SEC_ERROR_EXPIRED_ISSUER_CERTIFICATE")), true
	case now.Before(c.NotBefore):
		return Cause{
			Kind:    NotYetValid,
			Problem: fmt.Sprintf("%s is not valid before %s", p.role(i), moment(c.NotBefore, now)),
			Fix:     "check the clocks of this machine and of the one that issued it, or wait",
		}.called(sslNotYet).browsers(chromiumDate,
			either(i, "MOZILLA_PKIX_ERROR_NOT_YET_VALID_CERTIFICATE", "MOZILLA_PKIX_ERROR_NOT_YET_VALID_ISSUER_CERTIFICATE")), true
	}
	return Cause{}, false
}

// keyCause complains of keys that OpenSSL finds too short. Go and the browsers
// accept 1024 bits under a root that does not come with them.
func (p path) keyCause(i int) (Cause, bool) {
	key, ok := p.certs[i].PublicKey.(*rsa.PublicKey)
	if !ok || key.N.BitLen() >= 2048 {
		return Cause{}, false
	}
	c := Cause{
		Kind:    WeakKey,
		Problem: fmt.Sprintf("the RSA key of %s has %d bits; 2048 is the least that OpenSSL's default on Debian accepts", p.role(i), key.N.BitLen()),
		Fix:     "make a new key (ECDSA P-256, or RSA with 2048 bits or more); then " + p.renew(i, ""),
	}
	if i == 0 {
		return c.called(sslWeakLeaf), true
	}
	return c.called(sslWeakCA), true
}

// weakAlgorithm reports whether c is signed in a way that can be forged.
func weakAlgorithm(c *x509.Certificate) bool {
	switch c.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return true
	}
	return false
}

func (p path) signatureCause(i int) (Cause, bool) {
	c := p.certs[i]
	// What a trusted root signs itself with, nobody checks.
	if !weakAlgorithm(c) || p.q.selfSigned(c) || p.anchored && i == len(p.certs)-1 {
		return Cause{}, false
	}
	return Cause{
		Kind:    WeakSignature,
		Problem: fmt.Sprintf("%s is signed with %s, which can be forged", p.role(i), c.SignatureAlgorithm),
		Fix:     p.renew(i, " with a SHA-256 signature"),
	}.called(sslWeakDigest).browsers(chromiumInvalid, "SEC_ERROR_CERT_SIGNATURE_ALGORITHM_DISABLED"), true
}

func (p path) extensionCause(i int) (Cause, bool) {
	unknown := p.certs[i].UnhandledCriticalExtensions
	if len(unknown) == 0 {
		return Cause{}, false
	}
	return Cause{
		Kind:    CriticalExtension,
		Problem: fmt.Sprintf("%s has the critical extension %s, which clients must refuse as they do not know it", p.role(i), printable(unknown[0].String())),
		Fix:     p.renew(i, " without it, or with it not critical"),
	}.called(sslCritical).browsers(chromiumInvalid, either(i, "SEC_ERROR_UNKNOWN_CRITICAL_EXTENSION", "SEC_ERROR_UNKNOWN_ISSUER")), true
}

// usageCause complains of an extended key usage without servers; without any,
// all is allowed.
func (p path) usageCause(i int) (Cause, bool) {
	c := p.certs[i]
	if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 ||
		slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) {
		return Cause{}, false
	}
	return Cause{
		Kind:    WrongUsage,
		Problem: fmt.Sprintf("%s is for %s, not for servers (extended key usage)", p.role(i), usages(c)),
		Fix:     p.renew(i, " with the extended key usage serverAuth"),
	}.called(sslPurpose).browsers(chromiumInvalid, "SEC_ERROR_INADEQUATE_CERT_TYPE"), true
}

func (p path) authorityCause(i int) (Cause, bool) {
	c := p.certs[i]
	old := c.Version < 3 && p.anchored && i == len(p.certs)-1 // a root from before there were extensions
	if c.BasicConstraintsValid && c.IsCA || old {
		return Cause{}, false
	}
	return Cause{
		Kind:    NotCA,
		Problem: fmt.Sprintf("%s issued %s, but is not a CA (basic constraints)", name(c), name(p.certs[i-1])),
		Fix:     "have the certificate issued by a CA, or the issuer's with basic constraints CA:TRUE",
	}.called(sslNotCA).browsers(chromiumInvalid, "SEC_ERROR_CA_CERT_INVALID"), true
}

func (p path) signerCause(i int) (Cause, bool) {
	c := p.certs[i]
	if c.KeyUsage == 0 || c.KeyUsage&x509.KeyUsageCertSign != 0 {
		return Cause{}, false
	}
	return Cause{
		Kind:    MayNotSign,
		Problem: fmt.Sprintf("%s may not sign certificates (key usage), but signed that of %s", p.role(i), name(p.certs[i-1])),
		Fix:     p.renew(i, " with the key usage keyCertSign"),
	}.called(sslNotCA).browsers(chromiumInvalid, "SEC_ERROR_INADEQUATE_KEY_USAGE"), true
}

func (p path) lengthCause(i int) (Cause, bool) {
	c := p.certs[i]
	below := i - 1
	if !c.BasicConstraintsValid || c.MaxPathLen < 0 || below <= c.MaxPathLen {
		return Cause{}, false
	}
	return Cause{
		Kind:    PathTooLong,
		Problem: fmt.Sprintf("%s allows %s below it (path length), but there are %d", p.role(i), count(c.MaxPathLen, "intermediate"), below),
		Fix:     "have the certificate issued by a CA higher up, or that one's without a path length",
	}.called(sslPathLength).browsers(chromiumInvalid, "SEC_ERROR_PATH_LEN_CONSTRAINT_INVALID"), true
}

// strictCauses returns what Go does not mind in a server's certificate and
// other clients do.
func strictCauses(leaf *x509.Certificate) []Cause {
	var all []Cause
	if _, ok := leaf.PublicKey.(ed25519.PublicKey); ok {
		all = append(all, Cause{
			Kind:    Ed25519Key,
			Problem: "the server's key is an Ed25519 key, which browsers do not support",
			Fix:     "make an ECDSA P-256 key for the server and have a certificate issued for it",
		}.browsers("ERR_SSL_VERSION_OR_CIPHER_MISMATCH", "SSL_ERROR_NO_CYPHER_OVERLAP"))
	}
	if leaf.BasicConstraintsValid && leaf.IsCA {
		all = append(all, Cause{
			Kind:    CAAsServer,
			Problem: "the server uses the certificate of a CA (basic constraints CA:TRUE) as its own",
			Fix:     "have that CA issue a certificate for the server",
		}.browsers("", "MOZILLA_PKIX_ERROR_CA_CERT_USED_AS_END_ENTITY"))
	}
	const openssl = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement
	if leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		c := Cause{
			Kind:    WrongKeyUsage,
			Problem: "the server's key may not make signatures (key usage), as today's TLS demands",
			Fix:     "have the server's certificate issued anew with the key usage digitalSignature",
		}.browsers("ERR_SSL_KEY_USAGE_INCOMPATIBLE", "")
		if leaf.KeyUsage&openssl == 0 {
			c = c.called(sslPurpose).browsers(c.Chromium, "SEC_ERROR_INADEQUATE_KEY_USAGE")
		}
		all = append(all, c)
	}
	const emptySequence = 2 // bytes
	if len(leaf.RawSubject) <= emptySequence && slices.ContainsFunc(leaf.Extensions, func(e pkix.Extension) bool {
		return e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) && !e.Critical
	}) {
		all = append(all, Cause{
			Kind:    EmptySubject,
			Problem: "the server's certificate has an empty subject, but its subject alternative names are not critical (RFC 5280, section 4.2.1.6)",
			Fix:     "have it issued anew with critical subject alternative names, or with a subject",
		}.browsers(chromiumInvalid, ""))
	}
	return all
}

package explain

import "fmt"

// The names are those of OpenSSL 3.0.22, Python 3.11, Chromium 156 and Firefox
// ESR 153 with their defaults on Debian 12, seen at a server that presented
// each. Debian's OpenSSL asks for security level 2, hence the weak keys.

// An opensslError is a verification error of OpenSSL, which Python quotes.
type opensslError struct {
	macro string
	code  int
	text  string
}

var (
	sslSignature   = opensslError{"X509_V_ERR_CERT_SIGNATURE_FAILURE", 7, "certificate signature failure"}
	sslNotYet      = opensslError{"X509_V_ERR_CERT_NOT_YET_VALID", 9, "certificate is not yet valid"}
	sslExpired     = opensslError{"X509_V_ERR_CERT_HAS_EXPIRED", 10, "certificate has expired"}
	sslSelfSigned  = opensslError{"X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT", 18, "self-signed certificate"}
	sslRootInChain = opensslError{"X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN", 19, "self-signed certificate in certificate chain"}
	sslNoIssuer    = opensslError{"X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY", 20, "unable to get local issuer certificate"}
	sslPathLength  = opensslError{"X509_V_ERR_PATH_LENGTH_EXCEEDED", 25, "path length constraint exceeded"}
	sslPurpose     = opensslError{"X509_V_ERR_INVALID_PURPOSE", 26, "unsuitable certificate purpose"}
	sslCritical    = opensslError{"X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION", 34, "unhandled critical extension"}
	sslPermitted   = opensslError{"X509_V_ERR_PERMITTED_VIOLATION", 47, "permitted subtree violation"}
	sslExcluded    = opensslError{"X509_V_ERR_EXCLUDED_VIOLATION", 48, "excluded subtree violation"}
	sslHost        = opensslError{"X509_V_ERR_HOSTNAME_MISMATCH", 62, "hostname mismatch"}
	sslAddress     = opensslError{"X509_V_ERR_IP_ADDRESS_MISMATCH", 64, "IP address mismatch"}
	sslWeakLeaf    = opensslError{"X509_V_ERR_EE_KEY_TOO_SMALL", 66, "EE certificate key too weak"}
	sslWeakCA      = opensslError{"X509_V_ERR_CA_KEY_TOO_SMALL", 67, "CA certificate key too weak"}
	sslWeakDigest  = opensslError{"X509_V_ERR_CA_MD_TOO_WEAK", 68, "CA signature digest algorithm too weak"}
	sslNotCA       = opensslError{"X509_V_ERR_INVALID_CA", 79, "invalid CA certificate"}
)

func (e opensslError) String() string { return fmt.Sprintf("%s (%d): %s", e.macro, e.code, e.text) }

// python returns what Python's exception says, without the place in its
// source at the end.
func (e opensslError) python() string { return pythonSays(e.text) }

func pythonSays(text string) string {
	return "ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: " + text
}

// Chromium's names of what has more than one kind.
const (
	chromiumAuthority = "NET::ERR_CERT_AUTHORITY_INVALID"
	chromiumDate      = "NET::ERR_CERT_DATE_INVALID"
	chromiumInvalid   = "NET::ERR_CERT_INVALID"
	chromiumName      = "NET::ERR_CERT_COMMON_NAME_INVALID"
)

// called returns c with what OpenSSL and Python call it.
func (c Cause) called(e opensslError) Cause {
	c.OpenSSL, c.Python = e.String(), e.python()
	return c
}

// browsers returns c with what Chromium and Firefox call it.
func (c Cause) browsers(chromium, firefox string) Cause {
	c.Chromium, c.Firefox = chromium, firefox
	return c
}

// either returns one of two names, that for the server's own certificate first.
func either(index int, leaf, issuer string) string {
	if index == 0 {
		return leaf
	}
	return issuer
}

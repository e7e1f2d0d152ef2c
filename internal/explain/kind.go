package explain

import "slices"

// A Kind names what is wrong with a chain of certificates.
type Kind string

const (
	NoCertificate       Kind = "no-certificate"       // the server sent none
	Expired             Kind = "expired"              // after notAfter
	NotYetValid         Kind = "not-yet-valid"        // before notBefore
	WrongHost           Kind = "wrong-host"           // no name in the certificate is the one asked for
	CommonNameOnly      Kind = "common-name-only"     // the name is in the subject only, where browsers no longer look
	WideWildcard        Kind = "wide-wildcard"        // only a wildcard of a top level domain, such as *.localhost, covers the host
	SelfSigned          Kind = "self-signed"          // the server's certificate signed itself and is not trusted
	SelfSignedInChain   Kind = "self-signed-in-chain" // the chain ends in a root that is not trusted
	UnknownIssuer       Kind = "unknown-issuer"       // the issuer was neither sent nor trusted
	MissingIntermediate Kind = "missing-intermediate" // the server left out a certificate between its own and the root
	WeakKey             Kind = "weak-key"             // RSA below 2048 bits
	WeakSignature       Kind = "weak-signature"       // SHA-1, MD5
	OutsideConstraints  Kind = "outside-constraints"  // a CA may not issue for a name in the certificate
	NotCA               Kind = "not-a-ca"             // the issuer is no CA
	MayNotSign          Kind = "may-not-sign"         // the issuer's key usage lacks certificate signing
	PathTooLong         Kind = "path-too-long"        // more intermediates than a CA allows below it
	WrongUsage          Kind = "wrong-usage"          // not for servers: extended key usage
	WrongKeyUsage       Kind = "wrong-key-usage"      // the server's key usage lacks digital signature
	EmptySubject        Kind = "empty-subject"        // without a subject the names must be critical
	Ed25519Key          Kind = "ed25519-key"          // a key that browsers do not support
	CAAsServer          Kind = "ca-as-server"         // a CA's certificate used by a server
	InvalidSignature    Kind = "invalid-signature"    // altered, or not signed by the issuer it names
	CriticalExtension   Kind = "critical-extension"   // one that must be understood and is not
	Other               Kind = "other"                // refused for a reason that has no kind here
)

// rank orders kinds by how telling they are: whose certificate it is at all,
// for whom, when, and only then how it was made.
func (k Kind) rank() int {
	return slices.Index([]Kind{
		NoCertificate, InvalidSignature, SelfSigned, SelfSignedInChain, MissingIntermediate, UnknownIssuer,
		WrongHost, CommonNameOnly, WideWildcard, Expired, NotYetValid, OutsideConstraints,
		NotCA, MayNotSign, PathTooLong, WrongUsage, CriticalExtension, WeakSignature,
		WeakKey, Ed25519Key, WrongKeyUsage, EmptySubject, CAAsServer, Other,
	}, k)
}

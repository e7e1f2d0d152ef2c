package explain

import (
	"crypto/x509"
	"net"
	"testing"
)

// A situationTest is one thing that can be wrong.
type situationTest struct {
	name  string
	kind  Kind // "": verifies
	index int
	build func(t testing.TB) situation
}

// situations are all that can be wrong, each by itself.
var situations = []situationTest{
	{"good", "", 0, func(t testing.TB) situation {
		root := newRoot(t)
		between := root.intermediate(t, pathLen(0))
		return situation{sent: []entity{between.leaf(t), between}, roots: []entity{root}}
	}},
	{"no usage given", "", 0, direct(usage())},
	{"good wildcard", "", 0, func(t testing.TB) situation {
		root := newRoot(t)
		return situation{host: "a.shop.localhost", sent: []entity{root.leaf(t, named("*.shop.localhost"))}, roots: []entity{root}}
	}},
	{"good address", "", 0, func(t testing.TB) situation {
		root := newRoot(t)
		return situation{host: "127.0.0.1", sent: []entity{root.leaf(t, addressed("127.0.0.1"))}, roots: []entity{root}}
	}},

	{"leaf expired", Expired, 0, direct(lasting(-20*day, -3*day))},
	{"intermediate expired", Expired, 1, through(lasting(-20*day, -3*day))},
	{"root expired", Expired, 1, under(lasting(-20*day, -3*day))},
	{"leaf not yet valid", NotYetValid, 0, direct(lasting(3*day, 20*day))},
	{"intermediate not yet valid", NotYetValid, 1, through(lasting(3*day, 20*day))},

	{"another name", WrongHost, 0, direct(named("www.localhost"))},
	{"wildcard one label above", WrongHost, 0, func(t testing.TB) situation {
		root := newRoot(t)
		return situation{host: "a.b.shop.localhost", sent: []entity{root.leaf(t, named("*.shop.localhost"))}, roots: []entity{root}}
	}},
	{"wildcard without its base", WrongHost, 0, direct(named("*.shop.localhost"))},
	{"no name at all", WrongHost, 0, direct(called(""))},
	{"another common name", WrongHost, 0, direct(called("www.localhost"))},
	{"common name only", CommonNameOnly, 0, direct(called("shop.localhost"))},
	{"common name right, SAN wrong", WrongHost, 0, direct(called("shop.localhost", "www.localhost"))},
	{"address for a name", WrongHost, 0, direct(addressed("127.0.0.1"))},
	{"name for an address", WrongHost, 0, func(t testing.TB) situation {
		root := newRoot(t)
		return situation{host: "127.0.0.1", sent: []entity{root.leaf(t)}, roots: []entity{root}}
	}},
	{"another address", WrongHost, 0, func(t testing.TB) situation {
		root := newRoot(t)
		return situation{host: "127.0.0.1", sent: []entity{root.leaf(t, addressed("127.0.0.2"))}, roots: []entity{root}}
	}},
	{"address as a DNS name", WrongHost, 0, func(t testing.TB) situation {
		root := newRoot(t)
		return situation{host: "127.0.0.1", sent: []entity{root.leaf(t, named("127.0.0.1"))}, roots: []entity{root}}
	}},
	{"wildcard of a top level domain", WideWildcard, 0, direct(named("*.localhost"))},

	{"self-signed", SelfSigned, 0, func(t testing.TB) situation {
		return situation{sent: []entity{sign(t, server([]change{called("self", "shop.localhost")}), ecKey(), entity{})}}
	}},
	{"self-signed CA", SelfSigned, 0, func(t testing.TB) situation {
		return situation{sent: []entity{newRoot(t, named("shop.localhost"))}}
	}},
	{"trusted CA as server", CAAsServer, 0, func(t testing.TB) situation {
		root := newRoot(t, named("shop.localhost"), func(c *x509.Certificate) { c.KeyUsage = 0 })
		return situation{sent: []entity{root}, roots: []entity{root}}
	}},
	{"CA as server", CAAsServer, 0, func(t testing.TB) situation {
		root := newRoot(t)
		return situation{
			sent:  []entity{root.intermediate(t, named("shop.localhost"), func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageDigitalSignature })},
			roots: []entity{root},
		}
	}},
	{"unknown root sent", SelfSignedInChain, 1, func(t testing.TB) situation {
		root := newRoot(t)
		return situation{sent: []entity{root.leaf(t), root}}
	}},
	{"unknown issuer", UnknownIssuer, 0, func(t testing.TB) situation {
		return situation{sent: []entity{newRoot(t).leaf(t)}}
	}},
	{"unknown issuer of the intermediate", UnknownIssuer, 1, func(t testing.TB) situation {
		between := newRoot(t).intermediate(t)
		return situation{sent: []entity{between.leaf(t), between}}
	}},
	{"root of the same name", InvalidSignature, 0, func(t testing.TB) situation {
		root := newRoot(t)
		other := sign(t, &x509.Certificate{
			SerialNumber: serial(), RawSubject: root.cert.RawSubject, NotBefore: root.cert.NotBefore, NotAfter: root.cert.NotAfter,
			BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
		}, ecKey(), entity{})
		return situation{sent: []entity{root.leaf(t)}, roots: []entity{other}}
	}},
	{"intermediate missing", MissingIntermediate, 0, func(t testing.TB) situation {
		root := newRoot(t)
		return situation{sent: []entity{root.intermediate(t).leaf(t, withIssuerURL)}, roots: []entity{root}}
	}},
	{"another intermediate sent", MissingIntermediate, 0, func(t testing.TB) situation {
		root := newRoot(t)
		return situation{sent: []entity{root.intermediate(t).leaf(t), root.intermediate(t)}, roots: []entity{root}}
	}},

	{"leaf's key weak", WeakKey, 0, func(t testing.TB) situation {
		root := newRoot(t)
		return situation{sent: []entity{root.leafWith(t, weakKey())}, roots: []entity{root}}
	}},
	{"intermediate's key weak", WeakKey, 1, func(t testing.TB) situation {
		root := newRoot(t)
		between := root.intermediateWith(t, weakKey())
		return situation{sent: []entity{between.leaf(t), between}, roots: []entity{root}}
	}},
	{"root's key weak", WeakKey, 1, func(t testing.TB) situation {
		root := newRootWith(t, weakKey())
		return situation{sent: []entity{root.leaf(t)}, roots: []entity{root}}
	}},
	{"leaf signed with SHA-1", WeakSignature, 0, func(t testing.TB) situation {
		root := newRoot(t)
		between := root.intermediateWith(t, rsaKey())
		return situation{sent: []entity{between.leaf(t, sha1Signed), between}, roots: []entity{root}}
	}},
	{"leaf signed with SHA-1 by the root", WeakSignature, 0, func(t testing.TB) situation {
		root := newRootWith(t, rsaKey())
		return situation{sent: []entity{root.leaf(t, sha1Signed)}, roots: []entity{root}}
	}},
	{"intermediate signed with SHA-1", WeakSignature, 1, func(t testing.TB) situation {
		root := newRootWith(t, rsaKey())
		between := root.intermediate(t, sha1Signed)
		return situation{sent: []entity{between.leaf(t), between}, roots: []entity{root}}
	}},
	{"root signed with SHA-1", "", 0, func(t testing.TB) situation {
		root := newRootWith(t, rsaKey(), sha1Signed)
		return situation{sent: []entity{root.leaf(t)}, roots: []entity{root}}
	}},

	{"outside the root's constraints", OutsideConstraints, 1, under(onlyFor("test"))},
	{"outside the intermediate's constraints", OutsideConstraints, 1, through(onlyFor("test"))},
	{"excluded by the root", OutsideConstraints, 1, under(func(c *x509.Certificate) {
		c.ExcludedDNSDomains, c.PermittedDNSDomainsCritical = []string{"localhost"}, true
	})},
	{"one name of two outside", OutsideConstraints, 1, func(t testing.TB) situation {
		root := newRoot(t, onlyFor("localhost"))
		return situation{sent: []entity{root.leaf(t, named("shop.localhost", "shop.example"))}, roots: []entity{root}}
	}},
	{"address outside", OutsideConstraints, 1, func(t testing.TB) situation {
		root := newRoot(t, func(c *x509.Certificate) {
			c.PermittedIPRanges = []*net.IPNet{{IP: net.IP{10, 0, 0, 0}, Mask: net.CIDRMask(8, 32)}}
		})
		return situation{host: "127.0.0.1", sent: []entity{root.leaf(t, addressed("127.0.0.1"))}, roots: []entity{root}}
	}},

	{"issuer is not a CA", NotCA, 1, through(func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageCertSign })},
	{"issuer has no basic constraints", NotCA, 1, through(func(c *x509.Certificate) { c.BasicConstraintsValid, c.IsCA = false, false })},
	{"issuer may not sign", MayNotSign, 1, through(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })},
	{"intermediate's path too long", PathTooLong, 2, func(t testing.TB) situation {
		root := newRoot(t)
		upper := root.intermediate(t, pathLen(0))
		lower := upper.intermediate(t)
		return situation{sent: []entity{lower.leaf(t), lower, upper}, roots: []entity{root}}
	}},
	{"root's path too long", PathTooLong, 2, func(t testing.TB) situation {
		root := newRoot(t, pathLen(0))
		between := root.intermediate(t)
		return situation{sent: []entity{between.leaf(t), between}, roots: []entity{root}}
	}},

	{"client's certificate", WrongUsage, 0, direct(usage(x509.ExtKeyUsageClientAuth))},
	{"intermediate for clients", WrongUsage, 1, through(usage(x509.ExtKeyUsageClientAuth))},
	{"root for clients", WrongUsage, 1, under(usage(x509.ExtKeyUsageClientAuth))},
	{"key not for signatures", WrongKeyUsage, 0, direct(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageContentCommitment })},
	{"key for key agreement", WrongKeyUsage, 0, direct(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement })},
	{"key for encryption", WrongKeyUsage, 0, func(t testing.TB) situation {
		root := newRoot(t)
		return situation{
			sent:  []entity{root.leafWith(t, rsaKey(), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment })},
			roots: []entity{root},
		}
	}},
	{"empty subject", EmptySubject, 0, direct(emptySubject)},
	{"Ed25519 leaf", Ed25519Key, 0, func(t testing.TB) situation {
		root := newRoot(t)
		return situation{sent: []entity{root.leafWith(t, edKey())}, roots: []entity{root}}
	}},

	{"leaf's signature invalid", InvalidSignature, 0, func(t testing.TB) situation {
		root := newRoot(t)
		between := root.intermediate(t)
		return situation{sent: []entity{between.leaf(t).tampered(t), between}, roots: []entity{root}}
	}},
	{"intermediate's signature invalid", InvalidSignature, 1, func(t testing.TB) situation {
		root := newRoot(t)
		between := root.intermediate(t)
		return situation{sent: []entity{between.leaf(t), between.tampered(t)}, roots: []entity{root}}
	}},
	{"signature by the root invalid", InvalidSignature, 0, func(t testing.TB) situation {
		root := newRoot(t)
		return situation{sent: []entity{root.leaf(t).tampered(t)}, roots: []entity{root}}
	}},
	{"critical extension", CriticalExtension, 0, direct(criticalExtension)},
	{"intermediate's critical extension", CriticalExtension, 1, through(criticalExtension)},
}

// direct is a leaf with these changes below a trusted root.
func direct(changes ...change) func(testing.TB) situation {
	return func(t testing.TB) situation {
		root := newRoot(t)
		return situation{sent: []entity{root.leaf(t, changes...)}, roots: []entity{root}}
	}
}

// through is a good leaf below an intermediate with these changes.
func through(changes ...change) func(testing.TB) situation {
	return func(t testing.TB) situation {
		root := newRoot(t)
		between := root.intermediate(t, changes...)
		return situation{sent: []entity{between.leaf(t), between}, roots: []entity{root}}
	}
}

// under is a good leaf below a trusted root with these changes.
func under(changes ...change) func(testing.TB) situation {
	return func(t testing.TB) situation {
		root := newRoot(t, changes...)
		return situation{sent: []entity{root.leaf(t)}, roots: []entity{root}}
	}
}

package explain

import (
	"context"
	"crypto/x509"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

func explained(chain []*x509.Certificate, host string, roots *x509.CertPool, now time.Time) []Cause {
	return Explain(context.Background(), chain, host, roots, now).Causes
}

func kinds(causes []Cause) []Kind {
	var all []Kind
	for _, c := range causes {
		all = append(all, c.Kind)
	}
	return all
}

func TestSituations(t *testing.T) {
	for _, tt := range situations {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.build(t)
			got := explained(s.chain(), s.name(), s.pool(), good)
			if tt.kind == "" {
				if len(got) > 0 {
					t.Errorf("got %+v, want nothing wrong", got)
				}
				return
			}
			if len(got) == 0 {
				t.Fatalf("got nothing wrong, want %s", tt.kind)
			}
			if got[0].Kind != tt.kind || got[0].Index != tt.index {
				t.Errorf("got %s at %d, want %s at %d", got[0].Kind, got[0].Index, tt.kind, tt.index)
			}
			for _, c := range got {
				if c.Problem == "" || c.Fix == "" || c.OpenSSL+c.Python+c.Chromium+c.Firefox == "" {
					t.Errorf("not explained: %+v", c)
				}
			}
		})
	}
}

// The texts are what people read: they name the facts.
func TestProblems(t *testing.T) {
	for situation, want := range map[string]string{
		"leaf expired":                   "the server's certificate expired on " + good.Add(-3*day).UTC().Format("2006-01-02 15:04") + " UTC, 3 days ago",
		"leaf not yet valid":             "UTC, in 3 days",
		"another name":                   "the certificate is for www.localhost, not for shop.localhost",
		"wildcard one label above":       "a wildcard covers one label only",
		"wildcard without its base":      "a wildcard does not cover the name above it",
		"another common name":            `its common name is "www.localhost"`,
		"common name right, SAN wrong":   "the common name does not count",
		"address for a name":             "addresses do not count for a name",
		"name for an address":            "names do not count for an address",
		"address as a DNS name":          "the address is there as a DNS name",
		"leaf's key weak":                "has 1024 bits",
		"leaf signed with SHA-1":         "signed with SHA1-RSA",
		"outside the root's constraints": "its name constraints permit test",
		"address outside":                "its name constraints permit 10.0.0.0/8",
		"one name of two outside":        "names shop.example, for which",
		"client's certificate":           "is for clients, not for servers",
		"root's path too long":           "allows 0 intermediates below it (path length), but there are 1",
		"root of the same name":          "a CA of the same name was made anew",
		"critical extension":             "1.3.6.1.4.1.55555.1",
	} {
		i := slices.IndexFunc(situations, func(s situationTest) bool { return s.name == situation })
		s := situations[i].build(t)
		if got := explained(s.chain(), s.name(), s.pool(), good); len(got) == 0 || !strings.Contains(got[0].Problem, want) {
			t.Errorf("%s: got %+v, want %q", situation, got, want)
		}
	}
}

func TestExplainsAll(t *testing.T) {
	root := newRoot(t, onlyFor("test"))
	between := root.intermediateWith(t, rsaKey(), lasting(-20*day, -3*day))
	leaf := between.leafWith(t, weakKey(), named("www.localhost"), lasting(-10*day, -4*day), usage(x509.ExtKeyUsageClientAuth), sha1Signed)
	for _, tt := range []struct {
		name string
		s    situation
		want []Kind
	}{
		{"below a trusted root", situation{sent: []entity{leaf, between}, roots: []entity{root}},
			[]Kind{WrongHost, Expired, Expired, OutsideConstraints, WrongUsage, WeakSignature, WeakKey}},
		{"below none", situation{sent: []entity{leaf, between}},
			[]Kind{UnknownIssuer, WrongHost, Expired, Expired, WrongUsage, WeakSignature, WeakKey}},
	} {
		if got := kinds(explained(tt.s.chain(), "shop.localhost", tt.s.pool(), good)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestEveryKindIsMet(t *testing.T) {
	met := map[Kind]bool{"": true}
	for _, s := range situations {
		met[s.kind] = true
	}
	for _, k := range []Kind{
		Expired, NotYetValid, WrongHost, CommonNameOnly, WideWildcard, SelfSigned, SelfSignedInChain, UnknownIssuer,
		MissingIntermediate, WeakKey, WeakSignature, OutsideConstraints, NotCA, MayNotSign, PathTooLong, WrongUsage,
		WrongKeyUsage, EmptySubject, Ed25519Key, CAAsServer, InvalidSignature, CriticalExtension,
	} {
		if !met[k] {
			t.Errorf("no situation is %s", k)
		}
		if k.rank() < 0 {
			t.Errorf("%s has no rank", k)
		}
	}
}

func TestHostIsTakenAsClientsDo(t *testing.T) {
	root := newRoot(t)
	leaf := root.leaf(t, named("shop.localhost", "xn--kche-0ra.localhost"), func(c *x509.Certificate) {
		c.IPAddresses = []net.IP{net.ParseIP("::1"), net.ParseIP("127.0.0.1")}
	})
	s := situation{sent: []entity{leaf}, roots: []entity{root}}
	for _, host := range []string{"SHOP.localhost", "shop.localhost.", "küche.localhost", "[::1]", "0:0::1", "127.0.0.1", "::ffff:127.0.0.1"} {
		if got := explained(s.chain(), host, s.pool(), good); len(got) > 0 {
			t.Errorf("%s: got %+v, want nothing wrong", host, got)
		}
	}
	for _, host := range []string{"shop..localhost", "*.localhost", "a b", "\x1b[31m", "::2"} {
		got := explained(s.chain(), host, s.pool(), good)
		if !slices.Equal(kinds(got), []Kind{WrongHost}) || strings.ContainsRune(got[0].Problem+got[0].Fix+got[0].Python, '\x1b') {
			t.Errorf("%q: got %+v, want a wrong host, fit for a terminal", host, got)
		}
	}
}

func TestNothingToExplain(t *testing.T) {
	if got := kinds(explained(nil, "shop.localhost", nil, good)); !slices.Equal(got, []Kind{NoCertificate}) {
		t.Errorf("no chain: got %v", got)
	}
	root := newRoot(t)
	if got := kinds(explained([]*x509.Certificate{root.leaf(t).cert}, "shop.localhost", nil, good)); !slices.Equal(got, []Kind{UnknownIssuer}) {
		t.Errorf("no roots: got %v", got)
	}
}

func TestNotes(t *testing.T) {
	root := newRoot(t)
	upper := root.intermediate(t)
	lower := upper.intermediate(t)
	leaf, stray := lower.leaf(t), newRoot(t).intermediate(t)
	for _, tt := range []struct {
		name string
		sent []entity
		want []string
	}{
		{"as it should be", []entity{leaf, lower, upper}, nil},
		{"out of order", []entity{leaf, upper, lower}, []string{"out of order"}},
		{"with the root", []entity{leaf, lower, upper, root}, []string{"the root"}},
		{"twice", []entity{leaf, lower, lower, upper}, []string{"sent twice"}},
		{"unrelated", []entity{leaf, lower, stray, upper}, []string{"did not issue any"}},
		{"nothing", nil, nil},
	} {
		got := Explain(t.Context(), situation{sent: tt.sent}.chain(), "", nil, good).Notes
		if !slices.EqualFunc(got, tt.want, strings.Contains) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// FuzzAgreesWithVerify mixes what can be wrong: Explain finds nothing but what
// Go accepts exactly where Go verifies, and always knows the reason.
func FuzzAgreesWithVerify(f *testing.F) {
	common := []change{
		lasting(-20*day, -3*day), lasting(3*day, 20*day), criticalExtension,
		usage(x509.ExtKeyUsageClientAuth), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign },
	}
	authorities := append(slices.Clone(common), onlyFor("test"), onlyFor("localhost", "example"), pathLen(0),
		func(c *x509.Certificate) { c.IsCA, c.MaxPathLenZero = false, false }, func(c *x509.Certificate) { c.ExcludedDNSDomains = []string{"a.Shop.localhost", ".test"} })
	leaves := append(slices.Clone(common), named("*.shop.localhost"), named("shop.test", "SHOP.localhost"), named("*.localhost"),
		called("shop.localhost"), addressed("127.0.0.1"))
	hosts := []string{"shop.localhost", "a.shop.localhost", "shop.test", "127.0.0.1"}

	for i := range 10 {
		f.Add(uint16(1<<i), uint16(0), uint16(0), uint8(0), uint8(0))
		f.Add(uint16(0), uint16(1<<i), uint16(0), uint8(1), uint8(1))
		f.Add(uint16(32), uint16(64), uint16(1<<i), uint8(0), uint8(i))
		f.Add(uint16(1<<i), uint16(1<<i), uint16(3<<i), uint8(3*i), uint8(2))
	}
	f.Fuzz(func(t *testing.T, leafBits, betweenBits, rootBits uint16, shape, host uint8) {
		root := newRoot(t, chosen(authorities, rootBits&^(1<<8))...) // what is no CA, Go does not sign with
		between := root.intermediate(t, chosen(authorities, betweenBits)...)
		leaf := between.leaf(t, chosen(leaves, leafBits)...)
		if shape&4 != 0 {
			leaf = leaf.tampered(t)
		}
		s := situation{sent: []entity{leaf, between}, roots: []entity{root}}
		if shape&1 != 0 {
			s.sent = []entity{leaf, root, between}
		}
		if shape&2 != 0 {
			s.sent = s.sent[:1]
		}
		if shape&8 != 0 {
			s.roots = []entity{between}
		}
		if shape&16 != 0 {
			s.roots = append(s.roots, leaf)
		}
		asked := hosts[int(host)%len(hosts)]

		pool := x509.NewCertPool()
		for _, e := range s.sent[1:] {
			pool.AddCert(e.cert)
		}
		_, err := leaf.cert.Verify(x509.VerifyOptions{DNSName: asked, Roots: s.pool(), Intermediates: pool, CurrentTime: good})
		got := explained(s.chain(), asked, s.pool(), good)
		strict := slices.ContainsFunc(got, func(c Cause) bool { return !c.lenient() })
		if strict != (err != nil) {
			t.Errorf("Verify: %v; Explain: %v", err, kinds(got))
		}
		if slices.Contains(kinds(got), Other) {
			t.Errorf("no kind for: %v; got %v", err, kinds(got))
		}
	})
}

// chosen returns the changes whose bits are set.
func chosen(changes []change, bits uint16) []change {
	var some []change
	for i, c := range changes {
		if bits&(1<<i) != 0 {
			some = append(some, c)
		}
	}
	return some
}

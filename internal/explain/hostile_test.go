package explain

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
)

// unbearable makes each of chain claim a signature by the next one's key, the
// largest and slowest that TLS takes.
func unbearable(t testing.TB, chain []entity) []entity {
	t.Helper()
	const bytes = 1024
	for _, e := range chain {
		n := make([]byte, bytes)
		rand.Read(n)
		n[0], n[bytes-1] = 0xff, n[bytes-1]|1
		e.cert.PublicKey, e.cert.PublicKeyAlgorithm = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 1<<31 - 1}, x509.RSA
		e.cert.Signature, e.cert.SignatureAlgorithm = make([]byte, bytes), x509.SHA256WithRSA
		rand.Read(e.cert.Signature[1:])
	}
	return chain
}

// words returns n names that are short and differ.
func words(n int, format string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(format, i)
	}
	return all
}

func permittedNets(t testing.TB) []*net.IPNet {
	t.Helper()
	_, n, err := net.ParseCIDR("192.168.0.0/16")
	if err != nil {
		t.Fatal(err)
	}
	return []*net.IPNet{n}
}

// crossed returns n certificates of by's name and key, issued under the same
// key by another name.
func crossed(t testing.TB, n int, issuer string, by entity, changes ...change) []entity {
	t.Helper()
	all := make([]entity, n)
	for i := range all {
		all[i] = sign(t, authority(by.cert.Subject.CommonName, changes), by.key, entity{authority(issuer, nil), by.key})
	}
	return all
}

// eachOther returns a leaf below n certificates of two names, any of one of
// which may have issued any of the other.
func eachOther(t testing.TB, first entity, n int) []entity {
	t.Helper()
	second := entity{newRoot(t).cert, first.key}
	chain := append([]entity{first.leaf(t)}, crossed(t, n/2, second.cert.Subject.CommonName, first)...)
	return append(chain, crossed(t, n-n/2, first.cert.Subject.CommonName, second)...)
}

// hostile is what keeps a naive search busy for hours.
var hostile = []struct {
	name  string
	build func(t testing.TB) []entity
	note  string // part; "" is none
}{
	{"names and constraints", func(t testing.TB) []entity {
		ca := newRoot(t).intermediate(t, onlyFor(words(2_000, "C%x")...))
		return []entity{ca.leaf(t, named(words(2_000, "n%x")...)), ca}
	}, "names and constraints"},
	{"excluded names", func(t testing.TB) []entity {
		ca := newRoot(t).intermediate(t, func(c *x509.Certificate) { c.ExcludedDNSDomains = words(2_000, "C%x") })
		return []entity{ca.leaf(t, named(words(2_000, "*.n%x")...)), ca}
	}, "names and constraints"},
	{"addresses and ranges", func(t testing.TB) []entity {
		addresses := words(2_000, "10.0.%d.1")
		for i := range addresses {
			addresses[i] = fmt.Sprintf("10.1.%d.%d", i/250, i%250)
		}
		ca := newRoot(t).intermediate(t, func(c *x509.Certificate) {
			c.PermittedIPRanges = slices.Repeat(permittedNets(t), 1_000)
		})
		return []entity{ca.leaf(t, addressed(addresses...)), ca}
	}, "names and constraints"},
	{"constraints under many parents", func(t testing.TB) []entity {
		upper := newRoot(t)
		ca := upper.intermediate(t, onlyFor(words(1_000, "C%x")...))
		return append([]entity{ca.leaf(t, named(words(1_000, "n%x")...)), ca}, crossed(t, 40, "nowhere", upper)...)
	}, "of the 42 certificates"},
	{"each issued each", func(t testing.TB) []entity {
		return eachOther(t, newRoot(t), 30)
	}, "certificates that are sent"},
	{"each issued each, with long names", func(t testing.TB) []entity {
		return eachOther(t, newRoot(t, called(strings.Repeat("A", 9_000))), 9)
	}, "ways in which"},
	{"the slowest keys", func(t testing.TB) []entity {
		return unbearable(t, eachOther(t, newRoot(t), 30))
	}, "certificates that are sent"},
	{"long subject", func(t testing.TB) []entity {
		var names []pkix.AttributeTypeAndValue
		for range 4_000 {
			names = append(names, pkix.AttributeTypeAndValue{Type: []int{2, 5, 4, 11}, Value: "u"})
		}
		root := newRoot(t, func(c *x509.Certificate) { c.Subject = pkix.Name{ExtraNames: names} })
		return []entity{root.leaf(t), root}
	}, "the root"},
	{"uses without end", func(t testing.TB) []entity {
		return []entity{newRoot(t).leaf(t, usage(), func(c *x509.Certificate) {
			for i := range 10_000 {
				c.UnknownExtKeyUsage = append(c.UnknownExtKeyUsage, []int{1, 3, i + 1})
			}
		})}
	}, ""},
	{"unrelated", func(t testing.TB) []entity {
		leaf := newRoot(t).leaf(t)
		return append([]entity{leaf}, crossed(t, 30, "nowhere", newRoot(t))...)
	}, "25 certificates more are sent for nothing"},
}

func TestHostile(t *testing.T) {
	for _, tt := range hostile {
		t.Run(tt.name, func(t *testing.T) {
			s := situation{sent: tt.build(t)}
			q := newInquiry(s.chain(), "shop.localhost", s.pool(), good)
			paths, err := q.paths(t.Context())
			if err == nil || len(paths) == 0 || len(paths) > maxPaths {
				t.Errorf("got %v, %d paths", err, len(paths))
			}
			for _, p := range paths {
				if len(p.certs) > maxLooked {
					t.Errorf("a path of %d certificates", len(p.certs))
				}
				p.causes()
			}
			if q.signatures < 0 || q.proofs < 0 || q.comparisons < 0 {
				t.Errorf("more work than was granted: %d, %d, %d", q.signatures, q.proofs, q.comparisons)
			}
			if done := maxProofs - q.proofs; done > maxLooked {
				t.Errorf("the pool was asked %d times about %d certificates", done, len(q.looked))
			}

			got := Explain(t.Context(), s.chain(), "shop.localhost", s.pool(), good)
			if got.Verified || len(got.Causes) == 0 {
				t.Errorf("got nothing wrong: %+v", got)
			}
			if all := strings.Join(got.Notes, "\n"); !strings.Contains(all, tt.note) || tt.note == "" && all != "" {
				t.Errorf("got the notes %q, want %q", all, tt.note)
			}
			for _, c := range got.Causes {
				if n := len(c.Problem) + len(c.Fix); n > 5_000 {
					t.Errorf("%s has %d bytes", c.Kind, n)
				}
			}
			if len(got.Notes) > 10 {
				t.Errorf("%d notes", len(got.Notes))
			}
		})
	}
}

// What was left out does not hide what there was time to find.
func TestHostileIsStillExplained(t *testing.T) {
	root := newRoot(t, onlyFor(words(300, "c%d.test")...))
	leaf := root.leaf(t, named(append(words(500, "n%d.test"), "c7.test")...))
	got := Explain(t.Context(), []*x509.Certificate{leaf.cert}, "c7.test", situation{roots: []entity{root}}.pool(), good)
	if !slices.Equal(kinds(got.Causes), []Kind{OutsideConstraints}) {
		t.Fatalf("got %v, want %s", kinds(got.Causes), OutsideConstraints)
	}
	if want := "names n0.test, n1.test, n2.test, n3.test, n4.test and 495 more, for which"; !strings.Contains(got.Causes[0].Problem, want) {
		t.Errorf("got %q, want %q", got.Causes[0].Problem, want)
	}
}

// A root that signed an expired namesake is looked for at many times, but not
// for each of many certificates anew.
func TestNamesakesAreBounded(t *testing.T) {
	root, other := newRoot(t), newRoot(t)
	other.cert.Subject = root.cert.Subject
	chain := []entity{newRoot(t).leaf(t)}
	for i := range 9 {
		issuer := chain[i].cert.Issuer.CommonName
		chain = append(chain, sign(t, authority(issuer, nil), ecKey(), other))
	}
	for i := range chain {
		chain[i].cert.RawIssuer = root.cert.RawSubject
		if i > 0 {
			chain[i].cert.RawSubject = root.cert.RawSubject
		}
	}
	s := situation{sent: chain, roots: []entity{root}}
	q := newInquiry(s.chain(), "shop.localhost", s.pool(), good)
	for _, c := range q.looked {
		q.above(t.Context(), c)
	}
	if q.proofs != 0 || !q.moreSignatures {
		t.Errorf("%d questions left of %d, noted %v; want none, and that there were too many", q.proofs, maxProofs, q.moreSignatures)
	}
}

func TestExplainEndsWithItsContext(t *testing.T) {
	s := situation{sent: hostile[4].build(t)}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := Explain(ctx, s.chain(), "shop.localhost", s.pool(), good); len(got.Causes)+len(got.Notes) > 0 {
		t.Errorf("got %+v after the end", got)
	}
	q := newInquiry(s.chain(), "shop.localhost", s.pool(), good)
	q.follow(ctx, q.chain[:1:1])
	if len(q.found) > 0 {
		t.Errorf("found %d paths after the end", len(q.found))
	}
}

func BenchmarkHostile(b *testing.B) {
	for _, bb := range hostile {
		s := situation{sent: bb.build(b)}
		chain, pool := s.chain(), s.pool()
		b.Run(bb.name, func(b *testing.B) {
			for b.Loop() {
				Explain(b.Context(), chain, "shop.localhost", pool, good)
			}
		})
	}
}

// FuzzBounded has the server send any graph of issuers below one key.
func FuzzBounded(f *testing.F) {
	f.Add([]byte{0x01, 0x12, 0x23, 0x30}, uint8(0))
	f.Add([]byte{0x01, 0x10, 0x01, 0x10, 0x01, 0x10, 0x01, 0x10, 0x01, 0x10, 0x01, 0x10}, uint8(1))
	f.Add([]byte{0x00, 0x00, 0x11, 0x01, 0x02, 0x12, 0x21, 0x22, 0x33, 0x32, 0x23}, uint8(2))
	key := ecKey()
	f.Fuzz(func(t *testing.T, edges []byte, trusted uint8) {
		by := func(n byte) entity { return entity{authority(fmt.Sprintf("CA %d", n%4), nil), key} }
		sent := []entity{by(0).leaf(t)}
		for _, e := range edges[:min(len(edges), maxCertificates-1)] {
			sent = append(sent, sign(t, by(e>>4).cert, key, by(e)))
		}
		s := situation{sent: sent}
		if i := int(trusted); i < len(sent) && i > 0 {
			s.roots = sent[i : i+1]
		}
		chain := s.chain()
		between := x509.NewCertPool()
		for _, c := range chain[1:] {
			between.AddCert(c)
		}
		_, err := chain[0].Verify(x509.VerifyOptions{DNSName: "shop.localhost", Roots: s.pool(), Intermediates: between, CurrentTime: good})
		got := Explain(t.Context(), chain, "shop.localhost", s.pool(), good)
		if got.Verified != !slices.ContainsFunc(got.Causes, func(c Cause) bool { return !c.lenient() }) {
			t.Errorf("verified %v, but %v", got.Verified, kinds(got.Causes))
		}
		q := newInquiry(chain, "shop.localhost", s.pool(), good)
		q.follow(t.Context(), q.chain[:1:1])
		if err == nil && !got.Verified && !q.moreCertificates {
			t.Errorf("Verify is content, Explain says %v", kinds(got.Causes))
		}
		if len(q.looked) > maxLooked || len(q.found) > maxPaths || q.signatures < 0 || q.proofs < 0 {
			t.Errorf("looked at %d, found %d, %d and %d left", len(q.looked), len(q.found), q.signatures, q.proofs)
		}
	})
}

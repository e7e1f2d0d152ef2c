package issuer

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

const aDay = 24 * time.Hour

func same(a, b *x509.Certificate) bool { return bytes.Equal(a.Raw, b.Raw) }

func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, _ := makeIssuer(t, makeCA(t), nil)
		first := ask(t, i, "a.test")

		time.Sleep(39 * aDay)
		if !same(ask(t, i, "a.test"), first) {
			t.Error("renewed with 21 of 60 days left")
		}
		time.Sleep(2 * aDay)
		second := ask(t, i, "a.test")
		if same(second, first) {
			t.Error("not renewed with 19 of 60 days left")
		}
		time.Sleep(365 * aDay) // the machine was asleep
		third := ask(t, i, "a.test")
		if now := time.Now(); now.Before(third.NotBefore) || third.NotAfter.Sub(now) < 59*aDay {
			t.Errorf("after a year: leaf from %v to %v at %v", third.NotBefore, third.NotAfter, now)
		}
	})
}

func TestEndOfCA(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := makeCA(t)
		end := ca.Intermediate().NotAfter
		i, logs := makeIssuer(t, ca, nil)

		time.Sleep(time.Until(end) - 50*aDay)
		first := ask(t, i, "a.test")
		if !first.NotAfter.Equal(end) {
			t.Errorf("leaf ends %v, want with the CA on %v", first.NotAfter, end)
		}
		for time.Until(end) > time.Hour {
			if leaf := ask(t, i, "a.test"); !same(leaf, first) {
				t.Fatalf("minted anew %v before the end of the CA", time.Until(end))
			}
			time.Sleep(time.Hour)
		}
		time.Sleep(2 * time.Hour)
		for _, name := range []string{"a.test", "b.test"} {
			if cert, err := i.GetCertificate(&tls.ClientHelloInfo{ServerName: name}); err == nil {
				t.Errorf("%s after the end of the CA: %v, want an error", name, cert)
			}
		}
		if got := issued(logs); got != 1 {
			t.Errorf("%d certificates were minted, want 1", got)
		}
	})
}

func TestClockSetBack(t *testing.T) {
	now := wallClock()
	g := newGeneration(makeCA(t), zap.NewNop())
	h := host{name: "a.test"}
	future, err := g.leaf(h, now.Add(90*aDay))
	if err != nil {
		t.Fatal(err)
	}
	present, err := g.leaf(h, now)
	if err != nil {
		t.Fatal(err)
	}
	if same(future.Leaf, present.Leaf) || now.Before(present.Leaf.NotBefore) {
		t.Errorf("at %v a leaf valid from %v is served", now, present.Leaf.NotBefore)
	}

	// Further back than the CA's own beginning nothing is valid.
	if cert, err := g.leaf(h, now.Add(-72*time.Hour)); err == nil {
		t.Errorf("before the CA's time: leaf from %v", cert.Leaf.NotBefore)
	}
	// Within its backdating a leaf does not begin before its issuers.
	cert, err := g.leaf(host{name: "b.test"}, now.Add(-40*time.Hour))
	if err != nil || cert.Leaf.NotBefore.Before(g.ca.Intermediate().NotBefore) {
		t.Errorf("leaf from %v, %v; want not before %v", cert.Leaf.NotBefore, err, g.ca.Intermediate().NotBefore)
	}
}

func TestForget(t *testing.T) {
	ca := makeCA(t)
	i, _ := makeIssuer(t, ca, nil)
	s := serve(t, "tcp4", "127.0.0.1:0", i)
	leaf := func() *x509.Certificate {
		state, err := s.dial(&tls.Config{ServerName: "a.test", RootCAs: rootPool(ca)})
		if err != nil {
			t.Fatal(err)
		}
		return state.PeerCertificates[0]
	}
	first := leaf()
	if !same(first, leaf()) {
		t.Error("two handshakes in a row: two leaves")
	}
	i.Forget()
	if same(first, leaf()) {
		t.Error("the leaf was not forgotten")
	}
}

func TestUse(t *testing.T) {
	a, b := makeCA(t), makeCA(t, "example.dev")
	i, _ := makeIssuer(t, a, nil)
	s := serve(t, "tcp4", "127.0.0.1:0", i)
	dial := func(name string, trusted *CA) error {
		_, err := s.dial(&tls.Config{ServerName: name, RootCAs: rootPool(trusted)})
		return err
	}
	if err := dial("a.test", a); err != nil {
		t.Error(err)
	}
	if got := alert(dial("example.dev", a)); got != unrecognizedName {
		t.Errorf("outside the old constraints: alert %q, want %q", got, unrecognizedName)
	}
	i.Use(b)
	for _, name := range []string{"a.test", "example.dev"} {
		if err := dial(name, b); err != nil {
			t.Error(err)
		}
	}
	i.Forget()
	if err := dial("a.test", b); err != nil {
		t.Errorf("Forget has brought the old CA back: %v", err)
	}
}

// TestUseDuringMint: a handshake that began under the old CA leaves nothing
// behind for the new one.
func TestUseDuringMint(t *testing.T) {
	a, b := makeCA(t), makeCA(t)
	i, _ := makeIssuer(t, a, nil)
	begun := i.current.Load()
	i.Use(b)
	if _, err := begun.leaf(host{name: "a.test"}, wallClock()); err != nil {
		t.Fatal(err)
	}
	if err := ask(t, i, "a.test").CheckSignatureFrom(b.Intermediate()); err != nil {
		t.Errorf("after Use a leaf of the old CA is served: %v", err)
	}
}

func TestConcurrency(t *testing.T) {
	cas := []*CA{makeCA(t), makeCA(t), makeCA(t)}
	i, _ := makeIssuer(t, cas[0], nil)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := range 50 {
				cert, err := i.GetCertificate(&tls.ClientHelloInfo{ServerName: fmt.Sprintf("%d.test", n%7)})
				if err != nil || cert == nil {
					t.Errorf("GetCertificate: %v, %v", cert, err)
					return
				}
				if !bytes.Equal(cert.Leaf.AuthorityKeyId, keyIDOf(t, cert.Certificate[1])) {
					t.Error("leaf and intermediate are of different CAs")
				}
			}
		})
	}
	wg.Go(func() {
		for n := range 50 {
			i.Use(cas[n%len(cas)])
			i.Forget()
		}
		i.Use(cas[2])
	})
	wg.Wait()
	for n := range 7 {
		if err := ask(t, i, fmt.Sprintf("%d.test", n)).CheckSignatureFrom(cas[2].Intermediate()); err != nil {
			t.Errorf("leaf of an old CA: %v", err)
		}
	}
}

func keyIDOf(t *testing.T, der []byte) []byte {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Error(err)
		return nil
	}
	return cert.SubjectKeyId
}

// TestOneMintPerName makes each mint take a second, by a slow log.
func TestOneMintPerName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		slow := zap.Hooks(func(zapcore.Entry) error {
			time.Sleep(time.Second)
			return nil
		})
		i, err := New(makeCA(t), Config{Logger: zap.New(core, slow)})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		const names, clients = 5, 40
		var wg sync.WaitGroup
		for n := range names * clients {
			wg.Go(func() {
				cert, err := i.GetCertificate(&tls.ClientHelloInfo{ServerName: fmt.Sprintf("%d.test", n%names)})
				if err != nil || cert == nil {
					t.Errorf("GetCertificate: %v, %v", cert, err)
				}
			})
		}
		wg.Wait()
		if got := issued(logs); got != names {
			t.Errorf("%d certificates were minted for %d names", got, names)
		}
		if took := time.Since(begun); took != time.Second {
			t.Errorf("took %v, want 1s: different names wait for each other", took)
		}
	})
}

func TestManyNames(t *testing.T) {
	names := 10_000
	if testing.Short() {
		names = 2 * maxLeaves
	}
	i, logs := makeIssuer(t, makeCA(t), nil)
	first := ask(t, i, "first.test")
	for n := range names {
		ask(t, i, fmt.Sprintf("%d.test", n))
		if n%100 == 0 && !same(ask(t, i, "first.test"), first) {
			t.Fatalf("after %d names one in constant use was minted anew", n)
		}
		if kept := i.current.Load().leaves.Len(); kept > maxLeaves {
			t.Fatalf("%d leaves are kept, want at most %d", kept, maxLeaves)
		}
	}
	if got := issued(logs); got != names+1 {
		t.Errorf("%d certificates were minted, want %d", got, names+1)
	}
}

// A burst of names leaves no more behind than the leaves that are kept.
func TestMemoryOfManyNames(t *testing.T) {
	const most = 8 << 10 // bytes for each leaf that is kept: some 4 KB and a reserve
	names := 10_000
	if testing.Short() {
		names = 4 * maxLeaves
	}
	i, err := New(makeCA(t), Config{})
	if err != nil {
		t.Fatal(err)
	}
	before := heap()
	var wg sync.WaitGroup
	for client := range 8 {
		wg.Go(func() {
			for n := range names {
				if n%8 == client {
					i.GetCertificate(&tls.ClientHelloInfo{ServerName: fmt.Sprintf("%d.test", n)})
				}
			}
		})
	}
	wg.Wait()
	if got := i.current.Load().leaves.Len(); got != maxLeaves {
		t.Errorf("%d leaves are kept, want %d", got, maxLeaves)
	}
	if got := heap() - before; got > maxLeaves*most {
		t.Errorf("%d KiB more in use after %d names, want %d at most", got>>10, names, maxLeaves*most>>10)
	}
	runtime.KeepAlive(i)
}

// heap returns the bytes that are reachable.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers and pools held on to
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestMintAllocates guards the cost of a first request to a name: time differs
// between machines, allocations do not.
func TestMintAllocates(t *testing.T) {
	const most = 160
	ca, h := makeCA(t), host{name: "shop.localhost"}
	got := testing.AllocsPerRun(50, func() {
		if _, err := ca.signLeaf(h, time.Now()); err != nil {
			t.Fatal(err)
		}
	})
	if got > most {
		t.Errorf("a leaf takes %v allocations, want %d at most", got, most)
	}
}

func TestCachedDoesNotAllocate(t *testing.T) {
	i, err := New(makeCA(t), Config{})
	if err != nil {
		t.Fatal(err)
	}
	hello := &tls.ClientHelloInfo{ServerName: "shop.localhost"}
	if got := testing.AllocsPerRun(50, func() { i.GetCertificate(hello) }); got > 0 {
		t.Errorf("a leaf that is at hand takes %v allocations, want none", got)
	}
}

func BenchmarkMint(b *testing.B) {
	ca := makeCA(b)
	h := host{name: "shop.localhost"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ca.signLeaf(h, time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCached(b *testing.B) {
	i, err := New(makeCA(b), Config{})
	if err != nil {
		b.Fatal(err)
	}
	hello := &tls.ClientHelloInfo{ServerName: "shop.localhost"}
	b.ReportAllocs()
	for b.Loop() {
		if cert, err := i.GetCertificate(hello); cert == nil || err != nil {
			b.Fatal(cert, err)
		}
	}
}

func BenchmarkCachedParallel(b *testing.B) {
	i, err := New(makeCA(b), Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.RunParallel(func(pb *testing.PB) {
		hello := &tls.ClientHelloInfo{ServerName: "shop.localhost"}
		for pb.Next() {
			if cert, err := i.GetCertificate(hello); cert == nil || err != nil {
				b.Error(cert, err)
			}
		}
	})
}

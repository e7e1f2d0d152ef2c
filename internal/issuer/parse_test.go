package issuer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net"
	"strings"
	"testing"
	"time"
)

// A forger makes CAs that are not as they should be. Each func may change its
// template before it is signed.
type forger struct {
	root, intermediate func(*x509.Certificate)
	issuer             *x509.Certificate // whom the intermediate names; nil: the root
	signer             *ecdsa.PrivateKey // of the intermediate; nil: the root's
	reuseRootKey       bool              // as the intermediate's own
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (f forger) make(t testing.TB) *CA {
	t.Helper()
	constraints, now := NewConstraints(nil), time.Now()
	rootKey, key := newKey(t), newKey(t)
	if f.reuseRootKey {
		key = rootKey
	}
	template := authority(constraints, now)
	template.Subject = subject("root", "forged")
	if f.root != nil {
		f.root(template)
	}
	root, err := sign(template, template, &rootKey.PublicKey, rootKey)
	if err != nil {
		t.Fatal(err)
	}
	template = authority(constraints, now)
	template.Subject = subject("intermediate", "forged")
	template.MaxPathLenZero = true
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if f.intermediate != nil {
		f.intermediate(template)
	}
	issuer, signer := root, rootKey
	if f.issuer != nil {
		issuer = f.issuer
	}
	if f.signer != nil {
		signer = f.signer
		unchecked := *issuer
		unchecked.PublicKey = nil // x509 would see that the keys do not match
		issuer = &unchecked
	}
	intermediate, err := sign(template, issuer, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return &CA{root: root, intermediate: intermediate, key: key, constraints: constraints}
}

func encoded(t testing.TB, ca *CA) []byte {
	t.Helper()
	data, err := ca.encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func block(t testing.TB, typ string, der []byte) []byte {
	t.Helper()
	return pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der})
}

func inPKCS8(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// split returns the three blocks of a ca.pem.
func split(t testing.TB, data []byte) (root, intermediate, key []byte) {
	t.Helper()
	const begin = "-----BEGIN"
	parts := strings.Split(string(data), begin)
	if len(parts) != 4 {
		t.Fatalf("%d blocks, want 3", len(parts)-1)
	}
	return []byte(begin + parts[1]), []byte(begin + parts[2]), []byte(begin + parts[3])
}

func TestParseRoundTrip(t *testing.T) {
	ca := makeCA(t, "shop.example.dev")
	data := encoded(t, ca)
	got, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Root().Equal(ca.Root()) || !got.Intermediate().Equal(ca.Intermediate()) || !got.key.Equal(ca.key) {
		t.Error("what was read is not what was written")
	}
	if missing := got.Constraints().Missing(ca.Constraints().DNS); len(missing) > 0 {
		t.Errorf("constraints lost %q", missing)
	}
	if again := encoded(t, got); !bytes.Equal(again, data) {
		t.Error("written again it is different")
	}
	// The forger's own work is in order unless told otherwise.
	if _, err := parse(encoded(t, forger{}.make(t))); err != nil {
		t.Error(err)
	}
}

func TestParseRefusesText(t *testing.T) {
	good := encoded(t, makeCA(t))
	root, intermediate, key := split(t, good)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good)
	flipped[len(root)+200] ^= 1

	for what, tt := range map[string]struct {
		data []byte
		want string
	}{
		"empty":                    {nil, "the root: missing"},
		"garbage":                  {bytes.Repeat([]byte{0xff, 0, 'a', '\n'}, 500), "the root: truncated or not PEM"},
		"truncated in the root":    {good[:100], "the root: truncated"},
		"truncated after the root": {root, "the intermediate: missing"},
		"truncated before the key": {join(root, intermediate), "the key: missing"},
		"truncated in the key":     {good[:len(good)-40], "the key: truncated"},
		"without last newline":     {good[:len(good)-1], "the key: damaged"},
		"key first":                {join(key, root, intermediate), `the root: found a PEM block "PRIVATE KEY"`},
		"four blocks":              {join(good, root), "something after the key"},
		"trailing text":            {join(good, []byte("x")), "something after the key"},
		"leading text":             {join([]byte("# mine\n"), good), "other text around it"},
		"text between":             {join(root, []byte("\n"), intermediate, key), "the intermediate: damaged"},
		"carriage returns":         {bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")), "the root: damaged"},
		"PEM headers":              {bytes.Replace(good, []byte("-----\n"), []byte("-----\nA: b\n\n"), 1), "the root: "},
		"flipped bit":              {flipped, "the intermediate"},
		"certificate of nonsense":  {join(block(t, typeCertificate, []byte("x")), intermediate, key), "the root is damaged"},
		"intermediate of nonsense": {join(root, block(t, typeCertificate, []byte("x")), key), "the intermediate is damaged"},
		"key of nonsense":          {join(root, intermediate, block(t, typeKey, []byte("x"))), "the key is damaged"},
		"encrypted nonsense":       {join(root, intermediate, block(t, typeSealedKey, []byte("x"))), "the encrypted key is damaged"},
		"other key":                {join(root, intermediate, block(t, typeKey, inPKCS8(t, newKey(t)))), "does not belong to the intermediate"},
		"RSA key":                  {join(root, intermediate, block(t, typeKey, inPKCS8(t, rsaKey))), "not an ECDSA P-256 key"},
		"P-384 key":                {join(root, intermediate, block(t, typeKey, inPKCS8(t, p384))), "not an ECDSA P-256 key"},
	} {
		ca, err := parse(tt.data)
		if ca != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want an error with %q", what, err, tt.want)
		}
	}
}

func TestParseRefusesShape(t *testing.T) {
	relaxed := func(c *x509.Certificate) { c.PermittedDNSDomainsCritical = false }
	more := func(c *x509.Certificate) { c.PermittedDNSDomains = append(c.PermittedDNSDomains, "example") }
	other := makeCA(t)
	for what, tt := range map[string]struct {
		forger forger
		want   string
	}{
		"root without constraints":         {forger{root: unconstrained}, "the root has no name constraints"},
		"intermediate without constraints": {forger{intermediate: unconstrained}, "the intermediate has no name constraints"},
		"neither has constraints":          {forger{root: unconstrained, intermediate: unconstrained}, "the root has no name constraints"},
		"root's not critical":              {forger{root: relaxed}, "the root has name constraints that are not critical"},
		"intermediate's not critical":      {forger{intermediate: relaxed}, "the intermediate has name constraints that are not critical"},
		"root permits more":                {forger{root: more}, "different name constraints"},
		"intermediate permits more":        {forger{intermediate: more}, "different name constraints"},
		"no constraints on addresses": {forger{
			root:         func(c *x509.Certificate) { c.PermittedIPRanges = nil },
			intermediate: func(c *x509.Certificate) { c.PermittedIPRanges = nil },
		}, "bad name constraints"},
		"every address": {forger{
			root:         func(c *x509.Certificate) { c.PermittedIPRanges = everything() },
			intermediate: func(c *x509.Certificate) { c.PermittedIPRanges = everything() },
		}, "bad name constraints"},
		"constraint with a dot": {forger{
			root:         func(c *x509.Certificate) { c.PermittedDNSDomains = []string{".test"} },
			intermediate: func(c *x509.Certificate) { c.PermittedDNSDomains = []string{".test"} },
		}, "bad name constraints"},
		"root with path length":         {forger{root: func(c *x509.Certificate) { c.MaxPathLen = 3 }}, "the root has the path length 3"},
		"root with path length 0":       {forger{root: func(c *x509.Certificate) { c.MaxPathLenZero = true }}, "the root has the path length 0"},
		"intermediate without":          {forger{intermediate: func(c *x509.Certificate) { c.MaxPathLenZero = false }}, "the intermediate has the path length -1"},
		"intermediate with 1":           {forger{intermediate: func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 1, false }}, "the intermediate has the path length 1"},
		"root is no CA":                 {forger{root: func(c *x509.Certificate) { c.IsCA = false }}, "the root is not a CA"},
		"intermediate is no CA":         {forger{intermediate: func(c *x509.Certificate) { c.IsCA, c.MaxPathLenZero = false, false }}, "the intermediate is not a CA"},
		"intermediate may not sign":     {forger{intermediate: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }}, "the intermediate is not a CA"},
		"intermediate for clients only": {forger{intermediate: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }}, "not for servers"},
		"signed by another key":         {forger{signer: newKey(t)}, "not signed by the root"},
		"signed by another CA":          {forger{issuer: other.Intermediate(), signer: other.key}, "not signed by the root"},
		"one key for both":              {forger{reuseRootKey: true}, "the key can sign as the root"},
	} {
		ca, err := parse(encoded(t, tt.forger.make(t)))
		if ca != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want an error with %q", what, err, tt.want)
		}
	}
}

func unconstrained(c *x509.Certificate) { c.PermittedDNSDomains, c.PermittedIPRanges = nil, nil }

func everything() []*net.IPNet {
	_, all, _ := net.ParseCIDR("::/0")
	return []*net.IPNet{all}
}

// TestParseRefusesRootKey: the key of the root in the place of the
// intermediate's is what must never lie on a disk.
func TestParseRefusesRootKey(t *testing.T) {
	rootKey := newKey(t)
	template := authority(NewConstraints(nil), time.Now())
	template.Subject = subject("root", "forged")
	root, err := sign(template, template, &rootKey.PublicKey, rootKey)
	if err != nil {
		t.Fatal(err)
	}
	_, err = parse(encoded(t, &CA{root: root, intermediate: root, key: rootKey}))
	if err == nil || !strings.Contains(err.Error(), "the key can sign as the root") {
		t.Errorf("%v, want a complaint about the key", err)
	}
}

func FuzzParse(f *testing.F) {
	good := encoded(f, makeCA(f))
	root, intermediate, key := split(f, good)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(bytes.Join([][]byte{root, root, key}, nil))
	f.Add(bytes.Join([][]byte{intermediate, root, key}, nil))
	f.Add(bytes.Join([][]byte{good, []byte("\n")}, nil))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Add(encoded(f, forger{reuseRootKey: true}.make(f)))
	secret := kept().data
	_, _, secretKey := split(f, secret)
	f.Add(secret)
	f.Add(secret[:len(secret)-80])
	f.Add(bytes.Join([][]byte{root, intermediate, secretKey}, nil))
	f.Add(bytes.Join([][]byte{secret, key}, nil))
	f.Add(bytes.Join([][]byte{root, intermediate, block(f, typeSealedKey, []byte{0x30, 0})}, nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		ca, err := parse(data)
		if err != nil {
			if ca != nil {
				t.Fatal("a CA besides an error")
			}
			return
		}
		if !bytes.Equal(encoded(t, ca), data) {
			t.Fatal("what was accepted is written differently")
		}
		if err := ca.constraints.check(); err != nil {
			t.Fatal(err)
		}
		if ca.Locked() != ca.HasPassphrase() {
			t.Fatal("neither a key nor one to unlock, or both")
		}
		public := ca.intermediate.PublicKey.(*ecdsa.PublicKey)
		if !ca.Locked() {
			public = &ca.key.PublicKey
		}
		if public.Equal(ca.root.PublicKey) || ca.intermediate.MaxPathLen != 0 {
			t.Fatal("what was accepted can sign too much")
		}
	})
}

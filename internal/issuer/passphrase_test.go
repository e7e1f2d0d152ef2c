package issuer

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"encoding/asn1"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/youmark/pkcs8"

	"devproxy/internal/atomicfile"
)

const sesame = "open sesame, ü"

// A keptCA is a CA with the passphrase sesame.
type keptCA struct {
	plain, open, locked *CA
	data                []byte // as it is kept
}

// kept returns one for "a.example". To make one takes a while, even more under
// the race detector, so all tests have the same.
var kept = sync.OnceValue(func() keptCA {
	plain, err := newCA(NewConstraints([]string{"a.example"}), time.Now())
	if err != nil {
		panic(err)
	}
	open, err := plain.seal([]byte(sesame))
	if err != nil {
		panic(err)
	}
	data, locked, err := open.encodeChecked()
	if err != nil {
		panic(err)
	}
	return keptCA{plain, open, locked, data}
})

func unlocked(t testing.TB, ca *CA, passphrase string) *CA {
	t.Helper()
	open, err := ca.Unlock([]byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	return open
}

func load(t testing.TB, dir string) *CA {
	t.Helper()
	ca, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func TestPassphrase(t *testing.T) {
	ca, data, locked := kept().plain, kept().data, kept().locked
	if !locked.Locked() || !locked.HasPassphrase() || ca.Locked() || ca.HasPassphrase() {
		t.Error("not told which key has a passphrase")
	}
	if !sameRoot(locked, ca) || len(locked.Constraints().Missing(ca.Constraints().DNS)) > 0 {
		t.Error("a locked CA does not show what it is")
	}
	if bytes.Contains(data, []byte("BEGIN "+typeKey)) {
		t.Error("the key is there without a passphrase, too")
	}

	for _, wrong := range []string{"", "open sesame", sesame + "\n"} {
		open, err := locked.Unlock([]byte(wrong))
		if open != nil || !errors.Is(err, ErrPassphrase) {
			t.Errorf("with %q: %v, %v; want ErrPassphrase", wrong, open, err)
		}
		if wrong != "" && strings.Contains(err.Error(), wrong) {
			t.Errorf("the error says %q", err)
		}
	}
	open := unlocked(t, locked, sesame)
	if open.Locked() || !open.HasPassphrase() || !open.key.Equal(ca.key) {
		t.Error("not the key that was encrypted")
	}
	if !locked.Locked() {
		t.Error("unlocking has changed the CA")
	}
	for _, same := range []*CA{locked, open} {
		if !bytes.Equal(encoded(t, same), data) {
			t.Error("written again it is different")
		}
	}
	if again := unlocked(t, open, "whatever"); again != open {
		t.Error("what is not locked was unlocked")
	}
	if other, err := ca.seal([]byte(sesame)); err != nil || bytes.Equal(other.sealed, locked.sealed) {
		t.Error("encrypted twice it is the same: no salt")
	}
}

// TestLockedSignsNothing: a CA that somebody forgot to unlock is an error.
func TestLockedSignsNothing(t *testing.T) {
	ca, locked := kept().plain, kept().locked
	if i, err := New(locked, Config{}); i != nil || !errors.Is(err, errLocked) {
		t.Errorf("New: %v, %v", i, err)
	}
	i, _ := makeIssuer(t, ca, nil)
	i.Use(locked)
	cert, err := i.GetCertificate(&tls.ClientHelloInfo{ServerName: "a.localhost"})
	if cert != nil || !errors.Is(err, errLocked) {
		t.Errorf("GetCertificate: %v, %v", cert, err)
	}
	if err := SetPassphrase(t.Context(), stateFolder(t), locked, []byte(sesame), nil); !errors.Is(err, errLocked) {
		t.Errorf("SetPassphrase: %v", err)
	}
	if _, err := makeCA(t).UnlockAs(ca); err != nil {
		t.Errorf("UnlockAs of one that is not locked: %v", err)
	}
	if _, err := locked.UnlockAs(ca); !errors.Is(err, ErrPassphrase) {
		t.Errorf("UnlockAs one without a passphrase: %v", err)
	}
}

// TestSealedRefuses: whatever stands in the file, nothing is derived unless it
// is what seal writes. A derivation with these parameters would never end.
func TestSealedRefuses(t *testing.T) {
	ca, data, good := kept().plain, kept().data, kept().locked
	root, intermediate, _ := split(t, data)
	change := func(f func(*sealedKey, *scryptParams)) []byte {
		var (
			k sealedKey
			s scryptParams
		)
		if _, err := asn1.Unmarshal(good.sealed, &k); err != nil {
			t.Fatal(err)
		}
		if _, err := asn1.Unmarshal(k.Scheme.Params.Derivation.Params.FullBytes, &s); err != nil {
			t.Fatal(err)
		}
		f(&k, &s)
		if k.Scheme.Params.Derivation.Params.FullBytes != nil {
			params, err := asn1.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			k.Scheme.Params.Derivation.Params = asn1.RawValue{FullBytes: params}
		} else {
			k.Scheme.Params.Derivation.Params = asn1.NullRawValue
		}
		der, err := asn1.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	pbkdf2, err := pkcs8.MarshalPrivateKey(ca.key, []byte(sesame), &pkcs8.Opts{
		Cipher:  pkcs8.AES256CBC,
		KDFOpts: pkcs8.PBKDF2Opts{SaltSize: saltSize, IterationCount: 7, HMACHash: crypto.SHA256},
	})
	if err != nil {
		t.Fatal(err)
	}
	endless := bytes.Replace(pbkdf2, []byte{2, 1, 7}, []byte{2, 1, 0x7f}, 1)
	longForm := bytes.Clone(good.sealed) // 30 81 xx as 30 82 00 xx
	longForm = append([]byte{0x30, 0x82, 0x00}, longForm[2:]...)

	for what, tt := range map[string]struct {
		der  []byte
		want string
	}{
		"as it was":        {change(func(*sealedKey, *scryptParams) {}), ""},
		"all the memory":   {change(func(_ *sealedKey, s *scryptParams) { s.Cost = 1 << 40 }), "scrypt N=1099511627776, r=8, p=1, want N=16384"},
		"no cost":          {change(func(_ *sealedKey, s *scryptParams) { s.Cost = 0 }), "scrypt N=0"},
		"negative":         {change(func(_ *sealedKey, s *scryptParams) { s.Cost = -scryptCost }), "scrypt N=-16384"},
		"cheap":            {change(func(_ *sealedKey, s *scryptParams) { s.Cost = 2 }), "scrypt N=2"},
		"large blocks":     {change(func(_ *sealedKey, s *scryptParams) { s.BlockSize = 1 << 30 }), "r=1073741824"},
		"many lanes":       {change(func(_ *sealedKey, s *scryptParams) { s.Lanes = 1 << 30 }), "p=1073741824"},
		"no salt":          {change(func(_ *sealedKey, s *scryptParams) { s.Salt = nil }), "wrong length"},
		"short IV":         {change(func(k *sealedKey, _ *scryptParams) { k.Scheme.Params.Cipher.IV = []byte{1} }), "wrong length"},
		"no data":          {change(func(k *sealedKey, _ *scryptParams) { k.Data = nil }), "wrong length"},
		"part of a block":  {change(func(k *sealedKey, _ *scryptParams) { k.Data = k.Data[1:] }), "wrong length"},
		"other parameters": {change(func(k *sealedKey, _ *scryptParams) { k.Scheme.Params.Derivation.Params.FullBytes = nil }), "unknown parameters of scrypt"},
		"PBES1":            {change(func(k *sealedKey, _ *scryptParams) { k.Scheme.ID = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 3} }), "unknown way"},
		"another cipher":   {change(func(k *sealedKey, _ *scryptParams) { k.Scheme.Params.Cipher.ID[8] = 2 }), "unknown way"},
		"PBKDF2":           {pbkdf2, "unknown way"},
		"many rounds":      {endless, "unknown way"},
		"more after it":    {append(bytes.Clone(good.sealed), 0), "is damaged"},
		"truncated":        {good.sealed[:50], "is damaged"},
		"long form":        {longForm, "is damaged"},
		"nothing":          {nil, "is damaged"},
	} {
		_, parseErr := parse(bytes.Join([][]byte{root, intermediate, block(t, typeSealedKey, tt.der)}, nil))
		_, unlockErr := (&CA{root: ca.root, intermediate: ca.intermediate, sealed: tt.der}).Unlock([]byte(sesame))
		for _, err := range []error{parseErr, unlockErr} {
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v, want %q", what, err, tt.want)
			}
		}
	}
}

// TestUnlockRefuses: the passphrase opens a key, which is not the CA's.
func TestUnlockRefuses(t *testing.T) {
	mixed := *makeCA(t)
	mixed.key, mixed.sealed = nil, kept().locked.sealed
	locked, err := parse(encoded(t, &mixed))
	if err != nil {
		t.Fatal(err)
	}
	if open, err := locked.Unlock([]byte(sesame)); open != nil || err == nil || errors.Is(err, ErrPassphrase) ||
		!strings.Contains(err.Error(), "does not belong to the intermediate") {
		t.Errorf("somebody else's key: %v", err)
	}
	shared := forger{reuseRootKey: true}.make(t)
	shared.sealed = kept().locked.sealed
	if _, err := parse(encoded(t, shared)); err == nil || !strings.Contains(err.Error(), "can sign as the root") {
		t.Errorf("the root's key: %v", err)
	}
	broken := *kept().locked
	broken.sealed = bytes.Clone(broken.sealed)
	broken.sealed[len(broken.sealed)-100] ^= 1
	if open, err := broken.Unlock([]byte(sesame)); open != nil || err == nil {
		t.Errorf("a damaged key was opened: %v", err)
	}
}

func TestSetPassphrase(t *testing.T) {
	dir, ca := create(t)
	rootPEM := readFile(t, RootPath(dir))
	plain := readFile(t, Path(dir))
	check := func(what, passphrase string) *CA {
		t.Helper()
		got := load(t, dir)
		if got.HasPassphrase() != (passphrase != "") || !sameRoot(got, ca) {
			t.Errorf("%s: passphrase %v, want %q and the same CA", what, got.HasPassphrase(), passphrase)
		}
		if got = unlocked(t, got, passphrase); !got.key.Equal(ca.key) {
			t.Errorf("%s: another key", what)
		}
		if info, err := os.Stat(Path(dir)); err != nil || runtime.GOOS != "windows" && info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", what, info.Mode(), err)
		}
		if !bytes.Equal(readFile(t, RootPath(dir)), rootPEM) {
			t.Errorf("%s: root.pem has changed", what)
		}
		checkFiles(t, dir, caFile, rootFile)
		return got
	}
	set := func(ca *CA, passphrase string) {
		t.Helper()
		if err := SetPassphrase(t.Context(), dir, ca, []byte(passphrase), nil); err != nil {
			t.Fatal(err)
		}
	}
	set(ca, sesame)
	with := check("set", sesame)
	set(with, "another")
	if _, err := load(t, dir).Unlock([]byte(sesame)); !errors.Is(err, ErrPassphrase) {
		t.Errorf("changed, and the old one: %v", err)
	}
	with = check("changed", "another")
	if again, created, err := LoadOrCreate(dir, nil); err != nil || created || !again.Locked() || !sameRoot(again, ca) {
		t.Errorf("LoadOrCreate: created %v, %v; want the locked CA", created, err)
	}
	set(with, "")
	check("removed", "")
	if !bytes.Equal(readFile(t, Path(dir)), plain) {
		t.Error("without a passphrase it is not what it was")
	}
}

// TestSetPassphraseOvertaken: what the person has in mind is not there any more.
func TestSetPassphraseOvertaken(t *testing.T) {
	for _, tt := range []struct {
		what string
		do   func(t *testing.T, dir string, ca *CA)
		want string
	}{
		{"rotated", func(t *testing.T, dir string, _ *CA) {
			if _, err := Rotate(dir, nil); err != nil {
				t.Fatal(err)
			}
		}, "another process has changed it"},
		{"another passphrase", func(t *testing.T, dir string, ca *CA) {
			if err := SetPassphrase(t.Context(), dir, ca, []byte("theirs"), nil); err != nil {
				t.Fatal(err)
			}
		}, "another process has changed it"},
		{"gone", func(t *testing.T, dir string, _ *CA) { os.Remove(Path(dir)) }, "there is none"},
		{"a rotation half done", func(t *testing.T, dir string, _ *CA) { prepare(t, dir).Close() }, "a rotation was stopped"},
	} {
		dir, ca := create(t)
		tt.do(t, dir, ca)
		before, _ := os.ReadFile(Path(dir))
		err := SetPassphrase(t.Context(), dir, ca, []byte(sesame), nil)
		if e, ok := errors.AsType[*Error](err); !ok || !strings.Contains(e.Problem, tt.want) {
			t.Errorf("%s: %v, want %q", tt.what, err, tt.want)
		}
		if after, _ := os.ReadFile(Path(dir)); !bytes.Equal(after, before) {
			t.Errorf("%s: the file has changed", tt.what)
		}
	}
}

func TestSetPassphraseKilled(t *testing.T) {
	type killed struct{}
	for _, tt := range []struct {
		what    string
		replace func(path string, data []byte, perm fs.FileMode) error
		set     bool
	}{
		{"half written", func(path string, data []byte, _ fs.FileMode) error {
			os.WriteFile(filepath.Join(filepath.Dir(path), tempPrefix+"dead"), data[:len(data)/2], 0o600)
			panic(killed{})
		}, false},
		{"written", func(path string, data []byte, perm fs.FileMode) error {
			if err := atomicfile.Replace(path, data, perm); err != nil {
				t.Error(err)
			}
			panic(killed{})
		}, true},
	} {
		dir, ca := create(t)
		s, err := newStore(dir)
		if err != nil {
			t.Fatal(err)
		}
		s.replace = tt.replace
		func() {
			defer func() {
				if r := recover(); r != (killed{}) {
					t.Fatalf("recovered %v", r)
				}
			}()
			s.setPassphrase(t.Context(), ca, []byte(sesame), nil)
		}()
		now := load(t, dir)
		if now.HasPassphrase() != tt.set || !sameRoot(now, ca) {
			t.Errorf("%s: passphrase %v, want %v and the same CA", tt.what, now.HasPassphrase(), tt.set)
		}
		if err := SetPassphrase(t.Context(), dir, unlocked(t, now, sesame), nil, nil); err != nil {
			t.Errorf("%s: the next one: %v", tt.what, err)
		}
	}
}

// TestSetPassphraseWaits for a rotation, and can be called off.
func TestSetPassphraseWaits(t *testing.T) {
	if !lockable {
		t.Skip("folders are not locked here")
	}
	dir, ca := create(t)
	p := prepare(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	told := 0
	err := SetPassphrase(ctx, dir, ca, []byte(sesame), func() { told++; cancel() })
	if !errors.Is(err, context.Canceled) || told != 1 {
		t.Errorf("called off: %v after being told %d times", err, told)
	}
	if err := p.Discard(); err != nil {
		t.Fatal(err)
	}
	if load(t, dir).HasPassphrase() {
		t.Error("it was set all the same")
	}
}

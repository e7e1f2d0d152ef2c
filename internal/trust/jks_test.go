package trust

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// A jksEntry is a trusted certificate, or a key with a chain of one.
type jksEntry struct {
	alias string
	der   []byte
	key   bool
}

// makeJKS writes a key store with the usual password.
func makeJKS(version uint32, entries ...jksEntry) []byte {
	var b bytes.Buffer
	number := func(n uint32) { binary.Write(&b, binary.BigEndian, n) }
	text := func(s string) {
		binary.Write(&b, binary.BigEndian, uint16(len(s)))
		b.WriteString(s)
	}
	number(jksMagic)
	number(version)
	number(uint32(len(entries)))
	for _, e := range entries {
		if e.key {
			number(jksKey)
		} else {
			number(jksTrusted)
		}
		text(e.alias)
		b.Write(make([]byte, 8))
		if e.key {
			number(3)
			b.WriteString("key")
			number(1)
		}
		if version == 2 {
			text("X.509")
		}
		number(uint32(len(e.der)))
		b.Write(e.der)
	}
	h := sha1.New()
	for _, c := range javaPassword {
		h.Write([]byte{0, byte(c)})
	}
	h.Write([]byte("Mighty Aphrodite"))
	h.Write(b.Bytes())
	return h.Sum(b.Bytes())
}

// jksAliases returns the aliases under which a JKS trusts a certificate.
func jksAliases(store []byte, sum fingerprint) ([]string, error) {
	entries, err := parseJKS(store)
	var aliases []string
	for _, e := range (keyStore{entries: entries}).find(sum) {
		aliases = append(aliases, e.alias)
	}
	return aliases, err
}

func TestJKSAliases(t *testing.T) {
	root, _ := newRoot(t)
	other, _ := newRoot(t)
	sum := fingerprint(sha256.Sum256(root.Raw))
	for _, version := range []uint32{1, 2} {
		store := makeJKS(version,
			jksEntry{alias: "key", der: root.Raw, key: true},
			jksEntry{alias: "other", der: other.Raw},
			jksEntry{alias: "ours", der: root.Raw},
			jksEntry{alias: "again", der: root.Raw})
		got, err := jksAliases(store, sum)
		if want := []string{"ours", "again"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("version %d: got %q, %v, want %q", version, got, err, want)
		}
		// Cut anywhere, it must fail, not say that nothing is there.
		for n := range len(store) {
			if _, err := jksAliases(store[:n], sum); !errors.Is(err, errNotJKS) {
				t.Fatalf("version %d, first %d bytes: got error %v", version, n, err)
			}
		}
	}
	if _, err := jksAliases(makeJKS(3), sum); !errors.Is(err, errNotJKS) {
		t.Errorf("version 3: got error %v", err)
	}
}

func TestJKSByKeytool(t *testing.T) {
	keytool := tool(t, "keytool")
	root, file := newRoot(t)
	_, otherFile := newRoot(t)
	store := filepath.Join(t.TempDir(), "cacerts")
	for alias, file := range map[string]string{"mine": file, "other": otherFile} {
		out, err := exec.Command(keytool, "-importcert", "-noprompt", "-storetype", "JKS", "-keystore", store,
			"-storepass", "changeit", "-alias", alias, "-file", file).CombinedOutput()
		if err != nil {
			t.Fatalf("keytool: %v\n%s", err, out)
		}
	}
	data, err := readFile(store)
	if err != nil {
		t.Fatal(err)
	}
	got, err := jksAliases(data, sha256.Sum256(root.Raw))
	if want := []string{"mine"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if !jksOpensWith(data, "changeit") || jksOpensWith(data, "changeme") {
		t.Error("the password is not told from another")
	}
}

func FuzzJKSAliases(f *testing.F) {
	der := []byte("der")
	sum := fingerprint(sha256.Sum256(der))
	f.Add(makeJKS(1, jksEntry{alias: "a", der: der}))
	f.Add(makeJKS(2, jksEntry{alias: "k", der: der, key: true}, jksEntry{alias: "a", der: der}))
	f.Fuzz(func(t *testing.T, store []byte) {
		aliases, err := jksAliases(store, sum)
		if err != nil && aliases != nil {
			t.Error("got aliases with an error")
		}
		if len(aliases) > 0 && !bytes.Contains(store, der) {
			t.Errorf("found %q in a store without the certificate", aliases)
		}
	})
}

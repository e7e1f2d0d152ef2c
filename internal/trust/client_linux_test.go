package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"devproxy/internal/nssdb"
)

// newClients returns client certificates that one intermediate has issued.
func newClients(t *testing.T, names ...string) []Client {
	t.Helper()
	sign := func(name string, parent *Client, isCA bool) Client {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: serial,
			Subject:      pkix.Name{CommonName: name},
			NotBefore:    time.Now().Add(-time.Hour),
			NotAfter:     time.Now().Add(time.Hour),
			IsCA:         isCA, BasicConstraintsValid: true,
		}
		issuer, signer := template, crypto.Signer(key)
		if parent != nil {
			issuer, signer = parent.Certificate, parent.Key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return Client{Certificate: cert, Key: key, File: "/home/x/" + name + ".p12"}
	}
	root := sign("root", nil, true)
	sub := sign("intermediate", &root, true)
	var all []Client
	for _, name := range names {
		c := sign(name, &sub, false)
		c.Chain = []*x509.Certificate{sub.Certificate}
		all = append(all, c)
	}
	return all
}

// newClientMachine returns a Machine in a home where Chromium is installed and
// Firefox has a profile, and the folders of their databases. The second is
// there, and has a certificate that is nobody's here.
func newClientMachine(t *testing.T) (m *Machine, dirs []string) {
	t.Helper()
	m = newMachine(t)
	build(t, m.cfg.Home, "../root/usr/bin/chromium")
	profile := filepath.Join(m.cfg.Home, ".mozilla/firefox/used")
	d := m.database("", profile)
	makeDatabase(t, d)
	other, _ := newRoot(t)
	addAs(t, d, "other", other)
	return m, []string{filepath.Join(m.cfg.Home, ".local/share/pki/nssdb"), profile}
}

func mustInstallClient(t *testing.T, m *Machine, c Client, changed bool) {
	t.Helper()
	all, err := m.InstallClient(t.Context(), c)
	if err != nil || len(all) != 2 {
		t.Fatalf("InstallClient = %+v, %v; want two stores", all, err)
	}
	for _, st := range all {
		if st.State != Trusted || st.Changed != changed || !st.Client || st.Detail != "" {
			t.Errorf("InstallClient: got %+v, want it there, changed %v", st, changed)
		}
	}
}

func wantClient(t *testing.T, dir string, c Client, want bool) {
	t.Helper()
	e, held, err := nssdb.FindClient(t.Context(), dir, c.anchor().sum)
	if errors.Is(err, os.ErrNotExist) && !want {
		return
	}
	if err != nil || held != want || e.Usable != want {
		t.Errorf("%s holds %s: %v, %+v, %v; want %v", dir, c.File, held, e, err, want)
	}
}

func wantRemoved(t *testing.T, what string, all []Status, err error, count int) {
	t.Helper()
	if err != nil || len(all) != count {
		t.Errorf("%s = %+v, %v; want %d stores", what, all, err, count)
	}
	for _, st := range all {
		if st.State != NotTrusted || !st.Changed {
			t.Errorf("%s: got %+v, want it removed", what, st)
		}
	}
}

func TestClientRoundTrip(t *testing.T) {
	m, dirs := newClientMachine(t)
	clients := newClients(t, "alice", "bob")
	alice, bob := clients[0], clients[1]
	start := contents(t, filepath.Dir(m.cfg.Home))
	steps, err := m.PlanClient(t.Context(), alice)
	if err != nil || !slices.ContainsFunc(steps, func(s Step) bool { return s.File == filepath.Join(dirs[1], "key4.db") }) {
		t.Errorf("PlanClient = %+v, %v", steps, err)
	}
	checkSame(t, "PlanClient", start, contents(t, filepath.Dir(m.cfg.Home)))

	mustInstallClient(t, m, alice, true)
	for _, r := range mustLoad(t, m) {
		if r.Kind != kindClient || r.Verified.IsZero() {
			t.Errorf("receipt %+v, want a verified one of a client", r)
		}
	}
	installed := contents(t, filepath.Dir(m.cfg.Home))
	mustInstallClient(t, m, alice, false)
	checkSame(t, "second InstallClient", installed, contents(t, filepath.Dir(m.cfg.Home)))
	if steps, err := m.PlanClient(t.Context(), alice); len(steps) != 0 {
		t.Errorf("PlanClient of what is there = %+v, %v", steps, err)
	}

	// The issuer that both need stays with the second.
	mustInstallClient(t, m, bob, true)
	all, err := m.RemoveClient(t.Context(), alice.Certificate)
	wantRemoved(t, "RemoveClient", all, err, 2)
	for _, dir := range dirs {
		wantClient(t, dir, alice, false)
		wantClient(t, dir, bob, true)
		if _, held, err := nssdb.Find(t.Context(), dir, alice.anchor().sum); held || err != nil {
			t.Errorf("%s: Find = %v, %v", dir, held, err)
		}
	}
	mustInstallClient(t, m, bob, false)

	all, err = m.Remove(t.Context())
	wantRemoved(t, "Remove", all, err, 2)
	if exists(dirs[0]) {
		t.Errorf("%s, which devproxy made, is left", dirs[0])
	}
	named, err := nssdb.Named(t.Context(), dirs[1], "")
	if err != nil || len(named) != 1 {
		t.Errorf("%s holds %v, %v; want only what it held before", dirs[1], named, err)
	}
	if got := mustRemove(t, m); got != nil || exists(m.receipts.file()) {
		t.Errorf("second Remove: got %+v, receipts there: %v", got, exists(m.receipts.file()))
	}
}

// Whichever goes last takes along the database that was made for either.
func TestClientBesideRoot(t *testing.T) {
	for _, clientFirst := range []bool{true, false} {
		m, dirs := newClientMachine(t)
		c := newClients(t, "alice")[0]
		root, file := newRoot(t)
		if clientFirst {
			mustInstallClient(t, m, c, true)
		}
		if got := mustInstall(t, m, root, file); len(got) != 2 || !allIn(got, Trusted) {
			t.Errorf("Install beside a client: %+v", got)
		}
		if !clientFirst {
			mustInstallClient(t, m, c, true)
		}
		steps, err := m.PlanRemove(t.Context())
		if err != nil || !slices.ContainsFunc(steps, func(s Step) bool { return slices.Equal(s.Command, []string{"rmdir", dirs[0]}) }) {
			t.Errorf("PlanRemove = %+v, %v; want the database that was made to go", steps, err)
		}

		other, _ := newRoot(t)
		if _, err := m.RemoveOthers(t.Context(), other); err != nil {
			t.Error(err)
		}
		wantClient(t, dirs[1], c, true) // only roots are superseded
		if !clientFirst {
			mustInstall(t, m, root, file)
		}
		all, err := m.Remove(t.Context())
		if err != nil || !allIn(all, NotTrusted) {
			t.Errorf("Remove = %+v, %v", all, err)
		}
		if exists(dirs[0]) || exists(m.receipts.file()) {
			t.Errorf("client first %v: the database is left: %v, receipts: %v", clientFirst, exists(dirs[0]), exists(m.receipts.file()))
		}
	}
}

func allIn(all []Status, want State) bool {
	return !slices.ContainsFunc(all, func(s Status) bool { return s.State != want })
}

// With the state folder lost, Remove knows client certificates by their names.
func TestClientWithoutReceipts(t *testing.T) {
	m, dirs := newClientMachine(t)
	c := newClients(t, "alice")[0]
	mustInstallClient(t, m, c, true)
	if err := os.RemoveAll(m.cfg.State); err != nil {
		t.Fatal(err)
	}
	all, err := m.Remove(t.Context())
	wantRemoved(t, "Remove", all, err, 2)
	wantClient(t, dirs[1], c, false)
}

// What the person has imported by hand is found, and not taken out.
func TestClientOfSomebodyElse(t *testing.T) {
	m, dirs := newClientMachine(t)
	c := newClients(t, "alice")[0]
	leaf := nssdb.NamedCertificate{Nickname: "mine", Certificate: c.Certificate}
	if err := nssdb.AddClient(t.Context(), dirs[1], leaf, c.Key); err != nil {
		t.Fatal(err)
	}
	all, err := m.InstallClient(t.Context(), c)
	if err != nil || !allIn(all, Trusted) || !strings.Contains(all[1].Detail, "mine") {
		t.Errorf("InstallClient = %+v, %v", all, err)
	}
	all, err = m.Remove(t.Context())
	if err != nil || !allIn(all, NotTrusted) {
		t.Errorf("Remove = %+v, %v", all, err)
	}
	wantClient(t, dirs[1], c, true)
	if named, err := nssdb.Named(t.Context(), dirs[1], namePrefix); err != nil || len(named) != 0 {
		t.Errorf("%v, %v are left", named, err)
	}
}

// The person has deleted the key in the browser.
func TestClientWithoutKey(t *testing.T) {
	m, dirs := newClientMachine(t)
	c := newClients(t, "alice")[0]
	mustInstallClient(t, m, c, true)
	for _, dir := range dirs {
		execSQL(t, filepath.Join(dir, "key4.db"), "DELETE FROM nssPrivate")
	}
	mustInstallClient(t, m, c, true)
	for _, dir := range dirs {
		wantClient(t, dir, c, true)
	}
}

func TestClientPassword(t *testing.T) {
	m, dirs := newClientMachine(t)
	c := newClients(t, "alice")[0]
	execSQL(t, filepath.Join(dirs[1], "key4.db"), "UPDATE metaData SET item1 = x'00' WHERE id = 'password'") // as another password would
	all, err := m.InstallClient(t.Context(), c)
	if err != nil || all[0].State != Trusted || all[1].State != NotTrusted ||
		!strings.Contains(all[1].Detail, "password") || !strings.Contains(all[1].Fix, c.File) {
		t.Errorf("InstallClient = %+v, %v", all, err)
	}
	wantClient(t, dirs[1], c, false)
	if steps, err := m.PlanClient(t.Context(), c); err != nil || len(steps) != 1 || steps[0].Note == "" {
		t.Errorf("PlanClient = %+v, %v; want a note", steps, err)
	}
	if all, err := m.Remove(t.Context()); err != nil || !allIn(all, NotTrusted) {
		t.Errorf("Remove = %+v, %v", all, err)
	}
}

// A Firefox that was never started gets a profile, which goes away again.
func TestClientBeforeFirefox(t *testing.T) {
	m := newMachine(t)
	c := newClients(t, "alice")[0]
	seeded := m.seededStore("Firefox", m.newProfileSeed(filepath.Join(m.cfg.ConfigHome, "mozilla/firefox")))
	m.kinds = append(m.kinds, kind{findClients: func(*Machine, anchor) ([]store, []Status) {
		return []store{seeded.forClients()}, nil
	}})
	before := contents(t, m.cfg.Home)
	all, err := m.InstallClient(t.Context(), c)
	if err != nil || !allIn(all, Trusted) {
		t.Fatalf("InstallClient = %+v, %v", all, err)
	}
	wantClient(t, seeded.seed.dir, c, true)
	if all, err := m.Remove(t.Context()); err != nil || !allIn(all, NotTrusted) {
		t.Errorf("Remove = %+v, %v", all, err)
	}
	checkSame(t, "a round", before, contents(t, m.cfg.Home))
}

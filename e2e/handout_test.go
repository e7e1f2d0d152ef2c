package e2e

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// An issuedList is what cert list --json prints, as far as it matters here.
type issuedList struct {
	Certificates []struct {
		Serial string
		Names  []string
		State  string
	}
}

func (h *home) issued(t *testing.T) issuedList {
	t.Helper()
	var list issuedList
	if err := json.Unmarshal([]byte(h.devproxy(t, "cert", "list", "--json").must(t, 0).stdout), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// revoke revokes the certificate of a name, found as a program does.
func (h *home) revoke(t *testing.T, name string) {
	t.Helper()
	for _, c := range h.issued(t).Certificates {
		if c.Names[0] == name {
			h.devproxy(t, "cert", "revoke", c.Serial).must(t, 0)
			return
		}
	}
	t.Fatalf("no certificate of %s is listed", name)
}

// fillDisk leaves no room on the disk of dir, and returns how to make some.
func fillDisk(t *testing.T, dir string) (free func()) {
	t.Helper()
	filler := filepath.Join(dir, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	return func() {
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCertificatesWithoutRoom issues certificates where they cannot be
// written. Nothing is half there, and nothing is listed that nobody has.
func TestCertificatesWithoutRoom(t *testing.T) {
	h := newUser(t)
	h.devproxy(t, "ca", "rotate").must(t, 0)
	out := filepath.Join(h.work, "out")
	if err := os.Mkdir(out, 0o755); err != nil {
		t.Fatal(err)
	}
	h.own(t, out)
	mount(t, "tmpfs", out, "size=64k,mode=0755,uid=54321,gid=54321")
	inOut := func(words ...string) []string {
		return append(words, "--cert-file", "out/shop.pem", "--key-file", "out/shop-key.pem")
	}

	free := fillDisk(t, out)
	for _, command := range []string{"issue", "self-signed"} {
		h.devproxy(t, inOut("cert", command, "shop.localhost")...).refused(t, 1, "write out/shop", "no space left", "free some space there")
	}
	h.devproxy(t, "cert", "request", "shop.localhost", "--csr-file", "out/shop.csr", "--key-file", "out/shop-key.pem").refused(t, 1, "no space left")
	if names := entries(out); len(names) != 1 {
		t.Errorf("left on the full disk: %v", names)
	}
	free()

	// Half of it exists, and no room for the other: what is there stays.
	h.devproxy(t, inOut("cert", "issue", "shop.localhost")...).must(t, 0)
	old := readIf(t, filepath.Join(out, "shop.pem"))
	oldKey := readIf(t, filepath.Join(out, "shop-key.pem"))
	fillDisk(t, out)
	h.devproxy(t, inOut("cert", "issue", "shop.localhost", "--force")...).refused(t, 1, "no space left")
	if _, err := tls.X509KeyPair(old, oldKey); err != nil {
		t.Error(err)
	}
	if _, err := tls.LoadX509KeyPair(filepath.Join(out, "shop.pem"), filepath.Join(out, "shop-key.pem")); err != nil {
		t.Errorf("after the disk was full the pair does not fit: %v", err)
	}
	if string(readIf(t, filepath.Join(out, "shop.pem"))) != string(old) {
		t.Error("the certificate was replaced on a full disk")
	}
	if list := h.issued(t); len(list.Certificates) != 1 {
		t.Errorf("listed: %v, want the one that was handed out", list)
	}

	// A folder that nobody may write to, and a disk that is read-only.
	closed := filepath.Join(h.work, "closed")
	if err := errors.Join(os.Mkdir(closed, 0o555)); err != nil {
		t.Fatal(err)
	}
	h.own(t, closed)
	h.devproxy(t, "cert", "issue", "a.localhost", "--cert-file", "closed/a.pem").refused(t, 1, "write closed/a.pem", "permission denied", "let yourself write there")
	remountReadOnly(t, out)
	h.devproxy(t, "cert", "issue", "a.localhost", "--cert-file", "out/a.pem").refused(t, 1, "write out/a.pem", "read-only file system")
	h.devproxy(t, "cert", "sign", "secret.csr").refused(t, 1, "there is no such file")
	h.put(t, filepath.Join(h.work, "secret.csr"), "x", 0)
	r := h.devproxy(t, "cert", "sign", "secret.csr").must(t, 1)
	if !strings.Contains(r.stderr, "read the request secret.csr: permission denied") {
		t.Errorf("an unreadable request: %s", r)
	}
	if names := entries(h.work); names["a.localhost-key.pem"] || names["secret.pem"] {
		t.Errorf("half of a pair is there: %v", names)
	}
	if list := h.issued(t); len(list.Certificates) != 1 {
		t.Errorf("listed: %v, want the one that was handed out", list)
	}
}

// TestLedgerWithoutRoom has the state folder on a full disk: without an entry
// there is no certificate.
func TestLedgerWithoutRoom(t *testing.T) {
	h := newUser(t)
	h.devproxy(t, "ca", "rotate").must(t, 0)
	ca := readIf(t, h.caFile())
	mount(t, "tmpfs", h.state(), "size=64k,mode=0700,uid=54321,gid=54321")
	h.put(t, h.caFile(), string(ca), 0o600)
	h.devproxy(t, "cert", "issue", "--client", "alice@example.com").must(t, 0)
	free := fillDisk(t, h.state())
	h.devproxy(t, "cert", "issue", "shop.localhost").refused(t, 1, "issued.json", "no space left", "free some space there")
	serial := h.issued(t).Certificates[0].Serial
	h.devproxy(t, "cert", "revoke", serial).refused(t, 1, "issued.json", "no space left")
	if names := entries(h.work); names["shop.localhost.pem"] || names["shop.localhost-key.pem"] {
		t.Errorf("a certificate that is on no record: %v", names)
	}
	free()
	h.devproxy(t, "cert", "revoke", serial).must(t, 0)
	if list := h.issued(t); len(list.Certificates) != 1 || list.Certificates[0].State != "revoked" {
		t.Errorf("listed: %v, want one that is revoked", list)
	}
}

// TestKilledWhileIssuing kills devproxy at the moments in which it writes.
// Every certificate that is there as a file is listed, and can be revoked.
func TestKilledWhileIssuing(t *testing.T) {
	h := newHome(t)
	h.devproxy(t, "ca", "rotate").must(t, 0)
	for range 15 {
		h.kill(t, atChange, "cert", "issue", "shop.localhost", "--force")
		list := h.issued(t)
		pair, err := tls.LoadX509KeyPair(filepath.Join(h.work, "shop.localhost.pem"), filepath.Join(h.work, "shop.localhost-key.pem"))
		if err != nil {
			continue // --force changes one name after the other
		}
		serial, found := pair.Leaf.SerialNumber.Text(16), false
		for _, c := range list.Certificates {
			found = found || c.Serial == serial
		}
		if !found {
			t.Fatalf("%s is a file and not listed", serial)
		}
	}
	h.devproxy(t, "cert", "issue", "shop.localhost", "--force").must(t, 0)
	for _, c := range h.issued(t).Certificates {
		h.devproxy(t, "cert", "revoke", c.Serial).must(t, 0)
	}
}

// TestServerFollowsRevocations revokes while a server runs, and then damages
// the list and mends it.
func TestServerFollowsRevocations(t *testing.T) {
	h := newHome(t)
	s := start(t, h, head+`routes."hello.localhost" = "builtin:hello"`)
	h.devproxy(t, "cert", "issue", "--client", "alice@example.com").must(t, 0)
	began := time.Now()
	h.revoke(t, "alice@example.com")
	s.waitLog(t, "revoked certificates loaded", func(l logLine) bool { return l["revoked"] == 1.0 })
	t.Logf("from cert revoke to the server in %v", time.Since(began))

	ledger := filepath.Join(h.state(), "issued.json")
	good := readIf(t, ledger)
	from := s.mark()
	h.put(t, ledger, "{", 0o600)
	line := s.waitLogAfter(t, from, "what was revoked cannot be read: no client certificate of our CA is accepted", nil)
	if hint, _ := line["hint"].(string); line["level"] != "error" || line["file"] != ledger || !strings.Contains(hint, "restore it from a backup") {
		t.Errorf("the line is %v, want an error with the file and what to do", line)
	}
	from = s.mark()
	h.put(t, ledger, string(good), 0o600)
	s.waitLogAfter(t, from, "revoked certificates loaded", func(l logLine) bool { return l["revoked"] == 1.0 })
	s.stop(t)
}

// TestPasswordIsAskedFor types the password of a PKCS#12 file, which nothing
// shows.
func TestPasswordIsAskedFor(t *testing.T) {
	openssl := tool(t, "openssl")
	h := newHome(t)
	h.devproxy(t, "ca", "rotate").must(t, 0)
	issue := []string{"cert", "issue", "--client", "alice@example.com", "--p12"}

	d := h.converse(t, issue...)
	d.expect("New password of alice@example.com.p12: ")
	if d.echoes() {
		t.Error("what is typed is shown")
	}
	d.enter("open sesame\n")
	d.expect("The same again: ")
	d.enter("open sesam\n")
	d.expect("not entered the same twice")
	d.end(1, "sesam")
	if names, list := entries(h.work), h.issued(t); len(names) != 0 || len(list.Certificates) != 0 {
		t.Errorf("after that there are %v, and listed %v", names, list)
	}

	d = h.converse(t, issue...)
	d.expect("New password of alice@example.com.p12: ")
	d.enter("open sesame\n")
	d.expect("The same again: ")
	d.enter("open sesame\n")
	d.end(0, "sesam")
	h.run(t, openssl, "pkcs12", "-in", "alice@example.com.p12", "-passin", "pass:open sesame", "-noout").must(t, 0)
}

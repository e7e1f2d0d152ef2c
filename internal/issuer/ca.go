package issuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	caYears = 10
	// caBackdate exceeds leafBackdate, so that a leaf minted at once does not
	// begin before its issuers.
	caBackdate = 48 * time.Hour
)

// A CA is a root and the intermediate that signs leaves. It never changes, and
// its methods may be called concurrently.
type CA struct {
	root         *x509.Certificate
	intermediate *x509.Certificate
	key          *ecdsa.PrivateKey // the intermediate's, nil while it is locked; nobody has the root's
	sealed       []byte            // the key as it is kept if it has a passphrase, else nil
	passphrase   []byte            // that has unlocked it
	constraints  Constraints
}

// Root returns the certificate that clients have to trust. It must not be
// changed.
func (ca *CA) Root() *x509.Certificate { return ca.root }

// Intermediate returns the certificate that signs leaves. It must not be
// changed.
func (ca *CA) Intermediate() *x509.Certificate { return ca.intermediate }

// Constraints returns what the CA may sign for.
func (ca *CA) Constraints() Constraints { return ca.constraints }

// rootPEM returns the root as the PEM file that programs are pointed to.
func (ca *CA) rootPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: typeCertificate, Bytes: ca.root.Raw})
}

// checkTime fails if ca cannot be used at now.
func (ca *CA) checkTime(now time.Time) error {
	from := latest(ca.root.NotBefore, ca.intermediate.NotBefore)
	until := earliest(ca.root.NotAfter, ca.intermediate.NotAfter)
	switch {
	case now.Before(from):
		return fmt.Errorf("the CA is not valid before %s, and the clock says %s", day(from), day(now))
	case !now.Before(until):
		return fmt.Errorf("the CA expired on %s", day(until))
	}
	return nil
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// newCA makes a CA for constraints. Of the shapes measured, only this one
// (V14e in clients.md §1) makes every client accept names within the
// constraints and refuse others: Java ignores constraints on a root, so the
// intermediate repeats them.
//
// The root's key lives in this function only and is never encoded. Go cannot
// promise to wipe it from memory; it is gone from there when the collector or
// the process ends it.
func newCA(constraints Constraints, now time.Time) (*CA, error) {
	if err := constraints.check(); err != nil {
		return nil, err
	}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the root's key: %v", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the intermediate's key: %v", err)
	}
	label := newLabel(&rootKey.PublicKey, now)

	// No path length here: the intermediate's says all there is to say, and
	// not every client counts the same from a root.
	template := authority(constraints, now)
	template.Subject = subject("root", label)
	template.SubjectKeyId = keyID(&rootKey.PublicKey)
	root, err := sign(template, template, &rootKey.PublicKey, rootKey)
	if err != nil {
		return nil, fmt.Errorf("sign the root: %v", err)
	}

	template = authority(constraints, now)
	template.Subject = subject("intermediate", label)
	template.SubjectKeyId = keyID(&key.PublicKey)
	template.MaxPathLenZero = true
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	intermediate, err := sign(template, root, &key.PublicKey, rootKey)
	if err != nil {
		return nil, fmt.Errorf("sign the intermediate: %v", err)
	}
	return &CA{root: root, intermediate: intermediate, key: key, constraints: constraints}, nil
}

// authority returns what root and intermediate have in common.
func authority(constraints Constraints, now time.Time) *x509.Certificate {
	c := &x509.Certificate{
		NotBefore:             now.Add(-caBackdate),
		NotAfter:              now.AddDate(caYears, 0, 0),
		BasicConstraintsValid: true,
		IsCA:                  true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,

		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         constraints.DNS,
	}
	for _, p := range constraints.IP {
		c.PermittedIPRanges = append(c.PermittedIPRanges, &net.IPNet{
			IP:   p.Addr().AsSlice(),
			Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
		})
	}
	return c
}

// newLabel returns words that tell one root from every other, for its subject:
// NSS refuses a second root with a known subject and serial, without a way
// around it (pains.md [41]), and people have to tell them apart in a list.
func newLabel(root *ecdsa.PublicKey, now time.Time) string {
	var random [4]byte
	rand.Read(random[:]) // never fails
	return fmt.Sprintf("%x %s %x", keyID(root)[:4], day(now), random)
}

// subject names this machine where its name fits.
func subject(role, label string) pkix.Name {
	name := pkix.Name{
		Organization: []string{"devproxy"},
		CommonName:   "devproxy " + role + " " + label,
	}
	const most = 64 // RFC 5280, appendix A.1, ub-organizational-unit-name
	machine, err := os.Hostname()
	printable := func() bool {
		return strings.IndexFunc(machine, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
	}
	if err == nil && machine != "" && utf8.ValidString(machine) &&
		utf8.RuneCountInString(machine) <= most && printable() {
		name.OrganizationalUnit = []string{machine}
	}
	return name
}

// sign makes a certificate from template. It leaves the serial number to x509:
// 159 random bits, positive, at most 20 octets.
func sign(template, parent *x509.Certificate, public any, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	template.SignatureAlgorithm = x509.ECDSAWithSHA256
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// keyID returns the key identifier of RFC 7093, section 2, method 1, which is
// also what x509 gives to CA certificates.
func keyID(key *ecdsa.PublicKey) []byte {
	point, err := key.Bytes()
	if err != nil {
		panic("issuer: " + err.Error()) // only for a key that is not on its curve
	}
	sum := sha256.Sum256(point)
	return sum[:20]
}

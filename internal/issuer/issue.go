package issuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"time"
)

const (
	minLife = 24 * time.Hour
	// maxLife stays below the 200 days that public CAs are held to.
	maxLife = 199 * 24 * time.Hour
)

// An Order says what certificate a person wants, for a server or a client.
type Order struct {
	// Names are those of a server, as people write them: host names, "*." and
	// a host name, IP addresses. Empty if Client is set.
	Names []string

	// Client is the name of a client: words, an e-mail address, or a host name
	// that the CA may sign for. Empty if Names are set.
	Client string

	// Life is how long the certificate is valid from now, 1 to 199 days.
	Life time.Duration
}

// Issued is a certificate for a person to keep.
type Issued struct {
	Certificate  *x509.Certificate
	Intermediate *x509.Certificate // to be sent along; nil if the certificate signed itself
	Key          *ecdsa.PrivateKey // nil if it is somebody else's

	// Notes tell what a person should know, such as what was left out of a
	// request: one sentence each, lower case, without a full stop.
	Notes []string
}

// Issue makes a key and a certificate for it. The error is a *RuleError if the
// order is at fault.
func (ca *CA) Issue(o Order, now time.Time) (*Issued, error) {
	template, notes, err := ca.fill(o, now)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %v", err)
	}
	issued, err := ca.issue(template, &key.PublicKey)
	if err != nil {
		return nil, err
	}
	issued.Key, issued.Notes = key, notes
	return issued, nil
}

// fill returns the template of the certificate that o asks for.
func (ca *CA) fill(o Order, now time.Time) (template *x509.Certificate, notes []string, err error) {
	if err := ca.ready(now); err != nil {
		return nil, nil, err
	}
	if err := checkLife(o.Life); err != nil {
		return nil, nil, err
	}
	switch {
	case o.Client != "" && len(o.Names) > 0:
		return nil, nil, &RuleError{
			Problem: "one certificate is for a server or for a client, not for both",
			Hint:    "make two certificates",
		}
	case o.Client != "":
		template = ca.leafTemplate(x509.ExtKeyUsageClientAuth, o.Life, now)
		notes, err = ca.addClient(template, o.Client)
	default:
		template = ca.leafTemplate(x509.ExtKeyUsageServerAuth, o.Life, now)
		notes, err = ca.addHosts(template, o.Names)
	}
	if err != nil {
		return nil, nil, err
	}
	if wanted := now.Add(o.Life); template.NotAfter.Before(wanted) && day(template.NotAfter) != day(wanted) {
		notes = append(notes, fmt.Sprintf("it ends with the CA, on %s, not on %s", day(template.NotAfter), day(wanted)))
	}
	return template, notes, nil
}

func (ca *CA) addHosts(template *x509.Certificate, names []string) (notes []string, err error) {
	hosts, notes, err := parseHosts(names)
	if err != nil {
		return nil, err
	}
	if err := ca.constraints.admit(hosts); err != nil {
		return nil, err
	}
	if err := checkUnmixed(hosts); err != nil {
		return nil, err
	}
	for _, h := range hosts {
		h.addTo(template)
	}
	return notes, nil
}

func (ca *CA) issue(template *x509.Certificate, public any) (*Issued, error) {
	cert, err := ca.signTemplate(template, public)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate: %v", err)
	}
	return &Issued{Certificate: cert, Intermediate: ca.intermediate}, nil
}

// ready fails if ca cannot sign at now.
func (ca *CA) ready(now time.Time) error {
	if ca.Locked() {
		return errLocked
	}
	return ca.checkTime(now)
}

func checkLife(life time.Duration) error {
	if life < minLife || life > maxLife {
		return &RuleError{Problem: fmt.Sprintf("a certificate is valid for %d to %d days, not for %s",
			minLife/(24*time.Hour), maxLife/(24*time.Hour), days(life))}
	}
	return nil
}

func days(life time.Duration) string {
	if whole := life.Truncate(24 * time.Hour); whole == life {
		return fmt.Sprint(int64(whole / (24 * time.Hour)))
	}
	return life.String()
}

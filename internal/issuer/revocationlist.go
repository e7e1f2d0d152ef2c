package issuer

import (
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"math/big"
	"time"
)

// revocationLife is how long a revocation list counts. Whoever checks with one
// that is older refuses every certificate.
const revocationLife = 30 * 24 * time.Hour

// RevocationList returns, in DER, what the intermediate has revoked (RFC 5280,
// section 5). It is good for 30 days, or until the CA ends. The number has to
// grow from list to list.
func (ca *CA) RevocationList(revoked []x509.RevocationListEntry, number *big.Int, now time.Time) (der []byte, err error) {
	if err := ca.ready(now); err != nil {
		return nil, err
	}
	der, err = x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		SignatureAlgorithm:        x509.ECDSAWithSHA256,
		RevokedCertificateEntries: revoked,
		Number:                    number,
		// As leaves, for machines whose clock is behind.
		ThisUpdate: latest(now.Add(-leafBackdate), ca.intermediate.NotBefore),
		NextUpdate: earliest(now.Add(revocationLife), ca.intermediate.NotAfter),
	}, ca.intermediate, ca.key)
	if err != nil {
		return nil, fmt.Errorf("sign the revocation list: %v", err)
	}
	return der, nil
}

package issuer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
)

const (
	typeCertificate = "CERTIFICATE"
	typeKey         = "PRIVATE KEY"
	typeSealedKey   = "ENCRYPTED PRIVATE KEY"
)

// encode returns the content of ca.pem: root, intermediate, and the key of the
// intermediate in PKCS #8, encrypted if it has a passphrase.
func (ca *CA) encode() ([]byte, error) {
	keyType, key := typeSealedKey, ca.sealed
	if !ca.HasPassphrase() {
		plain, err := x509.MarshalPKCS8PrivateKey(ca.key)
		if err != nil {
			return nil, fmt.Errorf("encode the key: %v", err)
		}
		keyType, key = typeKey, plain
	}
	var out bytes.Buffer
	for _, b := range []*pem.Block{
		{Type: typeCertificate, Bytes: ca.root.Raw},
		{Type: typeCertificate, Bytes: ca.intermediate.Raw},
		{Type: keyType, Bytes: key},
	} {
		if err := pem.Encode(&out, b); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// parse is the inverse of encode. It accepts only what encode writes, byte for
// byte, and only a CA that constrains what it signs; the time it leaves to
// checkTime. No error holds any part of the key. A CA whose key is encrypted is
// locked; that the key is its own is then for Unlock to see.
func parse(data []byte) (*CA, error) {
	rootDER, rest, err := nextBlock(data, typeCertificate)
	if err != nil {
		return nil, fmt.Errorf("the root: %v", err)
	}
	intermediateDER, rest, err := nextBlock(rest, typeCertificate)
	if err != nil {
		return nil, fmt.Errorf("the intermediate: %v", err)
	}
	keyType := typeKey
	if bytes.HasPrefix(rest, []byte("-----BEGIN "+typeSealedKey+"-----")) {
		keyType = typeSealedKey
	}
	keyDER, rest, err := nextBlock(rest, keyType)
	if err != nil {
		return nil, fmt.Errorf("the key: %v", err)
	}
	if len(rest) > 0 {
		return nil, errors.New("there is something after the key")
	}

	root, err := x509.ParseCertificate(rootDER)
	if err != nil {
		return nil, fmt.Errorf("the root is damaged: %v", err)
	}
	intermediate, err := x509.ParseCertificate(intermediateDER)
	if err != nil {
		return nil, fmt.Errorf("the intermediate is damaged: %v", err)
	}
	ca := &CA{root: root, intermediate: intermediate}
	if keyType == typeSealedKey {
		ca.sealed, err = keyDER, checkSealed(keyDER)
	} else {
		ca.key, err = parseKey(keyDER)
	}
	if err != nil {
		return nil, err
	}
	if err := ca.checkKeys(); err != nil {
		return nil, err
	}
	if err := ca.checkShape(); err != nil {
		return nil, err
	}
	ca.constraints, err = ca.commonConstraints()
	if err != nil {
		return nil, err
	}
	return ca, nil
}

// nextBlock returns the content of the PEM block at the very start of data,
// which must have the given type and be as pem.Encode writes it, and what
// follows it.
func nextBlock(data []byte, want string) (der, rest []byte, err error) {
	if len(data) == 0 {
		return nil, nil, errors.New("missing, the file ends before it")
	}
	block, rest := pem.Decode(data)
	if block == nil {
		return nil, nil, errors.New("truncated or not PEM")
	}
	if block.Type != want {
		return nil, nil, fmt.Errorf("found a PEM block %q in its place, want %q", block.Type, want)
	}
	// pem.Decode skips what it cannot read.
	if len(block.Headers) > 0 || !bytes.Equal(pem.EncodeToMemory(block), data[:len(data)-len(rest)]) {
		return nil, nil, errors.New("damaged, or there is other text around it")
	}
	return block.Bytes, rest, nil
}

var errNotP256 = errors.New("the key is not an ECDSA P-256 key")

func parseKey(der []byte) (*ecdsa.PrivateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("the key is damaged")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errNotP256
	}
	// One key has many encodings; only ours comes back as it was.
	if again, err := x509.MarshalPKCS8PrivateKey(key); err != nil || !bytes.Equal(again, der) {
		return nil, errors.New("the key is encoded in an unknown way")
	}
	return key, nil
}

// checkKeys fails unless the key is the intermediate's and cannot sign as the
// root, whose constraints Java ignores (clients.md §1). Of a locked CA it looks
// at what the key would have to belong to.
func (ca *CA) checkKeys() error {
	public, ok := ca.intermediate.PublicKey.(*ecdsa.PublicKey)
	if ca.key != nil {
		public, ok = &ca.key.PublicKey, true
	}
	switch {
	case !ok || public.Curve != elliptic.P256():
		return errNotP256
	case public.Equal(ca.root.PublicKey):
		return errors.New("the key can sign as the root")
	case !public.Equal(ca.intermediate.PublicKey):
		return errors.New("the key does not belong to the intermediate")
	}
	return nil
}

// checkShape fails unless root and intermediate are what newCA makes, as far
// as a client could tell the difference.
func (ca *CA) checkShape() error {
	root, intermediate := ca.root, ca.intermediate
	for _, c := range []struct {
		role string
		cert *x509.Certificate
	}{{"root", root}, {"intermediate", intermediate}} {
		if !c.cert.BasicConstraintsValid || !c.cert.IsCA || c.cert.KeyUsage&x509.KeyUsageCertSign == 0 {
			return fmt.Errorf("the %s is not a CA certificate", c.role)
		}
		if len(c.cert.UnhandledCriticalExtensions) > 0 {
			return fmt.Errorf("the %s has unknown critical extensions", c.role)
		}
	}
	if !bytes.Equal(root.RawIssuer, root.RawSubject) || root.CheckSignatureFrom(root) != nil {
		return errors.New("the root is not signed by itself")
	}
	if !bytes.Equal(intermediate.RawIssuer, root.RawSubject) || intermediate.CheckSignatureFrom(root) != nil {
		return errors.New("the intermediate is not signed by the root")
	}
	if root.MaxPathLen != -1 {
		return fmt.Errorf("the root has the path length %d, want none", root.MaxPathLen)
	}
	if intermediate.MaxPathLen != 0 {
		return fmt.Errorf("the intermediate has the path length %d, want 0", intermediate.MaxPathLen)
	}
	if !slices.Contains(intermediate.ExtKeyUsage, x509.ExtKeyUsageServerAuth) {
		return errors.New("the intermediate is not for servers")
	}
	return nil
}

// commonConstraints returns the constraints of root and intermediate. It fails
// if they differ: some clients heed only the one, some only the other.
func (ca *CA) commonConstraints() (Constraints, error) {
	constraints, err := constraintsOf(ca.root)
	if err != nil {
		return Constraints{}, fmt.Errorf("the root %v", err)
	}
	if _, err := constraintsOf(ca.intermediate); err != nil {
		return Constraints{}, fmt.Errorf("the intermediate %v", err)
	}
	if !bytes.Equal(nameConstraints(ca.root), nameConstraints(ca.intermediate)) {
		return Constraints{}, errors.New("root and intermediate have different name constraints")
	}
	return constraints, nil
}

// nameConstraints returns the encoded extension of RFC 5280, section 4.2.1.10.
func nameConstraints(cert *x509.Certificate) []byte {
	for _, ext := range cert.Extensions {
		if ext.Id.Equal([]int{2, 5, 29, 30}) {
			return ext.Value
		}
	}
	return nil
}

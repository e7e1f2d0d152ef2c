package issuer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math"
	"slices"
	"strings"
)

// maxRequest bounds a request, in bytes, with the text around it.
const maxRequest = 64 << 10

// parseRequest finds the one request in data, which is PEM or DER. It does not
// check the signature.
func parseRequest(data []byte) (*x509.CertificateRequest, error) {
	if len(data) > maxRequest {
		return nil, &RuleError{
			Problem: fmt.Sprintf("the request is larger than %d KiB", maxRequest>>10),
			Hint:    fmt.Sprintf("a certificate takes %d names: make several requests", maxNames),
		}
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, &RuleError{Problem: "the request is empty"}
	}
	der, err := requestDER(data)
	if err != nil {
		return nil, err
	}
	req, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, &RuleError{Problem: fmt.Sprintf("the request cannot be read: %v", err), Hint: "make a new request"}
	}
	return req, nil
}

func requestDER(data []byte) ([]byte, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	var found []byte
	var others []string
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		switch {
		// The second name is that of Windows and keytool.
		case block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST":
			others = append(others, block.Type)
		case found != nil:
			return nil, &RuleError{Problem: "there are several requests in one file", Hint: "sign them one by one"}
		default:
			found = block.Bytes
		}
	}
	if found != nil {
		return found, nil
	}
	isKey := func(kind string) bool { return strings.HasSuffix(kind, "PRIVATE KEY") }
	switch {
	case slices.ContainsFunc(others, isKey), isKeyDER(data):
		return nil, &RuleError{
			Problem: "that is a private key, not a request",
			Hint:    "keep it to yourself, and sign the request that was made with it",
		}
	case slices.Contains(others, typeCertificate), isCertificateDER(data):
		return nil, &RuleError{
			Problem: "that is a certificate, not a request",
			Hint:    "sign the request that was made with its key",
		}
	case len(others) > 0:
		return nil, &RuleError{Problem: fmt.Sprintf("there is no request in it, but a PEM block %.40q", others[0])}
	case data[0] != 0x30: // the DER of a sequence
		return nil, &RuleError{
			Problem: "that is neither PEM nor DER of a certificate request",
			Hint:    `a request begins with "-----BEGIN CERTIFICATE REQUEST-----"`,
		}
	}
	return data, nil
}

func isKeyDER(der []byte) bool {
	if _, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return true
	}
	if _, err := x509.ParseECPrivateKey(der); err == nil {
		return true
	}
	_, err := x509.ParsePKCS1PrivateKey(der)
	return err == nil
}

func isCertificateDER(der []byte) bool {
	_, err := x509.ParseCertificate(der)
	return err == nil
}

// Limits on RSA keys, in bits. Clients refuse shorter ones; longer ones cost
// every handshake dearly, and OpenSSL refuses those above 16384.
const (
	minRSA = 2048
	maxRSA = 8192
)

const keyHint = `make a new key and request with cert request, or with: openssl req -newkey rsa:2048 -noenc -keyout key.pem -out request.csr`

// checkRequestKey fails for keys that clients refuse, and for what is no key
// of its kind.
func checkRequestKey(public any, client bool) (notes []string, err error) {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return nil, checkRSA(key)
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P224() {
			return nil, &RuleError{Problem: "the request's key is on the curve P-224, which browsers refuse", Hint: keyHint}
		}
		return nil, nil
	case ed25519.PublicKey:
		if !client {
			return nil, &RuleError{Problem: "the request's key is Ed25519: Chromium and Firefox refuse servers with one", Hint: keyHint}
		}
		return []string{"the key is Ed25519: programs can use it, browsers may not offer it"}, nil
	}
	return nil, &RuleError{Problem: "the request's key is of an unknown kind: RSA and ECDSA are possible", Hint: keyHint}
}

func checkRSA(key *rsa.PublicKey) error {
	problem := ""
	switch bits := key.N.BitLen(); {
	case bits < minRSA:
		problem = fmt.Sprintf("the request's RSA key has %d bits, too few: at least %d", bits, minRSA)
	case bits > maxRSA:
		problem = fmt.Sprintf("the request's RSA key has %d bits, too many: at most %d", bits, maxRSA)
	case key.N.Bit(0) == 0:
		problem = "the request's RSA key is none: its modulus is even"
	case key.E < 3 || key.E%2 == 0 || int64(key.E) > math.MaxInt32:
		problem = fmt.Sprintf("the request's RSA key has the exponent %d, which does not do", key.E)
	default:
		return nil
	}
	return &RuleError{Problem: problem, Hint: keyHint}
}

// keyUsage returns what a leaf's key is for. A server's RSA key may also
// take part in the RSA key exchange of TLS 1.2, which needs its own bit (RFC
// 5280, section 4.2.1.3): old devices, which know nothing better, are where
// requests with RSA keys come from.
func keyUsage(public any, client bool) x509.KeyUsage {
	if _, ok := public.(*rsa.PublicKey); ok && !client {
		return x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	}
	return x509.KeyUsageDigitalSignature
}
